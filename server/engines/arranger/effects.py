"""Bus effects: what each name in `variations.sounds.EFFECTS` does to a mix.

Pure functions from `[2, N]` float32 to the same shape: equal arguments give equal bits. None moves
the music in time by more than a millisecond. `check` tells, before anything is played, whether a
preset's effect and its parameters are known.
"""

import inspect
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from server.engines.arranger.filters import CONTROL_SAMPLES, RATE, passed, shelved
from server.engines.arranger.filters import banded as band_passed
from server.engines.arranger.interpolation import between
from server.engines.arranger.oscillators import noise
from server.engines.arranger.wavering import LONGEST_LAG_MS, Lag, lagged, swing
from server.media.clip import Samples

_LOUDNESS = 0.12
"""Level (root mean square) that effects which depend on level see the mix at."""

_EARLY_ECHOES = 9
_ECHOES = 12
_PIECE_SAMPLES = 1 << 20


@dataclass(frozen=True, slots=True)
class Setting:
    """What an effect may know of the piece.

    Attributes:
        beat_seconds: length of a beat.
        first_beat: time of a beat, for effects on the grid.
        kicks: onsets of the bass drum in seconds.
        seed: of everything random.
        whole: `[2, N]` the mix, where only a part of it is treated: what an effect does depends on
            the mix, and what it adds by itself it adds to the mix alone.
    """

    beat_seconds: float = 0.5
    first_beat: float = 0.0
    kicks: tuple[float, ...] = ()
    seed: int = 0
    whole: Samples | None = None

    def of(self, mix: Samples) -> Samples:
        """Return the mix that what is treated belongs to."""
        return mix if self.whole is None else self.whole


def _level(mix: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(mix, dtype=np.float32)))) + 1e-9


def _float32(values: NDArray[Any]) -> Samples:
    return np.asarray(values, dtype=np.float32)


def shelf(
    mix: Samples, _: Setting, *, hertz: float, gain_db: float, side: Literal["low", "high"] = "high"
) -> Samples:
    """Raise or lower everything on one side of a frequency."""
    return shelved(mix, hertz, gain_db, side)


def lowpass(mix: Samples, _: Setting, *, hertz: float) -> Samples:
    """Take away the treble, 12 dB an octave."""
    return passed(mix, "lowpass", hertz)


def highpass(mix: Samples, _: Setting, *, hertz: float) -> Samples:
    """Take away the bass, 12 dB an octave."""
    return passed(mix, "highpass", hertz)


def reverb(
    mix: Samples,
    setting: Setting,
    *,
    seconds: float = 1.6,
    mix_share: float = 0.2,
    damping_hertz: float = 5000.0,
) -> Samples:
    """Add a room: early echoes and noise that falls by 60 dB in `seconds`, darker as it falls."""
    random = np.random.default_rng(setting.seed)
    rooms = [_room(random, seconds, damping_hertz) for _ in range(2)]

    out = np.float32(1 - 0.4 * mix_share) * mix

    def add(channel: int) -> None:
        wet = passed(_in_room(mix, channel, rooms[channel]), "highpass", 180.0, order=1)
        wet *= np.float32(mix_share)
        out[channel] += wet

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(add, range(2)))
    return _float32(out)


def _in_room(mix: Samples, channel: int, room: Samples) -> Samples:
    """Return what is sent to one side of a room, in it; long sounds in pieces, for their memory."""
    result: Samples = np.zeros(mix.shape[1], dtype=np.float32)
    for start in range(0, len(result), _PIECE_SAMPLES):
        piece = mix[:, start : start + _PIECE_SAMPLES]
        sent = np.float32(0.7) * piece[channel] + np.float32(0.3) * piece[1 - channel]
        wet = signal.oaconvolve(sent, room)
        result[start : start + len(wet)] += wet[: len(result) - start]
    return result


