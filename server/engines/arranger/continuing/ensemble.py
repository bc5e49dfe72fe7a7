"""Who goes on playing where no words say so: the voices that sound most like what was heard.

The notes heard last are played by each of a few dozen voices of the lexicon, and the spectrogram
that comes nearest to the clip's own wins: once for what is low, once for the rest. Knows notes and
spectra; nothing of what will be played.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.engines.arranger import lexicon
from server.engines.arranger.inpainting.context import METER, Context
from server.engines.arranger.render import Orchestra
from server.engines.arranger.score import ANALYSIS_RATE, Note, Part, Score
from server.engines.protocols import OnStep, tell_nobody
from server.media import resample, spectrum
from server.media.clip import Clip, Samples
from variations.schema import Arrangement, Effect, Voice

COMPARED_SECONDS = 2.4
"""How much of the end is played again by every candidate."""

BASS_PITCH = 52
"""Below this a note is the bass's."""

_UPPER = (
    "piano",
    "electric piano",
    "organ",
    "guitar",
    "electric guitar",
    "distorted guitar",
    "strings",
    "pad",
    "supersaw",
    "pluck",
    "square wave",
    "marimba",
    "bells",
    "brass",
    "choir",
)
_LOWER = ("bass", "double bass", "synth bass", "808", "cello")
_FEWEST_LOW_NOTES = 3
_WIDE = (24, 103)
_WIDE_BASS = (24, 60)
_FLOOR_DB = -50.0
_RISE_WEIGHT = 3.0
_LOUD_DB = -15.0
_BALANCE_DB = (-9.0, 4.0)
_EARLY_SECONDS = 0.04
_BANDS = 32
_REACH_HERTZ = (40.0, 8000.0)
_BOLD_DB = MappingProxyType({"distorted guitar": 1.5, "square wave": 0.8, "supersaw": 0.8})
"""How much nearer a voice must be that would be worse as a mistake than the others."""

_LOW_BANDS = 4
"""The bands up to some 300 Hz: bass and the rest are compared on their own side alone."""

_N_FFT, _HOP = 2048, 512
_ROOM = Effect(kind="reverb", parameters={"seconds": 0.9, "mix": 0.1})

Bands = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Two players, or one who has both hands.

    Attributes:
        arrangement: the players, without a drummer.
        distance: mean distance of the upper player's spectrogram to the clip's, in dB.
    """

    arrangement: Arrangement
    distance: float

    @property
    def facts(self) -> dict[str, Any]:
        """JSON-able: who plays, and how near that is."""
        return {
            "nearest_voices": [voice.name for voice in self.arrangement.voices],
            "nearest_distance_db": round(self.distance, 1),
        }


def nearest(
    recent: Clip, context: Context, orchestra: Orchestra, *, seed: int, on_step: OnStep
) -> Ensemble:
    """Return the voices that sound most like the end of a clip playing the notes heard in it."""
    start = _start(recent, context)
    notes = [
        replace(note, start_seconds=max(0.0, note.start_seconds - start))
        for note in context.notes
        if start - _EARLY_SECONDS <= note.start_seconds < start + COMPARED_SECONDS
    ]
    low = [note for note in notes if note.pitch < BASS_PITCH]
    high = [note for note in notes if note.pitch >= BASS_PITCH] or low
    trial = _Trial(orchestra, context, _wanted(recent, start), seed)
    uppers, lowers = _voices(_UPPER, "riff", _WIDE), _voices(_LOWER, "bass", _WIDE_BASS)
    total = len(uppers) + len(lowers) + 1
    upper = trial.best(uppers, high, above=True, on_step=lambda n: on_step(n, total))
    voices = [upper.voice]
    if len(low) >= _FEWEST_LOW_NOTES and high is not low:
        choices = [upper.voice, *lowers]
        lower = trial.best(
            choices, low, above=False, on_step=lambda n: on_step(len(uppers) + n, total)
        )
        if lower.voice is not upper.voice:
            gain = float(np.clip(lower.gain_db - upper.gain_db, *_BALANCE_DB))
            voices.append(lower.voice.model_copy(update={"gain_db": gain}))
    on_step(total, total)
    return Ensemble(Arrangement(voices=voices, effects=[_ROOM]), upper.distance)


def apart(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return the parts with no left hand on what a bass plays: doubled, it would be all one hears.

    Players of what is written take all of it, so that one alone is an ensemble.
    """
    low = {
        (round(note.start_seconds, 2), note.pitch % 12)
        for part in parts
        if part.voice.role == "bass"
        for note in part.notes
    }
    return tuple(
        replace(part, notes=tuple(note for note in part.notes if not _is_doubled(note, low)))
        if part.voice.role == "riff"
        else part
        for part in parts
    )


