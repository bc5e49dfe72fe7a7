"""Only the passage changes, whatever an engine returns; times that are none are refused."""

import math
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server import errors, kinds
from server.engines.protocols import Transformation
from server.kinds import companions, insertions, passages, signing, takes, transform
from server.kinds.choices import Choice
from server.kinds.fields import Format
from server.kinds.passages import CONTEXT_SECONDS, Passage, passage
from server.kinds.signing import Maker
from server.kinds.takes import Take
from server.media import codec
from server.media.clip import Clip
from server.media.sheet import Sheet, SheetNote, Track
from server.media.window import CROSSFADE_SECONDS
from tests import music

RATES = st.sampled_from([8000, 11025, 16000, 44100])
MAKER = Maker(engine="arranger", made_on=date(2026, 1, 1))
DEPTHS: st.SearchStrategy[codec.Subtype] = st.sampled_from(["PCM_16", "PCM_24", "FLOAT"])


def sound(seconds: float, *, rate: int = 8000, channels: int = 2, seed: int = 0) -> Clip:
    """Return noise, another one for each seed."""
    return music.noise(seconds, seed=seed, sample_rate=rate, channels=channels)


def stored(source: Clip, played: Clip, where: Passage, fmt: Format = "wav") -> Clip:
    """Return what a client gets when an engine has played this."""
    choice = Choice(variation="celtic")
    take = Take(choice, Transformation(clip=played), where.placed(played), where)
    return codec.decode(takes.write(take, fmt, MAKER, signing.UNKNOWN))


@st.composite
def times(draw: st.DrawFn, seconds: float) -> tuple[float | None, float | None]:
    """Draw a passage of a clip: from somewhere, to somewhere, or both."""
    start = draw(st.none() | st.floats(0, seconds - 0.3))
    first = (start or 0.0) + 0.26
    end = draw(st.floats(first, seconds) | st.none()) if start is not None else None
    return (start, end) if start is not None else (None, draw(st.floats(first, seconds)))


@settings(max_examples=60, deadline=None)
@given(st.data(), RATES, st.integers(1, 3), st.integers(1, 2), DEPTHS, st.floats(0, 4))
def test_outside_the_passage_every_sample_stays(
    data: st.DataObject,
    rate: int,
    channels: int,
    played_channels: int,
    depth: codec.Subtype,
    level: float,
) -> None:
    """Of any file, for any passage and whatever an engine plays, beyond full scale as well."""
    source = codec.decode(
        codec.encode(sound(1.5, rate=rate, channels=channels), "wav", subtype=depth)
    )
    where = passage(source, *data.draw(times(1.5)))
    heard = where.excerpt
    loud = sound(2.0, rate=rate, channels=played_channels, seed=1).samples[:, : heard.length]
    result = stored(source, Clip(loud * np.float32(level * 10), rate), where)
    before, after = slice(0, where.part.start), slice(where.part.end, None)
    original = where.source.samples

    assert (source.length, rate, min(channels, 2)) == (
        result.length,
        result.sample_rate,
        result.channels,
    )
    np.testing.assert_array_equal(original[:, before], result.samples[:, before])
    np.testing.assert_array_equal(original[:, after], result.samples[:, after])


def test_inside_it_is_what_was_played() -> None:
    """But for the crossfades."""
    source = sound(3.0)
    where = passage(source, 1.0, 2.0)
    played = sound(3.0, seed=1)
    fade = round(CROSSFADE_SECONDS * 8000)
    result = where.placed(played).clip.samples[:, 8000 + fade : 16000 - fade]

    np.testing.assert_array_equal(played.samples[:, 8000 + fade : 16000 - fade], result)


