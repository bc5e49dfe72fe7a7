"""What the newer machines are known for: slides, accents, beating, a fifth, a rotating speaker."""

import numpy as np
import pytest

from server.engines.arranger.effects import Setting, apply
from server.engines.arranger.filters import RATE
from server.engines.arranger.machines import acid_bass, cowbell, reese_bass
from server.engines.arranger.oscillators import hertz_of_pitch
from server.engines.arranger.tones import Tone, tone_of
from server.media.clip import Samples
from tests.unit.arranger.rendering.sounds import cents_between, frequency, rms


def tone(pitch: float, *, velocity: float = 0.6, glide_from: float | None = None) -> Tone:
    """Return a tone of a second, sliding from a pitch if one is given."""
    start = None if glide_from is None else hertz_of_pitch(glide_from)
    random = np.random.default_rng(0)
    return Tone(hertz_of_pitch(pitch), 1.0, velocity, random, glide_from=start)


def brightness(samples: Samples) -> float:
    """Return the share of a sound's power above 1 kHz."""
    power = np.square(np.abs(np.fft.rfft(samples)))
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(power[hertz > 1000].sum() / power.sum())


def band_level(samples: Samples, hertz: float) -> float:
    """Return the level within 3 % of a frequency."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    bins = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(spectrum[np.abs(bins / hertz - 1) < 0.03].max())


def test_an_acid_bass_slides_from_the_last_pitch_to_its_own() -> None:
    slid = acid_bass(tone(45, glide_from=57))

    late = frequency(slid[RATE // 2 : RATE], near=hertz_of_pitch(45))
    assert abs(cents_between(late, hertz_of_pitch(45))) < 8
    early = frequency(slid[: RATE // 50], near=hertz_of_pitch(55))
    assert cents_between(early, hertz_of_pitch(45)) > 400


def test_an_accent_opens_the_filter_further_and_shuts_it_sooner() -> None:
    """Beyond being louder."""
    plain, accent = acid_bass(tone(36, velocity=0.65)), acid_bass(tone(36, velocity=0.75))

    start, later = slice(0, RATE // 80), slice(RATE // 8, RATE // 4)
    assert brightness(accent[start]) > brightness(plain[start])
    assert brightness(accent[later]) < brightness(plain[later])


def test_a_reese_beats_above_a_bass_that_stands_still() -> None:
    """The level of its overtones swings; that of its fundamental hardly does."""
    sound = reese_bass(tone_of(33, 3.0, 0.8, np.random.default_rng(1)))
    blocks = sound[RATE // 4 : RATE // 4 + 10 * (RATE // 4)].reshape(10, -1)
    hertz = hertz_of_pitch(33)
    low = np.array([band_level(block, hertz) for block in blocks])
    high = np.array([band_level(block, 4 * hertz) for block in blocks])

    assert high.std() / high.mean() > 2 * low.std() / low.mean()


def test_a_cowbell_is_its_pitch_and_about_a_fifth() -> None:
    sound, hertz = cowbell(tone(69)), hertz_of_pitch(69)

    assert band_level(sound, hertz) > band_level(sound, 1.481 * hertz)
    assert band_level(sound, 1.481 * hertz) > 10 * band_level(sound, 1.26 * hertz)


@pytest.mark.parametrize(("spread", "together"), [(0.0, True), (1.0, False)])
def test_a_tremolo_swings_the_level_or_turns_it_from_side_to_side(
    spread: float, *, together: bool
) -> None:
    steady = np.full((2, 2 * RATE), 0.5, np.float32)
    swung = apply("tremolo", {"hertz": 2.0, "depth": 0.5, "spread": spread}, steady, Setting())
    left, right = swung

    assert abs(left.max() - 0.5) < 1e-3
    assert abs(left.min() - 0.25) < 1e-3
    assert together == bool(np.corrcoef(left, right)[0, 1] > 0)
    assert rms(left) < 0.5
