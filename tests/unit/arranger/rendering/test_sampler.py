"""Playing one note: pitch, loop, envelope, level, and the fast path against the slow one."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.engines.arranger.filters import RATE
from server.engines.arranger.generators import Generator
from server.engines.arranger.interpolation import Recording, read_at, unrolled
from server.engines.arranger.sampler import Sampler, Touch, Vibrato
from server.engines.arranger.soundfont import SoundFont
from tests.unit.arranger.rendering.sounds import (
    Generators,
    Recorded,
    Written,
    cents_between,
    frequency,
    looped_saw,
    looped_sine,
    real_bank,
    rms,
    sine_bank,
    written_to,
)

LOOPED = (Generator.SAMPLE_MODES, 1)


def sampler_of(
    folder: Path, *generators: tuple[int, int], sound: Recorded | None = None
) -> Sampler:
    """Return a sampler of one looped instrument."""
    zone: Generators = [LOOPED, *generators]
    return Sampler(SoundFont(written_to(folder, Written(0, 0, [(sound or looped_sine(), zone)]))))


def slowly_read(recording: Recording, position: float) -> float:
    """Return one interpolated sample the obvious way: wrap every index, then the cubic."""

    def at(index: int) -> float:
        first, end = recording.loop
        if recording.is_looped and index >= end:
            index = first + (index - first) % (end - first)
        return float(recording.wave[index]) if 0 <= index < len(recording.wave) else 0.0

    whole = int(np.floor(position))
    share = position - whole
    before, here, after, beyond = (at(whole + step) for step in (-1, 0, 1, 2))
    return here + 0.5 * share * (
        after
        - before
        + share
        * (
            2 * before
            - 5 * here
            + 4 * after
            - beyond
            + share * (3 * (here - after) + beyond - before)
        )
    )


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(8, 60),
    loop=st.tuples(st.integers(0, 50), st.integers(1, 60)),
    start=st.floats(0, 40),
    speed=st.floats(0.1, 4),
)
def test_fast_reading_equals_slow_reading(
    length: int, loop: tuple[int, int], start: float, speed: float
) -> None:
    wave = np.random.default_rng(length).standard_normal(length).astype(np.float32)
    usable = loop if loop[0] < loop[1] <= length else (0, 0)
    recording = Recording(wave, usable)
    positions = np.array([start + speed * step for step in range(40)], dtype=np.float64)

    expected = np.array([slowly_read(recording, float(position)) for position in positions])

    np.testing.assert_allclose(expected, read_at(recording, positions), atol=1e-4)


def test_a_loop_is_laid_out_from_any_place() -> None:
    recording = Recording(np.arange(6, dtype=np.float32), (2, 5))

    assert [0, 0, 1, 2, 3, 4, 2, 3] == unrolled(recording, -1, 8).tolist()
    assert [3, 4, 2, 3, 4] == unrolled(recording, 9, 5).tolist()
    assert [5, 0, 0] == unrolled(recording._replace(loop=(0, 0)), 5, 3).tolist()


@pytest.mark.parametrize("pitch", [33, 57, 69, 81, 100])
def test_notes_are_in_tune(tmp_path: Path, pitch: int) -> None:
    """The peak of the spectrum lies within 3 cents of where it belongs."""
    wave = sampler_of(tmp_path).note(0, pitch, 0.8, 1.5)
    expected = 441.0 * 2 ** ((pitch - 69) / 12)

    assert abs(cents_between(frequency(wave[0], near=expected), expected)) < 3


@pytest.mark.parametrize(
    ("generators", "expected"),
    [
        ([(Generator.FINE_TUNE, -50)], -50),
        ([(Generator.COARSE_TUNE, 1), (Generator.FINE_TUNE, -80)], 20),
        ([(Generator.ROOT_KEY, 70), (Generator.FINE_TUNE, 60)], -40),
        ([(Generator.SCALE_TUNING, 0), (Generator.FINE_TUNE, 30)], 30),
        ([(Generator.FIXED_KEY, 69)], 0),
    ],
)
def test_tuning_generators_move_the_pitch(
    tmp_path: Path, generators: Generators, expected: float
) -> None:
    pitch = 81 if dict(generators).keys() & {Generator.SCALE_TUNING, Generator.FIXED_KEY} else 69
    wave = sampler_of(tmp_path, *generators).note(0, pitch, 0.8, 1.0)

    assert expected == pytest.approx(cents_between(frequency(wave[0], near=441), 441), abs=1)


def test_detuning_is_heard_and_a_sample_rate_is_allowed_for(tmp_path: Path) -> None:
    sampler = sampler_of(tmp_path, sound=looped_sine(rate=22050))

    found = frequency(sampler.note(0, 81, 0.8, 1.0, cents=-25)[0], near=441)

    assert -25 == pytest.approx(cents_between(found, 441), abs=1)


def test_a_long_loop_has_no_clicks(tmp_path: Path) -> None:
    """No second difference inside the held note is larger than that of the sine itself."""
    wave = sampler_of(tmp_path).note(0, 71, 0.8, 4.0)[0][400 : 4 * RATE]
    rough = np.abs(np.diff(wave, 2)).max() / np.abs(wave).max()
    smooth = (2 * np.pi * 441 * 2 ** (2 / 12) / RATE) ** 2

    assert rough < 1.2 * smooth


def test_a_broken_loop_would_be_noticed(tmp_path: Path) -> None:
    """Negative control of the click gate: a loop that does not close."""
    sound = looped_sine()
    broken = Recorded(sound.wave, (1000, 44025))
    wave = sampler_of(tmp_path, sound=broken).note(0, 71, 0.8, 4.0)[0][400 : 4 * RATE]
    rough = np.abs(np.diff(wave, 2)).max() / np.abs(wave).max()

    assert rough > 1.2 * (2 * np.pi * 441 * 2 ** (2 / 12) / RATE) ** 2


def test_an_unlooped_sample_ends_by_itself(tmp_path: Path) -> None:
    sampler = sampler_of(tmp_path, (Generator.SAMPLE_MODES, 0))

    wave = sampler.note(0, 69, 0.8, 3.0)

    assert 1.0 == pytest.approx(wave.shape[1] / RATE, abs=0.01)
    assert 0.0 == pytest.approx(float(wave[0, -1]), abs=1e-6)


def test_address_offsets_move_start_end_and_loop(tmp_path: Path) -> None:
    sampler = sampler_of(
        tmp_path,
        (Generator.SAMPLE_MODES, 0),
        (Generator.START_OFFSET, 4100),
        (Generator.END_OFFSET, -10000),
    )

    assert 30000 == pytest.approx(sampler.note(0, 69, 0.8, 3.0).shape[1], abs=2)


def test_the_envelope_follows_its_stages(tmp_path: Path) -> None:
    """Attack 0.25 s, then decay (1 s for 100 dB) to 12 dB below, then release."""
    sampler = sampler_of(
        tmp_path,
        (Generator.ATTACK, -2400),
        (Generator.DECAY, 0),
        (Generator.SUSTAIN, 120),
        (Generator.RELEASE, -1200),
    )
    wave = sampler.note(0, 69, 1.0, 1.0)[0]
    peaks = [
        np.abs(wave[int(t * RATE) : int(t * RATE) + 110]).max() for t in (0.12, 0.25, 0.9, 1.1)
    ]

    rise, full, held, released = (20 * np.log10(peak / peaks[1]) for peak in peaks)

    assert -6.0 == pytest.approx(rise, abs=0.5)
    assert -12.0 == pytest.approx(held - full, abs=0.5)
    assert -32.0 == pytest.approx(released - full, abs=1.0)


def test_delay_keeps_silent_and_hold_keeps_loud(tmp_path: Path) -> None:
    stages = [(Generator.DELAY, -3986), (Generator.HOLD, -1200), (Generator.SUSTAIN, 1000)]
    wave = sampler_of(tmp_path, *stages, (Generator.DECAY, -3986)).note(0, 69, 1.0, 3.0)[0]

    assert not wave[: int(0.099 * RATE)].any()
    assert rms(wave[int(0.2 * RATE) : int(0.55 * RATE)]) > 0.2
    assert len(wave) < 0.75 * RATE


def test_a_stronger_stroke_is_louder(tmp_path: Path) -> None:
    sampler = sampler_of(tmp_path)
    levels = [rms(sampler.note(0, 69, step / 10, 0.3)) for step in range(1, 11)]

    assert sorted(levels) == levels
    assert 4.0 == pytest.approx(levels[9] / levels[4], rel=0.02)


def test_attenuation_is_that_of_the_hardware(tmp_path: Path) -> None:
    """100 centibel are written, four decibels are heard."""
    (tmp_path / "quiet").mkdir()
    loud = rms(sampler_of(tmp_path).note(0, 69, 0.8, 0.5))
    quiet = rms(sampler_of(tmp_path / "quiet", (Generator.ATTENUATION, 100)).note(0, 69, 0.8, 0.5))

    assert 4.0 == pytest.approx(20 * np.log10(loud / quiet), abs=0.1)


def test_pan_places_a_voice(tmp_path: Path) -> None:
    left, right = sampler_of(tmp_path, (Generator.PAN, -500)).note(0, 69, 0.8, 0.5)

    assert rms(left) > 0.1
    assert 0.0 == pytest.approx(rms(right), abs=1e-6)


def test_the_filter_darkens_and_its_envelope_opens_it(tmp_path: Path) -> None:
    closed = [(Generator.FILTER_CUTOFF, 6900)]
    opening = [*closed, (Generator.MOD_ENV_TO_FILTER, 4800), (Generator.MOD_ATTACK, -1200)]
    waves = []
    for number, generators in enumerate(([], closed, opening)):
        (folder := tmp_path / str(number)).mkdir()
        waves.append(sampler_of(folder, *generators, sound=looped_saw()).note(0, 69, 0.8, 1.0)[0])
    open_, dark, swept = (
        np.abs(np.diff(wave[:40001])).reshape(10, -1).mean(axis=1) for wave in waves
    )

    assert (dark < 0.5 * open_).all()
    assert swept[9] > 1.4 * swept[0]
    assert swept[9] > 2 * dark[9]


def test_vibrato_swings_the_pitch_after_its_delay(tmp_path: Path) -> None:
    touch = Touch(Vibrato(50.0, rate_hz=5.0, delay_seconds=0.3, fade_seconds=0.1))
    wave = sampler_of(tmp_path).note(0, 69, 0.8, 2.0, touch=touch)[0]
    pitches = [
        cents_between(frequency(wave[start : start + 3000], near=441), 441)
        for start in range(0, 2 * RATE - 3000, 1000)
    ]

    assert max(map(abs, pitches[:10])) < 3
    assert 45 == pytest.approx(max(pitches), abs=7)
    assert -45 == pytest.approx(min(pitches), abs=7)


def test_skipping_starts_later_in_the_recording(tmp_path: Path) -> None:
    sampler = sampler_of(tmp_path, (Generator.SAMPLE_MODES, 0))

    whole = sampler.note(0, 69, 0.8, 3.0).shape[1]
    rest = sampler.note(0, 69, 0.8, 3.0, touch=Touch(skip_seconds=0.4)).shape[1]

    assert 0.4 == pytest.approx((whole - rest) / RATE, abs=0.001)
    assert 0 == sampler.note(0, 69, 0.8, 1.0, touch=Touch(skip_seconds=9.0)).shape[1]


@pytest.mark.parametrize(
    ("pitch", "velocity", "seconds"),
    [(60, 0, 1), (60, 90, 1), (60, 1, 0), (128, 1, 1)],
)
def test_impossible_notes_are_refused(
    tmp_path: Path, pitch: int, velocity: float, seconds: float
) -> None:
    with pytest.raises(ValueError, match="cannot play"):
        sampler_of(tmp_path).note(0, pitch, velocity, seconds)


def test_a_key_without_zones_is_silence(tmp_path: Path) -> None:
    high = (Generator.KEY_RANGE, 100 | 127 << 8)

    assert (2, 0) == sampler_of(tmp_path, high).note(0, 60, 0.8, 1.0).shape


def test_a_full_cache_forgets_the_sample_used_longest_ago(tmp_path: Path) -> None:
    """However small the cache, notes sound the same."""
    roomy, tight = (
        Sampler(SoundFont(sine_bank(tmp_path)), cache_bytes=size) for size in (10**8, 1)
    )

    for program in (0, 40, 0):
        expected = roomy.note(program, 60, 0.8, 0.2)
        np.testing.assert_array_equal(expected, tight.note(program, 60, 0.8, 0.2))
    assert 1 == len(tight._decoded)


@pytest.mark.parametrize("program", [0, 40, 42, 73])
def test_the_real_bank_is_in_tune(program: int) -> None:
    """Within 15 cents: recordings have their own vibrato and stretch."""
    wave = Sampler(SoundFont(real_bank())).note(program, 69, 0.8, 1.5)[0]

    assert abs(cents_between(frequency(wave[4000:], near=440), 440)) < 15


def test_a_key_sounds_the_same_whatever_was_played_on_it_before(tmp_path: Path) -> None:
    """Readings are kept: a long note after a short one goes on where the kept one ends."""
    bank = sine_bank(tmp_path)
    practised = Sampler(SoundFont(bank))
    for seconds in (0.05, 1.3, 0.4, 2.0):
        fresh = Sampler(SoundFont(bank)).note(0, 60, 0.8, seconds, cents=7.0)
        np.testing.assert_array_equal(fresh, practised.note(0, 60, 0.8, seconds, cents=7.0))


def test_what_a_caller_does_to_a_note_is_not_heard_in_the_next(tmp_path: Path) -> None:
    sampler = Sampler(SoundFont(sine_bank(tmp_path)))
    first = sampler.note(0, 60, 0.8, 0.3)
    expected = first.copy()
    first[:] = 0.0
    np.testing.assert_array_equal(expected, sampler.note(0, 60, 0.8, 0.3))