@pytest.mark.parametrize(
    ("start", "end", "heard"),
    [
        (10.0, 12.0, (10.0 - CONTEXT_SECONDS, 12.0 + CONTEXT_SECONDS)),
        (1.0, 2.0, (0.0, 2.0 + CONTEXT_SECONDS)),
        (18.0, None, (18.0 - CONTEXT_SECONDS, 20.0)),
        (None, 3.0, (0.0, 3.0 + CONTEXT_SECONDS)),
    ],
)
def test_the_engine_hears_music_on_either_side(
    start: float | None, end: float | None, heard: tuple[float, float]
) -> None:
    """As far as there is any."""
    source = sound(20.0)
    where = passage(source, start, end)

    first, last = round(heard[0] * 8000), round(heard[1] * 8000)
    np.testing.assert_array_equal(source.samples[:, first:last], where.excerpt.samples)


def test_without_times_the_whole_source_changes() -> None:
    """And the result is what the engine returned, channels and all."""
    source, played = sound(1.0, channels=1), sound(1.0, channels=2, seed=1)
    where = passage(source, None, None)

    assert source is where.excerpt
    assert played is where.placed(played).clip


def test_stereo_is_mixed_down_into_a_mono_source_and_told() -> None:
    source, played = sound(1.0, channels=1), sound(1.0, channels=2, seed=1)
    placed = passage(source, 0.2, None).placed(played)

    assert 1 == placed.clip.channels
    assert (insertions.MIXED_DOWN,) == placed.notices
    np.testing.assert_allclose(played.mono()[4000:], placed.clip.samples[0, 4000:], atol=1e-7)


def test_mono_is_played_on_both_sides_of_a_stereo_source() -> None:
    placed = passage(sound(1.0), 0.2, None).placed(sound(1.0, channels=1, seed=1))

    assert (2, ()) == (placed.clip.channels, placed.notices)


def test_more_than_two_channels_become_two_and_told() -> None:
    where = passage(sound(1.0, channels=4), 0.2, None)

    assert 2 == where.source.channels
    assert (insertions.TWO_CHANNELS,) == where.notices


def test_what_is_alike_is_joined_by_gain() -> None:
    """An engine that keeps the source leaves no bump of 3 dB at the seams."""
    source = sound(2.0)
    where = passage(source, 0.5, 1.5)
    kept, other = where.placed(where.excerpt), where.placed(sound(2.0, seed=1))

    np.testing.assert_allclose(source.samples, kept.clip.samples, atol=1e-6)
    assert ("equal_gain", "equal_gain") == kept.laws
    assert ("equal_power", "equal_power") == other.laws


@pytest.mark.parametrize("other", [(1.0, 8000), (1.5, 16000)])
def test_a_sound_of_another_length_is_the_engines_fault(other: tuple[float, int]) -> None:
    seconds, rate = other

    with pytest.raises(errors.EngineFailed):
        passage(sound(1.5), 0.2, None).placed(sound(seconds, rate=rate))


@pytest.mark.parametrize(
    ("fmt", "depth", "is_identical"),
    [
        ("wav", "FLOAT", True),
        ("wav", "PCM_16", True),
        ("flac", "PCM_24", True),
        ("flac", "FLOAT", False),
        ("ogg", "PCM_16", False),
        ("mp3", "PCM_16", False),
    ],
)
def test_the_report_says_whether_the_file_kept_the_rest(
    fmt: Format, depth: codec.Subtype, *, is_identical: bool
) -> None:
    """It is read from what was written, so a format that loses something cannot hide it."""
    source = codec.decode(codec.encode(sound(1.5), "wav", subtype=depth))
    where = passage(source, 0.5, 1.0)
    played = sound(1.5, seed=1)
    report = passages.report(where.placed(played), stored(source, played, where, fmt), where)

    assert is_identical == report["outside"]["identical"]
    assert (0.5, 1.0) == (report["start_seconds"], report["end_seconds"])
    assert [0.5, 0.5] == report["context_seconds"]
    assert {"start", "end"} == set(report["seams"])


