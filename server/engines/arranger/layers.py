"""The layers of a source that stay, and what is played in place of the others.

A source is what is pitched, a drummer's strokes and a voice. Each is replaced as far as its
strength says, by equal power. Knows sound and strengths; nothing of instruments or of the way the
layers were told apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from server.engines.arranger.filters import RATE
from server.engines.arranger.listening.channel import listened_to
from server.engines.arranger.score import Heard
from server.engines.arranger.stems import SOURCE
from server.engines.arranger.strengths import Strengths
from server.engines.protocols import Layer
from server.media import loudness, spectrum
from server.media.clip import Clip, Samples

NAMES: Mapping[Layer, str] = {
    "pitched": SOURCE,
    "drums": "drums (source)",
    "vocals": "voice (source)",
}
"""What a layer that stays is called among the sounds of a result."""

_N_FFT, _HOP = 2048, 512
_SECTION_FRAMES = 512
_MARGIN_FRAMES = 4
_KNOWN_HERTZ = 10000.0
_CONTINUED_HERTZ = 7000.0
_QUIET = 1e-9
_LEAST_LU = 20.0
"""What is this much below the source in loudness is nothing to stand in for."""

_BESIDE_DB = -6.0
"""Loudness of a kit that is added to a source without drums, against the source's."""


# Taking apart


@dataclass(frozen=True, eq=False)
class Layers:
    """A source taken apart: its layers add up to it, and those that it lacks are missing.

    Layers that nothing tells apart are together in the first of them.
    """

    source: Clip
    parts: Mapping[Layer, Clip]

    @cached_property
    def loudness_lufs(self) -> float:
        """Loudness of the source."""
        return loudness.integrated_loudness(self.source)

    def mixed(self, gains: Mapping[Layer, float]) -> Clip:
        """Return the layers at these gains; all of them at 1 are the source itself."""
        if all(gains[name] == 1.0 for name in self.parts):
            return self.source
        total = np.zeros_like(self.source.samples)
        for name, part in self.parts.items():
            total += np.float32(gains[name]) * part.samples
        return self.source.with_samples(total)


def take_apart(source: Clip, heard: Heard, strengths: Strengths) -> Layers:
    """Return the layers of a stereo source at 44.1 kHz that differ in how far they are replaced."""
    kept = strengths.kept
    sketches = {
        name: sketch for name, sketch in _known(heard).items() if kept[name] != kept["pitched"]
    }
    if not sketches:
        return Layers(source, {"pitched": source})
    found = _separated(source, sketches)
    parts = {name: source.with_samples(samples) for name, samples in found.items()}
    rest = source.samples - np.sum(list(found.values()), axis=0)
    return Layers(source, {"pitched": source.with_samples(rest), **parts})


def _known(heard: Heard) -> dict[Layer, Samples]:
    """Return sketches of the layers that were heard, at their level: mono, at the analysis rate.

    Without a drummer the percussive layer is the attacks of the very instruments that are replaced.
    """
    gain = np.float32(heard.percussive_gain)
    known: dict[Layer, Samples] = {}
    if heard.drums:
        known["drums"] = gain * heard.percussive
    if heard.singing is not None:
        known["vocals"] = gain * heard.singing.layer
    return known


