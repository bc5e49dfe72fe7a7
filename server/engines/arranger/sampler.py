"""Plays notes of a sound bank: pitch, loops, envelopes, filter and level of one note at a time.

Knows what the generators of SoundFont 2.04 sound like, at 44.1 kHz. Knows nothing of parts, scores
or mixing. Modulators are not played, except the two every bank relies on: velocity to level, with
the specification's default curve, and vibrato, which the caller asks for.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from server.engines.arranger.filters import CONTROL_SAMPLES, RATE, lowpass, swept_lowpass
from server.engines.arranger.generators import Generator
from server.engines.arranger.interpolation import Positions, Recording, read_at
from server.engines.arranger.soundfont import Region, Sample, SoundFont
from server.media.clip import Samples

_CACHE_BYTES = 64 * 2**20
_SHORTEST_SECONDS = 0.001
_LONGEST_RELEASE_SECONDS = 1.5
_FLOOR_DB = 80.0
"""A note is over once its envelope has fallen this far."""

_EMU_ATTENUATION = 0.4
"""Banks are written for hardware that applied this share of the attenuation they state."""

_CENTS_ZERO_HZ = 8.176
_FADE_SAMPLES = 64


@dataclass(frozen=True, slots=True)
class Vibrato:
    """A pitch swing that begins late, as a player's does."""

    depth_cents: float
    rate_hz: float = 5.4
    delay_seconds: float = 0.28
    fade_seconds: float = 0.35
    phase: float = 0.0

    def cents(self, seconds: Positions) -> Positions:
        """Return the deviation at the given times."""
        fade = np.clip((seconds - self.delay_seconds) / self.fade_seconds, 0.0, 1.0)
        swing = np.sin(2 * np.pi * self.rate_hz * seconds + self.phase)
        return np.asarray(self.depth_cents * fade * swing)


@dataclass(frozen=True, slots=True)
class Stages:
    """An envelope's stages in seconds; `floor` is the sustain level as the generator gives it."""

    delay: float
    attack: float
    hold: float
    decay: float
    floor: float
    release: float


@dataclass(frozen=True, slots=True)
class Touch:
    """How a note differs from the preset's own playing.

    Attributes:
        vibrato: none unless given.
        skip_seconds: how much of the recording's beginning is left out.
        attack: seconds of rise instead of the preset's.
        release: seconds to fall by 100 dB instead of the preset's.
    """

    vibrato: Vibrato | None = None
    skip_seconds: float = 0.0
    attack: float | None = None
    release: float | None = None


PLAIN = Touch()


class Sampler:
    """Plays one sound bank. Decoded samples are kept up to a bound; threads may share it."""

    def __init__(self, soundfont: SoundFont, *, cache_bytes: int = _CACHE_BYTES) -> None:
        self.soundfont = soundfont
        self._cache_bytes = cache_bytes
        self._cached: OrderedDict[int, Sample] = OrderedDict()
        self._held_bytes = 0
        self._lock = threading.Lock()

    def note(
        self,
        program: int,
        pitch: int,
        velocity: float,
        seconds: float,
        *,
        bank: int = 0,
        cents: float = 0.0,
        touch: Touch = PLAIN,
    ) -> Samples:
        """Return one note, `[2, N]` at 44.1 kHz, with the release after `seconds` included.

        Args:
            program: General MIDI program, or the kit number in bank 128.
            pitch: MIDI number of the key.
            velocity: in (0, 1].
            seconds: how long the key is held.
            bank: 128 for drum kits.
            cents: detuning.
            touch: what differs from the preset's own playing.

        Raises:
            errors.EngineFailed: a sample of the bank is damaged.
            ValueError: the velocity or the duration is out of range.
        """
        if not 0.0 < velocity <= 1.0 or seconds <= 0.0 or not 0 <= pitch <= 127:
            raise ValueError(f"cannot play pitch {pitch} at {velocity} for {seconds} s")
        stroke = _Stroke(pitch, velocity, seconds, cents, touch)
        midi_velocity = max(1, round(127 * velocity))
        voices = [
            (region, self._play(region, stroke))
            for region in self.soundfont.regions(bank, program, pitch, midi_velocity)
        ]
        return _panned(voices)

    def _play(self, region: Region, stroke: "_Stroke") -> Samples:
        sample = self._sample(region.sample)
        envelope = _volume(region, stroke)
        recording, start = _recording(region, sample)
        positions = _positions(region, sample, stroke, len(envelope)) + start
        if not recording.is_looped:
            positions = positions[positions < len(recording.wave) - 1]
        if not len(positions):
            return np.zeros(0, dtype=np.float32)
        wave = read_at(recording, positions)
        wave *= envelope[: len(wave)]
        wave = _filtered(wave, region, stroke)
        fade = min(_FADE_SAMPLES, len(wave))
        wave[len(wave) - fade :] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
        return wave

    def _sample(self, index: int) -> Sample:
        """Return a decoded sample, the most recently used ones from memory."""
        with self._lock:
            if index in self._cached:
                self._cached.move_to_end(index)
                return self._cached[index]
            sample = self.soundfont.sample(index)
            self._cached[index] = sample
            self._held_bytes += sample.wave.nbytes
            while self._held_bytes > self._cache_bytes and len(self._cached) > 1:
                _, dropped = self._cached.popitem(last=False)
                self._held_bytes -= dropped.wave.nbytes
            return sample