def test_an_edge_of_the_source_has_no_seam() -> None:
    source, played = sound(1.5), sound(1.5, seed=1)
    where = passage(source, None, 1.0)
    report = passages.report(where.placed(played), stored(source, played, where), where)

    assert report["seams"]["start"] is None
    assert "equal_power" == report["seams"]["end"]["law"]


def test_what_was_heard_counts_from_the_start_of_the_source() -> None:
    chords = [{"start_seconds": 0.0, "name": "Am"}]
    heard = {"beats": [0.5], "downbeats": [0.5], "chords": chords, "bpm": 120.0}

    assert {
        "beats": [2.5],
        "downbeats": [2.5],
        "chords": [{"start_seconds": 2.0, "name": "Am"}],
        "bpm": 120.0,
    } == passages.moved(heard, 2.0)
    assert heard == passages.moved(heard, 0.0)


# What is refused


def _refused(**times: Any) -> errors.InvalidInput:
    order = {"source": "a" * 32, "variation": "celtic", **times}
    with pytest.raises(errors.InvalidInput) as caught:
        kinds.parse(transform, order).check_source(10.0)
    return caught.value


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, "x", True, [1], {}])
@pytest.mark.parametrize("field", ["start_seconds", "end_seconds"])
def test_a_time_that_is_none_is_refused_by_name(field: str, value: object) -> None:
    assert (field, 422) == (_refused(**{field: value}).field, 422)


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        (2.0, 2.0, "end_seconds"),
        (2.0, 1.0, "end_seconds"),
        (2.0, 2.2, "end_seconds"),
        (None, 0.2, "end_seconds"),
        (None, 0.0, "end_seconds"),
        (2.0, 10.01, "end_seconds"),
        (10.0, None, "start_seconds"),
        (11.0, 12.0, "end_seconds"),
        (9.8, None, "start_seconds"),
        (1e300, None, "start_seconds"),
    ],
)
def test_a_passage_that_cannot_be_is_refused_by_name(
    start: float | None, end: float | None, field: str
) -> None:
    assert field == _refused(start_seconds=start, end_seconds=end).field


@pytest.mark.parametrize(
    ("start", "end"),
    [(None, None), (0, 10), (0, None), (None, 10.0009), (9.75, None), (9.75, 10), ("1.5", "2")],
)
def test_a_passage_that_is_there_is_taken(start: Any, end: Any) -> None:
    order = {"source": "a" * 32, "variation": "celtic"}
    kinds.parse(transform, {**order, "start_seconds": start, "end_seconds": end}).check_source(10.0)


def test_a_file_shorter_than_it_said_ends_the_job_with_a_sentence() -> None:
    """Its header was believed when the order was taken."""
    with pytest.raises(errors.InvalidInput, match="at least"):
        passage(sound(1.0), 0.9, 5.0)


# Parts and notes of a passage


def taken(source: Clip, *, start: float | None, end: float | None, channels: int = 2) -> Take:
    """Return a take whose three parts together are what was played."""
    where = passage(source, start, end)
    excerpt = where.excerpt
    played = [
        sound(excerpt.seconds + 0.1, rate=source.sample_rate, channels=channels, seed=seed).samples
        for seed in (1, 2, 3)
    ]
    parts = [Clip(each[:, : excerpt.length], source.sample_rate) for each in played]
    whole = Clip(sum(part.samples for part in parts), source.sample_rate)  # type: ignore[arg-type]
    made = Transformation(clip=whole, stems=dict(zip(("a", "b", "c"), parts, strict=True)))
    return Take(Choice(variation="celtic"), made, where.placed(whole), where)


