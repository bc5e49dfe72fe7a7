"""Pieces that stop, how they would have gone on, and what the engine makes of them."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from server.engines.arranger.engine import Arranger
from server.engines.protocols import Brief, Continuation, Sampling
from server.media import harmony, rhythm
from server.media.clip import Clip
from server.media.window import Window, cut
from tests import music
from tests.music import NAMES, Piece

DATA = Path(__file__).parents[4] / "data"
"""Where a sound bank lies if one was fetched; without it the synthesized voices are judged."""

ASKED = 12.0
STOPS = 17.0
"""Seconds of new music, and where the piece stops: in the middle of a bar of 120 a minute."""


@lru_cache(maxsize=1)
def arranger() -> Arranger:
    """Return one engine for all tests, with whatever assets this machine has."""
    return Arranger(data_dir=DATA)


@dataclass(frozen=True, slots=True, eq=False)
class Continued:
    """A piece that was stopped, and what the engine made of the rest."""

    piece: Piece
    stopped: Clip
    result: Continuation

    @property
    def truth(self) -> Clip:
        """How the piece went on."""
        return cut(self.piece.clip, Window(self.stopped.length, self.piece.clip.length))

    @property
    def new(self) -> Clip:
        """How the engine went on, as long as was asked."""
        start = self.stopped.length
        return cut(self.result.clip, Window(start, start + self.truth.length))


def go_on(
    clip: Clip, *, seconds: float = ASKED, earlier: Clip | None = None, **fields: object
) -> Continuation:
    """Return a clip with what the engine adds."""
    brief = Brief(**{"variation": None, "prompt": "", "seed": 3, **fields})  # type: ignore[arg-type]
    return arranger().continue_music(
        clip, brief, Sampling(), seconds=seconds, on_step=lambda *_: None, earlier=earlier
    )


@lru_cache(maxsize=4)
def continued(bpm: float) -> Continued:
    """Return a piece that was stopped and went on in the voices that come nearest."""
    piece = music.band(bpm, seconds=STOPS + ASKED, seed=2)
    stopped = cut(piece.clip, Window(0, round(STOPS * piece.clip.sample_rate)))
    return Continued(piece, stopped, go_on(stopped))


def alignment(made: Continued, new: Clip) -> rhythm.Alignment:
    """Return how the onsets of a continuation lie against those the piece would have had."""
    return rhythm.align(rhythm.envelope(made.truth), rhythm.envelope(new))


def root_agreement(made: Continued, clip: Clip, *, transposed: int = 0) -> float:
    """Return in what share of the half bars the root is the one the piece would have had."""
    first = int(np.searchsorted(made.piece.beats, STOPS))
    first += first % 2
    halves, names = made.piece.beats[first::2] - STOPS, made.piece.chords[first::2]
    chroma = harmony.over_beats(harmony.chroma(clip), halves)
    truth = np.array([NAMES.index(name.removesuffix("m")) for name in names])[:-1]
    return float(np.mean(harmony.chord_roots(np.roll(chroma, transposed, axis=0)) == truth))
