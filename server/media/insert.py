"""Does what was put into a window belong there: in time, in key, in level, without a hole?

`seams` listens at the two joints; this module adds what is only heard over the whole insert. Its
onsets are folded over one beat of the grid that the music around it has, so that neither the same
rhythm nor the same instruments are needed: only the beat itself must be where it was.

Knows samples, windows and beats; which sound was put there, and by whom, it does not know.
"""

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.media import harmony, key, loudness, resample, rhythm, seams, spectrum
from server.media.analysis import Gate, Verdict, worst
from server.media.clip import Clip, Samples
from server.media.fold import Fold
from server.media.key import Key
from server.media.seams import Seam
from server.media.window import Window, cut

NEAR_SECONDS = 12.0
"""How much of either side tells what the music is like there."""

CEILING_DB = -1.0
"""True peak in dBTP above which players and encoders may clip."""

GATES: dict[str, Gate] = {
    **seams.GATES,
    **{
        gate.name: gate
        for gate in (
            Gate("lag", "ms", 15, 40, "Another timbre moves by 6 at most; 80 is another beat."),
            Gate("drift", "ms", 10, 25, "Over the insert: a player who rushes is heard."),
            Gate("transposition", "semitones", 0, 0, "Measured without error on every piece."),
            Gate(
                "key",
                "correlation",
                0.25,
                0.45,
                "Other chords of the key lose 0.35.",
            ),
            Gate("hole", "ms", 150, 200, "A network begins late; rests of the source are none."),
            Gate("peak", "dB", 0.1, 1.0, "Above -1 dBTP, or above the source where that is more."),
        )
    },
}
"""By name: those of both seams (the worse one counts) and those of the whole insert."""

UNDETERMINED_SCORE = 0.25
"""What a gate adds to the score that could not be measured: a little more than a good value."""

_FAR_ROTATIONS = (1, 4, 6)
"""Semitones to keys four fifths away and more, which share three notes of seven at most."""

_HOLE_DB = -50.0
_HOLE_REACH_SECONDS = 0.5
_HOLE_FRAME_SECONDS = 0.010


