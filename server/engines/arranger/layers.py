"""The layers of a source that stay, and what is played in place of the others.

A source is what is pitched, a drummer's strokes and a voice. Each is replaced as far as its
strength says, by equal power. Knows sound and strengths; nothing of instruments or of the way the
layers were told apart.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from server.engines.arranger.filters import RATE
from server.engines.arranger.listening.channel import listened_to
from server.engines.arranger.score import Heard
from server.engines.protocols import Brief
from server.media import loudness, spectrum
from server.media.clip import Clip, Samples

SOURCE, DRUMS, VOICE = "source", "drums (source)", "voice (source)"
"""Names of the layers that stay: what is left without the other two, the strokes, the voice."""

NO_DRUMS_TO_KEEP = "No drums were heard, so there are none to keep."
NO_VOICE = "No voice was heard, so its strength has no effect."
VOICE_STAYS = "A voice was heard; it stays as it is."
VOICE_IS_PLAYED = "A voice was heard; it is turned into notes, as it was asked for."

_STROKES_STAY = 2.5
"""Strokes that follow the common strength fade with this power of it: they are last to go."""

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


@dataclass(frozen=True, slots=True)
class Strengths:
    """How far each layer is replaced, 0 to 1.

    Attributes:
        pitched: what is neither strokes nor voice.
        drums: a drummer's strokes; of the kit that plays instead, how loud it is.
        vocals: a voice.
        strokes_last: the strokes go later than the rest, as the groove is what holds a blend.
    """

    pitched: float
    drums: float
    vocals: float = 0.0
    strokes_last: bool = True

    @property
    def is_identity(self) -> bool:
        """Whether nothing is to be changed at all."""
        return max(self.pitched, self.drums, self.vocals) <= 0.0

    @property
    def kept(self) -> Mapping[str, float]:
        """Gain of each layer of the source."""
        drums = self.drums**_STROKES_STAY if self.strokes_last else self.drums
        return {
            SOURCE: _falling(self.pitched),
            DRUMS: _falling(drums),
            VOICE: _falling(self.vocals),
        }

    @property
    def played(self) -> float:
        """Gain of what is played; single players are balanced within it."""
        return _rising(max(self.pitched, self.drums, self.vocals))

    def balance(self, strength: float) -> float:
        """Return the gain, within what is played, of players whose layer has this strength."""
        return _rising(strength) / self.played if self.played else 0.0


def _rising(strength: float) -> float:
    return math.sin(strength * math.pi / 2)


def _falling(strength: float) -> float:
    # Not the cosine of pi / 2, which is not zero.
    return math.cos(strength * math.pi / 2) if strength < 1.0 else 0.0


def asked(brief: Brief, strength: float) -> Strengths:
    """Return what a brief wants of each layer; what it does not name follows `strength`.

    Drums that are kept are not replaced at all, and those that are not kept wholly, unless the
    brief gives them a strength. A voice stays unless the brief gives it one.
    """
    of_drums = {None: strength, True: 0.0, False: 1.0 if strength > 0.0 else 0.0}
    drums = brief.layers.get("drums", of_drums[brief.keep_drums])
    return Strengths(
        pitched=brief.layers.get("pitched", strength),
        drums=drums,
        vocals=brief.layers.get("vocals", 0.0),
        strokes_last="drums" not in brief.layers and brief.keep_drums is None,
    )


def settled(wanted: Strengths, brief: Brief, heard: Heard) -> tuple[Strengths, tuple[str, ...]]:
    """Return what a brief comes to where this was heard, and what the musician should know of it.

    What was not heard can neither stay nor go: its strength has no effect.
    """
    notices = []
    if heard.singing is None and "vocals" in brief.layers:
        notices.append(NO_VOICE)
        wanted = replace(wanted, vocals=0.0)
    elif heard.singing is not None:
        notices.append(VOICE_IS_PLAYED if wanted.vocals > 0.0 else VOICE_STAYS)
    if not heard.drums and brief.keep_drums:
        notices.append(NO_DRUMS_TO_KEEP)
        wanted = replace(wanted, drums=brief.layers.get("drums", wanted.pitched))
    return wanted, tuple(notices)


# Taking apart


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """A source taken apart: its layers by name add up to it. Those that are missing are silent."""

    source: Clip
    parts: Mapping[str, Clip]

    def mixed(self, gains: Mapping[str, float]) -> Clip:
        """Return the layers at these gains."""
        total = np.zeros_like(self.source.samples)
        for name, part in self.parts.items():
            total += np.float32(gains[name]) * part.samples
        return self.source.with_samples(total)


def take_apart(source: Clip, heard: Heard, strengths: Strengths) -> Layers:
    """Return the layers of a stereo source at 44.1 kHz that differ in how far they are replaced.

    Layers that are kept alike are left together, under the name of the first of them.
    """
    kept = strengths.kept
    wanted = {name: layer for name, layer in _known(heard).items() if kept[name] != kept[SOURCE]}
    if not wanted:
        return Layers(source, {SOURCE: source})
    parts = _separated(source, wanted)
    rest = source.samples - sum(parts.values())
    return Layers(
        source,
        {
            SOURCE: source.with_samples(rest),
            **{name: source.with_samples(samples) for name, samples in parts.items()},
        },
    )


def _known(heard: Heard) -> dict[str, Samples]:
    """Return the layers that were heard, mono at the analysis rate, at their level in the clip.

    Without a drummer the percussive layer is the attacks of the very instruments that are replaced.
    """
    gain = np.float32(heard.percussive_gain)
    known = {}
    if heard.drums:
        known[DRUMS] = gain * heard.percussive
    if heard.singing is not None:
        known[VOICE] = gain * heard.singing.layer
    return known


def _separated(source: Clip, wanted: Mapping[str, Samples]) -> dict[str, Samples]:
    """Return the stereo layers `[2, N]` whose mono sketches at the analysis rate are known.

    A sketch's share of each bin of what was listened to is laid over the source's. Sections overlap
    by more than a window, so that memory does not grow with the clip.
    """
    found = {name: np.zeros_like(source.samples) for name in wanted}
    channel = listened_to(source.samples)
    section, margin = _SECTION_FRAMES * _HOP, _MARGIN_FRAMES * _HOP
    for start in range(0, source.length, section):
        first, end = max(0, start - margin), min(source.length, start + section)
        piece = slice(first, end + margin)
        sketches = {
            name: sketch[first // 2 : -(-(end + margin) // 2)] for name, sketch in wanted.items()
        }
        masks = _masks(channel[piece], sketches)
        for name, samples in _masked(source.samples[:, piece], masks).items():
            found[name][:, start:end] = samples[:, start - first : end - first]
    return found


def _masks(channel: Samples, sketches: Mapping[str, Samples]) -> dict[str, Samples]:
    """Return the share of each sketch in each bin, `[1025, T]`, together at most 1.

    At half the rate half the window has the same bins, the same frames, and half the level.
    """
    levels = spectrum.magnitudes(channel, n_fft=_N_FFT, hop=_HOP)
    known = round(_KNOWN_HERTZ * _N_FFT / RATE)
    masks = {}
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


def _masked(piece: Samples, masks: Mapping[str, Samples]) -> dict[str, Samples]:
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
    return joined(layers, played, strengths)


def joined(layers: Layers, played: Clip, strengths: Strengths) -> Blend:
    """Return the blend of a source that was taken apart already."""
    kept = strengths.kept
    shares = {
        name: part.with_samples(part.samples * np.float32(kept[name]))
        for name, part in layers.parts.items()
        if kept[name] > 0.0
    }
    gain = strengths.played * _matching(played, replaced(layers, strengths), layers.source)
    clip = _sum(shares, played, gain)
    if any(kept[name] == 1.0 for name in layers.parts):
        return Blend(clip, shares, gain)
    level = _gain(clip, loudness.integrated_loudness(layers.source))
    levelled = {name: part.with_samples(part.samples * level) for name, part in shares.items()}
    return Blend(_sum(levelled, played, gain * float(level)), levelled, gain * float(level))


def replaced(layers: Layers, strengths: Strengths) -> Clip:
    """Return what is played stands in for: the layers that go, as far as they go."""
    of_layers = {
        SOURCE: strengths.pitched,
        DRUMS: strengths.drums,
        VOICE: strengths.vocals,
    }
    gains = {name: strengths.balance(strength) for name, strength in of_layers.items()}
    return layers.mixed(gains)


def _matching(played: Clip, wanted: Clip, source: Clip) -> float:
    """Return the gain that makes what is played as loud as what it stands in for.

    Where that is nothing, as for a kit beside an instrument, it plays below the source.
    """
    target = loudness.integrated_loudness(wanted)
    of_source = loudness.integrated_loudness(source)
    if target < of_source - _LEAST_LU:
        target = of_source + _BESIDE_DB
    return float(_gain(played, target))


def _gain(clip: Clip, target_lufs: float) -> np.float32:
    own = loudness.integrated_loudness(clip)
    if loudness.SILENCE in (own, target_lufs):
        return np.float32(1.0)
    return np.float32(10.0 ** ((target_lufs - own) / 20))


def _sum(shares: Mapping[str, Clip], played: Clip, gain: float) -> Clip:
    total = played.samples * np.float32(gain)
    for part in shares.values():
        total += part.samples
    return played.with_samples(total)