def _room(random: np.random.Generator, seconds: float, damping_hertz: float) -> Samples:
    """Return one channel's impulse response."""
    length, before = round(1.1 * seconds * RATE), round(0.012 * RATE)
    t = np.arange(length) / RATE
    hiss = _float32(random.standard_normal(length) * np.exp(-6.9 * t / seconds))
    late = _float32(np.clip(1.6 * t / seconds, 0, 1))
    bright = passed(hiss, "lowpass", damping_hertz, order=1)
    dark = passed(hiss, "lowpass", 0.35 * damping_hertz, order=1)
    tail = bright * (1 - late) + dark * late * np.float32(1.5)
    early = np.zeros(max(length, round(0.07 * RATE)), dtype=np.float32)
    for number in range(_EARLY_ECHOES):
        place = round(random.uniform(0.004, 0.06) * RATE)
        early[place] += random.choice([-1, 1]) * (0.9 - 0.06 * number)
    early *= np.float32(0.4) / np.linalg.norm(early)
    early[:length] += tail * (np.float32(0.85) / np.linalg.norm(tail))
    return np.concatenate([np.zeros(before, dtype=np.float32), early])


def chorus(
    mix: Samples, _: Setting, *, mix_share: float = 0.4, depth_ms: float = 2.5, hertz: float = 0.7
) -> Samples:
    """Add two copies of each channel whose delay swings around 9 ms."""
    out = np.float32(1 - mix_share / 2) * mix
    for channel in range(2):
        for copy in range(2):
            late = lagged(mix[channel], _around_9_ms(depth_ms, hertz, 1.7 * channel + 2.4 * copy))
            late *= np.float32(mix_share / 2)
            out[channel] += late
    return out


def _around_9_ms(depth_ms: float, hertz: float, phase: float) -> Lag:
    depth = np.float32(min(depth_ms, LONGEST_LAG_MS - 9.0))
    return lambda start, end: 9.0 + depth * swing(start, end, hertz, phase)


def delay(
    mix: Samples,
    setting: Setting,
    *,
    beats: float = 0.75,
    feedback: float = 0.35,
    mix_share: float = 0.15,
    damping_hertz: float = 4500.0,
) -> Samples:
    """Add echoes in time with the music that change sides and darken."""
    step = max(1, round(beats * setting.beat_seconds * RATE))
    out, tap = mix.copy(), mix
    for number in range(1, _ECHOES + 1):
        start = number * step
        share = mix_share * feedback ** (number - 1)
        if start >= mix.shape[1] or share < 1e-3:
            break
        tap = passed(tap[::-1], "lowpass", damping_hertz, order=1)
        out[:, start:] += np.float32(share) * tap[:, : mix.shape[1] - start]
    return out


def crush(mix: Samples, setting: Setting, *, bits: float = 8, hertz: float = 22050.0) -> Samples:
    """Hold samples and round them, as cheap converters do, at the mix's own full scale."""
    peak = float(np.abs(setting.of(mix)).max()) or 1.0
    hold = np.floor(np.arange(mix.shape[1]) * (min(hertz, RATE) / RATE)) * (RATE / min(hertz, RATE))
    held = mix[:, np.ceil(hold - 1e-9).astype(np.intp)]
    steps = np.float32(2 ** (bits - 1) / peak)
    return _float32(np.round(held * steps) / steps)


def saturate(mix: Samples, setting: Setting, *, drive: float = 1.5) -> Samples:
    """Press loud passages together as tape does, whatever level the mix has."""
    gain = np.float32(_LOUDNESS * drive / _level(setting.of(mix)))
    return _float32(np.tanh(mix * gain) / gain)


def wow(mix: Samples, setting: Setting, *, depth_ms: float = 0.7, hertz: float = 0.6) -> Samples:
    """Let the pitch waver as on a worn tape, by less than a millisecond, so that nothing drifts."""
    depth = min(depth_ms, 0.95)
    start = 2 * np.pi * np.random.default_rng(setting.seed).random()

    def lag_ms(first: int, end: int) -> Samples:
        slow, fast = (swing(first, end, each, start) for each in (hertz, 6.7))
        return _float32(depth * (0.92 * slow + 0.08 * fast))

    return np.stack([lagged(channel, lag_ms) for channel in mix])


_NEEDLE_SECONDS = 1.0
"""A needle stays down in rests up to this long."""

_NEEDLE_SHARE = 0.003
"""Of the loudest, 50 dB below it: what is softer is silence."""


