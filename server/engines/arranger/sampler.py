"""Plays notes of a sound bank: pitch, loops, envelopes, filter and level of one note at a time.

Knows what the generators of SoundFont 2.04 sound like, at 44.1 kHz. Knows nothing of parts, scores
or mixing. Modulators are not played, except the two every bank relies on: velocity to level, with
the specification's default curve, and vibrato, which the caller asks for.
"""

import math
from dataclasses import dataclass

import numpy as np

from server.engines.arranger.filters import CONTROL_SAMPLES, RATE, lowpass, swept_lowpass
from server.engines.arranger.generators import Generator
from server.engines.arranger.interpolation import Positions, Recording, between, read_at
from server.engines.arranger.kept import Kept
from server.engines.arranger.soundfont import Region, Sample, SoundFont
from server.media.clip import Samples

_CACHE_BYTES = 32 * 2**20
_READ_BYTES = 24 * 2**20
_READ_SAMPLES = 1 << 14
"""Recordings are read in whole multiples of this: a longer note of the key goes on there."""

_SHORTEST_SECONDS = 0.001
_LONGEST_RELEASE_SECONDS = 1.5
_FLOOR_DB = 80.0
"""A note is over once its envelope has fallen this far."""

_EMU_ATTENUATION = 0.4
"""Banks are written for hardware that applied this share of the attenuation they state."""