def _separated(source: Clip, sketches: Mapping[Layer, Samples]) -> dict[Layer, Samples]:
    """Return the stereo layers `[2, N]` whose mono sketches at the analysis rate are known.

    A sketch's share of each bin of what was listened to is laid over the source's. Sections overlap
    by more than a window, so that memory does not grow with the clip.
    """
    found = {name: np.zeros_like(source.samples) for name in sketches}
    channel = listened_to(source.samples)
    section, margin = _SECTION_FRAMES * _HOP, _MARGIN_FRAMES * _HOP
    for start in range(0, source.length, section):
        first, end = max(0, start - margin), min(source.length, start + section)
        piece = slice(first, end + margin)
        half = slice(first // 2, -(-(end + margin) // 2))
        masks = _masks(channel[piece], {name: each[half] for name, each in sketches.items()})
        for name, samples in _masked(source.samples[:, piece], masks).items():
            found[name][:, start:end] = samples[:, start - first : end - first]
    return found


def _masks(channel: Samples, sketches: Mapping[Layer, Samples]) -> dict[Layer, Samples]:
    """Return the share of each sketch in each bin, `[1025, T]`, together at most 1.

    At half the rate half the window has the same bins, the same frames, and half the level.
    """
    levels = spectrum.magnitudes(channel, n_fft=_N_FFT, hop=_HOP)
    known = round(_KNOWN_HERTZ * _N_FFT / RATE)
    masks: dict[Layer, Samples] = {}
    for name, sketch in sketches.items():
        own = 2.0 * spectrum.magnitudes(sketch, n_fft=_N_FFT // 2, hop=_HOP // 2)
        own = _fitted(own[:known], levels.shape[1])
        masks[name] = _continued(np.minimum(own / (levels[:known] + _QUIET), 1.0), levels)
    total = np.maximum(sum(masks.values(), np.zeros_like(levels)), 1.0)
    return {name: (mask / total).astype(np.float32) for name, mask in masks.items()}


def _fitted(levels: Samples, frames: int) -> Samples:
    return np.pad(levels, ((0, 0), (0, max(0, frames - levels.shape[1]))))[:, :frames]


def _continued(mask: Samples, levels: Samples) -> Samples:
    """Return a mask over all bins: beyond what was listened to it is what it is right below."""
    first = round(_CONTINUED_HERTZ * _N_FFT / RATE)
    power = np.square(levels[first : mask.shape[0]])
    share = (np.square(mask[first:]) * power).sum(axis=0) / (power.sum(axis=0) + _QUIET)
    beyond = np.sqrt(share)
    rows = levels.shape[0] - mask.shape[0]
    return np.concatenate([mask, np.broadcast_to(beyond, (rows, beyond.shape[0]))])


def _masked(piece: Samples, masks: Mapping[Layer, Samples]) -> dict[Layer, Samples]:
    found = {name: np.empty_like(piece) for name in masks}
    for row, channel in enumerate(piece):
        heard = spectrum.stft(channel, n_fft=_N_FFT, hop=_HOP)
        for name, mask in masks.items():
            found[name][row] = spectrum.istft(heard * mask, hop=_HOP, length=piece.shape[1])
    return found


# Putting together


@dataclass(frozen=True, slots=True, eq=False)
class Blend:
    """What stays of a source and what is played in place of the rest.

    Attributes:
        clip: `shares` together with `gain` times what was played.
        shares: the layers of the source that stay, by name, at the level they have in the blend.
        gain: what is played, times this, is its share.
    """

    clip: Clip
    shares: Mapping[str, Clip]
    gain: float


def blended(source: Clip, played: Clip, heard: Heard, strengths: Strengths) -> Blend:
    """Return a blend of a source and what is played, both in stereo at 44.1 kHz and of one length.

    What is played becomes as loud as what it stands in for. Where a layer stays whole it keeps its
    level; else all of it together becomes as loud as the source.
    """
    layers = take_apart(source, heard, strengths)
    return joined(layers, played, strengths, replaced(layers, strengths))


def joined(layers: Layers, played: Clip, strengths: Strengths, gone: "Gone") -> Blend:
    """Return the blend of a source that was taken apart already, where it is known what goes."""
    kept = strengths.kept
    shares = {
        NAMES[name]: part.with_samples(part.samples * np.float32(kept[name]))
        for name, part in layers.parts.items()
        if kept[name] > 0.0
    }
    level = _gain_to(played, gone.loudness_lufs)
    gain = strengths.played * level
    clip = _sum(shares, played, gain)
    if not shares or any(kept[name] == 1.0 for name in layers.parts):
        return Blend(clip, shares, gain)
    level = _gain_to(clip, layers.loudness_lufs)
    shares = {
        name: part.with_samples(part.samples * np.float32(level)) for name, part in shares.items()
    }
    return Blend(_sum(shares, played, gain * level), shares, gain * level)


@dataclass(frozen=True, slots=True, eq=False)
class Gone:
    """What is played stands in for, and how loud that is."""

    clip: Clip
    loudness_lufs: float


def replaced(layers: Layers, strengths: Strengths) -> Gone:
    """Return what is played stands in for: the layers that go, as far as they go.

    Where that is nothing, as for a kit beside an instrument, it is the source, softer.
    """
    source = layers.source
    gone = layers.mixed(strengths.balance)
    if gone is source:
        return Gone(source, layers.loudness_lufs)
    lufs = loudness.integrated_loudness(gone)
    if lufs >= layers.loudness_lufs - _LEAST_LU:
        return Gone(gone, lufs)
    softer = source.with_samples(source.samples * np.float32(10.0 ** (_BESIDE_DB / 20)))
    return Gone(softer, layers.loudness_lufs + _BESIDE_DB)


def _gain_to(clip: Clip, target_lufs: float) -> float:
    own = loudness.integrated_loudness(clip)
    if loudness.SILENCE in (own, target_lufs):
        return 1.0
    return float(10.0 ** ((target_lufs - own) / 20))


def _sum(shares: Mapping[str, Clip], played: Clip, gain: float) -> Clip:
    total = played.samples * np.float32(gain)
    for part in shares.values():
        total += part.samples
    return played.with_samples(total)
