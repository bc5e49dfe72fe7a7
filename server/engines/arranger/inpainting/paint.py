"""Inpainting: listens around the windows once, then writes and plays every take.

Puts `context`, `groove`, `compose`, `parts` and `levels` in order. Take k is what seed + k writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from server import errors
from server.engines.arranger import blend
from server.engines.arranger.inpainting import groove, levels, parts, sections
from server.engines.arranger.inpainting.context import IN_THREE, METER, Context, listen_around
from server.engines.arranger.inpainting.groove import Groove, Kept
from server.engines.arranger.inpainting.sections import Section
from server.engines.arranger.listening.transcribe import Transcriber
from server.engines.arranger.prompt import Reading
from server.engines.arranger.render import Orchestra
from server.engines.arranger.score import Heard, Score
from server.engines.arranger.spans import Span
from server.engines.protocols import Brief, OnStep
from server.media import resample
from server.media.clip import Clip, Samples
from server.media.window import Window, fit_length

RATE = 44100
"""The rate everything is played at."""

LONGEST_SECONDS = 120.0
"""The longest window; a song of its own is not an insert."""

MARGIN_SECONDS = 0.1
"""How much is played beyond either end of a window, for joining."""

STEPS = 1000
"""Total of a take's `on_step`."""

_LEAD_IN_BEATS = 1.0
_TAIL_SECONDS = 0.15

NO_PULSE = "No steady beat was heard around the window; chords are held instead of played in time."
NO_PITCH = "No pitched material was heard around the window; only drums are played."
NOTHING = "Neither notes nor drums were heard around the window; an open fifth is held."
BENT = "The tempo changes around the window; the beats inside are interpolated."
NO_LOOP = "The chords around the window do not repeat; those before it are said again."


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """One take.

    Attributes:
        clip: rate, length and channels of the source, at most two; the source itself but for the
            windows and `MARGIN_SECONDS` on either side of each.
        made: JSON-able facts of how it was made.
    """

    clip: Clip
    made: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """A clip with its windows, and all that is known before the first take.

    Attributes:
        source: the clip, at most two channels.
        windows: in order, disjoint.
        context: what is around them.
        groove: how that moves.
        kept: the groove of what was in the windows, where it is wanted.
    """

    source: Clip
    windows: tuple[Window, ...]
    context: Context
    groove: Groove
    kept: Kept | None


def prepare(
    clip: Clip,
    windows: Sequence[Window],
    brief: Brief,
    *,
    transcriber: Transcriber,
    on_step: OnStep,
) -> Canvas:
    """Listen to what is around the windows.

    Raises:
        errors.InvalidInput: a window is too long, or leaves the clip; names `windows`.
    """
    _check(clip, windows)
    source = clip if clip.channels == 1 else clip.as_stereo()
    context = listen_around(
        source, windows, transcriber=transcriber, bpm=brief.bpm, on_step=on_step
    )
    kept = groove.kept(source, windows) if brief.keeps_groove else None
    return Canvas(source, tuple(windows), context, groove.heard(context), kept)


def _check(clip: Clip, windows: Sequence[Window]) -> None:
    for window in windows:
        if window.length > LONGEST_SECONDS * clip.sample_rate:
            message = f"A window can be {LONGEST_SECONDS:.0f} s long at most."
            raise errors.InvalidInput(message, field="windows")
        if window.end > clip.length or window.length == 0:
            raise errors.InvalidInput("A window lies outside of the clip.", field="windows")


def paint(
    canvas: Canvas, reading: Reading, orchestra: Orchestra, *, seed: int, on_step: OnStep
) -> Take:
    """Return one take; `on_step` counts the notes of all windows."""
    samples = canvas.source.samples.copy()
    made = []
    for number, window in enumerate(canvas.windows):

        def told(done: int, total: int, number: int = number) -> None:
            share = (number + done / max(total, 1)) / len(canvas.windows)
            on_step(round(STEPS * share), STEPS)

        section = sections.section_of(
            canvas.context, canvas.groove, _span(canvas, window), canvas.kept
        )
        heard, score = parts.score(section, reading, seed)
        whole = _with_margins(canvas, window)
        played = _played(orchestra, score, heard, seed, told)
        passage = _placed(played, section.span.start, whole, canvas.source)
        samples[:, whole.start : whole.end] = _levelled(passage, canvas, window, whole).samples
        made.append(_facts(section, score, window, canvas.source.sample_rate))
    facts: dict[str, Any] = {"windows": made}
    if canvas.context.has_pulse:
        facts["groove"] = canvas.groove.as_dict()
    return Take(canvas.source.with_samples(samples), facts)


