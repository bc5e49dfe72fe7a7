"""How well notes were heard, and a transcriber to hear them with."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Protocol

from server.engines.arranger import assets
from server.engines.arranger.listening.transcribe import Transcriber, open_transcriber
from server.engines.arranger.score import Heard
from tests import music


class _Timed(Protocol):
    @property
    def start_seconds(self) -> float: ...

    @property
    def pitch(self) -> int: ...


@cache
def network() -> Transcriber:
    """Return the real network, loaded once."""
    return open_transcriber(assets.find_transcription_model(None).path)


def note_f1(
    heard: Iterable[_Timed],
    truth: Sequence[_Timed],
    *,
    late_seconds: float = 0.0,
    semitones: int = 0,
) -> float:
    """Return the F1 of pitch and onset within 50 ms; the last two spoil what was heard."""
    left = [(note.start_seconds + late_seconds, note.pitch + semitones) for note in heard]
    total, hits = len(left), 0
    for note in truth:
        near = [
            (abs(start - note.start_seconds), index)
            for index, (start, pitch) in enumerate(left)
            if pitch == note.pitch and abs(start - note.start_seconds) <= 0.05
        ]
        if near:
            hits += 1
            left.pop(min(near)[1])
    return 2.0 * hits / max(total + len(truth), 1)


def root_share(heard: Heard, piece: music.Piece) -> float:
    """Return the share of beats whose chord has the right root."""
    roots = [music.NAMES.index(chord.removesuffix("m")) for chord in piece.chords]
    heard_roots = [chord.root for chord in heard.chords]
    right = sum(one == other for one, other in zip(heard_roots, roots, strict=False))
    return right / len(roots)