@dataclass(frozen=True, slots=True)
class _Stroke:
    """How a key is struck; see `Sampler.note`."""

    pitch: int
    velocity: float
    seconds: float
    cents: float
    touch: Touch


def seconds_of(timecents: int) -> float:
    """Return the duration of a number of timecents; −12000 and less are none at all."""
    return 0.0 if timecents <= -12000 else float(2.0 ** (timecents / 1200.0))


def hertz_of(cents: float) -> float:
    """Return the frequency of absolute cents (8.176 Hz, MIDI pitch 0, at zero)."""
    return float(_CENTS_ZERO_HZ * 2.0 ** (cents / 1200.0))


def _recording(region: Region, sample: Sample) -> tuple[Recording, int]:
    """Return what to read with its loop and its first sample, address offsets applied."""
    coarse = 32768
    first = sample.loop[0] + region[Generator.LOOP_START_OFFSET]
    last = sample.loop[1] + region[Generator.LOOP_END_OFFSET]
    first += coarse * region[Generator.LOOP_START_OFFSET_COARSE]
    last += coarse * region[Generator.LOOP_END_OFFSET_COARSE]
    end = len(sample.wave) + region[Generator.END_OFFSET]
    end += coarse * region[Generator.END_OFFSET_COARSE]
    wave = sample.wave[: max(end, 0)]
    loops = region[Generator.SAMPLE_MODES] & 1 and sample.loop != (0, 0)
    usable = loops and 0 <= first < min(last, len(wave))
    start = region[Generator.START_OFFSET] + coarse * region[Generator.START_OFFSET_COARSE]
    return Recording(wave, (first, min(last, len(wave))) if usable else (0, 0)), max(start, 0)


def _positions(region: Region, sample: Sample, stroke: _Stroke, length: int) -> Positions:
    """Return where in the recording each sample of the note is read."""
    speed = _speed(region, sample, stroke)
    skipped = stroke.touch.skip_seconds * sample.sample_rate
    if stroke.touch.vibrato is None:
        return np.asarray(np.arange(length) * speed + skipped, dtype=np.float64)
    corners = np.arange(0, length + CONTROL_SAMPLES, CONTROL_SAMPLES)
    bend = np.exp2(stroke.touch.vibrato.cents(corners / RATE) / 1200.0)
    walked = np.concatenate([[0.0], np.cumsum(bend[:-1])]) * (speed * CONTROL_SAMPLES)
    return np.asarray(np.interp(np.arange(length), corners, walked) + skipped, dtype=np.float64)


def _speed(region: Region, sample: Sample, stroke: _Stroke) -> float:
    """Return how many samples of the recording pass in one of the output."""
    root = region[Generator.ROOT_KEY]
    root = sample.root if root < 0 else root
    fixed = region[Generator.FIXED_KEY]
    key = stroke.pitch if fixed < 0 else fixed
    tuning = (key - root) * region[Generator.SCALE_TUNING]
    tuning += 100 * region[Generator.COARSE_TUNE] + region[Generator.FINE_TUNE]
    cents = tuning + sample.correction_cents + stroke.cents
    return float(2.0 ** (cents / 1200.0)) * sample.sample_rate / RATE


def _volume_stages(region: Region, stroke: _Stroke) -> Stages:
    above_middle = 60 - stroke.pitch
    attack = (
        seconds_of(region[Generator.ATTACK]) if stroke.touch.attack is None else stroke.touch.attack
    )
    release = (
        seconds_of(region[Generator.RELEASE])
        if stroke.touch.release is None
        else stroke.touch.release
    )
    return Stages(
        delay=seconds_of(region[Generator.DELAY]),
        attack=max(attack, _SHORTEST_SECONDS),
        hold=_keyed(region, Generator.HOLD, Generator.KEY_TO_HOLD, above_middle),
        decay=_keyed(region, Generator.DECAY, Generator.KEY_TO_DECAY, above_middle),
        floor=min(max(region[Generator.SUSTAIN], 0), 1440) / 10.0,
        release=min(max(release, 0.01), _LONGEST_RELEASE_SECONDS),
    )


def _keyed(region: Region, stage: Generator, tracking: Generator, keys: int) -> float:
    return seconds_of(region[stage]) * float(2.0 ** (region[tracking] * keys / 1200.0))


