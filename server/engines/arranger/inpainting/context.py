"""Listening to what is around the windows: beats through them, notes, chords and key outside.

Puts `surroundings`, `pulse`, `listen` and `course` in order. What it returns holds nothing of what
was in the windows. Knows nothing of what will be played there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import signal

from server.engines.arranger.inpainting import course, pulse, surroundings
from server.engines.arranger.inpainting.pulse import Pulse
from server.engines.arranger.inpainting.surroundings import Abridgement
from server.engines.arranger.listen import listen
from server.engines.arranger.listening.tempo import Beats
from server.engines.arranger.listening.transcribe import Transcriber
from server.engines.arranger.score import ANALYSIS_RATE, Chord, DrumHit, Heard, Note
from server.engines.arranger.spans import Span, holds
from server.engines.protocols import OnStep
from server.media import resample
from server.media.clip import Clip, Samples
from server.media.window import Window

METER = 4
"""Beats of a bar. The presets' patterns know no other."""

IN_THREE = "The music seems to be in three; what is written counts bars of four beats."

_BASS_HERTZ = 180.0
_LEAST_GAP_SECONDS = 0.25
"""Silence that is left of a window, so that what is before does not ring into what is after."""

_EARLY_SECONDS = 0.06


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What the music around the windows is.

    Attributes:
        heard: of the abridged clip: for its key, tuning and drums as such, not for its times.
        heard_spans: the stretches that were listened to.
        pulse: the beats of the whole clip.
        downbeat: which of the first four beats starts a bar.
        chords: one a beat of the grid; in the windows what the music would have played.
        known: for each beat, whether its chord was heard rather than supposed.
        loop: the chords' loop, None if they have none.
        notes: heard outside of the windows, at the clip's times.
        strokes: of drums, outside of the windows, at the clip's times.
    """

    heard: Heard
    heard_spans: tuple[Span, ...]
    pulse: Pulse
    downbeat: int
    chords: tuple[Chord, ...]
    known: tuple[bool, ...]
    loop: course.Loop | None
    notes: tuple[Note, ...]
    strokes: tuple[DrumHit, ...]

    @property
    def beats(self) -> Beats:
        """The beats of the whole clip."""
        return self.pulse.beats

    @property
    def has_pulse(self) -> bool:
        """Whether there is a beat that new parts can keep."""
        return self.pulse.is_audible

    @property
    def is_in_three(self) -> bool:
        """Whether bars were heard that are not those that are counted."""
        return self.has_pulse and self.heard.meter.beats % 2 == 1

    @property
    def is_pitched(self) -> bool:
        """Whether there is harmony to go on with."""
        return self.heard.is_pitched


def listen_around(
    clip: Clip,
    windows: Sequence[Window],
    *,
    transcriber: Transcriber,
    bpm: float | None,
    on_step: OnStep,
) -> Context:
    """Return what is around the windows of a clip, which are in order and disjoint."""
    spans = surroundings.outside(windows, clip.length, clip.sample_rate)
    quiet = resample.resample(surroundings.silenced(clip, windows), ANALYSIS_RATE)
    found = _pulse(quiet, spans, bpm)
    abridgement = _abridgement(found.beats, spans, clip.seconds)
    short = abridgement.clip(quiet)
    heard = listen(
        short,
        transcriber=transcriber,
        beats=_abridged(found.beats, abridgement),
        once=True,
        on_step=on_step,
    )
    return _context(heard, found, abridgement, spans)


def _pulse(quiet: Clip, spans: Sequence[Span], bpm: float | None) -> Pulse:
    mono = quiet.mono()
    envelope = surroundings.onsets(mono, spans)
    return pulse.find(
        envelope, surroundings.onsets(_low(mono), spans), spans, quiet.seconds, bpm=bpm
    )


def _low(mono: Samples) -> Samples:
    sections = signal.butter(4, _BASS_HERTZ, fs=ANALYSIS_RATE, output="sos")
    return np.asarray(signal.sosfilt(sections, mono), np.float32)


def _abridgement(beats: Beats, spans: Sequence[Span], seconds: float) -> Abridgement:
    """Return what can be cut out: as many whole bars of each gap as leave a little silence."""
    edges = [0.0, *(edge for span in spans for edge in span), seconds]
    cuts = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        inside = beats.times[(beats.times > start) & (beats.times < end - _LEAST_GAP_SECONDS)]
        bars = (inside.size - 1) // METER
        if bars > 0:
            cuts.append(Span(float(inside[0]), float(inside[bars * METER])))
    return Abridgement(tuple(cuts))


def _abridged(beats: Beats, abridgement: Abridgement) -> Beats:
    kept = [time for time in beats.times.tolist() if not abridgement.holds(time)]
    return replace(beats, times=np.array([abridgement.short(time) for time in kept]))


def _context(
    heard: Heard, found: Pulse, abridgement: Abridgement, spans: tuple[Span, ...]
) -> Context:
    times = found.beats.times.tolist()
    notes = tuple(
        replace(note, start_seconds=abridgement.full(note.start_seconds)) for note in heard.notes
    )
    strokes = tuple(
        replace(hit, start_seconds=abridgement.full(hit.start_seconds)) for hit in heard.drums
    )
    notes = tuple(note for note in notes if holds(spans, note.start_seconds))
    strokes = tuple(hit for hit in strokes if holds(spans, hit.start_seconds))
    seen = _seen(heard, found.beats, abridgement, spans)
    downbeat = course.find_downbeat(seen, times, notes)
    chords, loop = course.completed(seen, meter=METER, downbeat=downbeat, key=heard.key)
    return Context(
        heard=heard,
        heard_spans=spans,
        pulse=found,
        downbeat=downbeat,
        chords=_laid(chords, times, found.beats),
        known=tuple(chord is not None for chord in seen),
        loop=loop,
        notes=notes,
        strokes=strokes,
    )


def _seen(
    heard: Heard, beats: Beats, abridgement: Abridgement, spans: Sequence[Span]
) -> list[course.Beat]:
    """Return the chord of each beat of the whole clip that was heard, None for the others."""
    starts = np.array([chord.start_seconds for chord in heard.chords])
    seen: list[course.Beat] = []
    for start, end in zip(beats.times.tolist(), _ends(beats), strict=True):
        if pulse.is_known(max(start, 0.0), end, spans):
            middle = abridgement.short((max(start, 0.0) + end) / 2)
            chord = heard.chords[int(np.searchsorted(starts, middle, side="right")) - 1]
            seen.append(chord)
        else:
            seen.append(None)
    return seen


def _ends(beats: Beats) -> list[float]:
    times: list[float] = beats.times.tolist()
    last = times[-1] - times[-2] if len(times) > 1 else 60.0 / beats.bpm
    return [*times[1:], times[-1] + last]


def _laid(chords: Sequence[Chord], times: Sequence[float], beats: Beats) -> tuple[Chord, ...]:
    """Return the chords at the times of the beats."""
    return tuple(
        replace(chord, start_seconds=start, end_seconds=end)
        for chord, start, end in zip(chords, times, _ends(beats), strict=True)
    )
