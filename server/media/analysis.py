"""The musical report: is the result still the same music, and in time with it?

`compare` measures a result against its source and judges each measure by one row of `GATES`. It
knows no engine and no beat tracker; beats, where somebody knows them, only sharpen the chroma. The
measures themselves are in `rhythm`, `harmony` and `loudness`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from server.media import harmony, loudness, pitched, resample, rhythm, spectrum
from server.media.clip import Clip, Samples

Verdict = Literal["pass", "warn", "fail", "undetermined"]

_WORST_FIRST: tuple[Verdict, ...] = ("fail", "warn", "pass")
_BEAT_WITHOUT_PULSE = 0.5
_QUIET = 1e-5


@dataclass(frozen=True, slots=True)
class Gate:
    """One promise and where it breaks.

    Attributes:
        name: what is measured.
        unit: of the value.
        passes: the worst value that passes.
        warns: the worst value that is only a warning.
        reason: why these numbers.
        decides: whether the overall verdict goes by it.
    """

    name: str
    unit: str
    passes: float
    warns: float
    reason: str
    decides: bool = True

    def verdict(self, value: float | None) -> Verdict:
        """Judge a value; None is undetermined. Where `passes` is above `warns`, more is better."""
        if value is None:
            return "undetermined"
        if self.passes > self.warns:
            badness, passes, warns = -value, -self.passes, -self.warns
        else:
            badness, passes, warns = abs(value), self.passes, self.warns
        if badness <= passes:
            return "pass"
        return "warn" if badness <= warns else "fail"


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of what could be determined."""
    found = set(verdicts)
    return next((each for each in _WORST_FIRST if each in found), "undetermined")


GATES: dict[str, Gate] = {
    gate.name: gate
    for gate in (
        Gate("length", "samples", 0, 0, "A loop that is one sample longer clicks and drifts."),
        Gate("lag", "ms", 10, 40, "Players are 10 ms apart; 80 ms is no slow attack any more."),
        Gate("drift", "ms per 30 s", 20, 40, "A tempo error of 0.1 % is 30, none at most 3."),
        Gate("tempo", "%", 1, 2, "Where onsets are too unlike for a drift, the pulse must agree."),
        Gate(
            "harmony",
            "cosine",
            0.80,
            0.65,
            "Same chords reach 0.9, other music at most 0.6; less where drums are in every chroma.",
            decides=False,
        ),
        Gate(
            "harmony_pitched",
            "cosine",
            0.70,
            0.65,
            "The notes without drums: same music 0.70 and more, other music at most 0.61.",
        ),
        Gate("roots", "share", 0.85, 0.70, "Same chords 0.78 and more, shuffled at most 0.67."),
        Gate("transposition", "semitones", 0, 0, "Measured without error on every piece tried."),
    )
}
"""By name. Start values from synthetic pieces in other timbres and with controlled damage.

The harmony of the mix is judged and told, but the verdict goes by that of its pitched layer: drums
that come or go change the chroma of a mix and no chord.
"""


