"""The passage of a source that shall change: what an engine hears of it, how it is put back.

Outside the passage every sample stays what it was. The crossfades lie inside it, and the engine is
given some of the music on either side, so that it finds tempo, harmony and sound it has to join.
Knows clips and windows; no engine and no job.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from server import errors
from server.kinds.insertions import (
    MIXED_DOWN,
    ROUNDING_SECONDS,
    SHORTEST_SECONDS,
    prepared,
)
from server.media import window
from server.media.clip import Clip, Samples
from server.media.sheet import Bend, Sheet, SheetNote
from server.media.window import Law, Window

CONTEXT_SECONDS = 4.0
"""Music the engine hears on either side: a bar at 60 BPM, two at 120. Enough for tempo and chords,
and with it a passage of 20 s still fits the 30 s that a model hears at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A whole result: the source with something else in its passage.

    Attributes:
        clip: of the source's length and rate.
        laws: of the crossfades at the start and at the end; empty where the whole source changed.
        notices: what was done to make it fit.
    """

    clip: Clip
    laws: tuple[Law, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """What shall change.

    Attributes:
        source: everything, as it is.
        part: what changes, in samples.
        heard: the part and what the engine hears around it.
        is_everything: whether nothing was said of a part: the whole source changes, and the result
            may have other channels.
        notices: what was done to the source.
    """

    source: Clip
    part: Window
    heard: Window
    is_everything: bool
    notices: tuple[str, ...] = ()

    @property
    def excerpt(self) -> Clip:
        """What the engine is given."""
        return self.source if self.is_everything else window.cut(self.source, self.heard)

    @property
    def overlap(self) -> int:
        """Samples of each crossfade."""
        return window.overlap_of(self.part, self.source.sample_rate)

    @property
    def start_seconds(self) -> float:
        """Where the part begins."""
        return self.part.start / self.source.sample_rate

    @property
    def end_seconds(self) -> float:
        """Where the part ends."""
        return self.part.end / self.source.sample_rate

    def changed(self, clip: Clip) -> Clip:
        """Return what is in the part, of a result or of the source itself."""
        return clip if self.is_everything else window.cut(clip, self.part)

    def placed(self, played: Clip) -> Placed:
        """Return the source with what was played of the excerpt in its place.

        The source keeps its channels: stereo is mixed down into a mono source.

        Raises:
            errors.EngineFailed: the played clip has another length or rate than the excerpt.
        """
        if self.is_everything:
            return Placed(played)
        if (played.length, played.sample_rate) != (self.heard.length, self.source.sample_rate):
            raise errors.EngineFailed("The engine returned a sound of another length.")
        content = self._content(played)
        laws = window.laws_for(self.source, self.part, content, overlap=self.overlap)
        clip = window.replace(self.source, self.part, content, overlap=self.overlap, law=laws)
        is_mixed = played.channels > self.source.channels
        return Placed(clip, laws, (MIXED_DOWN,) if is_mixed else ())

    def stem(self, played: Clip | None, placed: Placed, *, is_source: bool = False) -> Clip:
        """Return what one part of the excerpt is of a placed result: silent outside the passage.

        What is left of the source (`is_source`) is the source there, so that all parts together
        are the result. None of it may be left within the passage.
        """
        if self.is_everything and played is not None:
            return played
        silence = np.zeros_like(self.source.samples)
        ground = self.source if is_source else self.source.with_samples(silence)
        silent = np.zeros((self.source.channels, self.part.length), np.float32)
        content = silent if played is None else self._content(played)
        first, last = placed.laws
        return window.replace(ground, self.part, content, overlap=self.overlap, law=(first, last))

    def sheet(self, sheet: Sheet) -> Sheet:
        """Return what was written for the excerpt as it is in the result: from the source's start.

        Notes that the passage cuts are cut.
        """
        if self.is_everything:
            return sheet
        later = self.heard.start / self.source.sample_rate
        tracks = tuple(
            replace(track, notes=tuple(self._notes(track.notes, later))) for track in sheet.tracks
        )
        return replace(
            sheet,
            seconds=self.source.seconds,
            beats=tuple(beat + later for beat in sheet.beats),
            chords=tuple((start + later, name) for start, name in sheet.chords),
            tracks=tracks,
        )

    def _content(self, played: Clip) -> Samples:
        """Return what is in the part, `[C, N]` in the source's channels, of a played excerpt."""
        offset = self.part.start - self.heard.start
        content = played.in_channels(self.source.channels).samples
        return content[:, offset : offset + self.part.length]

    def _notes(self, notes: Iterable[SheetNote], later: float) -> Iterator[SheetNote]:
        for note in notes:
            start, end = note.start_seconds + later, note.start_seconds + later + note.seconds
            first, last = max(start, self.start_seconds), min(end, self.end_seconds)
            if last > first:
                bend = _bend_from(note.bend, first - start)
                yield replace(note, start_seconds=first, seconds=last - first, bend=bend)