def _volume(region: Region, stroke: _Stroke) -> Samples:
    """Return the volume envelope with level and velocity in it, as long as the note sounds.

    Linear rise, then straight lines in decibels: decay and release are the times for 100 dB
    (specification, section 8.1.2, generators 33 to 38).
    """
    stages = _volume_stages(region, stroke)
    held = round(stroke.seconds * RATE)
    tail = round(stages.release * RATE * _FLOOR_DB / 100.0)
    decibels = _decayed(stages, held)
    if len(decibels) == held:
        falling = np.arange(1, tail + 1, dtype=np.float32)
        falling *= np.float32(100.0 / (stages.release * RATE))
        decibels = np.concatenate([decibels, decibels[-1] + falling])
    envelope: Samples = np.exp(decibels * np.float32(-np.log(10.0) / 20.0))
    envelope *= np.float32(_level(region, stroke))
    rise = round(stages.attack * RATE)
    begin = round(stages.delay * RATE)
    envelope[:begin] = 0.0
    ramp = envelope[begin : begin + rise]
    ramp *= np.linspace(0.0, 1.0, rise, endpoint=False, dtype=np.float32)[: len(ramp)]
    return envelope


def _decayed(stages: Stages, held: int) -> Samples:
    """Return how many decibels the held note has lost, `[held]` or less where it dies before."""
    until_decay = round((stages.delay + stages.attack + stages.hold) * RATE)
    lost = np.zeros(held, dtype=np.float32)
    if stages.floor <= 0.0 or until_decay >= held:
        return lost
    falling = np.arange(held - until_decay, dtype=np.float32)
    falling *= np.float32(100.0 / (max(stages.decay, _SHORTEST_SECONDS) * RATE))
    np.minimum(falling, np.float32(stages.floor), out=lost[until_decay:])
    if stages.floor > _FLOOR_DB:
        return lost[: int(np.searchsorted(lost, _FLOOR_DB)) or 1]
    return lost


def _level(region: Region, stroke: _Stroke) -> float:
    """Return the gain of attenuation and velocity (default curve, section 8.4.1: its square)."""
    fixed = region[Generator.FIXED_VELOCITY]
    velocity = stroke.velocity if fixed < 0 else fixed / 127.0
    attenuation_db = _EMU_ATTENUATION * max(region[Generator.ATTENUATION], 0) / 10.0
    return float(10.0 ** (-attenuation_db / 20.0) * velocity**2)


def _filtered(wave: Samples, region: Region, stroke: _Stroke) -> Samples:
    """Apply the region's low-pass, moved by its modulation envelope where it has one."""
    cutoff, depth = region[Generator.FILTER_CUTOFF], region[Generator.MOD_ENV_TO_FILTER]
    resonance_db = region[Generator.FILTER_RESONANCE] / 10.0
    if not depth:
        return lowpass(wave, hertz_of(cutoff), resonance_db=resonance_db)
    seconds = np.arange(0, len(wave), CONTROL_SAMPLES) / RATE
    cents = cutoff + depth * _modulation(region, stroke, seconds)
    hertz = _CENTS_ZERO_HZ * np.exp2(cents / 1200.0)
    return swept_lowpass(wave, hertz, resonance_db=resonance_db)


def _modulation(region: Region, stroke: _Stroke, seconds: Positions) -> Positions:
    """Return the modulation envelope in [0, 1]: convex rise, straight fall (section 8.1.2)."""
    above_middle = 60 - stroke.pitch
    delay = seconds_of(region[Generator.MOD_DELAY])
    attack = max(seconds_of(region[Generator.MOD_ATTACK]), _SHORTEST_SECONDS)
    hold = _keyed(region, Generator.MOD_HOLD, Generator.KEY_TO_MOD_HOLD, above_middle)
    decay = _keyed(region, Generator.MOD_DECAY, Generator.KEY_TO_MOD_DECAY, above_middle)
    sustain = 1.0 - min(max(region[Generator.MOD_SUSTAIN], 0), 1000) / 1000.0
    release = max(seconds_of(region[Generator.MOD_RELEASE]), _SHORTEST_SECONDS)
    risen = np.sqrt(np.clip((seconds - delay) / attack, 0.0, 1.0))
    fallen = (seconds - delay - attack - hold) / max(decay, _SHORTEST_SECONDS)
    level = np.minimum(risen, np.maximum(1.0 - np.maximum(fallen, 0.0), sustain))
    released = np.clip(1.0 - (seconds - stroke.seconds) / release, 0.0, 1.0)
    return np.asarray(level * released)


def _panned(voices: list[tuple[Region, Samples]]) -> Samples:
    """Add voices at their places with constant power, `[2, N]`."""
    mixed = np.zeros((2, max((len(wave) for _, wave in voices), default=0)), dtype=np.float32)
    for region, wave in voices:
        angle = (min(max(region[Generator.PAN], -500), 500) / 1000.0 + 0.5) * np.pi / 2
        mixed[0, : len(wave)] += wave * np.float32(np.cos(angle))
        mixed[1, : len(wave)] += wave * np.float32(np.sin(angle))
    return mixed
