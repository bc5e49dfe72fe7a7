"""Bus effects: each does what it says, keeps shape and time, and repeats itself bit by bit."""

import numpy as np
import pytest

from server.engines.arranger import effects
from server.engines.arranger.effects import EFFECTS, Setting, apply
from server.engines.arranger.filters import RATE
from server.media.clip import Samples
from tests.unit.arranger.rendering.sounds import rms
from variations import load, sounds

SETTING = Setting(beat_seconds=0.5, kicks=(0.5, 1.0), seed=4)
NEEDED: dict[str, dict[str, float | str]] = {
    "lowpass": {"hertz": 2000.0},
    "highpass": {"hertz": 2000.0},
    "shelf": {"hertz": 2000.0, "gain_db": -6.0},
}


def tone(hertz: float, *, seconds: float = 2.0) -> Samples:
    """Return a sine on both channels."""
    wave = 0.4 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)
    return np.stack([wave, wave]).astype(np.float32)


def impulse(*, seconds: float = 2.0) -> Samples:
    """Return one sample at 0.1 s."""
    wave = np.zeros((2, round(seconds * RATE)), dtype=np.float32)
    wave[:, RATE // 10] = 1.0
    return wave


def noise() -> Samples:
    """Return two seconds of stereo noise."""
    return 0.2 * np.random.default_rng(0).standard_normal((2, 2 * RATE), dtype=np.float32)


def gain_at(kind: str, tone_hertz: float, /, **parameters: float | str) -> float:
    """Return the gain of an effect for a steady tone."""
    there = tone(tone_hertz)
    after = apply(kind, parameters, there, SETTING)
    return float(20 * np.log10(rms(after[:, RATE // 2 :]) / rms(there[:, RATE // 2 :])))


def test_every_effect_a_preset_may_name_exists() -> None:
    assert set(EFFECTS) == sounds.EFFECTS


def test_every_effect_of_every_preset_is_understood() -> None:
    for variation in load().values():
        for effect in variation.arrangement.effects:
            effects.check(effect.kind, effect.parameters)


@pytest.mark.parametrize(
    ("kind", "parameters", "complaint"),
    [
        ("echo", {}, "unknown effect"),
        ("delay", {"length": 1.0}, "no parameter"),
        ("delay", {"setting": 1.0}, "no parameter"),
        ("delay", {"beats": "many"}, "cannot be"),
        ("shelf", {"hertz": 100.0, "gain_db": 3.0, "side": 1.0}, "cannot be"),
        ("lowpass", {}, "needs hertz"),
    ],
)
def test_unknown_words_are_refused(
    kind: str, parameters: dict[str, float | str], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        apply(kind, parameters, noise(), SETTING)


@pytest.mark.parametrize("kind", sorted(EFFECTS))
def test_an_effect_keeps_shape_is_finite_and_repeats_itself(kind: str) -> None:
    mix, before = noise(), noise()
    once = apply(kind, NEEDED.get(kind, {}), mix, SETTING)

    assert mix.shape == once.shape
    assert once.dtype == np.float32
    assert np.isfinite(once).all()
    np.testing.assert_array_equal(before, mix)
    np.testing.assert_array_equal(once, apply(kind, NEEDED.get(kind, {}), mix, SETTING))


@pytest.mark.parametrize("kind", sorted(set(EFFECTS) - {"vinyl"}))
def test_silence_stays_silent(kind: str) -> None:
    quiet = np.zeros((2, RATE), dtype=np.float32)

    assert not apply(kind, NEEDED.get(kind, {}), quiet, SETTING).any()


@pytest.mark.parametrize("kind", ["reverb", "vinyl", "wow", "stutter"])
def test_another_seed_is_another_sound(kind: str) -> None:
    one, other = (apply(kind, {}, noise(), Setting(seed=seed)) for seed in (1, 2))

    assert np.abs(one - other).max() > 1e-4


@pytest.mark.parametrize("side", ["low", "high"])
def test_a_shelf_moves_one_side(side: str) -> None:
    low, high = (
        gain_at("shelf", hertz, hertz=1000.0, gain_db=-6.0, side=side) for hertz in (60, 15000)
    )

    assert (-6.0, 0.0) == pytest.approx((low, high) if side == "low" else (high, low), abs=0.2)


def test_passes_take_one_side_away() -> None:
    assert -24 == pytest.approx(gain_at("lowpass", 4000, hertz=1000.0), abs=1.5)
    assert -24 == pytest.approx(gain_at("highpass", 250, hertz=1000.0), abs=1.5)
    assert 0 == pytest.approx(gain_at("lowpass", 100, hertz=1000.0), abs=0.1)


def test_a_room_rings_as_long_as_it_says() -> None:
    """60 dB in a second, measured on the tail between 0.2 and 0.8 s."""
    tail = apply("reverb", {"seconds": 1.0, "mix": 1.0}, impulse(), SETTING)[0, RATE // 10 :]
    levels = [20 * np.log10(rms(tail[int(t * RATE) : int((t + 0.1) * RATE)])) for t in (0.2, 0.7)]

    assert 60 * 0.5 == pytest.approx(levels[0] - levels[1], abs=9)


def test_a_delay_is_in_time() -> None:
    """Three quarters of a beat of half a second are 0.375 s, each echo softer by the feedback."""
    echoed = apply("delay", {"beats": 0.75, "feedback": 0.5, "mix": 0.4}, impulse(), SETTING)[0]
    step = round(0.375 * RATE)
    start = RATE // 10
    energy = [float(np.sum(echoed[start + n * step : start + n * step + 400])) for n in range(3)]

    assert step == 1 + int(np.flatnonzero(echoed[start + 1 :])[0])
    assert 0.4 == pytest.approx(energy[1], rel=0.1)
    assert 0.2 == pytest.approx(energy[2], rel=0.1)


def test_crushing_leaves_few_levels() -> None:
    crushed = apply("crush", {"bits": 4, "hertz": 11025}, tone(300), SETTING)[0]

    assert len(np.unique(crushed)) <= 17
    assert crushed[:4000].reshape(-1, 4).std(axis=1).max() == pytest.approx(0.0, abs=1e-7)


def test_crushing_at_full_rate_and_depth_changes_nothing() -> None:
    """Negative control of the counting above."""
    crushed = apply("crush", {"bits": 20, "hertz": 44100}, tone(300), SETTING)

    np.testing.assert_allclose(tone(300), crushed, atol=1e-5)


def test_ducking_dips_at_kicks_and_recovers() -> None:
    ducked = apply("duck", {"depth": 0.5}, np.ones((2, 2 * RATE), dtype=np.float32), SETTING)[0]
    after, between = int(0.503 * RATE), int(0.49 * RATE)

    assert 0.5 == pytest.approx(ducked[after], abs=0.03)
    assert 1.0 == ducked[between]
    assert ducked[int(0.99 * RATE)] > 0.95
    np.testing.assert_array_equal(
        noise(), apply("duck", {"depth": 0.5}, noise(), Setting(kicks=()))
    )


def test_wow_never_moves_anything_by_a_millisecond() -> None:
    """Even when a preset asks for more."""
    wavered = apply("wow", {"depth_ms": 5.0, "hertz": 2.0}, impulse(), SETTING)[0]

    assert abs(int(np.argmax(np.abs(wavered))) - RATE // 10) <= RATE / 1000


def test_compression_brings_loud_and_soft_together() -> None:
    mix = tone(200, seconds=4.0)
    mix[:, : 2 * RATE] *= 0.1
    pressed = apply("compress", {"threshold_db": -20.0, "ratio": 4.0}, mix, SETTING)
    spread = [
        rms(part[:, 3 * RATE : 3 * RATE + 9000]) / rms(part[:, RATE : RATE + 9000])
        for part in (mix, pressed)
    ]

    assert -15.0 == pytest.approx(20 * np.log10(spread[1] / spread[0]), abs=1.5)


def test_a_gate_opens_on_the_grid() -> None:
    setting = Setting(beat_seconds=0.5, first_beat=0.1)
    flat = np.ones((2, RATE), dtype=np.float32)
    gated = apply("gate", {"beats": 0.5}, flat, setting)[0]

    assert [1.0, 1.0] == [gated[round(t * RATE)] for t in (0.12, 0.37)]
    assert [0.0, 0.0] == [gated[round(t * RATE)] for t in (0.30, 0.55)]


def test_a_stutter_repeats_the_step_before() -> None:
    chopped = apply("stutter", {"beats": 0.5, "share": 1.0}, noise(), SETTING)
    step = RATE // 4

    np.testing.assert_array_equal(
        chopped[:, step + 100 : 2 * step - 100], noise()[:, 100 : step - 100]
    )


@pytest.mark.parametrize(("amount", "expected"), [(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)])
def test_width_scales_the_sides(amount: float, expected: float) -> None:
    wide, before = apply("width", {"amount": amount}, noise(), SETTING), noise()

    assert expected == pytest.approx(rms(wide[0] - wide[1]) / rms(before[0] - before[1]), abs=1e-3)
    assert 1.0 == pytest.approx(rms(wide.sum(axis=0)) / rms(before.sum(axis=0)), abs=1e-3)


def test_saturation_presses_peaks() -> None:
    mix = noise()
    pressed = apply("saturate", {"drive": 3.0}, mix, SETTING)

    assert np.abs(pressed).max() / rms(pressed) < 0.8 * np.abs(mix).max() / rms(mix)


def test_a_chorus_adds_a_copy_about_nine_milliseconds_late() -> None:
    late = apply("chorus", {"mix": 1.0}, impulse(), SETTING)[0]
    place = np.flatnonzero(np.abs(late[RATE // 10 + 10 :]) > 0.05) + 10

    assert 0.006 < place.min() / RATE < place.max() / RATE < 0.012


def test_a_record_is_as_dusty_as_asked() -> None:
    dusty = [rms(apply("vinyl", {"level": x}, noise(), SETTING) - noise()) for x in (0.01, 0.02)]

    assert 2.0 == pytest.approx(dusty[1] / dusty[0], rel=1e-3)
