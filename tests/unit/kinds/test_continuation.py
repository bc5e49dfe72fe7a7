"""What a continuation keeps, hears and adds."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server import errors, kinds
from server.jobs.kind import JobSpec
from server.kinds import continuation, extensions
from server.media import extending
from server.media.clip import Clip
from server.media.window import Window, cut
from tests import music

SOURCE = "a" * 32


def _spec(**parameters: Any) -> continuation.Spec:
    spec: JobSpec = kinds.parse(continuation, {"source": SOURCE, **parameters})
    assert isinstance(spec, continuation.Spec)
    return spec


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0.25, 300),
    st.floats(1, 30),
    st.sampled_from(["start", "end"]),
    st.sampled_from(["total", "appended"]),
    st.floats(0.25, 600),
)
def test_what_is_kept_and_what_is_new_are_the_whole(
    source: float, prompt: float, prompt_from: str, named: str, seconds: float
) -> None:
    """And something is always new: else the order is refused by the length that was named."""
    lengths = {f"{named}_seconds": seconds}
    spec = _spec(prompt_from=prompt_from, prompt_duration=prompt, **lengths)
    kept = spec.kept_seconds(source)
    is_possible = named == "appended" or seconds - kept >= 0.25

    if not is_possible:
        with pytest.raises(errors.InvalidInput) as caught:
            spec.check_source(source)
        assert "total_seconds" == caught.value.field
        return
    spec.check_source(source)

    assert 0 < kept <= source
    assert spec.appended_to(kept) >= 0.25
    whole = seconds if named == "total" else kept + seconds
    assert whole == pytest.approx(kept + spec.appended_to(kept))


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"total_seconds": 9, "appended_seconds": 2}, "total_seconds"),
        ({"prompt_duration": 30}, "appended_seconds"),
        ({"total_seconds": 4}, "total_seconds"),
        ({"total_seconds": 2}, "total_seconds"),
        ({"appended_seconds": 0}, "appended_seconds"),
        ({"appended_seconds": "much"}, "appended_seconds"),
        ({"appended_seconds": True}, "appended_seconds"),
        ({"prompt_duration": 0.5}, "prompt_duration"),
        ({"prompt_duration": 31}, "prompt_duration"),
        ({"prompt_from": "middle"}, "prompt_from"),
        ({"prompt_window": [1, 4.5]}, "prompt_window"),
        ({"prompt_window": [3, 2]}, "prompt_window"),
        ({"prompt_window": [1, 1.5]}, "prompt_window"),
        ({"prompt_window": "1-2, 3-4"}, "prompt_window.0"),
        ({"prompt_window": [1]}, "prompt_window.1"),
        ({"prompt": "x" * 2001}, "prompt"),
        ({"variation": "nose_flute"}, "variation"),
        ({"join": "bar"}, "join"),
        ({"most_takes": 0}, "most_takes"),
        ({"most_takes": 5}, "most_takes"),
        ({"model": "no such thing!"}, "model"),
        ({"temperature": 0}, "temperature"),
        ({"seed": "many"}, "seed"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_wrong_order_is_refused_by_field(parameters: dict[str, Any], field: str) -> None:
    """Of a sound of four seconds."""
    with pytest.raises(errors.InvalidInput) as caught:
        _spec(**parameters).check_source(4.0)

    assert (field, 422) == (caught.value.field, caught.value.status)


@pytest.mark.parametrize("prompt", [1, 6, 29.75])
def test_without_a_length_prompt_and_new_music_are_half_a_minute(prompt: float) -> None:
    assert 30 - prompt == _spec(prompt_duration=prompt).appended_to(100)


def test_a_window_decides_alone_what_is_heard_and_kept() -> None:
    spec = _spec(prompt_window=[3, 5], prompt_from="start", prompt_duration=9)

    assert (2.0, 5.0, 28.0) == (spec.prompt_seconds, spec.kept_seconds(60), spec.appended_to(5))
    assert (28.0, 32.0) == (spec.work_seconds(60), spec.kept_seconds(60) + 27)


def test_each_take_has_a_seed_of_its_own() -> None:
    spec = _spec(seed=5, prompt="strings", bpm=90)

    assert [5, 6] == [spec.brief(take).seed for take in (0, 1)]
    assert ("strings", True, 90.0) == (
        spec.brief().prompt,
        spec.brief().is_custom,
        spec.brief().bpm,
    )


# Where it goes on


def _band(seconds: float) -> Clip:
    clip = music.band(seconds=20.0, sample_rate=22050).clip
    return cut(clip, Window(0, round(seconds * clip.sample_rate)))


@pytest.mark.parametrize(("seconds", "kept"), [(9.3, 9.0), (8.0, 8.0), (7.98, 7.98)])
def test_on_the_beat_the_join_is_a_beat(seconds: float, kept: float) -> None:
    """A loop that ends where its next beat would be stays whole."""
    where = extensions.place(_band(seconds), end_seconds=seconds, heard_seconds=4, on_beat=True)

    assert kept == pytest.approx(where.ground.end / 22050, abs=0.02)
    assert seconds - kept == pytest.approx(where.moved_seconds, abs=0.02)
    assert 4 * 22050 == where.ground.prompt.length


def test_only_what_is_kept_is_listened_to() -> None:
    """What comes after the join in the source is not what the new music follows."""
    band = _band(12.0)
    other = band.samples.copy()
    other[:, 8 * 22050 :] = music.noise(4.0, sample_rate=22050).samples

    one, two = (
        extensions.place(clip, end_seconds=8.0, heard_seconds=4)
        for clip in (band, band.with_samples(other))
    )

    assert one.beats == two.beats
    assert one.beats is not None


def test_a_prompt_longer_than_the_sound_is_all_of_it() -> None:
    where = extensions.place(_band(3.0), end_seconds=3.0, heard_seconds=6)

    assert where.ground.end == where.ground.heard == 3 * 22050
    assert (extensions.SHORT_PROMPT,) == where.notices


def test_surround_sound_goes_on_in_its_first_two_channels() -> None:
    clip = music.noise(2.0, sample_rate=16000, channels=6)

    where = extensions.place(clip, end_seconds=2.0, heard_seconds=1)

    assert 2 == where.ground.kept.channels
    assert where.notices


# In time


@pytest.mark.parametrize("late_ms", [0.0, 35.0, -35.0])
def test_music_that_is_late_is_moved_onto_the_beat(late_ms: float) -> None:
    """Inside a beat too; negative control: music in time is left where it is."""
    made = _extended(late_ms)

    assert made.before.lag_ms is not None
    assert made.after.lag_ms is not None
    assert late_ms == pytest.approx(made.before.lag_ms, abs=10)
    assert abs(made.after.lag_ms) <= 15
    assert late_ms == pytest.approx(1000 * made.join.moved_seconds, abs=10)
    assert (late_ms != 0.0) is bool(made.notices)


def test_it_is_moved_no_further_than_the_crossfade() -> None:
    """What is left of the lag is told."""
    made = _extended(90.0)

    assert 0.05 == pytest.approx(made.join.moved_seconds, abs=1e-4)
    assert made.after.lag_ms is not None
    assert 40 == pytest.approx(made.after.lag_ms, abs=12)


def _extended(late_ms: float) -> extensions.Extended:
    piece = music.band(seconds=20.0, sample_rate=22050).clip
    late, at = round(late_ms / 1000 * 22050), round(9.3 * 22050)
    where = extensions.place(piece, end_seconds=9.3, heard_seconds=4)
    new = piece.samples[:, at - late :]
    played = np.concatenate([where.ground.prompt.samples, new], axis=1)
    return extensions.extended(where, piece.with_samples(played), 8 * 22050)


@settings(max_examples=12, deadline=None)
@given(
    rate=st.sampled_from([8000, 11025, 44100]),
    played_at=st.sampled_from([16000, 32000, 44100]),
    channels=st.sampled_from([1, 2]),
    seconds=st.floats(0.25, 3.0),
    new_seconds=st.floats(0.25, 3.0),
    level=st.sampled_from([0.0, 0.1]),
)
def test_any_sound_and_any_engine_give_the_exact_length(
    rate: int,
    played_at: int,
    channels: int,
    seconds: float,
    new_seconds: float,
    level: float,
) -> None:
    """At the source's rate, in its channels, with a report; silence and scraps of sound as well."""
    source = music.noise(seconds, level=level, sample_rate=rate, channels=channels)
    where = extensions.place(source, end_seconds=seconds, heard_seconds=2, on_beat=True)
    length = round(new_seconds * rate)
    heard = where.ground.prompt.seconds
    played = music.noise(heard + new_seconds, sample_rate=played_at)

    made = extensions.extended(where, played, length)

    assert (channels, where.ground.end + length) == made.clip.samples.shape
    assert rate == made.clip.sample_rate
    np.testing.assert_array_equal(
        where.ground.kept.samples, made.clip.samples[:, : where.ground.end]
    )
    assert {"verdict", "gates", "seams"} <= set(extensions.fit(where, made))


