"""What stays of a source and what is played instead, layer by layer."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from server.engines.arranger import layers
from server.engines.arranger.score import ANALYSIS_RATE, DrumHit, Heard, Singing
from server.engines.arranger.strengths import Strengths
from server.media import loudness, resample
from server.media.clip import Clip, Samples
from tests import music
from tests.unit.arranger.arranging import pieces

SECONDS = 4.0
SOURCE, DRUMS, VOICE = layers.NAMES.values()


def stereo(clip: Clip) -> Clip:
    """Return a clip in stereo."""
    return clip.as_stereo()


def layer_of(clip: Clip) -> Samples:
    """Return a clip as a layer that was heard, mono at the analysis rate."""
    return resample.resample(clip, ANALYSIS_RATE).mono()


@cache
def drummer() -> Clip:
    """Return a kit alone: what a band with drums has and the same without them lacks."""
    with_drums, without = (band(drums=drums) for drums in (True, False))
    # `band` brings each piece to the same peak: the arpeggio tells how much that took.
    scale = float(np.vdot(with_drums.samples[0], without.samples[0])) / float(
        np.vdot(without.samples[0], without.samples[0])
    )
    return with_drums.with_samples(with_drums.samples - np.float32(scale) * without.samples)


def band(*, drums: bool) -> Clip:
    """Return a band."""
    return music.band(seconds=SECONDS, drums=drums).clip


@cache
def source() -> Clip:
    """Return a guitar, a drummer and a hummed tone in stereo."""
    return music_alone().with_samples(
        music_alone().samples + 0.5 * drummer().samples + hum().samples
    )


@cache
def music_alone() -> Clip:
    """Return the guitar of `source`."""
    return stereo(music.riff(seconds=SECONDS).clip)


@cache
def hum() -> Clip:
    """Return what stands for a voice: a tone between those of the guitar."""
    return music.sine(1234.5, SECONDS, level=0.1, channels=2)


@cache
def heard() -> Heard:
    """Return the source heard without a mistake."""
    return replace(
        pieces.heard([pieces.note(0.0, 1.0, 69)], drums=[DrumHit(0.0, "kick", 1.0)]),
        percussive=layer_of(drummer().with_samples(0.5 * drummer().samples)),
        singing=Singing(0.9, 0.3, layer_of(hum())),
    )


def played(level: float = 0.3) -> Clip:
    """Return what is played instead: something that is not in the source."""
    return music.noise(SECONDS, level=level)


def error_db(found: Samples, true: Samples) -> float:
    """Return how far one sound is from another, in decibels of the latter."""
    error = np.square(found - true, dtype=np.float64).mean()
    return float(10 * np.log10(error / np.square(true, dtype=np.float64).mean()))


class TestTakingApart:
    def apart(self) -> layers.Layers:
        return layers.take_apart(source(), heard(), Strengths(1.0, 0.0, 0.5))

    def test_the_layers_add_up_to_the_source(self) -> None:
        parts = self.apart().parts

        assert {"pitched", "drums", "vocals"} == set(parts)
        assert error_db(np.sum([p.samples for p in parts.values()], axis=0), source().samples) < -99

    def test_each_layer_is_what_was_heard(self) -> None:
        """In stereo, and above what was listened to: within a quarter of its power."""
        parts = self.apart().parts

        assert error_db(parts["drums"].samples, 0.5 * drummer().samples) < -6
        assert error_db(parts["vocals"].samples, hum().samples) < -6

    def test_another_layer_is_told_from_it(self) -> None:
        parts = self.apart().parts

        assert error_db(parts["vocals"].samples, 0.5 * drummer().samples) > -1
        assert error_db(parts["drums"].samples, hum().samples) > -1

    def test_drums_keep_what_lies_above_the_analysis(self) -> None:
        """Above 12 kHz, where the guitar is sixteen decibels louder, a third of the hats stays."""
        tops = [
            float(np.square(np.abs(np.fft.rfft(samples[0]))[round(12000 * SECONDS) :]).sum())
            for samples in (self.apart().parts["drums"].samples, 0.5 * drummer().samples)
        ]

        assert tops[0] > tops[1] / 3

    def test_opposed_channels_are_taken_apart_too(self) -> None:
        signs = np.array([[1.0], [-1.0]], np.float32)
        opposed = source().with_samples(source().samples * signs)
        parts = layers.take_apart(opposed, heard(), Strengths(1.0, 0.0)).parts

        assert error_db(parts["drums"].samples, 0.5 * drummer().samples * signs) < -6

    def test_without_a_reason_nothing_is_taken_apart(self) -> None:
        assert {"pitched"} == set(
            layers.take_apart(source(), heard(), Strengths(1.0, 1.0, 1.0)).parts
        )


class TestBlend:
    @pytest.mark.parametrize(
        "strengths",
        [
            Strengths(1.0, 1.0),
            Strengths(0.5, 0.5),
            Strengths(1.0, 0.0, strokes_last=False),
            Strengths(0.0, 1.0, 0.3, strokes_last=False),
        ],
    )
    def test_its_shares_add_up_to_it_exactly(self, strengths: Strengths) -> None:
        blend = layers.blended(source(), played(), heard(), strengths)
        total = np.float32(blend.gain) * played().samples
        for part in blend.shares.values():
            total += part.samples

        np.testing.assert_array_equal(total, blend.clip.samples)

    def test_full_strength_leaves_nothing_of_the_source_but_the_voice(self) -> None:
        blend = layers.blended(source(), played(), heard(), Strengths(1.0, 1.0))

        assert {VOICE} == set(blend.shares)

    def test_kept_drums_stay_at_their_level_and_the_music_takes_that_of_the_old(self) -> None:
        strengths = Strengths(1.0, 0.0, 1.0, strokes_last=False)
        apart = layers.take_apart(source(), heard(), strengths)
        blend = layers.blended(source(), played(), heard(), strengths)
        music_played = played().with_samples(played().samples * np.float32(blend.gain))

        np.testing.assert_array_equal(apart.parts["drums"].samples, blend.shares[DRUMS].samples)
        assert pytest.approx(
            loudness.integrated_loudness(apart.parts["pitched"]), abs=0.5
        ) == loudness.integrated_loudness(music_played)

    def test_a_new_kit_takes_the_level_of_the_old_one(self) -> None:
        strengths = Strengths(0.0, 1.0, strokes_last=False)
        blend = layers.blended(source(), played(), heard(), strengths)
        kit = played().with_samples(played().samples * np.float32(blend.gain))
        old = drummer().with_samples(0.5 * drummer().samples)

        assert {SOURCE} == set(blend.shares)
        assert pytest.approx(
            loudness.integrated_loudness(old), abs=1.5
        ) == loudness.integrated_loudness(kit)

    def test_a_kit_beside_an_instrument_stays_below_it(self) -> None:
        alone = replace(heard(), drums=(), singing=None)
        strengths = Strengths(0.0, 1.0, strokes_last=False)
        blend = layers.blended(music_alone(), played(), alone, strengths)
        kit = played().with_samples(played().samples * np.float32(blend.gain))

        assert pytest.approx(
            loudness.integrated_loudness(music_alone()) - 6.0, abs=0.1
        ) == loudness.integrated_loudness(kit)

    def test_more_strength_leaves_less_of_the_source(self) -> None:
        """Every layer of it falls; shuffled strengths do not."""
        steps = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)

        def left(strengths: tuple[float, ...]) -> list[float]:
            clips = [
                layers.blended(source(), played(), heard(), Strengths(s, s, s)).clip
                for s in strengths
            ]
            return [float(np.vdot(clip.samples, source().samples)) for clip in clips]

        falling = left(steps)
        shuffled = left((0.4, 0.0, 1.0, 0.2, 0.8, 0.6))

        assert sorted(falling, reverse=True) == falling
        assert sorted(shuffled, reverse=True) != shuffled

    def test_silence_played_does_not_become_loud(self) -> None:
        blend = layers.blended(source(), played(0.0), heard(), Strengths(1.0, 0.0))

        assert np.isfinite(blend.clip.samples).all()
        assert 1.0 >= blend.gain