def _span(canvas: Canvas, window: Window) -> Span:
    """Return what is written for a window: from a beat before it to a little behind it."""
    rate = canvas.source.sample_rate
    start, end = window.start / rate - MARGIN_SECONDS, window.end / rate + _TAIL_SECONDS
    times = canvas.context.beats.times
    before = times[times <= start - _LEAD_IN_BEATS * canvas.context.heard.beat_seconds]
    first = float(before[-1]) if before.size else start - canvas.context.heard.beat_seconds
    return Span(first, end)


def _with_margins(canvas: Canvas, window: Window) -> Window:
    """Return the window with its margins, within the clip and halfway to the other windows."""
    margin = round(MARGIN_SECONDS * canvas.source.sample_rate)
    ends = [other.end for other in canvas.windows if other.end <= window.start]
    starts = [other.start for other in canvas.windows if other.start >= window.end]
    first = max([0, window.start - margin, *((end + window.start) // 2 for end in ends)])
    last = min(
        [
            canvas.source.length,
            window.end + margin,
            *((start + window.end) // 2 for start in starts),
        ]
    )
    return Window(first, last)


def _played(orchestra: Orchestra, score: Score, heard: Heard, seed: int, on_step: OnStep) -> Clip:
    rendering = orchestra.render(score, heard, seed=seed, on_step=on_step)
    return blend.without_offset(Clip(rendering.mix, RATE))


def _placed(played: Clip, start_seconds: float, whole: Window, source: Clip) -> Clip:
    """Return what was played from `start_seconds` on, in the form of a window of the source."""
    clip = resample.resample(played, source.sample_rate)
    at = whole.start - round(start_seconds * source.sample_rate)
    samples: Samples = fit_length(clip.samples[:, max(at, 0) :], whole.length)
    if source.channels == 1:
        samples = samples.mean(axis=0, keepdims=True, dtype=np.float32)
    return Clip(samples, source.sample_rate)


def _levelled(passage: Clip, canvas: Canvas, window: Window, whole: Window) -> Clip:
    others = [other for other in canvas.windows if other != window]
    return levels.matched(passage, canvas.source, whole, others)


def _facts(section: Section, score: Score, window: Window, rate: int) -> dict[str, Any]:
    """Return what is played in a window as plain JSON values."""
    start, end = window.start / rate, window.end / rate
    return {
        "start_seconds": round(start, 4),
        "end_seconds": round(end, 4),
        "chords": [
            {"start_seconds": round(max(chord.start_seconds, start), 3), "name": chord.name}
            for chord in section.chords
            if chord.end_seconds > start and chord.start_seconds < end
        ],
        "beats": [
            round(float(beat), 4)
            for beat in section.context.beats.times
            if section.context.has_pulse and start <= beat < end
        ],
        "notes_per_part": {part.voice.name: len(part.notes) for part in score.parts},
        "strokes": len(score.hits),
    }


def heard_facts(context: Context) -> dict[str, Any]:
    """Return what was heard around the windows as plain JSON values; nothing that was not."""
    heard, loop = context.heard, context.loop
    facts: dict[str, Any] = {
        "notes": len(context.notes),
        "drums": len(context.strokes) if context.has_pulse else 0,
        "key": heard.key.name if context.is_pitched and heard.key is not None else None,
        "tuning_cents": round(heard.tuning_cents, 1),
        "bpm": None,
        "loop_bars": None,
    }
    if context.has_pulse:
        facts |= {
            "bpm": round(context.beats.bpm, 2),
            "tempo_confidence": round(context.beats.confidence, 2),
            "steady": not context.pulse.bends,
            "meter": METER,
            "beats": [
                round(float(beat), 4)
                for beat, known in zip(context.beats.times, context.known, strict=True)
                if known
            ],
        }
    if context.is_pitched and context.has_pulse:
        facts["loop_bars"] = loop.beats // METER if loop is not None else None
        facts["chords"] = [
            {"start_seconds": round(max(chord.start_seconds, 0.0), 3), "name": chord.name}
            for chord, known in zip(context.chords, context.known, strict=True)
            if known
        ]
    return facts


def notices(context: Context) -> tuple[str, ...]:
    """Return what the musician should know of how little or how much could be heard."""
    if not context.is_pitched and not (context.has_pulse and context.strokes):
        return (NOTHING,)
    found = {
        NO_PITCH: not context.is_pitched,
        NO_PULSE: not context.has_pulse,
        BENT: context.has_pulse and context.pulse.bends,
        IN_THREE: context.is_in_three,
        NO_LOOP: context.is_pitched and context.has_pulse and context.loop is None,
    }
    return tuple(notice for notice, applies in found.items() if applies)