@dataclass(frozen=True, slots=True)
class Insert:
    """How something fits into its window.

    Attributes:
        start: the seam before it; None at the edge of the clip.
        end: the seam after it; None at the edge of the clip.
        values: the measured value of each gate, by its name; None where undetermined.
        true_peak_db: of the result in the window, in dBTP; None for silence.
        onset_correlation: how alike the beats inside and outside are; below 0.3 no lag is told.
    """

    start: Seam | None
    end: Seam | None
    values: Mapping[str, float | None]
    true_peak_db: float | None
    onset_correlation: float

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdict of every gate."""
        return {name: gate.verdict(self.values[name]) for name, gate in GATES.items()}

    @property
    def verdict(self) -> Verdict:
        """The worst of all that could be determined."""
        return worst(self.verdicts.values())

    @property
    def score(self) -> float:
        """How much of it can be heard; lower is better, and best of N takes the lowest.

        The sum over all gates of the value as a share of the worst one that does not fail. A gate
        that allows nothing counts as it is: 1 a semitone.
        """
        return sum(_share(GATES[name], value) for name, value in self.values.items())

    def as_dict(self) -> dict[str, Any]:
        """Return the measures as plain JSON values."""
        verdicts = self.verdicts
        return {
            "verdict": self.verdict,
            "score": round(self.score, 3),
            "gates": {
                name: {
                    "value": _rounded(self.values[name]),
                    "unit": gate.unit,
                    "verdict": verdicts[name],
                }
                for name, gate in GATES.items()
            },
            "seams": {
                "start": self.start.as_dict() if self.start else None,
                "end": self.end.as_dict() if self.end else None,
            },
            "true_peak_db": _rounded(self.true_peak_db),
            "onset_correlation": _rounded(self.onset_correlation),
        }


def _share(gate: Gate, value: float | None) -> float:
    if value is None:
        return UNDETERMINED_SCORE
    return abs(value) / (gate.warns or 1.0)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3) + 0.0


def measure(
    source: Clip, result: Clip, window: Window, *, overlap: int, beats: Sequence[float] | None
) -> Insert:
    """Measure what is in a window of the result against the source around it.

    Both clips have the same shape and rate; `overlap` samples at either end of the window were
    crossfaded. `beats` are those of the source in seconds, the window's own among them; without
    them the tempo is heard from what is around the window.
    """
    return Place(source, window, overlap=overlap, beats=beats).measure(result)


class Place:
    """A window of a source that several results are measured in: the source is heard once."""

    def __init__(
        self, source: Clip, window: Window, *, overlap: int, beats: Sequence[float] | None
    ) -> None:
        """Listen to the source around the window."""
        self._source, self._window, self._overlap = source, window, overlap
        reach = round(NEAR_SECONDS * source.sample_rate)
        near = Window(max(0, window.start - reach), min(source.length, window.end + reach))
        self._near = near
        self._here = Window(window.start - near.start, window.end - near.start)
        around = cut(source, near)
        offset = near.start / source.sample_rate
        inside = (self._here.start / source.sample_rate, self._here.end / source.sample_rate)
        local = None if beats is None else [beat - offset for beat in beats]
        heard = _at_22k(around)
        self._fold = Fold(rhythm.envelope(heard), inside, beats=local)
        self._tonality = _Tonality(heard, inside)
        self._ceiling_db = max(CEILING_DB, loudness.true_peak_db(around))

    def measure(self, result: Clip) -> Insert:
        """Measure one result."""
        start, end = seams.measure(self._source, result, self._window, overlap=self._overlap)
        around = cut(result, self._near)
        heard = _at_22k(around)
        time = self._fold.timing(rhythm.envelope(heard))
        peak_db = loudness.true_peak_db(cut(around, self._here))
        values = {
            **{name: _worse(name, start, end) for name in seams.GATES},
            "lag": time.lag_ms,
            "drift": time.drift_ms,
            **self._tonality.compared(heard),
            "hole": 1000.0 * _hole_seconds(cut(self._source, self._near), around, self._here),
            "peak": max(0.0, peak_db - self._ceiling_db),
        }
        audible_peak_db = peak_db if math.isfinite(peak_db) else None
        return Insert(start, end, values, audible_peak_db, time.correlation)


def _at_22k(clip: Clip) -> Clip:
    return resample.resample(Clip(clip.mono()[None], clip.sample_rate), rhythm.RATE)


def _worse(name: str, *ends: Seam | None) -> float | None:
    found = [seam.values[name] for seam in ends if seam is not None]
    return max(found) if found else None


# Harmony


class _Tonality:
    """Which pitches the source has around a window and in it."""

    def __init__(self, heard: Clip, inside: tuple[float, float]) -> None:
        """Listen to what is around the window, at its own tuning; `inside` is in seconds."""
        self._inside = slice(*(round(each * harmony.FRAME_RATE) for each in inside))
        self._cents = spectrum.estimate_tuning(heard.mono(), heard.sample_rate)
        chroma = harmony.chroma(heard, tuning_cents=self._cents)
        self._before = chroma[:, self._inside]
        self._around = np.delete(chroma, self._inside, axis=1)
        found = [harmony.estimate_key(each) for each in (self._around, self._before)]
        self._keys = {each for one in found if one for each in (one, one.relative)}

    def compared(self, heard: Clip) -> dict[str, float | None]:
        """Return by how many semitones an insert is off, and how badly it fits the song's key.

        An insert may repeat what was there or take up what is around it: the smaller rotation of
        the two counts. One to a near key only counts where the key is another as well, because
        other chords of the same key turn the mean on their own.
        """
        chroma = harmony.chroma(heard, tuning_cents=self._cents)[:, self._inside]
        if not (_is_pitched(self._around) and _is_pitched(chroma)):
            return {"transposition": None, "key": None}
        known = [each for each in (self._before, self._around) if _is_pitched(each)]
        rotations = [harmony.best_rotation(each, chroma) for each in known]
        misfit = _misfit(self._keys, chroma)
        rotation = min(rotations, key=abs)
        is_turned = abs(rotation) in _FAR_ROTATIONS or misfit > GATES["key"].passes
        return {"transposition": float(rotation) if is_turned else 0.0, "key": misfit}


def _is_pitched(chroma: Samples) -> bool:
    """Whether there is harmony, chord by chord rather than frame by frame."""
    chords = chroma[:, : chroma.shape[1] // 22 * 22].reshape(12, -1, 22).mean(axis=2)
    return bool(chords.size) and harmony.clarity(chords) >= harmony.AUDIBLE_CLARITY


def _misfit(song: AbstractSet[Key], chroma: Samples) -> float:
    """Return how much better another key fits than the best of the song's."""
    weights = np.asarray(chroma.mean(axis=1), np.float64)
    own = max(key.fit(each, weights) for each in song)
    best = key.likeliest_key(weights)
    return key.fit(best, weights) - own if best else 0.0


# Holes


def _hole_seconds(source: Clip, result: Clip, window: Window) -> float:
    """Return the longest silence of the result near a seam where the source was not silent."""
    frame = max(1, round(_HOLE_FRAME_SECONDS * source.sample_rate))
    reach = round(_HOLE_REACH_SECONDS * source.sample_rate)
    longest = 0
    for seam in (window.start, window.end):
        zone = Window(max(0, seam - reach), min(source.length, seam + reach))
        silent = _silent(cut(result, zone), frame) & ~_silent(cut(source, zone), frame)
        longest = max(longest, _longest_run(silent))
    return longest * frame / source.sample_rate


def _silent(clip: Clip, frame: int) -> NDArray[np.bool_]:
    """Return which frames are below -50 dBFS in every channel, `[T]`."""
    whole = clip.samples[:, : clip.length // frame * frame].astype(np.float64)
    power = np.square(whole).reshape(clip.channels, -1, frame).mean(axis=2).max(axis=0)
    return np.asarray(power < 10.0 ** (_HOLE_DB / 10.0))


def _longest_run(flags: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))