def _is_doubled(note: Note, low: AbstractSet[tuple[float, int]]) -> bool:
    return note.pitch < BASS_PITCH and (round(note.start_seconds, 2), note.pitch % 12) in low


def _voices(words: Sequence[str], role: str, reach: tuple[int, int]) -> list[Voice]:
    """Return the lexicon's voices of these words, in one role and a range wide enough for it."""
    known = lexicon.load()
    found = []
    for word in words:
        _, meanings = known.longest(word.split())
        voice = next(meaning for meaning in meanings if isinstance(meaning, Voice))
        changes = {"role": role, "range": reach, "polyphony": None, "rhythm": None, "name": word}
        found.append(voice.model_copy(update=changes))
    return found


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A voice that was tried: how far it is from the clip, and how much too soft."""

    voice: Voice
    distance: float
    gain_db: float


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """What candidates are compared with: the clip's end in bands `[bands, T]`."""

    orchestra: Orchestra
    context: Context
    wanted: Bands
    seed: int

    def best(
        self,
        voices: Sequence[Voice],
        notes: Sequence[Note],
        *,
        above: bool,
        on_step: Callable[[int], None],
    ) -> _Candidate:
        """Return the voice whose playing of the notes is nearest to the clip."""
        side = slice(_LOW_BANDS, None) if above else slice(_LOW_BANDS)
        found = []
        for number, voice in enumerate(voices):
            on_step(number)
            played = _bands(self._played(voice, notes))[side]
            count = min(played.shape[1], self.wanted.shape[1])
            wanted, played = self.wanted[side, :count], played[:, :count]
            found.append(_Candidate(voice, _distance(wanted, played), _gain_db(wanted, played)))
        return min(found, key=lambda each: each.distance + _BOLD_DB.get(each.voice.name, 0.0))

    def _played(self, voice: Voice, notes: Sequence[Note]) -> Samples:
        score = Score(
            seconds=COMPARED_SECONDS,
            parts=(Part(voice, tuple(notes)),),
            tuning_cents=float(np.clip(self.context.heard.tuning_cents, -50, 50)),
        )
        mix = self.orchestra.render(
            score, self.context.heard, seed=self.seed, on_step=tell_nobody
        ).mix
        return resample.resample(Clip(mix, 44100), ANALYSIS_RATE).mono()


def _start(recent: Clip, context: Context) -> float:
    """Return when the last bars begin that are long enough to compare, in seconds."""
    latest = max(0.0, recent.seconds - COMPARED_SECONDS)
    times = context.beats.times[context.downbeat :: METER]
    earlier = times[(times >= 0.0) & (times <= latest)]
    return float(earlier[-1]) if earlier.size else latest


def _wanted(recent: Clip, start: float) -> Bands:
    """Return the clip from `start` seconds on in bands."""
    first = round(start * recent.sample_rate)
    last = first + round(COMPARED_SECONDS * recent.sample_rate)
    late = recent.with_samples(recent.samples[:, first:last])
    return _bands(resample.resample(late, ANALYSIS_RATE).mono())


def _bands(mono: Samples) -> Bands:
    """Return the level of each band in dB, `[bands, T]`."""
    filters = spectrum.mel_filterbank(ANALYSIS_RATE, _N_FFT, _BANDS, *_REACH_HERTZ)
    powers = filters @ np.square(spectrum.magnitudes(mono, n_fft=_N_FFT, hop=_HOP))
    return np.asarray(10.0 * np.log10(powers + 1e-12), np.float64)


def _distance(wanted: Bands, played: Bands) -> float:
    """Return the mean difference in dB where either sounds, at the gain that makes it least.

    How it rises counts beside how loud it is: a pad that swells is no piano.
    """
    one, other = (np.maximum(each - each.max() - _FLOOR_DB, 0.0) for each in (wanted, played))
    audible = (one > 0) | (other > 0)
    difference = (one - other)[audible]
    level = float(np.abs(difference - np.median(difference)).mean())
    rises = [np.maximum(np.diff(each, axis=1), 0.0) for each in (one, other)]
    return level + _RISE_WEIGHT * float(np.abs(rises[0] - rises[1]).mean())


def _gain_db(wanted: Bands, played: Bands) -> float:
    """Return by how much the playing is too soft where it is loudest."""
    loud = played >= played.max() + _LOUD_DB
    return float(np.median((wanted - played)[loud]))