@dataclass(frozen=True, slots=True)
class Portrait:
    """What one clip is like. None where there is nothing to measure.

    Attributes:
        bpm: tempo, in any octave.
        key: name of the likeliest key.
        tuning_cents: offset from A = 440 Hz.
        loudness_lufs: integrated loudness; of mono as both speakers play it.
        true_peak_db: in dBTP.
        rms_db: root mean square level.
        crest_db: peak over root mean square.
        side_db: level of the difference of the channels over that of their sum; None for mono.
        correlation: of the two channels; None for mono.
    """

    bpm: float | None
    key: str | None
    tuning_cents: float | None
    loudness_lufs: float | None
    true_peak_db: float | None
    rms_db: float | None
    crest_db: float | None
    side_db: float | None
    correlation: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A result measured against its source.

    Attributes:
        source: portrait of the source.
        result: portrait of the result.
        values: the measured value of each gate, by its name; None where undetermined.
        onset_correlation: how alike the onsets are; below 0.3 neither lag nor drift is told.
        frame_chroma: mean cosine of the chroma frame by frame.
        chord_agreement: share of beats with the same chord root; noisy, for information.
    """

    source: Portrait
    result: Portrait
    values: Mapping[str, float | None]
    onset_correlation: float
    frame_chroma: float | None
    chord_agreement: float | None

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdict of every gate."""
        return {name: gate.verdict(self.values[name]) for name, gate in GATES.items()}

    @property
    def verdict(self) -> Verdict:
        """The worst of all that decide and could be determined."""
        return worst(self.verdicts[name] for name, gate in GATES.items() if gate.decides)

    @property
    def loudness_change_db(self) -> float | None:
        """By how many LU the result is louder."""
        return _difference(self.result.loudness_lufs, self.source.loudness_lufs)

    @property
    def true_peak_change_db(self) -> float | None:
        """By how many dB its true peak is higher."""
        return _difference(self.result.true_peak_db, self.source.true_peak_db)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values, rounded to what the measures can tell."""
        verdicts = self.verdicts
        return {
            "verdict": self.verdict,
            "gates": {
                name: {
                    "value": _rounded(self.values[name]),
                    "unit": gate.unit,
                    "verdict": verdicts[name],
                }
                for name, gate in GATES.items()
            },
            "onset_correlation": _rounded(self.onset_correlation),
            "frame_chroma": _rounded(self.frame_chroma),
            "chord_agreement": _rounded(self.chord_agreement),
            "loudness_change_db": _rounded(self.loudness_change_db),
            "true_peak_change_db": _rounded(self.true_peak_change_db),
            "source": _plain(self.source),
            "result": _plain(self.result),
        }


def _plain(portrait: Portrait) -> dict[str, float | str | None]:
    values = asdict(portrait)
    return {
        name: _rounded(each) if isinstance(each, float) else each for name, each in values.items()
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3) + 0.0


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


# Listening


@dataclass(frozen=True, slots=True, eq=False)
class _Heard:
    """One clip as the measures need it."""

    clip: Clip
    onsets: Samples
    levels: Samples
    chroma: Samples
    pulse: rhythm.Pulse
    tuning_cents: float


def compare(source: Clip, result: Clip, *, beats: Sequence[float] | None = None) -> Comparison:
    """Measure how much of the source's music is in the result.

    Both are heard in mono at 22.05 kHz, and the result at the source's tuning. Without `beats`
    (seconds) the chroma is averaged over beats of the measured tempo, or half seconds where there
    is no pulse.
    """
    return Original(source).compare(result, beats=beats)


class Original:
    """A source that several results are measured against: it is heard once."""

    def __init__(self, source: Clip) -> None:
        """Listen to the source."""
        self._heard = _hear(source, None)

    def compare(self, result: Clip, *, beats: Sequence[float] | None = None) -> Comparison:
        """Measure one result, as the function of that name does."""
        one, other = self._heard, _hear(result, self._heard)
        edges = _beat_edges(one, beats)
        chords = [harmony.over_beats(each.chroma, edges) for each in (one, other)]
        notes = [pitched.notes(each.levels, edges) for each in (one, other)]
        alignment = rhythm.align(one.onsets, other.onsets)
        is_pitched = pitched.is_audible(notes[0])
        values = {
            "length": float(_length_difference(one.clip, result)),
            "lag": alignment.lag_ms,
            "drift": alignment.drift_ms,
            "tempo": _tempo_change(one.pulse, other.pulse),
            "harmony": harmony.similarity(*chords) if is_pitched else None,
            "harmony_pitched": pitched.similarity(*notes) if is_pitched else None,
            "roots": pitched.root_agreement(*notes) if is_pitched else None,
            "transposition": float(harmony.best_rotation(*chords)) if is_pitched else None,
        }
        return Comparison(
            source=_portrait(one),
            result=_portrait(other),
            values=values,
            onset_correlation=alignment.correlation,
            frame_chroma=harmony.similarity(one.chroma, other.chroma) if is_pitched else None,
            chord_agreement=_agreement(*chords) if is_pitched else None,
        )


def _hear(clip: Clip, reference: _Heard | None) -> _Heard:
    """Listen to a clip: at its own tuning, or near the reference's tempo and at its tuning."""
    small = resample.resample(Clip(clip.mono()[None], clip.sample_rate), rhythm.RATE)
    onsets = rhythm.envelope(small)
    tuning = spectrum.estimate_tuning(small.mono(), rhythm.RATE)
    if reference is None:
        pulse, heard_at = rhythm.pulse(onsets), tuning
    else:
        bpm, heard_at = reference.pulse.bpm, reference.tuning_cents
        pulse = rhythm.pulse(onsets, low=bpm * 0.96, high=bpm * 1.04)
    levels = harmony.semitones(small, tuning_cents=heard_at)
    return _Heard(clip, onsets, levels, harmony.chroma_of(levels), pulse, tuning)


