"""Music from words: what was asked for is heard in it, and what was not understood is said."""

from functools import lru_cache

import numpy as np
import pytest

from server import errors
from server.engines.arranger.continuing import going, sketch, styles
from server.engines.arranger.score import QUALITIES
from server.engines.protocols import Brief, Continuation, Generates, Sampling
from server.media import endings as stops
from server.media import harmony, loudness, rhythm
from server.media.clip import Clip
from server.media.key import PITCH_NAMES, Key
from server.media.window import Window, cut
from tests.unit.arranger.continuing import endings

SECONDS = 12.0
WORDS = "rock band with drums, 96 bpm, in E minor"
PLAIN = "folk, 96 bpm, in E minor"
"""Power chords are heard as their fifths as well; here it is the chords that are asked for."""


@lru_cache(maxsize=4)
def sketched(words: str = WORDS, seed: int = 1, seconds: float = SECONDS) -> Continuation:
    """Return what the engine makes of words."""
    brief = Brief(variation=None, prompt=words, is_custom=True, seed=seed)
    return endings.arranger().generate(brief, Sampling(), seconds=seconds, on_step=lambda *_: None)


def asked(clip: Clip) -> Clip:
    """Return as much as was asked for."""
    return cut(clip, Window(0, round(SECONDS * clip.sample_rate)))


def roots_in_time(made: Continuation, clip: Clip) -> float:
    """Return in what share of the bars the root is the one that the report names."""
    bar = 60.0 * 4 / made.made["bpm"]
    edges = np.arange(0.0, SECONDS + 1e-6, bar)
    chroma = harmony.over_beats(harmony.chroma(clip), edges)
    chords = made.made["chords"]
    starts = np.array([chord["start_seconds"] for chord in chords])
    places = np.searchsorted(starts, edges[:-1] + 0.1, side="right") - 1
    truth = [PITCH_NAMES.index(chords[place]["name"].rstrip("m7")) for place in places]
    return float(np.mean(harmony.chord_roots(chroma) == np.array(truth)))


def test_it_offers_what_an_engine_owes_that_generates() -> None:
    generates: Generates = endings.arranger()

    assert callable(generates.generate)


def test_tempo_and_key_are_those_of_the_words() -> None:
    made = sketched(PLAIN)
    found = rhythm.tempo_near(asked(made.clip), 96.0)

    assert (96.0, "E minor") == (made.made["bpm"], made.made["key"])
    assert abs(found - 96.0) < 0.3
    assert roots_in_time(made, asked(made.clip)) >= 0.9


def test_a_sketch_that_is_faster_or_transposed_is_refused() -> None:
    made = sketched(PLAIN)
    clip = asked(made.clip)
    places = np.arange(clip.length) * 1.03
    faster = np.stack([np.interp(places, np.arange(len(row)), row) for row in clip.samples])
    higher = np.stack([np.interp(places * 1.0286, np.arange(len(row)), row) for row in faster])

    assert abs(rhythm.tempo_near(clip.with_samples(faster.astype(np.float32)), 96.0) - 96.0) > 0.3
    assert roots_in_time(made, clip.with_samples(higher.astype(np.float32))) < 0.9


def test_it_is_as_loud_as_a_finished_track_and_as_long_as_asked() -> None:
    made = sketched()

    assert -18.0 <= loudness.integrated_loudness(asked(made.clip)) <= -14.0
    assert loudness.true_peak_db(made.clip) <= -1.0
    assert (2, 44100) == (made.clip.channels, made.clip.sample_rate)
    assert made.clip.seconds >= SECONDS
    assert () == stops.faults(asked(made.clip), length=round(SECONDS * 44100))


def test_it_says_what_it_is_and_what_it_understood() -> None:
    made = sketched("slow frobnicating piano, 96 bpm, in E minor", seconds=2.0)

    assert sketch.SKETCH in made.notices
    assert {"piano", "slow", "96 bpm", "e minor"} == set(made.understood)
    assert ("frobnicating",) == made.ignored
    assert made.guessed is None
    assert made.heard.get("bpm") is None


def test_words_that_name_nobody_lead_to_a_guess_that_is_told() -> None:
    made = sketched("frobnicating", seconds=2.0)

    assert "piano_classical" == made.guessed
    assert ("frobnicating",) == made.ignored


def test_same_seed_same_samples_and_another_seed_another_piece() -> None:
    first = sketched("piano", seconds=4.0)
    again = sketched.__wrapped__("piano", seconds=4.0)
    other = sketched("piano", seed=2, seconds=4.0)

    assert np.array_equal(first.clip.samples, again.clip.samples)
    assert first.made["chords"] != other.made["chords"]


def test_more_than_can_be_made_at_once_is_refused_by_name() -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        sketched("piano", seconds=going.LONGEST_SECONDS + 1)

    assert "seconds" == caught.value.field


# What is decided


def planned(words: str, *, seed: int = 1, bpm: float | None = None) -> sketch.Plan:
    """Return what is decided for plain words."""
    brief = Brief(variation=None, prompt=words, is_custom=True, seed=seed, bpm=bpm)
    return sketch.plan(styles.asked(words), None, brief)


@pytest.mark.parametrize("seed", range(4))
def test_slow_is_slower_than_fast_and_sad_is_minor(seed: int) -> None:
    slow, fast = (planned(words, seed=seed) for words in ("slow and sad", "fast and happy"))

    assert slow.bpm < fast.bpm
    assert ("minor", "major") == (slow.key.mode, fast.key.mode)


def test_the_words_tempo_counts_before_that_of_the_daw() -> None:
    assert 90.0 == planned("90 bpm", bpm=133.0).bpm
    assert 133.0 == planned("piano", bpm=133.0).bpm


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("in f# minor", Key(6, "minor")),
        ("B flat major", Key(10, "major")),
        ("Bb major", Key(10, "major")),
        ("c-sharp min", Key(1, "minor")),
    ],
)
def test_keys_are_read_as_musicians_write_them(words: str, key: Key) -> None:
    assert key == styles.asked(words).key


@pytest.mark.parametrize(
    ("numeral", "chord"),
    [("i", (9, "m")), ("VI", (5, "")), ("V7", (4, "7")), ("iv7", (2, "m7")), ("ii°", (11, "dim"))],
)
def test_numerals_are_chords_of_the_key(numeral: str, chord: tuple[int, str]) -> None:
    assert chord == styles.chord_of(numeral, Key(9, "minor"))


@pytest.mark.parametrize("numeral", ["viii", "x", "", "iq"])
def test_what_is_no_numeral_is_refused(numeral: str) -> None:
    with pytest.raises(ValueError, match="numeral"):
        styles.chord_of(numeral, Key(0, "major"))


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(ValueError, match="key"):
        styles.key_of("h minor")


def test_every_loop_of_every_style_can_be_played() -> None:
    for style in styles.every():
        for mode, loops in style.loops.items():
            for loop in loops:
                for numeral in loop.split():
                    root, quality = styles.chord_of(numeral, Key(0, mode))

                    assert 0 <= root < 12
                    assert quality in QUALITIES
