"""Synthesized voices, drum kits and bow strokes: in tune, on time, without aliases, clean ends."""

from pathlib import Path

import numpy as np
import pytest

from server.engines.arranger import drumkits
from server.engines.arranger.articulation import Bowing, bowed, bowing_of, flattened, plucked
from server.engines.arranger.filters import RATE
from server.engines.arranger.oscillators import Shape, hertz_of_pitch, phases, string, wave
from server.engines.arranger.sampler import Sampler
from server.engines.arranger.score import DrumKind, Note
from server.engines.arranger.soundfont import SoundFont
from server.engines.arranger.synths import SYNTHS, fallback_synth
from server.engines.arranger.tones import Tone, tone_of
from server.media.clip import Samples
from tests.unit.arranger.rendering.sounds import (
    cents_between,
    frequency,
    onset_seconds,
    rms,
    sine_bank,
)
from variations import sounds

CHORUSED = {"choir_pad", "pad_saw", "reed", "super_saw", "wobble_bass"}
"""Voices of several oscillators apart from each other by up to 14 cents."""

UNPITCHED = {"glitch_blip", "noise_drone"}
DRUMS: tuple[DrumKind, ...] = ("kick", "snare", "clap", "hat", "open_hat", "perc")
SHAPES: tuple[Shape, ...] = ("saw", "square", "pulse", "thin_pulse", "triangle", "stairs")


def played(name: str, pitch: int, *, seconds: float = 0.8, velocity: float = 0.8) -> Samples:
    """Return one tone of a voice."""
    return SYNTHS[name](tone_of(pitch, seconds, velocity, np.random.default_rng(3)))


def loudest_alias_db(samples: Samples, hertz: float) -> float:
    """Return the strongest partial that is no harmonic, against the strongest that is."""
    spectrum = np.abs(np.fft.rfft(samples * np.blackman(len(samples))))
    bins = np.fft.rfftfreq(len(samples), 1 / RATE)
    distance = np.abs(bins - hertz * np.round(bins / hertz))
    near = (distance < 40) & (bins > hertz / 2)
    return float(20 * np.log10(spectrum[~near & (bins > 60)].max() / spectrum[near].max()))


def test_every_name_of_a_preset_has_a_sound() -> None:
    assert set(SYNTHS) == sounds.SYNTHS
    assert set(drumkits.KITS) == sounds.KITS
    assert all(set(DRUMS) == set(kit) for kit in drumkits.KITS.values())


def test_every_program_has_a_stand_in() -> None:
    assert all(fallback_synth(program) in SYNTHS for program in range(128))
    assert ("struck_string", "bowed_string", "flute") == tuple(map(fallback_synth, (0, 40, 73)))


@pytest.mark.parametrize("name", sorted(SYNTHS))
@pytest.mark.parametrize("pitch", [28, 60, 96])
def test_a_voice_speaks_at_once_and_ends_clean(name: str, pitch: int) -> None:
    sound = played(name, pitch)

    assert np.float32 == sound.dtype
    assert np.isfinite(sound).all()
    assert onset_seconds(sound) < 0.010
    assert abs(sound[-1]) < 1e-3 * np.abs(sound).max()
    assert np.abs(sound).max() < 2.0


@pytest.mark.parametrize("name", sorted(set(SYNTHS) - UNPITCHED))
def test_a_voice_is_in_tune(name: str) -> None:
    """Within 8 cents, for late vibrato pulls a little; chorused voices within their spread."""
    pitch = 45 if "bass" in name else 69
    sound = played(name, pitch, seconds=1.2)
    expected = hertz_of_pitch(pitch)

    away = abs(cents_between(frequency(sound[2000:], near=expected), expected))
    assert away < (14.5 if name in CHORUSED else 8)


@pytest.mark.parametrize("name", sorted(SYNTHS))
def test_a_voice_is_louder_when_played_louder_and_repeatable(name: str) -> None:
    soft, loud = played(name, 60, velocity=0.3), played(name, 60, velocity=0.9)

    assert rms(soft[:20000]) < rms(loud[:20000])
    np.testing.assert_array_equal(loud, played(name, 60, velocity=0.9))


@pytest.mark.parametrize("shape", SHAPES)
def test_waves_have_no_aliases(shape: Shape) -> None:
    """At C7 nothing but harmonics is louder than −50 dB."""
    hertz = hertz_of_pitch(96)

    assert loudest_alias_db(wave(shape, hertz, phases(hertz, RATE)), hertz) < -50


def test_a_naive_saw_would_be_noticed() -> None:
    """Negative control of the alias gate."""
    hertz = hertz_of_pitch(96)
    naive = (2 * (phases(hertz, RATE) % 1) - 1).astype(np.float32)

    assert loudest_alias_db(naive, hertz) > -50


@pytest.mark.parametrize(("shape", "harmonic"), [("square", 2), ("pulse", 4), ("thin_pulse", 8)])
def test_pulses_lack_the_harmonics_of_their_width(shape: Shape, harmonic: int) -> None:
    spectrum = np.abs(np.fft.rfft(wave(shape, 100.0, phases(100.0, RATE))))

    assert spectrum[100 * harmonic] < 1e-3 * spectrum[100]


def test_a_wave_is_the_sum_of_its_harmonics() -> None:
    """Against the slow sum."""
    cycles = phases(1000.0, 2000)
    expected = sum(np.sin(2 * np.pi * k * cycles) * 2 / (np.pi * k) for k in range(1, 18))

    np.testing.assert_allclose(expected, wave("saw", 1000.0, cycles), atol=3e-3)


