"""A seam is heard where there is one, and nowhere else."""

import json
from functools import lru_cache
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.media import loudness, seams, window
from server.media.clip import Clip
from server.media.seams import Seam
from server.media.window import Window
from tests import music

OVERLAP = 1323
"""30 ms."""

SECONDS, INSIDE_SECONDS = 6.0, 2.0

Place = Literal["bar", "off"]


@lru_cache(maxsize=64)
def played(bpm: float, seed: int, timbre: music.Timbre) -> Clip:
    """Return a piece; one of three has no drums."""
    return music.band(bpm, seed % 12, SECONDS, seed, timbre=timbre, drums=seed % 3 != 0).clip


def matched(bpm: float, seed: int) -> Clip:
    """Return the same music in another timbre, as loud."""
    other = played(bpm, seed, "reed" if seed % 2 else "bell")
    return loudness.match_loudness(other, loudness.integrated_loudness(played(bpm, seed, "keys")))


def start_of(bpm: float, place: Place) -> int:
    """Return the second bar line, or a place where nothing begins."""
    bar, semiquaver = 240 / bpm, 15 / bpm
    return round((bar + (1.2 * semiquaver if place == "off" else 0.0)) * 44100)


def first_seam(
    bpm: float, seed: int, place: Place, *, overlap: int = OVERLAP, gain_db: float = 0.0
) -> Seam:
    """Return the first seam of a passage in another timbre."""
    source, start = played(bpm, seed, "keys"), start_of(bpm, place)
    part = Window(start, start + round(INSIDE_SECONDS * 44100))
    content = window.cut(matched(bpm, seed), part).samples * np.float32(10 ** (gain_db / 20))
    law = window.laws_for(source, part, content, overlap=overlap)
    result = window.replace(source, part, content, overlap=overlap, law=law)
    return measured(source, result, part)


def measured(source: Clip, result: Clip, part: Window) -> Seam:
    """Return the first seam of a part."""
    seam, _ = seams.measure(source, result, part, overlap=OVERLAP)
    assert seam is not None
    return seam


PIECES = [(96.0, 1), (112.0, 2), (128.0, 3), (88.0, 4), (140.0, 5), (104.0, 6)]
PLACES: list[Place] = ["bar", "off"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("bpm", "seed"), PIECES)
def test_what_was_not_changed_has_no_seam(bpm: float, seed: int, place: Place) -> None:
    """Not even where a bar begins with everything at once."""
    source, start = played(bpm, seed, "keys"), start_of(bpm, place)

    assert "pass" == measured(source, source, Window(start, start + 88200)).verdict


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("bpm", "seed"), PIECES)
def test_thirty_milliseconds_of_crossfade_hide_another_timbre(
    bpm: float, seed: int, place: Place
) -> None:
    assert "fail" != first_seam(bpm, seed, place).verdict
    assert first_seam(bpm, seed, place).values["loudness"] < 1.0


@pytest.mark.parametrize(("bpm", "seed"), PIECES)
def test_a_hard_cut_off_the_beat_never_passes(bpm: float, seed: int) -> None:
    """The negative control of click and flux."""
    assert first_seam(bpm, seed, "off", overlap=0).verdict in ("warn", "fail")


def test_most_hard_cuts_off_the_beat_fail() -> None:
    failed = [first_seam(*piece, "off", overlap=0).verdict == "fail" for piece in PIECES]

    assert sum(failed) >= 4


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("gain_db", [-6.0, 6.0])
def test_another_level_fails(gain_db: float, place: Place) -> None:
    """The negative control of loudness."""
    seam = first_seam(104.0, 7, place, gain_db=gain_db)

    assert "fail" == seam.verdicts["loudness"] == seam.verdict
    assert pytest.approx(6.0, abs=0.9) == seam.values["loudness"]


