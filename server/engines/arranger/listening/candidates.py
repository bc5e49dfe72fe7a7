"""From posteriors to note candidates, loosely: nearly every true note is among them.

Two passes as in basic-pitch's decoder (Bittner et al. 2022): from the peaks of the onset posterior,
latest first; then from whatever of the frame posterior is left, strongest first. Knows nothing of
what makes a candidate true.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.engines.arranger.listening.transcribe import Posteriors
from server.engines.arranger.score import LOWEST_PITCH

ONSET_THRESHOLD = 0.2
FRAME_THRESHOLD = 0.18
_SHORTEST_FRAMES = 4
_LOWEST_COLUMN = 28 - LOWEST_PITCH
_GAP = bytes(8)
"""A note ends where its semitone is below the threshold for this many frames."""

_ALIVE = b"\x01"

_Span = tuple[int, int, int, float]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Possible notes as columns of equal length `[n]`, by start.

    Attributes:
        starts: frame of the onset.
        ends: frame after the last.
        columns: 0 to 87; the MIDI number less 21.
        strengths: mean frame posterior.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    columns: NDArray[np.int64]
    strengths: NDArray[np.float32]

    def __len__(self) -> int:
        """Return how many there are."""
        return int(self.starts.shape[0])


def infer_onsets(posteriors: Posteriors) -> NDArray[np.float32]:
    """Return the onset posterior, raised where the frame posterior jumps up, `[T, 88]`."""
    onset, frame = posteriors.onset, posteriors.frame
    rise = np.zeros_like(frame)
    np.minimum(frame[2:] - frame[1:-1], frame[2:] - frame[:-2], out=rise[2:])
    np.maximum(rise, 0.0, out=rise)
    rise *= onset.max(initial=0.0) / max(float(rise.max(initial=0.0)), 1e-9)
    return np.maximum(onset, rise)


def decode(posteriors: Posteriors, onsets: NDArray[np.float32]) -> Candidates:
    """Return the candidates of the posteriors; `onsets` is what `infer_onsets` made of them."""
    board = _Board(posteriors.frame)
    found = _from_onsets(board, onsets) + _from_sustain(board)
    starts, ends, columns, strengths = zip(*sorted(found), strict=True) if found else ((),) * 4
    return Candidates(
        np.array(starts, np.int64),
        np.array(ends, np.int64),
        np.array(columns, np.int64),
        np.array(strengths, np.float32),
    )


class _Board:
    """Which frames of which semitone still sound and belong to no candidate yet.

    One byte string a semitone, because finding a gap in one is a single call.
    """

    def __init__(self, frame: NDArray[np.float32]) -> None:
        self.frame = frame
        self.length = frame.shape[0]
        alive = (frame >= FRAME_THRESHOLD).T.astype(np.uint8)
        self.columns = [bytearray(column.tobytes()) for column in alive]

    def end_after(self, start: int, column: int) -> tuple[int, int]:
        """Return where the sound that starts here ends, and up to where that was looked for."""
        alive, last = self.columns[column], self.length - 1
        gap = alive.find(_GAP, start + 1, last)
        if gap >= 0:
            return gap, gap + len(_GAP)
        return max(alive.rfind(_ALIVE, start + 1, last), start) + 1, max(last, start + 1)

    def start_before(self, start: int, column: int) -> tuple[int, int]:
        """Return where the sound that is heard here began, and down to where that was looked for.

        The first frame of all is never looked at.
        """
        alive = self.columns[column]
        gap = alive.rfind(_GAP, 1, start)
        if gap >= 0:
            return gap + len(_GAP), gap
        first = alive.find(_ALIVE, 1, start)
        return (first if first >= 0 else start), min(1, start)

    def clear(self, start: int, end: int, column: int) -> None:
        """Take a span of a semitone and of its two neighbours off the board."""
        if end > start:
            for near in range(max(column - 1, 0), min(column + 2, len(self.columns))):
                self.columns[near][start:end] = bytes(end - start)

    def strength(self, start: int, end: int, column: int) -> float:
        """Return the mean frame posterior of a span."""
        return float(self.frame[start:end, column].mean())


def _from_onsets(board: _Board, onsets: NDArray[np.float32]) -> list[_Span]:
    peaks = np.zeros(onsets.shape, bool)
    loud = onsets >= ONSET_THRESHOLD
    peaks[0] = loud[0]
    peaks[1:-1] = loud[1:-1] & (onsets[1:-1] > onsets[:-2]) & (onsets[1:-1] >= onsets[2:])
    peaks[:, :_LOWEST_COLUMN] = False
    starts, columns = np.nonzero(peaks)
    found = []
    for index in np.argsort(-starts, kind="stable"):
        start, column = int(starts[index]), int(columns[index])
        end, _ = board.end_after(start, column)
        if end - start >= _SHORTEST_FRAMES:
            found.append((start, end, column, board.strength(start, end, column)))
            board.clear(start, end, column)
    return found


def _from_sustain(board: _Board) -> list[_Span]:
    """Grow candidates to both sides from the strongest frames that are left.

    The frames are sorted once: nothing on the board ever comes back to life.
    """
    frame = board.frame
    places = np.flatnonzero(frame > FRAME_THRESHOLD)
    order = places[np.argsort(-frame.reshape(-1)[places], kind="stable")]
    found = []
    for time, column in zip(*(part.tolist() for part in np.divmod(order, 88)), strict=True):
        if not board.columns[column][time]:
            continue
        board.columns[column][time] = 0
        end, searched_up = board.end_after(time, column)
        board.clear(time + 1, searched_up, column)
        start, searched_down = board.start_before(time, column)
        board.clear(searched_down, time, column)
        end -= 1
        if end - start >= _SHORTEST_FRAMES and column >= _LOWEST_COLUMN:
            found.append((start, end, column, board.strength(start, end, column)))
    return found
