"""From judged candidates to notes: which are played, when exactly, how long and how loud.

Knows candidates and their verdicts; knows nothing of chords beyond a threshold a candidate.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from server.engines.arranger.listening.candidates import Candidates
from server.engines.arranger.listening.features import N_FFT, hertz
from server.engines.arranger.listening.verify import GHOST, ONSET, SUSTAINED
from server.engines.arranger.score import ANALYSIS_RATE, FRAME_RATE, LOWEST_PITCH, Note
from server.media.clip import Samples

ENVELOPE_HOP = 128
ENVELOPE_RATE = ANALYSIS_RATE / ENVELOPE_HOP

THRESHOLD = 0.54
_SURE = 0.5
_REJOIN_SECONDS = 0.12
_SHORTEST_SECONDS = 0.06
_TAIL_SECONDS = 0.03
"""Nothing starts this close to the end."""

_SNAP_SECONDS = 0.025
_STRUM_SECONDS = 0.075
_FAR_SNAP_SECONDS = 0.045
_SOFTEST, _LOUDEST = 0.25, 1.15


@dataclass(slots=True)
class Draft:
    """A note while its end may still move: frames, and a column of the posteriors."""

    start: int
    end: float
    column: int
    confidence: float


def accept(
    candidates: Candidates, verdicts: NDArray[np.float32], thresholds: NDArray[np.float64]
) -> list[Draft]:
    """Return the candidates whose onset reaches their threshold.

    A candidate that is judged to go on sounding lengthens the note before it instead.
    """
    last: dict[int, Draft] = {}
    drafts = []
    rejoin = _REJOIN_SECONDS * FRAME_RATE
    for index in range(len(candidates)):
        start, end = int(candidates.starts[index]), int(candidates.ends[index])
        column, verdict = int(candidates.columns[index]), verdicts[index]
        before = last.get(column)
        starts_here = verdict[ONSET] >= thresholds[index]
        if starts_here or (before is None and verdict[SUSTAINED] > _SURE):
            if before is not None:
                before.end = min(before.end, start)
            kind = ONSET if starts_here else SUSTAINED
            last[column] = Draft(start, end, column, float(verdict[kind]))
            drafts.append(last[column])
        elif before and verdict[SUSTAINED] > verdict[GHOST] and start - before.end < rejoin:
            before.end = max(before.end, end)
    return drafts


def finish(
    drafts: list[Draft], levels: Samples, peaks: NDArray[np.float64], seconds: float
) -> tuple[Note, ...]:
    """Return notes by start, at the times of the sound's onsets, all within the clip.

    `levels` are STFT magnitudes `[1025, T]`, `peaks` the times of the onset envelope's peaks.
    """
    if not drafts:
        return ()
    velocities = _velocities(drafts, levels)
    starts = snapped(np.array([draft.start / FRAME_RATE for draft in drafts]), peaks)
    notes: dict[tuple[float, int], Note] = {}
    for draft, start, velocity in zip(drafts, starts.tolist(), velocities.tolist(), strict=True):
        if start >= seconds - _TAIL_SECONDS:
            continue
        length = (draft.end - draft.start) / FRAME_RATE
        length = min(max(length, _SHORTEST_SECONDS), seconds - start)
        note = Note(start, length, draft.column + LOWEST_PITCH, velocity, draft.confidence)
        twin = notes.get((start, note.pitch))
        notes[start, note.pitch] = note if twin is None else _merged(twin, note)
    return tuple(sorted(notes.values(), key=lambda note: (note.start_seconds, note.pitch)))


def _merged(one: Note, other: Note) -> Note:
    """Return one note for two that were snapped to the same onset."""
    surer = max(one, other, key=lambda note: note.confidence)
    return replace(surer, seconds=max(one.seconds, other.seconds))


def _velocities(drafts: list[Draft], levels: Samples) -> NDArray[np.float64]:
    """Return velocities in (0, 1] from the energy of the first four partials at the attack."""
    columns = np.array([draft.column for draft in drafts])
    frames = np.array([draft.start for draft in drafts])[:, None] + np.arange(8)
    frames = np.minimum(frames, levels.shape[1] - 1)
    bins = np.rint(hertz(columns)[:, None] * np.arange(1, 5) * N_FFT / ANALYSIS_RATE).astype(int)
    audible = bins < levels.shape[0] - 1
    near = np.where(audible, bins, 1)[:, :, None] + np.arange(-1, 2)
    peaks = levels[near[..., None], frames[:, None, None, :]].max(axis=(2, 3))
    amplitudes = np.sqrt(np.where(audible, np.square(peaks), 0.0).sum(axis=1, dtype=np.float64))
    loud = np.percentile(amplitudes, 90) + 1e-9
    return np.asarray(np.clip(np.sqrt(amplitudes / loud), _SOFTEST, _LOUDEST) / _LOUDEST)


def onset_peaks(envelope: Samples) -> NDArray[np.float64]:
    """Return the times in seconds at which something starts."""
    distance = int(0.055 * ENVELOPE_RATE)
    peaks, _ = signal.find_peaks(envelope, height=0.06, distance=distance)
    return np.asarray(peaks / ENVELOPE_RATE, np.float64)


def snapped(starts: NDArray[np.float64], peaks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each start moved to the onset it belongs to, or unmoved where there is none near.

    The nearest within 25 ms; else the last one up to 75 ms before, because the network hears the
    later strings of a strum late; else the nearest within 45 ms.
    """
    if not peaks.size:
        return starts
    after = np.searchsorted(peaks, starts, side="right")
    before = peaks[np.maximum(after - 1, 0)]
    following = peaks[np.minimum(after, peaks.size - 1)]
    nearest = np.where(np.abs(starts - before) <= np.abs(following - starts), before, following)
    distance = np.abs(starts - nearest)
    lateness = starts - before
    strummed = (lateness > 0) & (lateness < _STRUM_SECONDS)
    far = np.where(strummed, before, np.where(distance < _FAR_SNAP_SECONDS, nearest, starts))
    return np.asarray(np.where(distance < _SNAP_SECONDS, nearest, far))