def _bend_from(bend: Bend, seconds: float) -> Bend:
    """Return how a note's pitch moves from some time after its start."""
    if not bend or seconds <= 0.0:
        return bend
    times, cents = zip(*bend, strict=True)
    first = float(np.interp(seconds, times, cents))
    later = tuple((at - seconds, cents) for at, cents in bend if at > seconds)
    return ((0.0, first), *later)


def passage(source: Clip, start_seconds: float | None, end_seconds: float | None) -> Passage:
    """Return the part of a source from one time to another; without either it is all of it.

    Raises:
        errors.InvalidInput: too little of it is in the source.
    """
    everything = Window(0, source.length)
    if start_seconds is None and end_seconds is None:
        return Passage(source, everything, everything, is_everything=True)
    source, notices = prepared(source)
    rate = source.sample_rate
    start = 0 if start_seconds is None else round(start_seconds * rate)
    end = source.length if end_seconds is None else min(round(end_seconds * rate), source.length)
    if end - start < round((SHORTEST_SECONDS - ROUNDING_SECONDS) * rate):
        raise errors.InvalidInput(_TOO_SHORT, field="start_seconds")
    context = round(CONTEXT_SECONDS * rate)
    heard = Window(max(0, start - context), min(end + context, source.length))
    return Passage(source, Window(start, end), heard, is_everything=False, notices=notices)


def check_times(start_seconds: float | None, end_seconds: float | None) -> None:
    """Refuse a passage that does not go forward, or is too short.

    Raises:
        errors.InvalidInput: with the field's name.
    """
    if end_seconds is None:
        return
    start = start_seconds or 0.0
    if end_seconds <= start:
        raise errors.InvalidInput("end_seconds must be after start_seconds.", field="end_seconds")
    if end_seconds - start < SHORTEST_SECONDS:
        raise errors.InvalidInput(_TOO_SHORT, field="end_seconds")


def check_within(
    start_seconds: float | None, end_seconds: float | None, *, source_seconds: float
) -> None:
    """Refuse a passage that leaves a source, or of which too little is left in it.

    Raises:
        errors.InvalidInput: with the field's name.
    """
    length = f"the sound is {source_seconds:.3f} seconds long"
    if end_seconds is not None and end_seconds > source_seconds + ROUNDING_SECONDS:
        raise errors.InvalidInput(f"end_seconds is too late; {length}.", field="end_seconds")
    if start_seconds is None:
        return
    if start_seconds >= source_seconds:
        raise errors.InvalidInput(f"start_seconds is too late; {length}.", field="start_seconds")
    if source_seconds - start_seconds < SHORTEST_SECONDS:
        raise errors.InvalidInput(_TOO_SHORT, field="start_seconds")


_TOO_SHORT = f"A passage must be at least {SHORTEST_SECONDS} seconds long."


def moved(heard: Mapping[str, Any], by_seconds: float) -> dict[str, Any]:
    """Return what an engine heard in an excerpt with its times counted from the source's start."""
    facts = dict(heard)
    for name in ("beats", "downbeats"):
        if by_seconds and name in facts:
            facts[name] = [round(time + by_seconds, 4) for time in facts[name]]
    if by_seconds and "chords" in facts:
        facts["chords"] = [
            {**chord, "start_seconds": round(chord["start_seconds"] + by_seconds, 3)}
            for chord in facts["chords"]
        ]
    return facts


def report(placed: Placed, stored: Clip, where: Passage) -> dict[str, Any]:
    """Return the facts of a changed passage: where it is, what is untouched, how its seams sound.

    `stored` is what was decoded from the written file: the promise is about that.
    """
    # scipy stays out of the process that only checks parameters
    from server.media import seams  # noqa: PLC0415

    rate, part, heard = where.source.sample_rate, where.part, where.heard
    first, last = seams.measure(where.source, placed.clip, part, overlap=where.overlap)
    kept, written = (window.outside_digest(clip, [part]) for clip in (where.source, stored))
    return {
        "start_seconds": where.start_seconds,
        "end_seconds": where.end_seconds,
        "context_seconds": [(part.start - heard.start) / rate, (heard.end - part.end) / rate],
        "crossfade_seconds": where.overlap / rate,
        "outside": {"identical": kept == written, "sha256": kept},
        "seams": {
            "start": {**first.as_dict(), "law": placed.laws[0]} if first else None,
            "end": {**last.as_dict(), "law": placed.laws[1]} if last else None,
        },
    }