def test_a_rise_the_music_has_itself_is_no_fault() -> None:
    """A chorus that begins at the seam is loud in the source as well."""
    quiet = played(96.0, 1, "keys")
    start = start_of(96.0, "bar")
    samples = quiet.samples.copy()
    samples[:, start:] *= 2.0
    source = quiet.with_samples(samples)

    assert 0.0 == measured(source, source, Window(start, start + 88200)).values["loudness"]


def test_a_hole_where_music_was_fails() -> None:
    source, start = played(96.0, 1, "keys"), start_of(96.0, "bar")
    part = Window(start, start + 88200)
    empty = np.zeros((2, part.length), np.float32)
    result = window.replace(source, part, empty, overlap=OVERLAP)

    assert "fail" == measured(source, result, part).verdicts["loudness"]


def test_one_wrong_sample_is_a_click() -> None:
    source, start = played(96.0, 1, "keys"), start_of(96.0, "off")
    part = Window(start, start + 88200)
    samples = source.samples.copy()
    samples[:, start + 600] += 0.2
    clicked = source.with_samples(samples)

    assert "fail" == measured(source, clicked, part).verdicts["click"]
    assert "pass" == measured(source, source, part).verdicts["click"]


def test_the_edges_of_a_clip_are_no_seams() -> None:
    source = played(96.0, 1, "keys")
    whole = Window(0, source.length)

    assert (None, None) == seams.measure(source, source, whole, overlap=OVERLAP)
    first, last = seams.measure(source, source, Window(0, 88200), overlap=OVERLAP)
    assert first is None
    assert last is not None
    assert pytest.approx(2.0) == last.seconds


def test_what_is_far_away_does_not_matter() -> None:
    """A minute of noise behind the music would make every flux look small."""
    source, start = played(128.0, 3, "keys"), start_of(128.0, "off")
    part = Window(start, start + 88200)
    result = window.replace(
        source, part, window.cut(matched(128.0, 3), part).samples, overlap=0, law="equal_gain"
    )
    tail = np.concatenate([music.silence(11.0).samples, music.noise(30.0).samples], axis=1)
    long_source, long_result = (
        clip.with_samples(np.concatenate([clip.samples, tail], axis=1)) for clip in (source, result)
    )
    short_source, short_result = (
        clip.with_samples(clip.samples[:, : part.end + 441000])
        for clip in (long_source, long_result)
    )

    assert measured(short_source, short_result, part) == measured(long_source, long_result, part)


def test_both_ends_are_measured() -> None:
    """A click at the end is no fault of the start."""
    source, start = played(96.0, 1, "keys"), start_of(96.0, "off")
    part = Window(start, start + round(2.5 * 44100))  # a bar
    samples = source.samples.copy()
    samples[:, part.end - 10] += 0.2
    first, last = seams.measure(source, source.with_samples(samples), part, overlap=OVERLAP)

    assert first is not None
    assert last is not None
    assert ("pass", "fail") == (first.verdict, last.verdict)


def test_silence_has_no_seam() -> None:
    silence = music.silence(2.0)

    assert "pass" == measured(silence, silence, Window(22050, 44100)).verdict


def test_the_report_is_json() -> None:
    facts = json.loads(json.dumps(first_seam(96.0, 1, "bar").as_dict()))

    assert list(seams.GATES) == list(facts["gates"])
    assert {"value", "unit", "verdict"} == set(facts["gates"]["click"])


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([8000, 22050, 48000]),
    st.integers(1, 2),
    st.integers(1, 6000),
    st.integers(1, 6000),
    st.integers(0, 400),
)
def test_any_part_of_any_clip_can_be_measured(
    sample_rate: int, channels: int, start: int, length: int, overlap: int
) -> None:
    """However near to an edge, however short; every value is a number."""
    clip = music.noise(0.5, seed=1, sample_rate=sample_rate, channels=channels)
    start = min(start, clip.length - 2)
    part = Window(start, min(start + length, clip.length))
    found = seams.measure(clip, clip, part, overlap=min(overlap, part.length // 2))

    assert all(np.isfinite(list(seam.values.values())).all() for seam in found if seam)
