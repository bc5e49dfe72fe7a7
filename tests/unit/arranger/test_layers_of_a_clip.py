"""Whole transforms in which a part of the source stays: its drummer, its instruments, its voice."""

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import variations
from server.engines.arranger import strengths, transforming
from server.engines.arranger.engine import Arranger
from server.engines.protocols import Brief, Transformation
from server.media import harmony, resample
from server.media.clip import Clip, Samples
from tests import music
from tests.unit.arranger.listening import voices

DATA = Path(__file__).parents[3] / "data"
SECONDS = 6.0
QUARTET, RETRO, PIANO = (
    variations.load()[name] for name in ("strings_quartet", "synth_retro", "piano_classical")
)


def nowhere(done: int, total: int) -> None:
    """Take progress and do nothing with it."""


@cache
def arranger() -> Arranger:
    """Return one engine for all tests; it remembers what it heard."""
    return Arranger(data_dir=DATA)


def transformed(clip: Clip, **fields: object) -> Transformation:
    """Return what the engine makes of a clip with the quartet, all of it unless said otherwise."""
    wanted = {"variation": QUARTET, "prompt": QUARTET.prompt, "strength": 1.0, **fields}
    return arranger().transform(clip, [Brief(**wanted)], on_step=nowhere)[0]  # type: ignore[arg-type]


@cache
def band() -> Clip:
    """Return a band with a drummer."""
    return music.band(seconds=4.0).clip


@cache
def sung() -> Clip:
    """Return somebody who speaks over a band without drums, in stereo."""
    voice = resample.resample(voices.speech(SECONDS, 2), 44100).samples
    backing = music.band(110.0, 4, SECONDS, 4, timbre="reed", drums=False).clip
    scale = 1.6 * np.sqrt(np.square(backing.samples).mean() / np.square(voice).mean())
    both = backing.samples + np.float32(scale) * voice
    return backing.with_samples(0.6 * both / np.abs(both).max())


def chroma(clip: Clip) -> Samples:
    """Return what a clip's harmony is, half a second by half a second."""
    return harmony.over_beats(harmony.chroma(clip), np.arange(0.0, clip.seconds, 0.5))


def likeness(one: Clip, other: Clip) -> float:
    """Return the correlation of the samples of two clips."""
    first, second = (clip.mono() for clip in (one, other))
    return float(np.vdot(first, second) / np.sqrt(np.vdot(first, first) * np.vdot(second, second)))


def brightness(clip: Clip) -> float:
    """Return the energy above some 7 kHz, which in the band is the drummer's alone."""
    return float(np.square(np.diff(clip.mono(), n=4)).mean())


class TestStrengths:
    def test_nothing_of_any_layer_is_the_source_to_the_bit(self) -> None:
        result = transformed(band(), layers={"pitched": 0.0, "drums": 0.0, "vocals": 0.0})

        np.testing.assert_array_equal(band().samples, result.clip.samples)
        assert result.notices == ()

    def test_more_of_what_is_pitched_is_less_of_the_source(self) -> None:
        """Under a drummer who stays; in another order the likeness does not fall."""
        order = (0.0, 0.25, 0.5, 0.75, 1.0)
        found = [
            likeness(band(), transformed(band(), layers={"pitched": each, "drums": 0.0}).clip)
            for each in order
        ]

        assert all(one > other for one, other in pairwise(found))
        assert not all(one > other for one, other in pairwise(np.roll(found, 2)))

    def test_a_new_kit_plays_under_the_old_instruments(self) -> None:
        result = transformed(
            band(), variation=RETRO, layers={"pitched": 0.0, "drums": 1.0}, wants_stems=True
        )

        assert {"drums", "source"} <= set(result.stems)
        assert not any(name in result.stems for name in ("pluck", "lead", "pad", "bass"))
        assert likeness(result.clip, band()) > 0.5