@settings(max_examples=40, deadline=None)
@given(times(2.0), st.integers(1, 2), st.integers(1, 2))
def test_the_stems_of_a_passage_are_the_result(
    chosen: tuple[float | None, float | None], channels: int, played: int
) -> None:
    """With the rest of the source; each of the others is silent outside the passage."""
    take = taken(sound(2.0, channels=channels), start=chosen[0], end=chosen[1], channels=played)
    found = dict(companions.stems(take))
    total = sum(clip.samples for clip in found.values())
    first, last = take.where.part.start, take.where.part.end

    assert ["a", "b", "c", "source"] == list(found)
    np.testing.assert_allclose(total, take.placed.clip.samples, atol=1e-6)
    for name in "abc":
        outside = np.delete(found[name].samples, np.s_[first:last], axis=1)
        assert not outside.any()
    rest = np.delete(found["source"].samples, np.s_[first:last], axis=1)
    assert np.array_equal(np.delete(take.where.source.samples, np.s_[first:last], axis=1), rest)


def test_without_a_part_the_stems_are_not_the_result() -> None:
    """The negative control: each of them counts, the source too."""
    take = taken(sound(2.0), start=0.5, end=1.5)
    found = dict(companions.stems(take))

    for name in found:
        others = sum(clip.samples for part, clip in found.items() if part != name)
        assert np.abs(others - take.placed.clip.samples).max() > 0.01


def test_what_an_engine_left_of_the_source_is_in_one_stem_with_the_rest() -> None:
    """It is called the same, and is the last one."""
    take = taken(sound(2.0), start=0.5, end=1.5)
    a, b, c = take.made.stems.values()
    made = Transformation(clip=take.made.clip, stems={"source": a, "b": b, "c": c})
    found = dict(companions.stems(Take(take.choice, made, take.placed, take.where)))

    assert ["b", "c", "source"] == list(found)
    np.testing.assert_allclose(
        sum(clip.samples for clip in found.values()), take.placed.clip.samples, atol=1e-6
    )


def test_where_all_changed_the_stems_are_the_engines() -> None:
    """To the bit, and nothing is left of the source."""
    take = taken(sound(1.0), start=None, end=None)

    assert [("a", True), ("b", True), ("c", True)] == [
        (name, clip is take.made.stems[name]) for name, clip in companions.stems(take)
    ]


SHEET = Sheet(
    seconds=9.0,
    beats=(0.5, 1.0, 1.5),
    downbeat=1,
    meter=(4, 4),
    beats_per_bar=4,
    key=None,
    chords=((0.5, "Am"),),
    tracks=(
        Track(
            "lead",
            0,
            (
                SheetNote(0.0, 4.5, 60, 1.0, bend=((0.0, 0.0), (4.4, 44.0))),
                SheetNote(1.0, 0.5, 62, 1.0),
                SheetNote(4.5, 9.0, 64, 1.0, bend=((0.0, 10.0), (0.2, 20.0))),
            ),
        ),
    ),
)


def test_notes_of_a_passage_are_where_they_sound() -> None:
    """Counted from the source's start: four seconds before the passage were heard as well."""
    where = passage(sound(20.0), 10.0, 11.0)
    moved = where.sheet(SHEET)
    first, last = moved.tracks[0].notes

    assert (20.0, (6.5, 7.0, 7.5), ((6.5, "Am"),)) == (moved.seconds, moved.beats, moved.chords)
    assert (10.0, 60) == (first.start_seconds, first.pitch)
    assert first.seconds == pytest.approx(0.5)
    assert (10.5, 0.5, 64) == (last.start_seconds, last.seconds, last.pitch)


def test_a_note_that_is_cut_goes_on_bending_where_it_was() -> None:
    where = passage(sound(20.0), 10.0, 11.0)
    first, last = where.sheet(SHEET).tracks[0].notes

    assert [(0.0, pytest.approx(40.0)), (pytest.approx(0.4), 44.0)] == list(first.bend)
    assert ((0.0, 10.0), (0.2, 20.0)) == last.bend


def test_notes_of_a_whole_source_stay_as_they_are() -> None:
    assert SHEET is passage(sound(1.0), None, None).sheet(SHEET)