def _beat_edges(heard: _Heard, beats: Sequence[float] | None) -> NDArray[np.float64]:
    """Return the beats' edges in seconds, the clip's ends included."""
    seconds = heard.clip.seconds
    if beats is None:
        beat = 60.0 / heard.pulse.bpm if heard.pulse.is_audible else _BEAT_WITHOUT_PULSE
        beats = np.arange(0.0, seconds, beat).tolist()
    inside = [each for each in sorted(beats) if 0.0 < each < seconds]
    return np.array([0.0, *inside, seconds])


def _length_difference(source: Clip, result: Clip) -> int:
    """Return how many samples too long the result is, at the source's rate."""
    length = resample.resampled_length(result.length, result.sample_rate, source.sample_rate)
    return length - source.length


def _tempo_change(source: rhythm.Pulse, result: rhythm.Pulse) -> float | None:
    """Return by how many percent the result is faster; None where either has no pulse."""
    if not (source.is_audible and result.is_audible):
        return None
    return (result.bpm / source.bpm - 1.0) * 100.0


def _agreement(one: Samples, other: Samples) -> float:
    roots, others = harmony.chord_roots(one), harmony.chord_roots(other)
    return float(np.mean(roots == others))


# Portraits


def _portrait(heard: _Heard) -> Portrait:
    clip = heard.clip
    rms, peak = _rms(clip.samples), float(np.abs(clip.samples).max(initial=0.0))
    key = harmony.estimate_key(heard.chroma)
    is_silent = peak < _QUIET
    return Portrait(
        bpm=heard.pulse.bpm if heard.pulse.is_audible else None,
        key=key.name if key else None,
        tuning_cents=None if is_silent else heard.tuning_cents,
        loudness_lufs=_finite(loudness.integrated_loudness(_as_played(clip))),
        true_peak_db=_finite(loudness.true_peak_db(clip)),
        rms_db=_decibels(rms),
        crest_db=None if is_silent else _decibels(peak / rms),
        **_stereo_image(clip),
    )


def _as_played(clip: Clip) -> Clip:
    """Return mono on two channels: by itself it would measure 3 LU less than it sounds."""
    return clip.as_stereo() if clip.channels == 1 else clip


def _stereo_image(clip: Clip) -> dict[str, float | None]:
    """Return the width of the first two channels."""
    if clip.channels == 1 or not clip.length:
        return {"side_db": None, "correlation": None}
    left, right = clip.samples[0], clip.samples[1]
    middle, side = _rms(left + right), _rms(left - right)
    product = float(np.mean(left * right, dtype=np.float64))
    norm = _rms(left) * _rms(right)
    return {
        "side_db": _decibels(side / middle) if middle > _QUIET else None,
        "correlation": product / norm if norm > _QUIET**2 else None,
    }


def _rms(samples: Samples) -> float:
    return math.sqrt(float(np.mean(np.square(samples), dtype=np.float64))) if samples.size else 0.0


def _decibels(level: float) -> float | None:
    return 20.0 * math.log10(level) if level > _QUIET else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