class TestDrums:
    def test_a_drummer_who_is_kept_is_still_there_and_no_other(self) -> None:
        kept, replaced = (
            transformed(band(), variation=RETRO, keep_drums=keeps, wants_stems=True)
            for keeps in (True, False)
        )

        assert "drums (source)" in kept.stems
        assert "drums" not in kept.stems
        assert "drums" in replaced.stems
        assert "drums (source)" not in replaced.stems

    def test_an_ensemble_plays_no_strokes_where_the_drummer_stays(self) -> None:
        names = {
            keeps: set(transformed(band(), keep_drums=keeps).heard["notes_per_part"])
            for keeps in (True, None)
        }

        assert any(name.endswith("kick") for name in names[None])
        assert not any(name.endswith(("kick", "snare", "hat")) for name in names[True])

    def test_a_drummer_who_is_replaced_is_gone(self) -> None:
        """The piano has no kit and plays no strokes: nothing bright is left."""
        kept, gone = (
            transformed(band(), variation=PIANO, keep_drums=keeps).clip for keeps in (True, False)
        )

        assert brightness(kept) > 0.3 * brightness(band())
        assert brightness(kept) > 5 * brightness(gone)

    def test_without_a_drummer_there_is_none_to_keep_and_that_is_said(self) -> None:
        guitar = music.riff(seconds=3.0).clip
        kept, usual = (transformed(guitar, keep_drums=keeps) for keeps in (True, None))

        assert strengths.NO_DRUMS_TO_KEEP in kept.notices
        np.testing.assert_array_equal(usual.clip.samples, kept.clip.samples)


class TestVoices:
    def test_a_voice_over_music_stays_and_that_is_said(self) -> None:
        result = transformed(sung(), wants_stems=True)

        assert strengths.VOICE_STAYS in result.notices
        assert "voice (source)" in result.stems

    def test_a_voice_is_replaced_where_that_is_asked_for(self) -> None:
        result = transformed(sung(), layers={"vocals": 1.0}, wants_stems=True)

        assert strengths.VOICE_IS_PLAYED in result.notices
        assert "voice (source)" not in result.stems

    def test_a_voice_alone_is_refused_and_comes_back_as_it_was(self) -> None:
        speech = resample.resample(voices.speech(SECONDS, 0), 44100).as_stereo()
        result = transformed(speech)

        assert (transforming.ONLY_A_VOICE,) == result.notices
        np.testing.assert_array_equal(speech.samples, result.clip.samples)

    def test_a_voice_alone_is_turned_into_notes_where_that_is_asked_for(self) -> None:
        speech = resample.resample(voices.speech(SECONDS, 0), 44100).as_stereo()
        result = transformed(speech, layers={"vocals": 1.0})

        assert strengths.VOICE_IS_PLAYED in result.notices
        assert likeness(speech, result.clip) < 0.3

    def test_where_nobody_sings_a_strength_of_voices_has_no_effect(self) -> None:
        guitar = music.riff(seconds=3.0).clip
        asked, usual = (transformed(guitar, layers=each) for each in ({"vocals": 1.0}, {}))

        assert strengths.NO_VOICE in asked.notices
        np.testing.assert_array_equal(usual.clip.samples, asked.clip.samples)


@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.49])
def test_short_clips_come_back_as_they_were_and_say_why(seconds: float) -> None:
    clip = music.riff(seconds=seconds).clip.as_stereo()
    result = transformed(clip, keep_drums=True, layers={"drums": 1.0})

    assert (transforming.TOO_SHORT,) == result.notices
    np.testing.assert_array_equal(clip.samples, result.clip.samples)


@pytest.mark.parametrize("seconds", [0.5, 0.6])
def test_clips_of_half_a_second_are_played(seconds: float) -> None:
    clip = music.riff(seconds=seconds).clip
    result = transformed(clip)

    assert clip.length == result.clip.length
    assert np.abs(result.clip.samples).max() > 0.01


def test_channels_that_cancel_keep_their_music() -> None:
    clip = music.riff(seconds=4.0).clip
    opposed = clip.with_samples(np.concatenate([clip.samples, -clip.samples]))
    result = transformed(opposed)
    found = harmony.similarity(chroma(clip), chroma(result.clip)) or 0.0

    assert np.abs(result.clip.mono()).max() > 0.01
    assert found > 0.7
    assert (harmony.similarity(np.roll(chroma(clip), 1, axis=0), chroma(result.clip)) or 0.0) < 0.6
