"""New music behind old: in time, in level, without a seam, and nothing kept is touched."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.media import extending, loudness, resample, seams
from server.media.clip import Clip, Samples
from server.media.extending import Ground
from server.media.window import Window, cut
from tests import music

RATE = 16000


def _noise(seconds: float, *, seed: int = 0, level: float = 0.1, channels: int = 2) -> Clip:
    return music.noise(seconds, seed=seed, level=level, sample_rate=RATE, channels=channels)


def _behind(first: Clip, second: Clip) -> Clip:
    return first.with_samples(np.concatenate([first.samples, second.samples], axis=1))


def _tail(clip: Clip, samples: int) -> Clip:
    return cut(clip, Window(clip.length - samples, clip.length))


@settings(max_examples=30, deadline=None)
@given(
    rate=st.sampled_from([8000, 11025, 16000, 22050]),
    channels=st.sampled_from([1, 2]),
    source=st.integers(100, 20000),
    kept=st.integers(1, 100),
    heard=st.integers(1, 100),
    length=st.integers(1, 20000),
    played=st.integers(0, 30000),
    late=st.integers(-100, 100),
)
def test_the_kept_part_stays_and_the_length_is_exact(
    rate: int,
    channels: int,
    source: int,
    kept: int,
    heard: int,
    length: int,
    played: int,
    late: int,
) -> None:
    """Whatever is played, at any rate, however much is missing of it."""
    random = np.random.default_rng(source)
    old = Clip(random.normal(0.0, 0.2, (channels, source)).astype(np.float32), rate)
    new = Clip(random.normal(0.0, 0.2, (channels, played)).astype(np.float32), rate)
    end = max(1, source * kept // 100)
    ground = Ground(old, end, max(1, end * heard // 100))

    whole, join = extending.extend(ground, new, length=length, late_samples=late)

    assert (channels, end + length) == whole.samples.shape
    assert rate == whole.sample_rate
    assert np.array_equal(old.samples[:, :end], whole.samples[:, :end])
    assert np.isfinite(whole.samples).all()
    assert end / rate == join.seconds


def test_music_that_an_engine_knows_goes_on_as_it_was() -> None:
    """Its guess is the source and what follows is the truth: nothing is changed at all."""
    truth = music.band(seconds=10.0, sample_rate=RATE).clip
    end = round(6.1 * RATE)
    ground = Ground(cut(truth, Window(0, end)), end, 4 * RATE)

    whole, join = extending.extend(
        ground, _tail(truth, truth.length - 2 * RATE - 1600), length=60000
    )

    assert (0.0, "prediction") == (join.shift_seconds, join.fades_out)
    assert join.likeness > 0.999
    ratio = float(np.linalg.norm(whole.samples[:, end:] - truth.samples[:, end : end + 60000]))
    assert ratio / float(np.linalg.norm(truth.samples[:, end : end + 60000])) < 0.2


@settings(max_examples=10, deadline=None)
@given(st.integers(-150, 150))
def test_a_guess_that_is_late_or_early_is_shifted_back(late: int) -> None:
    """By as much as it is, where it is alike; negative control: other music is left alone."""
    truth = _noise(4.0)
    ground = Ground(cut(truth, Window(0, 2 * RATE)), 2 * RATE, RATE)
    played = _tail(truth, 3 * RATE)
    played = played.with_samples(np.roll(played.samples, late, axis=1))

    whole, join = extending.extend(ground, played, length=RATE)

    assert late == round(join.shift_seconds * RATE)
    np.testing.assert_allclose(
        truth.samples[:, 2 * RATE + 800 : 3 * RATE],
        whole.samples[:, 2 * RATE + 800 :],
        atol=0.02,
    )
    _, unlike = extending.extend(ground, _noise(3.0, seed=5), length=RATE)
    assert 0.0 == unlike.shift_seconds


def test_what_follows_in_the_source_fades_out() -> None:
    """Where there is more of it; where it ends, what is predicted of it."""
    source = _noise(4.0)
    played = _noise(3.0, seed=1)

    longer, first = extending.extend(Ground(source, 2 * RATE, RATE), played, length=RATE)
    shorter, second = extending.extend(Ground(source, 4 * RATE, RATE), played, length=RATE)

    assert ("source", "prediction") == (first.fades_out, second.fades_out)
    early = slice(2 * RATE, 2 * RATE + 80)
    np.testing.assert_allclose(source.samples[:, early], longer.samples[:, early], atol=0.06)
    assert 5 * RATE == shorter.length


@pytest.mark.parametrize("level", [0.008, 0.03, 0.3])
def test_the_level_at_the_join_is_that_of_the_source(level: float) -> None:
    """Within 1 LU; negative control: as it was played it is 10 dB and more off."""
    source = _noise(8.0, level=0.1)
    played = _behind(_noise(4.0, seed=1, level=level), _noise(12.0, seed=2, level=level))

    whole, join = extending.extend(
        Ground(source, source.length, 4 * RATE), played, length=12 * RATE
    )

    assert abs(_step(whole, 8 * RATE)) < 0.5
    assert abs(20 * np.log10(0.1 / level)) == pytest.approx(abs(join.gains_db[0]), abs=0.5)
    assert abs(20 * np.log10(0.1 / level)) > 9


def _step(whole: Clip, at: int) -> float:
    """Return by how many LU the 3 s after a place are louder than those before it."""
    before, after = Window(at - 3 * RATE, at), Window(at, at + 3 * RATE)
    first, last = (loudness.integrated_loudness(cut(whole, each)) for each in (before, after))
    return last - first


def test_music_that_gets_quieter_is_led_back_but_no_further_than_six_decibels() -> None:
    """So that continuations of continuations do not drift to silence."""
    source = _noise(8.0)
    ground = Ground(source, source.length, 4 * RATE)
    for level, led in ((0.07, 3.1), (0.01, 6.0)):
        loud, quiet = _noise(3.0, seed=2), _noise(17.0, seed=3, level=level)
        played = _behind(_noise(4.0, seed=1), _behind(loud, quiet))

        whole, join = extending.extend(ground, played, length=20 * RATE)

        assert led == pytest.approx(join.gains_db[1] - join.gains_db[0], abs=0.3)
        raised = _tail(whole, 8 * RATE).samples.std() / level
        assert led == pytest.approx(20 * np.log10(raised), abs=0.5)


def test_ten_continuations_in_a_row_stay_as_loud() -> None:
    """An engine loses a decibel each time; negative control: that is ten without the levels."""
    clip = _noise(6.0)
    quieter = np.float32(10 ** (-1 / 20))
    for number in range(10):
        new = _behind(_tail(clip, 3 * RATE), _noise(6.0, seed=number + 1))
        new = new.with_samples(new.samples * quieter ** (number + 1))
        clip, _ = extending.extend(Ground(clip, clip.length, 3 * RATE), new, length=6 * RATE)

    ends = [
        loudness.integrated_loudness(cut(clip, Window(at, at + 6 * RATE))) for at in (0, 60 * RATE)
    ]
    assert abs(ends[1] - ends[0]) < 1.0
    assert float(quieter) ** 10 < 0.35


def test_the_seam_cannot_be_heard() -> None:
    """In flux and clicks; negative control: a hard cut at the same place can."""
    old = music.band(seconds=6.2).clip
    new = music.band(seconds=12.0, seed=3, timbre="reed").clip
    rate = old.sample_rate
    ground = Ground(old, old.length, 4 * rate)
    played = _behind(_tail(old, 4 * rate), cut(new, Window(round(3.3 * rate), 9 * rate)))

    whole, join = extending.extend(ground, played, length=5 * rate)

    overlap = round(join.crossfade_seconds * rate)
    part = Window(old.length, whole.length)
    reference = ground.without(0, whole.length)
    hard = whole.with_samples(np.concatenate([old.samples, played.samples[:, 4 * rate :]], axis=1))
    seam, _ = seams.measure(reference, whole, part, overlap=overlap)
    cut_seam, _ = seams.measure(
        reference, cut(hard, Window(0, whole.length)), part, overlap=overlap
    )
    assert seam is not None
    assert cut_seam is not None
    assert "pass" == seam.verdict, seam.as_dict()
    assert "pass" != cut_seam.verdict


def test_the_beat_after_a_join_is_compared_with_that_before_it() -> None:
    """Also where the music ends inside a beat; negative control: 60 ms of delay are told."""
    piece = music.band(seconds=20.0)
    rate = piece.clip.sample_rate
    at = round(9.8 * rate)
    beats = [float(beat) for beat in piece.beats if beat < 9.8]
    late = _behind(
        cut(piece.clip, Window(0, at)),
        cut(piece.clip, Window(at - round(0.06 * rate), piece.clip.length)),
    )

    here = extending.timing(piece.clip, at, beats=beats)
    there = extending.timing(late, at, beats=beats)

    assert here.lag_ms is not None
    assert there.lag_ms is not None
    assert abs(here.lag_ms) < 10
    assert 60 == pytest.approx(there.lag_ms, abs=12)


def test_missing_samples_are_let_go_without_a_step() -> None:
    """Negative control: zeros behind a loud tone are a step."""
    tone = music.sine(220.0, 0.4, sample_rate=RATE)

    whole = extending.exactly(tone, RATE)

    assert RATE == whole.length
    assert np.abs(np.diff(whole.samples, n=2)).max() < 0.02
    assert not whole.samples[:, -RATE // 4 :].any()
    zeros = np.pad(tone.samples[:, :-7], ((0, 0), (0, 10)))
    assert np.abs(np.diff(zeros, n=2)).max() > 0.02


def test_another_rate_and_other_channels_become_the_sources() -> None:
    source = _noise(2.0, channels=1)
    ground = Ground(source, source.length, RATE)
    played = resample.resample(_behind(_tail(source, RATE), _noise(2.0, channels=1)), 32000)

    found = ground.in_its_terms(played.as_stereo())

    assert (1, 3 * RATE, RATE) == (found.channels, found.length, found.sample_rate)


def _spiky(samples: Samples) -> Samples:
    loud = samples.copy()
    loud[:, ::4000] = 3.0
    return loud


def test_there_are_no_overs() -> None:
    """Negative control: what is played has them."""
    source = _noise(4.0)
    played = _behind(_tail(source, 2 * RATE), _noise(6.0, seed=1))
    played = played.with_samples(_spiky(played.samples))

    whole, _ = extending.extend(Ground(source, source.length, 2 * RATE), played, length=6 * RATE)

    new = cut(whole, Window(source.length + 1600, whole.length))
    assert loudness.true_peak_db(new) <= -0.95
    assert loudness.true_peak_db(played) > 0.0
