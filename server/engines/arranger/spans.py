"""Stretches of time, and where a source sounds at all.

Knows intervals only; nothing that is added to the music may lie outside of what `sounding` returns.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from server.engines.arranger.score import FRAME_RATE, Heard

_BRIDGED_BEATS = 1.0
"""Rests up to this long belong to the music; longer ones are silence that stays silent."""

_RING_SECONDS = 0.15
_SUSTAIN_SHARE = 0.2
"""A frame sounds where a semitone reaches this share of the loudest of the clip."""


class Span(NamedTuple):
    """From `start` up to, not including, `end`, in seconds."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start


def merged(spans: Iterable[Span], *, gap: float = 0.0) -> tuple[Span, ...]:
    """Return the union of the spans, rests of at most `gap` seconds closed, by start."""
    result: list[Span] = []
    for span in sorted(spans):
        if result and span.start <= result[-1].end + gap:
            result[-1] = Span(result[-1].start, max(result[-1].end, span.end))
        else:
            result.append(span)
    return tuple(result)


def within(span: Span, allowed: Sequence[Span]) -> tuple[Span, ...]:
    """Return the parts of `span` that lie in `allowed`, which is sorted and disjoint."""
    cuts = (Span(max(span.start, a.start), min(span.end, a.end)) for a in allowed)
    return tuple(cut for cut in cuts if cut.seconds > 0)


def holds(allowed: Sequence[Span], seconds: float) -> bool:
    """Return whether a moment lies in `allowed`."""
    return any(span.start <= seconds < span.end for span in allowed)


def end_of_sound(allowed: Sequence[Span], seconds: float) -> float:
    """Return where the sounding stretch that holds this moment ends; the moment itself if none."""
    return next((span.end for span in allowed if span.start <= seconds < span.end), seconds)


def sounding(heard: Heard) -> tuple[Span, ...]:
    """Return where the source sounds: notes, strokes and sustained levels, short rests closed."""
    spans = [Span(note.start_seconds, note.end_seconds + _RING_SECONDS) for note in heard.notes]
    spans += [Span(hit.start_seconds, hit.start_seconds + _RING_SECONDS) for hit in heard.drums]
    spans += _sustained(heard)
    gap = max(_RING_SECONDS, _BRIDGED_BEATS * heard.beat_seconds)
    union = merged(spans, gap=gap)
    return tuple(cut for span in union for cut in within(span, [Span(0.0, heard.seconds)]))


def _sustained(heard: Heard) -> list[Span]:
    """Return the stretches whose sustained level shows that something rings there."""
    if not heard.notes or heard.sustain.size == 0:
        return []
    levels = heard.sustain.max(axis=1)
    loud = levels > _SUSTAIN_SHARE * max(float(levels.max()), 1e-9)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(np.int8)))
    return [
        Span(start / FRAME_RATE, end / FRAME_RATE)
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]
