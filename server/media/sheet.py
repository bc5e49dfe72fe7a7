"""Music as notes: what an engine wrote, for files and pictures.

Plain frozen values. Times are seconds from the first sample of the sound the sheet belongs to,
pitches are MIDI note numbers, velocities lie in (0, 1].
"""

from dataclasses import dataclass

from server.media.key import Key

Bend = tuple[tuple[float, float], ...]
"""How a note's pitch moves: (seconds after its start, cents), by time, joined by straight lines."""


@dataclass(frozen=True, slots=True)
class SheetNote:
    """One note of a part; a drum stroke is the General MIDI percussion key."""

    start_seconds: float
    seconds: float
    pitch: int
    velocity: float
    bend: Bend = ()


@dataclass(frozen=True, slots=True)
class Track:
    """One part: its notes by start.

    Attributes:
        name: as in the report and in the names of stems.
        program: General MIDI, 0 to 127; of a kit its percussion program.
        is_drums: whether pitches are percussion keys.
        pan: -1 left to 1 right.
        gain_db: against the other parts.
    """

    name: str
    program: int
    notes: tuple[SheetNote, ...]
    is_drums: bool = False
    pan: float = 0.0
    gain_db: float = 0.0


@dataclass(frozen=True, slots=True)
class Sheet:
    """A whole piece.

    Attributes:
        seconds: its length.
        beats: strictly rising; empty where there is no pulse.
        downbeat: index of the first beat that starts a bar.
        meter: beats a bar and the note value that is one of them, as they are printed: (6, 8).
        beats_per_bar: how many of `beats` are in a bar; of 6/8 it is 2.
        key: None where nothing pitched was heard.
        chords: where each begins and what it is called, `"N"` for none.
        tracks: in the order of the arrangement.
    """

    seconds: float
    beats: tuple[float, ...]
    downbeat: int
    meter: tuple[int, int]
    beats_per_bar: int
    key: Key | None
    chords: tuple[tuple[float, str], ...]
    tracks: tuple[Track, ...]