@pytest.mark.parametrize("pitch", [28, 45, 69, 93])
def test_a_string_is_in_tune_and_darkens(pitch: int) -> None:
    hertz = hertz_of_pitch(pitch)
    sound = string(hertz, RATE, ring_seconds=3.0, damping=3.0, pick=0.2)
    bright = [rms(np.diff(part)) / rms(part) for part in (sound[:4000], sound[-4000:])]

    assert abs(cents_between(frequency(sound, near=hertz), hertz)) < 3
    assert bright[1] < 0.8 * bright[0]


def test_an_808_slides_from_the_pitch_before() -> None:
    target = hertz_of_pitch(40)
    tone = Tone(target, 1.0, 0.8, np.random.default_rng(0), glide_from=hertz_of_pitch(33))
    sound = SYNTHS["bass_808"](tone)

    assert frequency(sound[20000:40000], near=target) == pytest.approx(target, rel=0.01)
    assert np.diff(np.flatnonzero(np.diff(np.signbit(sound[600:9000])))).max() > RATE / target / 2


def test_a_chip_arpeggio_visits_every_tone_of_its_chord() -> None:
    others = (hertz_of_pitch(73), hertz_of_pitch(76))
    tone = Tone(hertz_of_pitch(69), 1.0, 0.8, np.random.default_rng(0), others=others)
    sound = SYNTHS["nes_pulse"](tone)
    frame = RATE // 30

    heard = [
        frequency(sound[n * frame + 100 : (n + 1) * frame - 100], near=hertz)
        for n, hertz in enumerate((tone.hertz, *others))
    ]

    assert [tone.hertz, *others] == pytest.approx(heard, rel=0.02)


@pytest.mark.parametrize("kit", sorted(drumkits.KITS))
@pytest.mark.parametrize("kind", DRUMS)
def test_a_drum_strikes_at_once_and_dies(kit: str, kind: DrumKind) -> None:
    sound = drumkits.stroke(kit, kind, 0.9, hertz=50.0, random=np.random.default_rng(1))

    assert onset_seconds(sound) < 0.010
    assert 0.0 == sound[-1]
    assert 0.05 < np.abs(sound).max() < 2.0
    assert len(sound) < 1.2 * RATE


@pytest.mark.parametrize("root", range(12))
def test_bass_drums_are_tuned_to_the_root(root: int) -> None:
    """The ring of an 808 is the root's pitch class, between E1 and E2."""
    hertz = drumkits.kick_hertz(root)
    sound = drumkits.stroke("808", "kick", 0.9, hertz=hertz, random=np.random.default_rng(1))
    ring = frequency(sound[6000:], near=hertz)

    assert 41.0 < hertz < 83.0
    assert root == round(69 + 12 * np.log2(hertz / 440)) % 12
    assert abs(cents_between(ring, hertz)) < 30


def test_untuned_bass_drums_have_a_pitch_of_their_own() -> None:
    assert 49.0 == drumkits.kick_hertz(None)


def note(
    start: float,
    seconds: float,
    *,
    pitch: int = 69,
    velocity: float = 0.6,
    confidence: float = 0.7,
) -> Note:
    """Return a note that was heard."""
    return Note(start, seconds, pitch, velocity, confidence=confidence)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (None, note(0, 0.1), Bowing.SPICCATO),
        (None, note(0, 0.5), Bowing.MARCATO),
        (note(0, 0.5), note(0.5, 0.5, pitch=72), Bowing.LEGATO),
        (note(0, 0.5), note(0.5, 0.5, pitch=72, confidence=0.99), Bowing.MARCATO),
        (note(0, 0.5), note(0.6, 0.5), Bowing.MARCATO),
        (note(0, 0.5), note(0.5, 0.5, pitch=76), Bowing.MARCATO),
        (note(0, 0.5), note(0.5, 0.5, velocity=0.9), Bowing.MARCATO),
        (note(0, 0.5), note(0.5, 0.2), Bowing.MARCATO),
    ],
)
def test_strokes_follow_from_the_notes(before: Note | None, now: Note, expected: Bowing) -> None:
    assert expected is bowing_of(now, before)


@pytest.mark.parametrize("bowing", list(Bowing))
def test_bows_speak_quickly_though_the_recording_does_not(tmp_path: Path, bowing: Bowing) -> None:
    """The bank's violin needs 0.25 s to rise; the stroke is there within 10 ms."""
    sampler = Sampler(SoundFont(sine_bank(tmp_path)))
    played_note = note(0, 0.12 if bowing is Bowing.SPICCATO else 0.5)
    sound = bowed(sampler, 40, played_note, bowing, cents=0, random=np.random.default_rng(0))
    own = sampler.note(40, 69, 0.6, 0.5)
    third = [np.abs(wave[0, : RATE // 25]).max() / np.abs(wave).max() for wave in (sound, own)]

    assert onset_seconds(sound) < 0.010
    assert third[0] > 0.8
    assert third[1] < 0.3


def test_flattening_evens_a_fading_tone() -> None:
    fading = np.exp(-np.arange(RATE) / 15000) * np.sin(np.arange(RATE) * 0.1)
    even = flattened(np.stack([fading, fading]).astype(np.float32))[0]

    assert 1.0 == pytest.approx(rms(even[2000:8000]) / rms(even[-8000:-2000]), abs=0.1)


def test_a_pluck_is_over_soon(tmp_path: Path) -> None:
    sampler = Sampler(SoundFont(sine_bank(tmp_path)))
    sound = plucked(sampler, 0, note(0, 2.0), cents=0)[0]

    assert rms(sound[RATE : RATE + 4410]) < 0.1 * rms(sound[:4410])
    assert onset_seconds(sound) < 0.010
