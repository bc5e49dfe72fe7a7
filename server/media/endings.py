"""Does music stop by itself? Silence where none was asked for, and an end before the end.

Networks that go on with music fail in three ways that need no ear for music: the first second is
nearly silent, the music fades away in the middle, or it is over too soon. Each is told as a fault;
where the music before was silent itself, silence is none.

Knows samples and levels; who played, and how often, it does not know.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from server.media.clip import Clip

SILENT_DB = -50.0
"""RMS in dBFS below which listeners ask whether it is still playing."""

OPENING_SECONDS = 1.0
SILENCE_SECONDS = 2.0
"""A general pause of a bar at 120 BPM is no fault; a longer one is taken for an end."""

EARLY_SECONDS = 0.5

_FRAME_SECONDS = 0.05
_DIGITAL = 1e-5

Code = Literal["silent_opening", "silence", "early_end"]

_WORDS: dict[Code, str] = {
    "silent_opening": "The first second was nearly silent.",
    "silence": "There was silence in the middle.",
    "early_end": "The music ended too soon.",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which music stopped.

    Attributes:
        code: which one.
        start_seconds: where it begins, from the start of what is new.
        seconds: how long it lasts.
    """

    code: Code
    start_seconds: float
    seconds: float

    @property
    def words(self) -> str:
        """A sentence for the musician."""
        return _WORDS[self.code]

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as plain JSON values."""
        return {
            "code": self.code,
            "words": self.words,
            "start_seconds": round(self.start_seconds, 3),
            "seconds": round(self.seconds, 3),
        }


def faults(new: Clip, *, length: int, before: Clip | None = None) -> tuple[Fault, ...]:
    """Return what is wrong with new music that should have `length` samples.

    `before` is the music it goes on from, at any rate: what is silent there may be silent here.
    Without it every silence is a fault.
    """
    if before is not None and _ends_silent(before):
        return ()
    new = new.with_samples(new.samples[:, :length])
    end = _end(new)
    missing = (length - end) / new.sample_rate
    early = missing > EARLY_SECONDS
    found = [Fault("early_end", end / new.sample_rate, missing)] if early else []
    sounding = new.with_samples(new.samples[:, : end if early else length])
    if before is None or _longest(before) < SILENCE_SECONDS:
        runs = _runs(sounding)
        found += [Fault("silence", *run) for run in runs if run[1] >= SILENCE_SECONDS]
    opening = round(OPENING_SECONDS * new.sample_rate)
    if sounding.length and _level_db(sounding.samples[:, :opening]) < SILENT_DB:
        found.append(Fault("silent_opening", 0.0, min(OPENING_SECONDS, sounding.seconds)))
    return tuple(sorted(found, key=lambda fault: fault.start_seconds))


def _ends_silent(before: Clip) -> bool:
    last = round(OPENING_SECONDS * before.sample_rate)
    return _level_db(before.samples[:, -last:]) < SILENT_DB


def _end(clip: Clip) -> int:
    """Return the sample after the last one that is more than digital silence."""
    audible = np.flatnonzero(np.abs(clip.samples).max(axis=0, initial=0.0) > _DIGITAL)
    return int(audible[-1]) + 1 if audible.size else 0


def _level_db(samples: NDArray[np.float32]) -> float:
    """Return the RMS of the louder channel in dBFS."""
    if not samples.size:
        return -np.inf
    power = float(np.square(samples, dtype=np.float64).mean(axis=1).max())
    return 10.0 * float(np.log10(max(power, 1e-30)))


def _longest(clip: Clip) -> float:
    return max((seconds for _, seconds in _runs(clip)), default=0.0)


def _runs(clip: Clip) -> list[tuple[float, float]]:
    """Return start and length in seconds of every run of silent frames."""
    frame = max(1, round(_FRAME_SECONDS * clip.sample_rate))
    whole = clip.samples[:, : clip.length // frame * frame].astype(np.float64)
    power = np.square(whole).reshape(clip.channels, -1, frame).mean(axis=2).max(axis=0)
    silent = (power < 10.0 ** (SILENT_DB / 10.0)).astype(np.int8)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], silent, [0]])))
    step = frame / clip.sample_rate
    return [
        (float(first * step), float((last - first) * step))
        for first, last in zip(edges[::2], edges[1::2], strict=True)
    ]
