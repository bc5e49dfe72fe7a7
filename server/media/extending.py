"""Puts new music behind old so that it goes on: in time, in level, without a seam.

What is kept stays as it is to the last sample. The crossfade lies behind the join: the source's own
next samples fade out, or where it ends there what linear prediction says they would have been. An
engine that goes on with music begins with its guess at what it was given; by that guess the new
sound is shifted by some milliseconds and brought to the level of the old.

Knows clips and samples; who played, and from what words, it does not know.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from server.media import extrapolate, joining, loudness, resample, rhythm, window
from server.media.clip import Clip, Samples
from server.media.fold import Fold, Timing
from server.media.window import Law, Window, cut

HEARD_SECONDS = 30.0
"""How much before a join is listened to for its beat and its chords."""

MOST_LATE_SECONDS = window.CROSSFADE_SECONDS
"""How far new music may be moved onto the beat: what it repeats or leaves out is faded over."""

ON_BEAT_SECONDS = 0.03
"""How near to a beat a join is taken to be on it."""

NEAR_SECONDS = 12.0
"""How much of either side of a join is listened to for the beat."""

LEVEL_SECONDS = joining.SIDE_SECONDS
GLIDE_SECONDS = 6.0
MOST_LED_DB = 6.0
"""How much the rest may be led up or down to the level of the source, beyond the level at the join.
Without that each continuation of a continuation is a little quieter; with more of it a calm passage
that was asked for would be a loud one."""

_COMPARED_SECONDS = 1.0
_FILLED_SECONDS = 0.1
_FAINTEST_LUFS = -60.0

FadesOut = Literal["source", "prediction"]


@dataclass(frozen=True, slots=True)
class Join:
    """How new music was put behind old.

    Attributes:
        seconds: where the join is; everything before it is kept.
        crossfade_seconds: how long old and new are heard together, after the join.
        fades_out: what fades out there.
        shift_seconds: how much later the new material was taken than the engine's guess ends.
        moved_seconds: of that, what puts it on the beat.
        likeness: correlation of the engine's guess with what it was given.
        gains_db: of the new music, at the join and after the glide.
        law: of the crossfade.
    """

    seconds: float
    crossfade_seconds: float
    fades_out: FadesOut
    shift_seconds: float
    moved_seconds: float
    likeness: float
    gains_db: tuple[float, float]
    law: Law

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as plain JSON values."""
        return {
            "seconds": self.seconds,
            "crossfade_seconds": self.crossfade_seconds,
            "fades_out": self.fades_out,
            "shift_ms": round(1000.0 * self.shift_seconds, 3),
            "moved_ms": round(1000.0 * self.moved_seconds, 3),
            "likeness": round(self.likeness, 3),
            "gains_db": [round(gain, 2) for gain in self.gains_db],
            "law": self.law,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What music is put behind.

    Attributes:
        source: everything, as it is.
        end: samples of it that are kept.
        heard: how many of the last of those an engine was given.
    """

    source: Clip
    end: int
    heard: int

    @property
    def kept(self) -> Clip:
        """What stays."""
        return cut(self.source, Window(0, self.end))

    @property
    def prompt(self) -> Clip:
        """What an engine is given."""
        return cut(self.source, Window(self.end - self.heard, self.end))

    @property
    def listened_from(self) -> int:
        """Where what is worth hearing begins: the prompt, or some time before."""
        reach = round(HEARD_SECONDS * self.source.sample_rate)
        return min(self.end - self.heard, max(0, self.end - reach))

    @property
    def earlier(self) -> Clip | None:
        """What is worth hearing before the prompt; None where there is nothing."""
        first, last = self.listened_from, self.end - self.heard
        return cut(self.source, Window(first, last)) if first < last else None

    def in_its_terms(self, played: Clip) -> Clip:
        """Return what an engine played at the source's rate and in its channels."""
        back = resample.resample(played, self.source.sample_rate)
        return back.in_channels(self.source.channels)

    def going_on(self, length: int) -> tuple[Samples, FadesOut]:
        """Return the next samples after the join, `[C, length]`, and where they come from."""
        following = self.source.samples[:, self.end : self.end + length]
        if following.shape[1] == length:
            return following, "source"
        known = self.source.samples
        predicted = extrapolate.beyond(known, length - following.shape[1])
        return np.concatenate([following, predicted], axis=1), "prediction"

    def without(self, start: int, end: int) -> Clip:
        """Return a part of the source as it would be without new music: it ends, if it ends."""
        tail = extrapolate.beyond(
            self.source.samples, round(window.CROSSFADE_SECONDS * self.source.sample_rate)
        )
        whole = np.concatenate([self.source.samples, tail], axis=1)
        return self.source.with_samples(window.fit_length(whole[:, start:], end - start))


def extend(
    ground: Ground, played: Clip, *, length: int, late_samples: int = 0
) -> tuple[Clip, Join]:
    """Return what is kept followed by `length` samples of new music.

    `played` has the rate and the channels of the source, and begins with the engine's guess at the
    prompt. `late_samples` of what is new are left out, so that it comes earlier; where they are
    negative the guess is heard so much longer.
    """
    rate = ground.source.sample_rate
    shift, likeness = _shift(ground, played)
    content = _taken(played, ground.heard + shift + late_samples, length)
    content, gains = _levelled(ground, played, content)
    content = loudness.limit(content, ceiling_db=joining.CEILING_DB)
    overlap = min(round(window.CROSSFADE_SECONDS * rate), length)
    old, fades_out = ground.going_on(overlap)
    law = window.law_for(old, content.samples[:, :overlap])
    new = window.crossfade(old, content.samples, overlap=overlap, law=law)
    whole = ground.source.with_samples(np.concatenate([ground.kept.samples, new], axis=1))
    join = Join(
        seconds=ground.end / rate,
        crossfade_seconds=overlap / rate,
        fades_out=fades_out,
        shift_seconds=(shift + late_samples) / rate,
        moved_seconds=late_samples / rate,
        likeness=likeness,
        gains_db=gains,
        law=law,
    )
    return whole, join


# In time


def timing(whole: Clip, at: int, *, beats: Sequence[float] | None = None) -> Timing:
    """Return how late the beats after a join are against those before it.

    `beats` are those before it, in seconds; without them they are heard.
    """
    reach = round(NEAR_SECONDS * whole.sample_rate)
    near = Window(max(0, at - reach), min(whole.length, at + reach))
    offset = near.start / whole.sample_rate
    onsets = rhythm.envelope(Clip(cut(whole, near).mono()[None], whole.sample_rate))
    inside = (at / whole.sample_rate - offset, near.length / whole.sample_rate)
    local = None if beats is None else [beat - offset for beat in beats]
    return Fold(onsets, inside, beats=local).timing(onsets)


def beats_after(at: float, beats: Sequence[float], *, count: int) -> list[float]:
    """Return the next beats after a join that is on one itself, in seconds; none if it is not.

    `beats` are those before it.
    """
    if len(beats) < 2:
        return []
    period = float(np.median(np.diff(beats)))
    phase = (at - beats[-1]) / period
    if abs(phase - round(phase)) * period > ON_BEAT_SECONDS:
        return []
    return [at + number * period for number in range(1, count + 1)]


def _shift(ground: Ground, played: Clip) -> tuple[int, float]:
    """Return by how many samples the guess is late, 0 where it is unlike what was given."""
    if played.length < ground.heard:
        return 0, 0.0
    rate = ground.source.sample_rate
    compared = min(ground.heard, round(_COMPARED_SECONDS * rate))
    reach = round(joining.ALIGNMENT_SECONDS * rate)
    zone = Window(ground.heard - compared, ground.heard)
    scores = joining.likenesses(ground.prompt, played, zone, reach)
    best = int(np.argmax(scores))
    if float(scores[best]) <= window.ALIKE:
        return 0, float(scores[reach])
    return best - reach, float(scores[best])


def _taken(played: Clip, start: int, length: int) -> Clip:
    start = max(0, start)
    return exactly(cut(played, Window(start, max(start, played.length))), length)


def exactly(played: Clip, length: int) -> Clip:
    """Return so many samples; what is missing is let go within a tenth of a second.

    An engine may have played some milliseconds less than it was asked for, or those were left out.
    """
    samples = played.samples[:, :length]
    missing = length - samples.shape[1]
    if not missing:
        return played.with_samples(samples)
    filled = min(missing, round(_FILLED_SECONDS * played.sample_rate))
    rest = extrapolate.beyond(samples, filled)
    if missing > filled:
        rest = rest * window.rising(filled, "equal_gain")[::-1]
    whole = np.concatenate([samples, rest], axis=1)
    return played.with_samples(window.fit_length(whole, length))


# In level


def _levelled(ground: Ground, played: Clip, content: Clip) -> tuple[Clip, tuple[float, float]]:
    """Return the new music at the level of the old where it begins, and near it further on."""
    side = round(LEVEL_SECONDS * content.sample_rate)
    guess = cut(played, Window(0, ground.heard))
    own = _missing_db(ground.prompt, guess) or 0.0
    before = cut(ground.source, Window(max(0, ground.end - side), ground.end))
    first = _missing_db(before, cut(content, Window(0, side)))
    first = own if first is None else first
    later = cut(content, Window(min(side, content.length), content.length))
    wanted = _missing_db(ground.prompt, later)
    last = first if wanted is None else _within(wanted, first)
    gains = _bounded(first), _bounded(last)
    ramp = _glide(gains, content.length, content.sample_rate)
    return content.with_samples(content.samples * ramp), gains


def _missing_db(wanted: Clip, found: Clip) -> float | None:
    """Return by how many decibels a sound is too quiet; None where either is next to nothing."""
    one, other = loudness.integrated_loudness(wanted), loudness.integrated_loudness(found)
    return one - other if min(one, other) > _FAINTEST_LUFS else None


def _within(gain_db: float, around_db: float) -> float:
    return min(max(gain_db, around_db - MOST_LED_DB), around_db + MOST_LED_DB)


def _bounded(gain_db: float) -> float:
    return math.copysign(min(abs(gain_db), joining.LARGEST_GAIN_DB), gain_db)


def _glide(gains_db: tuple[float, float], length: int, sample_rate: int) -> NDArray[np.float32]:
    """Return one gain up to where the level was compared, then a straight line to the other one."""
    places = (LEVEL_SECONDS * sample_rate, (LEVEL_SECONDS + GLIDE_SECONDS) * sample_rate)
    decibels = np.interp(np.arange(length), places, gains_db)
    return np.asarray(10.0 ** (decibels / 20.0), dtype=np.float32)
