"""What is put into a window is judged by what can be heard of it, and every fault shows."""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import pytest
from scipy import signal

from server.media import insert, loudness, window
from server.media.clip import Clip, Samples
from server.media.insert import Insert
from server.media.window import Window
from tests import music

RATE = 22050
SECONDS = 10.0

PIECES = (1, 2, 3)
"""Seeds: tempo, key and mode follow from them; the third has no drums."""

Damage = Callable[[Samples], Samples]


def tempo(seed: int) -> float:
    """Return what a piece's tempo is."""
    return 96.0 + 17 * seed


@lru_cache(maxsize=64)
def piece(seed: int, timbre: music.Timbre, transposed: int = 0) -> music.Piece:
    """Return a band that plays for ten seconds."""
    key = (5 * seed + transposed) % 12
    mode: Literal["minor", "major"] = "minor" if seed % 2 else "major"
    drums = seed != 3
    return music.band(
        tempo(seed), key, SECONDS, seed, mode=mode, timbre=timbre, drums=drums, sample_rate=RATE
    )


def two_bars(seed: int) -> Window:
    """Return the third and fourth bar."""
    bar = 240 / tempo(seed) * RATE
    return Window(round(2 * bar), round(4 * bar))


def other_timbre(seed: int, transposed: int = 0) -> Clip:
    """Return the same music played by something else, as loud."""
    other = piece(seed, "reed" if seed % 2 else "bell", transposed).clip
    return loudness.match_loudness(other, loudness.integrated_loudness(piece(seed, "keys").clip))


def as_it_is(samples: Samples) -> Samples:
    """Return the samples."""
    return samples


def measured(
    seed: int,
    damage: Damage = as_it_is,
    *,
    transposed: int = 0,
    part: Window | None = None,
    knows_beats: bool = True,
    crossfaded: bool = True,
) -> Insert:
    """Put two bars of another timbre in place, damaged, and measure them."""
    song = piece(seed, "keys")
    part = part or two_bars(seed)
    content = damage(other_timbre(seed, transposed).samples)[:, part.start : part.end]
    overlap = window.overlap_of(part, RATE) if crossfaded else 0
    law = window.laws_for(song.clip, part, content, overlap=overlap)
    result = window.replace(song.clip, part, content, overlap=overlap, law=law)
    beats: Sequence[float] | None = song.beats.tolist() if knows_beats else None
    return insert.measure(song.clip, result, part, overlap=overlap, beats=beats)


@pytest.mark.parametrize("knows_beats", [True, False])
@pytest.mark.parametrize("seed", PIECES)
def test_the_same_music_in_another_timbre_passes(seed: int, *, knows_beats: bool) -> None:
    """Whether the beats are told or heard around the window."""
    found = measured(seed, knows_beats=knows_beats)

    assert "fail" != found.verdict
    assert all(found.verdicts[name] == "pass" for name in ("lag", "transposition", "key", "hole"))


@pytest.mark.parametrize("seed", PIECES)
def test_what_was_not_replaced_scores_lowest(seed: int) -> None:
    song, part = piece(seed, "keys"), two_bars(seed)
    untouched = insert.measure(song.clip, song.clip, part, overlap=662, beats=song.beats.tolist())

    assert "pass" == untouched.verdict
    assert 1.5 > untouched.score
    assert measured(seed, late(0.08)).score > untouched.score + 1.5


def late(seconds: float) -> Damage:
    """Return what makes samples late."""
    return lambda samples: np.roll(samples, round(seconds * RATE), axis=1)


@pytest.mark.parametrize("milliseconds", [-80, 80])
@pytest.mark.parametrize("seed", PIECES)
def test_another_beat_fails(seed: int, milliseconds: int) -> None:
    """The negative control of lag: no measure of the seams alone sees it."""
    found = measured(seed, late(milliseconds / 1000))

    assert "fail" == found.verdicts["lag"] == found.verdict
    assert pytest.approx(milliseconds, abs=12) == found.values["lag"]


def rushed(samples: Samples) -> Samples:
    """Play one percent faster."""
    faster = signal.resample_poly(samples, 100, 101, axis=1)
    return np.pad(faster, ((0, 0), (0, samples.shape[1] - faster.shape[1]))).astype(np.float32)