def vinyl(mix: Samples, setting: Setting, *, level: float = 0.015) -> Samples:
    """Add a record's hiss and crackle, `level` against a mix of ordinary loudness.

    Where there is no music the needle is lifted: silence stays silent.
    """
    if setting.whole is not None:
        return mix
    random = np.random.default_rng(setting.seed)
    length = mix.shape[1]
    air = noise(length, random)
    hiss = np.float32(0.25) * band_passed(air, 300, 6000, order=1)
    clicks = np.zeros(length, dtype=np.float32)
    places = random.integers(0, length, round(7 * length / RATE))
    clicks[places] = 14 * random.uniform(-1, 1, len(places)) ** 3
    dust = _float32(hiss + band_passed(clicks, 700, 9000, order=1))
    dust *= np.float32(level * _level(mix) / _LOUDNESS)
    dust = np.stack([dust, np.float32(0.9) * np.roll(dust, 17)])
    return mix + dust * _needle(mix)


def _needle(mix: Samples) -> Samples:
    """Return 1 where there is music or a short rest, 0 in silences, with soft edges, `[N]`."""
    block = round(_NEEDLE_SECONDS * RATE / 8)
    count = -(-mix.shape[1] // block)
    padded = np.pad(np.abs(mix).max(axis=0), (0, count * block - mix.shape[1]))
    loudest = padded.reshape(count, block).max(axis=1)
    is_music = loudest > _NEEDLE_SHARE * max(float(loudest.max(initial=0.0)), 1e-9)
    held = ndimage.maximum_filter1d(is_music.astype(np.float32), 9)
    centres = (np.arange(count) + 0.5) * block
    return _float32(np.interp(np.arange(mix.shape[1]), centres, held))


def duck(
    mix: Samples, setting: Setting, *, depth: float = 0.5, release_seconds: float = 0.18
) -> Samples:
    """Pull everything down at each bass drum and let it swell again."""
    length = mix.shape[1]
    shape = np.arange(round(4 * release_seconds * RATE)) / (release_seconds * RATE)
    dip = _float32(1.0 - depth * np.exp(-shape))
    gain = np.ones(length, dtype=np.float32)
    for kick in setting.kicks:
        start = max(0, round(kick * RATE))
        window = gain[start : start + len(dip)]
        np.minimum(window, dip[: len(window)], out=window)
    rounded = ndimage.uniform_filter1d(gain, round(0.002 * RATE))
    return mix * rounded


def compress(
    mix: Samples, setting: Setting, *, threshold_db: float = -18.0, ratio: float = 3.0
) -> Samples:
    """Turn down what is louder than the threshold (0 dB is the mix's own peak)."""
    whole = setting.of(mix)
    peak = float(np.abs(whole).max()) or 1.0
    power = np.square(whole / np.float32(peak)).mean(axis=0)
    blocks = np.add.reduceat(power, np.arange(0, len(power), CONTROL_SAMPLES)) / CONTROL_SAMPLES
    level_db = 10 * np.log10(ndimage.uniform_filter1d(blocks, 9) + 1e-12) + 3.0
    cut_db = np.maximum(level_db - threshold_db, 0.0) * (1.0 - 1.0 / ratio)
    cut_db = ndimage.uniform_filter1d(ndimage.maximum_filter1d(cut_db, 9), 83)
    middles = np.concatenate([cut_db[:1], (cut_db[:-1] + cut_db[1:]) / 2, cut_db[-1:]])
    gains = _float32(10 ** (-middles / 20))
    return _float32(mix * between(gains, CONTROL_SAMPLES, mix.shape[1]))


def gate(
    mix: Samples,
    setting: Setting,
    *,
    beats: float = 0.25,
    open_share: float = 0.5,
    depth: float = 1.0,
) -> Samples:
    """Chop the sound on the grid: open at the start of each step, shut for the rest."""
    step = beats * setting.beat_seconds
    edge = 0.003 / step
    chopped = np.empty_like(mix)
    for start in range(0, mix.shape[1], _PIECE_SAMPLES):
        piece = mix[:, start : start + _PIECE_SAMPLES]
        seconds = np.arange(start, start + piece.shape[1]) / RATE - setting.first_beat
        place = np.mod(seconds, step) / step
        closing = np.clip((open_share - place) / edge, 0, 1)
        opening = np.clip((place - 1.0) / edge + 1.0, 0, 1)
        gain = _float32(1.0 - depth * (1.0 - np.maximum(closing, opening)))
        chopped[:, start : start + _PIECE_SAMPLES] = piece * gain
    return chopped


def stutter(mix: Samples, setting: Setting, *, beats: float = 0.25, share: float = 0.25) -> Samples:
    """Repeat some steps of the grid in place of the one after, chosen by the seed."""
    random = np.random.default_rng(setting.seed)
    step = max(64, round(beats * setting.beat_seconds * RATE))
    start = round(setting.first_beat * RATE) % step + step
    out = mix.copy()
    for begin in range(start, mix.shape[1] - step + 1, step):
        if random.random() < share:
            out[:, begin : begin + step] = _unclicked(out[:, begin - step : begin])
    return out


def _unclicked(piece: Samples) -> Samples:
    fade = np.minimum(np.arange(piece.shape[1]) / 64.0, 1.0)
    return _float32(piece * np.minimum(fade, fade[::-1]))


def tremolo(
    mix: Samples, _: Setting, *, hertz: float = 5.5, depth: float = 0.4, spread: float = 0.0
) -> Samples:
    """Let the level swing; with a spread of 1 from side to side, as of a rotating speaker."""
    length = mix.shape[1]
    phases = (0.0, np.pi * spread)
    swings = np.stack([0.5 + 0.5 * swing(0, length, hertz, phase) for phase in phases])
    return mix * _float32(1.0 - depth * swings)


def width(mix: Samples, _: Setting, *, amount: float = 1.3) -> Samples:
    """Scale the difference of the channels: 0 is mono, 1 as it was."""
    middle = mix.mean(axis=0, dtype=np.float32)
    return _float32(middle + (mix - middle) * np.float32(amount))


EFFECTS: Mapping[str, Callable[..., Samples]] = {
    effect.__name__: effect
    for effect in (
        chorus,
        compress,
        crush,
        delay,
        duck,
        gate,
        highpass,
        lowpass,
        reverb,
        saturate,
        shelf,
        stutter,
        tremolo,
        vinyl,
        width,
        wow,
    )
}
"""Every effect by the name presets use. Its keyword arguments are its parameters."""

OF_THE_WHOLE = frozenset({"compress", "crush", "saturate", "vinyl"})
"""Effects that look at `Setting.whole`; the others do to a sum what they do to its parts."""

_WRITTEN = {"mix": "mix_share"}
"""Parameters that presets write otherwise than the code."""


def check(kind: str, parameters: Mapping[str, float | str]) -> None:
    """Raise ValueError where an effect or one of its parameters is unknown or of the wrong type."""
    if kind not in EFFECTS:
        raise ValueError(f"unknown effect {kind!r}; known: {', '.join(sorted(EFFECTS))}")
    known = inspect.signature(EFFECTS[kind]).parameters
    for name, value in _named(parameters).items():
        if name not in known or known[name].kind is not inspect.Parameter.KEYWORD_ONLY:
            raise ValueError(f"effect {kind!r} has no parameter {name!r}")
        if isinstance(value, str) != (known[name].annotation not in (float, "float")):
            raise ValueError(f"parameter {name!r} of effect {kind!r} cannot be {value!r}")
    missing = [n for n, p in known.items() if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if set(missing) - set(_named(parameters)):
        raise ValueError(f"effect {kind!r} needs {', '.join(missing)}")


def apply(
    kind: str, parameters: Mapping[str, float | str], mix: Samples, setting: Setting
) -> Samples:
    """Return the mix through one effect.

    Raises:
        ValueError: see `check`.
    """
    check(kind, parameters)
    return EFFECTS[kind](mix, setting, **_named(parameters))


def _named(parameters: Mapping[str, float | str]) -> dict[str, float | str]:
    return {_WRITTEN.get(name, name): value for name, value in parameters.items()}