_CENTS_ZERO_HZ = 8.176
_FADE_SAMPLES = 64
_FINE_STEPS = 256
_DB_OF_E = 20.0 / math.log(10.0)
"""Decibels of a factor e."""


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
    """Plays one sound bank; threads may share it.

    Decoded samples are kept up to a bound, and so are recordings as they sound at a key: music
    repeats its notes, and reading at another speed is most of the work.
    """

    def __init__(self, soundfont: SoundFont, *, cache_bytes: int = _CACHE_BYTES) -> None:
        self.soundfont = soundfont
        self._decoded = Kept[int, Sample](cache_bytes, lambda sample: sample.wave.nbytes)
        self._read = Kept[_Reading, Samples](_READ_BYTES, lambda wave: wave.nbytes)

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
        wave = self._transposed(recording, start, len(envelope), region, sample, stroke)
        if not len(wave):
            return wave
        wave *= envelope[: len(wave)]
        fade = min(_FADE_SAMPLES, len(wave))
        wave[len(wave) - fade :] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
        return wave

    def _transposed(
        self,
        recording: Recording,
        start: int,
        length: int,
        region: Region,
        sample: Sample,
        stroke: "_Stroke",
    ) -> Samples:
        """Return a recording at the key's speed, `[length]` or what there is of it; ours to change.

        A steady note is read and filtered once for all notes of its key. What is kept is the same
        to the bit however long the notes were that asked for it.
        """
        speed = _speed(region, sample, stroke)
        first = start + stroke.touch.skip_seconds * sample.sample_rate
        tone = _Tone.of(region, stroke.pitch)
        if stroke.touch.vibrato is not None:
            swinging = _swinging(stroke.touch.vibrato, speed, length) + first
            return tone.filtered(_walked(recording, swinging))
        reading = (region.sample, *recording.loop, len(recording.wave), first, speed, tone)
        known = self._read.get(reading)
        if known is None or (len(known) < length and len(known) % _READ_SAMPLES == 0):
            most = -(-length // _READ_SAMPLES) * _READ_SAMPLES
            places = np.arange(most, dtype=np.float64) * speed + first
            known = tone.filtered(_walked(recording, places))
            self._read.keep(reading, known)
        return known[:length].copy()

    def _sample(self, index: int) -> Sample:
        """Return a decoded sample, the most recently used ones from memory."""
        sample = self._decoded.get(index)
        if sample is None:
            sample = self.soundfont.sample(index)
            self._decoded.keep(index, sample)
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


def _walked(recording: Recording, positions: Positions) -> Samples:
    """Return the recording at rising positions, up to its end if it does not loop."""
    if not recording.is_looped:
        positions = positions[positions < len(recording.wave) - 1]
    return read_at(recording, positions) if len(positions) else np.zeros(0, dtype=np.float32)


def _swinging(vibrato: Vibrato, speed: float, length: int) -> Positions:
    """Return how far into the recording each sample of a note with vibrato is."""
    corners = np.arange(0, length + CONTROL_SAMPLES, CONTROL_SAMPLES)
    bend = np.exp2(vibrato.cents(corners / RATE) / 1200.0)
    walked = np.concatenate([[0.0], np.cumsum(bend[:-1])]) * (speed * CONTROL_SAMPLES)
    return between(walked, CONTROL_SAMPLES, length)


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
    pieces, lost_db = _decayed(stages, held)
    if lost_db < _FLOOR_DB:
        pieces.append(_falling(lost_db, 100.0 / (stages.release * RATE), tail))
    envelope: Samples = np.concatenate(pieces)
    envelope *= np.float32(_level(region, stroke))
    rise = round(stages.attack * RATE)
    begin = round(stages.delay * RATE)
    envelope[:begin] = 0.0
    ramp = envelope[begin : begin + rise]
    ramp *= np.linspace(0.0, 1.0, rise, endpoint=False, dtype=np.float32)[: len(ramp)]
    return envelope


def _decayed(stages: Stages, held: int) -> tuple[list[Samples], float]:
    """Return the gains of the held note until it dies, and how many decibels it has lost then."""
    steady = min(round((stages.delay + stages.attack + stages.hold) * RATE), held)
    slope = 100.0 / (max(stages.decay, _SHORTEST_SECONDS) * RATE)
    floor = min(max(stages.floor, 0.0), _FLOOR_DB)
    falling = min(math.ceil(floor / slope), held - steady)
    lost_db = min(falling * slope, floor)
    resting = 0 if floor >= _FLOOR_DB else held - steady - falling
    gain = np.float32(10.0 ** (-lost_db / 20.0))
    pieces = [
        np.ones(steady, dtype=np.float32),
        _falling(0.0, slope, falling),
        np.full(resting, gain, dtype=np.float32),
    ]
    return pieces, lost_db


def _falling(lost_db: float, db_a_sample: float, count: int) -> Samples:
    """Return gains that fall from a level by so many decibels a sample, `[count]`.

    Coarse times fine steps: a multiplication a sample instead of an exponential.
    """
    fine = np.exp(np.arange(_FINE_STEPS) * (-db_a_sample / _DB_OF_E))
    coarse = np.arange(0, count, _FINE_STEPS) * db_a_sample + lost_db
    levels = np.exp(coarse / -_DB_OF_E).astype(np.float32)
    return np.outer(levels, fine.astype(np.float32)).reshape(-1)[:count]


def _level(region: Region, stroke: _Stroke) -> float:
    """Return the gain of attenuation and velocity (default curve, section 8.4.1: its square)."""
    fixed = region[Generator.FIXED_VELOCITY]
    velocity = stroke.velocity if fixed < 0 else fixed / 127.0
    attenuation_db = _EMU_ATTENUATION * max(region[Generator.ATTENUATION], 0) / 10.0
    return float(10.0 ** (-attenuation_db / 20.0) * velocity**2)


@dataclass(frozen=True, slots=True)
class _Tone:
    """The low-pass of a region at a key: it comes before the amplifier, so no note's length counts.

    `depth` is by how many cents the modulation envelope opens it: a convex rise, a straight fall
    (section 8.1.2). It is not closed when the key is let go: the amplifier closes by then.
    """

    cutoff_cents: int
    resonance_db: float
    depth: int
    delay: float = 0.0
    attack: float = 0.0
    hold: float = 0.0
    decay: float = 0.0
    sustain: float = 0.0

    @classmethod
    def of(cls, region: Region, pitch: int) -> "_Tone":
        """Return what the generators say."""
        cutoff, depth = region[Generator.FILTER_CUTOFF], region[Generator.MOD_ENV_TO_FILTER]
        resonance_db = region[Generator.FILTER_RESONANCE] / 10.0
        if not depth:
            return cls(cutoff, resonance_db, 0)
        return cls(
            cutoff,
            resonance_db,
            depth,
            delay=seconds_of(region[Generator.MOD_DELAY]),
            attack=max(seconds_of(region[Generator.MOD_ATTACK]), _SHORTEST_SECONDS),
            hold=_keyed(region, Generator.MOD_HOLD, Generator.KEY_TO_MOD_HOLD, 60 - pitch),
            decay=_keyed(region, Generator.MOD_DECAY, Generator.KEY_TO_MOD_DECAY, 60 - pitch),
            sustain=1.0 - min(max(region[Generator.MOD_SUSTAIN], 0), 1000) / 1000.0,
        )

    def filtered(self, wave: Samples) -> Samples:
        """Return a wave that begins with the note, through the low-pass."""
        if not self.depth:
            return lowpass(wave, hertz_of(self.cutoff_cents), resonance_db=self.resonance_db)
        seconds = np.arange(0, len(wave), CONTROL_SAMPLES) / RATE
        risen = np.sqrt(np.clip((seconds - self.delay) / self.attack, 0.0, 1.0))
        fallen = (seconds - self.delay - self.attack - self.hold) / max(
            self.decay, _SHORTEST_SECONDS
        )
        level = np.minimum(risen, np.maximum(1.0 - np.maximum(fallen, 0.0), self.sustain))
        hertz = _CENTS_ZERO_HZ * np.exp2((self.cutoff_cents + self.depth * level) / 1200.0)
        return swept_lowpass(wave, hertz, resonance_db=self.resonance_db)


_Reading = tuple[int, int, int, int, float, float, _Tone]
"""What a steady note depends on: sample, loop, end, first position, speed and filter."""


def _panned(voices: list[tuple[Region, Samples]]) -> Samples:
    """Add voices at their places with constant power, `[2, N]`."""
    mixed = np.zeros((2, max((len(wave) for _, wave in voices), default=0)), dtype=np.float32)
    for region, wave in voices:
        angle = (min(max(region[Generator.PAN], -500), 500) / 1000.0 + 0.5) * np.pi / 2
        mixed[0, : len(wave)] += wave * np.float32(np.cos(angle))
        mixed[1, : len(wave)] += wave * np.float32(np.sin(angle))
    return mixed