def test_another_tempo_fails_by_its_drift() -> None:
    """The negative control of drift: one percent is 65 ms over the insert."""
    seed, part = 2, Window(RATE // 2, 7 * RATE)
    steady, hurried = measured(seed, part=part), measured(seed, rushed, part=part)

    assert "pass" == steady.verdicts["drift"]
    assert "fail" == hurried.verdicts["drift"]
    assert hurried.values["drift"] == pytest.approx(-10.0 * part.length / RATE, rel=0.3)


@pytest.mark.parametrize("transposed", [1, -1])
@pytest.mark.parametrize("seed", PIECES)
def test_a_semitone_off_fails(seed: int, transposed: int) -> None:
    """The negative control of transposition."""
    found = measured(seed, transposed=transposed)

    assert transposed == found.values["transposition"]
    assert "fail" == found.verdict


@pytest.mark.parametrize("seed", PIECES)
def test_a_key_across_the_circle_of_fifths_fails(seed: int) -> None:
    """The negative control of key."""
    assert "fail" == measured(seed, transposed=6).verdicts["key"]


@pytest.mark.parametrize("seed", PIECES)
def test_other_chords_of_the_same_key_are_no_transposition(seed: int) -> None:
    other = music.band(
        tempo(seed),
        5 * seed % 12,
        SECONDS,
        seed + 1,
        mode="minor" if seed % 2 else "major",
        sample_rate=RATE,
    )

    found = measured(seed, lambda _: other.clip.samples)

    assert 0.0 == found.values["transposition"]
    assert "fail" != found.verdicts["key"]


def silent_at_first(seconds: float, part: Window) -> Damage:
    """Return what begins late in a window, as networks do."""

    def damaged(samples: Samples) -> Samples:
        left = samples.copy()
        left[:, part.start : part.start + round(seconds * RATE)] = 0.0
        return left

    return damaged


@pytest.mark.parametrize("seed", PIECES)
def test_a_hole_fails(seed: int) -> None:
    """The negative control of holes; 100 ms of breath are none."""
    deep, breath = (measured(seed, silent_at_first(s, two_bars(seed))) for s in (0.3, 0.1))

    assert "fail" == deep.verdicts["hole"]
    assert "pass" == breath.verdicts["hole"]


def test_silence_where_the_source_is_silent_is_no_hole() -> None:
    song = piece(1, "keys").clip
    samples = song.samples.copy()
    samples[:, two_bars(1).start :][:, :RATE] = 0.0
    quiet = song.with_samples(samples)

    found = insert.measure(quiet, quiet, two_bars(1), overlap=662, beats=None)

    assert 0.0 == found.values["hole"]


@pytest.mark.parametrize("seed", PIECES)
def test_six_decibels_more_fail(seed: int) -> None:
    """The negative control of loudness."""
    found = measured(seed, lambda samples: samples * np.float32(2.0))

    assert "fail" == found.verdicts["loudness"]
    assert pytest.approx(6.0, abs=1.2) == found.values["loudness"]


@pytest.mark.parametrize("seed", PIECES)
def test_clipped_sound_fails(seed: int) -> None:
    """The negative control of the peak."""
    found = measured(seed, lambda samples: np.clip(8.0 * samples, -1.0, 1.0))

    assert "fail" == found.verdicts["peak"]


def test_a_source_above_the_ceiling_may_stay_there() -> None:
    song = piece(1, "keys").clip
    loud = song.with_samples(song.samples / np.abs(song.samples).max())

    found = insert.measure(loud, loud, two_bars(1), overlap=662, beats=None)

    assert found.true_peak_db is not None
    assert found.true_peak_db > -1.0
    assert "pass" == found.verdicts["peak"]


def test_most_hard_cuts_off_the_beat_fail() -> None:
    """The negative control of click and flux."""
    verdicts = []
    for seed in PIECES:
        start = two_bars(seed).start + round(1.2 * 15 / tempo(seed) * RATE)
        part = Window(start, start + 3 * RATE)
        verdicts.append(measured(seed, part=part, crossfaded=False).verdict)

    assert verdicts.count("fail") >= 2
    assert "pass" not in verdicts[:1]


def test_noise_is_no_music() -> None:
    """Without beats and pitches their gates are undetermined rather than passed."""
    hiss = music.noise(10.0, sample_rate=RATE)

    found = insert.measure(hiss, hiss, Window(4 * RATE, 8 * RATE), overlap=662, beats=None)

    assert {"undetermined"} == {found.verdicts[n] for n in ("lag", "drift", "transposition")}


def test_a_replaced_beginning_has_one_seam() -> None:
    found = measured(1, part=Window(0, two_bars(1).end))

    assert found.start is None
    assert found.end is not None


def test_silence_can_be_measured() -> None:
    nothing = music.silence(6.0, sample_rate=RATE)

    found = insert.measure(nothing, nothing, Window(RATE, 3 * RATE), overlap=662, beats=None)

    assert "fail" != found.verdict
    assert found.true_peak_db is None


def test_the_report_is_json_and_says_what_failed() -> None:
    facts = measured(1, late(0.08)).as_dict()

    assert facts == json.loads(json.dumps(facts, allow_nan=False))
    assert "fail" == facts["gates"]["lag"]["verdict"]
    assert set(insert.GATES) == set(facts["gates"])