# How it fits


def _on_the_beat(*, step: float = 0.0) -> dict[str, Any]:
    """Return how a bar of plucked strings fits behind a source that ends on a beat."""
    piece = music.riff(seconds=14.0).clip
    end = 8 * piece.sample_rate
    where = extensions.place(cut(piece, Window(0, end)), end_seconds=8.0, heard_seconds=4)
    played = piece.samples[:, 4 * piece.sample_rate :]
    made = extensions.extended(where, piece.with_samples(played), 5 * piece.sample_rate)
    samples = made.clip.samples.copy()
    samples[:, end + 1500] += np.float32(step)
    broken = extensions.Extended(
        made.clip.with_samples(samples), made.join, made.before, made.after
    )
    return extensions.fit(where, broken)


def test_an_attack_on_the_first_beat_is_no_fault_of_the_join() -> None:
    """It is compared with those of the next beats; negative control: a click there is one."""
    fine, broken = _on_the_beat(), _on_the_beat(step=1.0)

    for name in ("click", "flux"):
        assert "next_beats" in fine["gates"][name]
        assert "pass" == fine["gates"][name]["verdict"]
    assert "fail" == broken["gates"]["click"]["verdict"]
    assert "fail" == broken["verdict"]


def test_off_the_beat_there_is_nothing_to_compare_with() -> None:
    made = extending.beats_after(9.25, [7.0, 7.5, 8.0, 8.5, 9.0], count=4)

    assert [] == made
    assert [9.5, 10.0] == extending.beats_after(9.0, [7.5, 8.0, 8.5], count=2)
    assert [] == extending.beats_after(9.0, [8.5], count=2)
