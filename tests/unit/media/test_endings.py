"""Music that stops by itself is noticed, and music that does not is not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.media import endings
from server.media.clip import Clip
from tests import music

RATE = 16000
BEFORE = music.noise(4.0, sample_rate=RATE)


def _music(seconds: float = 8.0) -> Clip:
    return music.noise(seconds, seed=1, sample_rate=RATE)


def _silenced(clip: Clip, start: float, end: float, *, level: float = 0.0) -> Clip:
    samples = clip.samples.copy()
    samples[:, round(start * RATE) : round(end * RATE)] *= level
    return clip.with_samples(samples)


def _codes(clip: Clip, *, before: Clip | None = BEFORE, seconds: float = 8.0) -> list[str]:
    found = endings.faults(clip, length=round(seconds * RATE), before=before)
    return [fault.code for fault in found]


@pytest.mark.parametrize("piece", [music.band, music.riff])
def test_music_has_no_fault(piece: object) -> None:
    """Nor has noise: pauses between notes are music."""
    clip = piece(seconds=8.0).clip  # type: ignore[operator]

    assert () == endings.faults(clip, length=clip.length, before=clip)
    assert [] == _codes(_music())


@pytest.mark.parametrize("level", [0.0, 1e-3])
def test_a_first_second_that_is_nearly_silent_is_a_fault(level: float) -> None:
    """Negative control: half of it is none."""
    assert ["silent_opening"] == _codes(_silenced(_music(), 0, 1.0, level=level))
    assert [] == _codes(_silenced(_music(), 0, 0.5, level=level))


@pytest.mark.parametrize("level", [0.0, 1e-3])
def test_two_silent_seconds_are_a_fault(level: float) -> None:
    """Negative control: a pause of a second and a half is none."""
    [fault] = endings.faults(
        _silenced(_music(), 3, 5.2, level=level), length=8 * RATE, before=BEFORE
    )

    assert "silence" == fault.code
    assert 3.0 == pytest.approx(fault.start_seconds, abs=0.06)
    assert 2.2 == pytest.approx(fault.seconds, abs=0.11)
    assert [] == _codes(_silenced(_music(), 3, 4.5, level=level))


def test_an_end_before_the_end_is_a_fault() -> None:
    """Whether samples are missing or are zeros; negative control: half a second less is none."""
    for early in (_music(7.0), _silenced(_music(), 7.0, 8.0)):
        [fault] = endings.faults(early, length=8 * RATE, before=BEFORE)

        assert "early_end" == fault.code
        assert (7.0, 1.0) == pytest.approx((fault.start_seconds, fault.seconds), abs=1e-3)
    assert [] == _codes(_music(7.6))
    assert [] == _codes(_silenced(_music(), 7.6, 8.0))


def test_a_slow_fade_to_nothing_is_silence() -> None:
    """As chained continuations drift to."""
    clip = _music(20.0)
    fading = np.exp(-0.4 * np.arange(clip.length) / RATE).astype(np.float32)

    assert ["silence"] == _codes(clip.with_samples(clip.samples * fading), seconds=20.0)


def test_nothing_at_all_has_ended_at_once() -> None:
    nothing = Clip(np.zeros((2, 0), np.float32), RATE)

    [fault] = endings.faults(nothing, length=RATE, before=BEFORE)

    assert ("early_end", 0.0, 1.0) == (fault.code, fault.start_seconds, fault.seconds)
    assert {"code", "words", "start_seconds", "seconds"} == set(fault.as_dict())


def test_where_the_music_before_is_silent_silence_is_no_fault() -> None:
    """Negative control: without anything before it is one."""
    silent = _silenced(_music(), 0, 8)

    assert [] == _codes(silent, before=_silenced(BEFORE, 0, 4))
    assert ["early_end"] == _codes(silent, before=None)
    assert ["silence"] == _codes(_silenced(_music(), 3, 6), before=None)


def test_where_the_music_before_has_pauses_a_pause_is_no_fault() -> None:
    assert [] == _codes(_silenced(_music(), 3, 6), before=_silenced(BEFORE, 0.5, 2.6))


def test_what_is_beyond_the_length_does_not_matter() -> None:
    assert [] == _codes(_silenced(_music(12.0), 8.0, 12.0))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 40000), st.integers(0, 40000), st.integers(0, 40000), st.integers(0, 40000))
def test_faults_lie_within_what_was_asked_for(
    length: int, played: int, start: int, silent: int
) -> None:
    """Whatever is played: in order, not longer than the music, and the same channels or not."""
    samples = np.random.default_rng(0).normal(0.0, 0.1, (1, played)).astype(np.float32)
    samples[:, start : start + silent] = 0.0

    found = endings.faults(Clip(samples, RATE), length=length, before=BEFORE)

    assert sorted(found, key=lambda fault: fault.start_seconds) == list(found)
    for fault in found:
        assert 0.0 <= fault.start_seconds
        assert fault.seconds > 0.0
        assert fault.start_seconds + fault.seconds <= length / RATE + 1e-9
