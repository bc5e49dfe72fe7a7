"""Listening to the end of a clip: its beat, chords and groove, laid out beyond where it stops.

What `inpainting.context` hears of a clip without a window, continued: beats at the same tempo,
chords by their loop. Knows nothing of what will be played there.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, replace

import numpy as np

from server.engines.arranger.inpainting import course, groove
from server.engines.arranger.inpainting.context import METER, Context, listen_around
from server.engines.arranger.inpainting.groove import Groove
from server.engines.arranger.listening.tempo import Beats
from server.engines.arranger.listening.transcribe import Transcriber
from server.engines.arranger.score import Chord
from server.engines.arranger.spans import Span
from server.engines.protocols import OnStep
from server.media.clip import Clip

LISTENED_SECONDS = 32.0
"""How much of the end is listened to: sixteen bars at 120 a minute, two rounds of most loops."""

GROOVE_BARS = 8
"""The groove is that of the last bars: a break before them is over."""

_SETTLED_SECONDS, _HINTED_SECONDS = 0.003, 0.012
"""By how much the outer beats may move where a round tempo, or the DAW's, is taken instead of the
one measured: a clip was hardly made at 119.98."""


@dataclass(frozen=True, slots=True, eq=False)
class Horizon:
    """The end of a clip, and the grid beyond it.

    Attributes:
        recent: what was listened to: the clip's last seconds, at most two channels.
        context: its music; beats and chords reach beyond its end by what is asked for.
        groove: of its last bars.
        is_whole: whether `recent` is the whole clip, so that its first bar begins a phrase.
    """

    recent: Clip
    context: Context
    groove: Groove
    is_whole: bool

    @property
    def has_music(self) -> bool:
        """Whether there is a beat, and something on it, to go on with."""
        context = self.context
        return context.has_pulse and (context.is_pitched or bool(self.groove.strokes))


def listen(
    clip: Clip, *, seconds: float, transcriber: Transcriber, bpm: float | None, on_step: OnStep
) -> Horizon:
    """Return the end of a clip with its grid laid out `seconds` and a bar beyond it."""
    source = clip if clip.channels == 1 else clip.as_stereo()
    first = max(0, clip.length - round(LISTENED_SECONDS * clip.sample_rate))
    recent = source.with_samples(source.samples[:, first:])
    context = listen_around(recent, (), transcriber=transcriber, bpm=bpm, on_step=on_step)
    context = settled(context, bpm)
    late = _late(context, recent.seconds)
    reach = recent.seconds + seconds + (METER + 1) * context.heard.beat_seconds
    return Horizon(recent, extended(context, reach), groove.heard(late), first == 0)


def settled(context: Context, hint: float | None) -> Context:
    """Return the context at the tempo it was probably made at, where the beats hardly move.

    That is the hint's, a whole number of beats a minute, or the one that was measured.
    """
    beats = context.beats
    if context.pulse.bends or beats.times.size < METER:
        return context
    reach = float(beats.times[-1] - beats.times[0]) / 2
    choices = [(float(round(beats.bpm)), _SETTLED_SECONDS)]
    if hint is not None:
        choices.insert(0, (hint, _HINTED_SECONDS))
    for bpm, most in choices:
        stretch = beats.bpm / bpm
        if abs(stretch - 1.0) * reach <= most:
            middle = float(beats.times[0] + beats.times[-1]) / 2
            return _with_beats(
                context, replace(beats, bpm=bpm, times=middle + (beats.times - middle) * stretch)
            )
    return context


def _with_beats(context: Context, beats: Beats) -> Context:
    return replace(
        context,
        pulse=replace(context.pulse, beats=beats),
        heard=replace(context.heard, bpm=beats.bpm),
    )


def _late(context: Context, end: float) -> Context:
    """Return the context as if nothing before its last bars had been heard."""
    start = max(0.0, end - GROOVE_BARS * METER * context.heard.beat_seconds)
    times = context.beats.times.tolist()
    return replace(
        context,
        heard_spans=(Span(start, end),),
        notes=tuple(note for note in context.notes if note.start_seconds >= start),
        strokes=tuple(hit for hit in context.strokes if hit.start_seconds >= start),
        known=tuple(
            known and time >= start - 1e-3 for known, time in zip(context.known, times, strict=True)
        ),
    )


def extended(context: Context, end: float) -> Context:
    """Return the context with beats up to `end` seconds, and the chord each of them would have.

    The tempo is that of the last beats; the chords follow their loop, or repeat the last bars.
    """
    times = context.beats.times
    period = float(times[-1] - times[-2]) if times.size > 1 else context.heard.beat_seconds
    count = max(0, int(np.ceil((end - float(times[-1])) / period)))
    longer = np.concatenate([times, times[-1] + period * np.arange(1, count + 1)])
    pairs = zip(context.chords, context.known, strict=True)
    seen = [*(chord if known else None for chord, known in pairs), *[None] * count]
    chords, loop = course.completed(
        seen, meter=METER, downbeat=context.downbeat, key=context.heard.key
    )
    edges = [*longer.tolist(), float(longer[-1]) + period]
    return replace(
        _with_beats(context, replace(context.beats, times=longer)),
        chords=_laid(_on_usual_basses(chords, context), edges),
        known=(*context.known, *[False] * count),
        loop=loop,
    )


def _on_usual_basses(chords: tuple[Chord, ...], context: Context) -> tuple[Chord, ...]:
    """Return the chords over the bass that each of them mostly has: one beat is easily misheard."""
    basses: dict[str, Counter[int | None]] = defaultdict(Counter)
    for chord, known in zip(context.chords, context.known, strict=True):
        if known:
            basses[chord.name][chord.bass] += 1
    return tuple(
        replace(chord, bass=basses[chord.name].most_common(1)[0][0])
        if chord.name in basses
        else chord
        for chord in chords
    )


def _laid(chords: tuple[Chord, ...], edges: list[float]) -> tuple[Chord, ...]:
    """Return the chords between the edges, in order."""
    return tuple(
        replace(chord, start_seconds=start, end_seconds=end)
        for chord, start, end in zip(chords, edges[:-1], edges[1:], strict=True)
    )


def bar_starts(context: Context) -> list[float]:
    """Return the moments at which bars of the grid begin, in seconds."""
    times = context.beats.times.tolist()
    return [time for number, time in enumerate(times) if (number - context.downbeat) % METER == 0]
