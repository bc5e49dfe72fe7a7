"""The stretch that is to be written: its sixteenths, its chords, and when something may start.

Knows the grid, the course and the groove; chooses nothing by itself and writes no notes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from server.engines.arranger import harmony
from server.engines.arranger.inpainting.context import METER, Context
from server.engines.arranger.inpainting.groove import STEPS, STEPS_A_BEAT, Groove, Kept, Onset
from server.engines.arranger.listening.chords import scale_of
from server.engines.arranger.score import Chord
from server.engines.arranger.spans import Span

USUAL, RARE = 0.5, 0.2
"""Share of the bars above which something belongs to the groove, and below which it does not."""

_EARLY_SECONDS = 0.06
_LEGATO = 0.96
_SHORTEST_SECONDS = 0.08
_OPENING_ACCENT = 0.6
_LATE_OPENING_SECONDS = 0.1

Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Step:
    """A sixteenth of the section, at the time the groove gives it."""

    seconds: float
    length_seconds: float
    bar: int
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """The stretch that is written, at the clip's times.

    Attributes:
        span: from the beat before the window to a little after it.
        steps: its sixteenths, in the context's groove.
        chords: one a change.
        groove: of the context.
        context: what is around.
        kept: what was in the windows, where its groove is wanted.
    """

    span: Span
    steps: tuple[Step, ...]
    chords: tuple[Chord, ...]
    groove: Groove
    context: Context
    kept: Kept | None = None

    @property
    def beat_seconds(self) -> float:
        """Length of a beat."""
        return self.context.heard.beat_seconds


def section_of(context: Context, groove: Groove, span: Span, kept: Kept | None) -> Section:
    """Return what is to be written on, for a stretch of the clip."""
    changes = _changes(context.chords, span)
    if kept is not None and not any(span.start <= each.seconds < span.end for each in kept.onsets):
        kept = None
    return Section(span, tuple(_steps(context, groove, span)), changes, groove, context, kept)


def _steps(context: Context, groove: Groove, span: Span) -> Iterator[Step]:
    times = context.beats.times.tolist()
    last = times[-1] - times[-2] if len(times) > 1 else context.heard.beat_seconds
    for number, (beat, following) in enumerate(pairwise([*times, times[-1] + last])):
        bar, place = divmod(number - context.downbeat, METER)
        length = (following - beat) / STEPS_A_BEAT
        for part in range(STEPS_A_BEAT):
            index = place * STEPS_A_BEAT + part
            seconds = beat + (part + float(groove.offsets[index])) * length
            if span.start - 1e-6 <= seconds < span.end:
                yield Step(seconds, length, bar, index)


def _changes(chords: Sequence[Chord], span: Span) -> tuple[Chord, ...]:
    """Return the chords of the span, equal neighbours made one, its ends exactly the span's."""
    merged: list[Chord] = []
    for chord in chords:
        if chord.end_seconds <= span.start + 1e-6 or chord.start_seconds >= span.end - 1e-6:
            continue
        if merged and (merged[-1].root, merged[-1].quality) == (chord.root, chord.quality):
            merged[-1] = replace(merged[-1], end_seconds=chord.end_seconds)
        elif chord.root is not None:
            merged.append(chord)
        elif merged:
            merged[-1] = replace(merged[-1], end_seconds=chord.end_seconds)
    if merged:
        merged[0] = replace(merged[0], start_seconds=span.start)
        merged[-1] = replace(merged[-1], end_seconds=span.end)
    return tuple(merged)


def ringing(
    onsets: Sequence[Onset], section: Section, longest_beats: float
) -> list[tuple[Onset, float]]:
    """Return each onset with how long it may sound: to the next one, in the same chord's time."""
    ends = [*(onset.seconds for onset in onsets[1:]), section.span.end]
    longest = longest_beats * section.beat_seconds
    return [
        (onset, max(_SHORTEST_SECONDS, min(longest, _LEGATO * (end - onset.seconds))))
        for onset, end in zip(onsets, ends, strict=True)
    ]


def chord_at(section: Section, seconds: float) -> Chord:
    """Return the chord that an onset belongs to; one a little before a change means the new one."""
    found = harmony.chord_at(section.chords, seconds + _EARLY_SECONDS)
    return found if found is not None else section.chords[0]


def on_steps(section: Section, chosen: dict[int, set[int]]) -> list[Onset]:
    """Return the steps chosen for even and odd bars as onsets; chord changes are always struck."""
    starts = [chord.start_seconds for chord in section.chords]
    onsets = []
    for step in section.steps:
        changes = any(abs(start - step.seconds) < step.length_seconds / 2 for start in starts)
        if changes or step.index in chosen[step.bar % 2]:
            onsets.append(Onset(step.seconds, float(section.groove.accents[step.index])))
    return onsets


def scale(section: Section) -> frozenset[int]:
    """Return the pitch classes of the key, or of all chords where no key was heard."""
    key = section.context.heard.key
    if key is not None:
        return scale_of(key)
    return frozenset(tone for chord in section.chords for tone in chord.pitch_classes)


def kept_onsets(onsets: Sequence[Onset], section: Section) -> list[Onset]:
    """Return the onsets of the section, and the first chord's own where the section begins."""
    inside = [each for each in onsets if section.span.start <= each.seconds < section.span.end]
    first = Onset(section.span.start, _OPENING_ACCENT)
    gap = inside[0].seconds - section.span.start if inside else section.span.seconds
    return [first, *inside] if gap > _LATE_OPENING_SECONDS else inside


def rare(shares: NDArray[np.float64], random: Random) -> set[int]:
    """Return steps on which something starts now and then, each as often as it does."""
    dice = random.random(STEPS)
    return {
        step for step in range(STEPS) if RARE <= shares[step] < USUAL and dice[step] < shares[step]
    }
