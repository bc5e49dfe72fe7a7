"""How the music moves: where in the bar things start, how early or late, how hard; its drums.

Read from what was heard around the windows, or from the onsets of what is in them where the
musician wants that groove kept. Knows notes, strokes and the grid; nothing of pitches to come.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from server.engines.arranger.inpainting import surroundings
from server.engines.arranger.inpainting.context import METER, Context
from server.engines.arranger.listening import drums
from server.engines.arranger.score import ANALYSIS_RATE, DrumHit, DrumKind
from server.engines.arranger.spans import Span
from server.media import resample, rhythm, spectrum
from server.media.clip import Clip
from server.media.window import Window, cut

STEPS_A_BEAT = 4
STEPS = METER * STEPS_A_BEAT
"""Sixteenths of a bar."""

_BASS_PITCH = 52
_TOGETHER_SECONDS = 0.045
_FEWEST_TO_TIME = 3
_MOST_OFFSET = 0.45
_USUAL = 0.5
_KEPT_HEIGHT = 0.08
_KEPT_DISTANCE_SECONDS = 0.07
_DRUM_SHARE = 0.12
_STROKES_A_SECOND_OF_A_DRUMMER = 1.0

Bars = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Onset:
    """Something starts: when, and how hard in (0, 1]."""

    seconds: float
    accent: float


@dataclass(frozen=True, slots=True, eq=False)
class Groove:
    """A bar of the music as it usually goes; all arrays are `[STEPS]`.

    Attributes:
        bass: in what share of the bars a low note starts there.
        upper: in what share of the bars another note starts there.
        accents: how hard, in (0, 1]; 0.6 where nothing was heard.
        offsets: by what share of a step it is late.
        strokes: of each drum, in what share of the bars it is struck, and how hard.
    """

    bass: Bars
    upper: Bars
    accents: Bars
    offsets: Bars
    strokes: dict[DrumKind, tuple[Bars, Bars]]

    @property
    def density(self) -> float:
        """Onsets of upper notes a beat."""
        return float(self.upper.sum()) / METER

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "onsets_a_beat": round(self.density, 2),
            "drums": sorted(self.strokes),
            "late_steps": {
                str(step): round(float(offset), 2)
                for step, offset in enumerate(self.offsets)
                if abs(offset) > 0.1
            },
        }


def position(context: Context, seconds: float) -> tuple[int, float]:
    """Return the bar of a moment and where in it, in steps; bar 0 starts at the downbeat."""
    times = context.beats.times
    beat = int(np.clip(np.searchsorted(times, seconds + 1e-6, side="right") - 1, 0, times.size - 1))
    length = float(times[beat + 1] - times[beat]) if beat + 1 < times.size else _last(times)
    bar, place = divmod(beat - context.downbeat, METER)
    return bar, STEPS_A_BEAT * (place + (seconds - float(times[beat])) / max(length, 1e-6))


def _last(times: NDArray[np.float64]) -> float:
    return float(times[-1] - times[-2]) if times.size > 1 else 0.5


def heard(context: Context) -> Groove:
    """Return the groove of what is around the windows."""
    bars = max(sum(context.known) / METER, 1.0)
    low = [note for note in context.notes if note.pitch < _BASS_PITCH]
    high = [note for note in context.notes if note.pitch >= _BASS_PITCH]
    everything = [
        *((note.start_seconds, note.velocity) for note in context.notes),
        *((hit.start_seconds, hit.velocity) for hit in context.strokes),
    ]
    places = [position(context, seconds) for seconds, _ in everything]
    offsets = _offsets([place for _, place in places])
    bass, _ = _counted(context, [(n.start_seconds, n.velocity) for n in low], bars)
    upper, _ = _counted(context, [(n.start_seconds, n.velocity) for n in high], bars)
    _, accents = _counted(context, everything, bars)
    return Groove(bass, upper, accents, offsets, _drums(context, bars))


def _offsets(places: Sequence[float]) -> Bars:
    """Return by what share of a step things are usually late on each step."""
    found: list[list[float]] = [[] for _ in range(STEPS)]
    for place in places:
        nearest = round(place)
        found[nearest % STEPS].append(place - nearest)
    usual = [float(np.median(each)) if len(each) >= _FEWEST_TO_TIME else 0.0 for each in found]
    on_beat = np.mean(usual[::STEPS_A_BEAT])
    late = np.clip(np.array(usual) - on_beat, -_MOST_OFFSET, _MOST_OFFSET)
    late[::STEPS_A_BEAT] = 0.0
    return np.asarray(np.where(np.abs(late) < 0.1, 0.0, late))


def _counted(
    context: Context, onsets: Sequence[tuple[float, float]], bars: float
) -> tuple[Bars, Bars]:
    """Return in what share of the bars something starts on each step, and how hard on average."""
    moments: dict[tuple[int, int], float] = {}
    for seconds, accent in onsets:
        bar, place = position(context, seconds)
        bar, step = bar + round(place) // STEPS, round(place) % STEPS
        moments[bar, step] = max(accent, moments.get((bar, step), 0.0))
    counts, hardness = np.zeros(STEPS), np.zeros(STEPS)
    for (_, step), accent in moments.items():
        counts[step] += 1.0
        hardness[step] += accent
    accents = np.where(counts > 0, hardness / np.maximum(counts, 1.0), 0.6)
    return np.minimum(counts / bars, 1.0), accents


def _drums(context: Context, bars: float) -> dict[DrumKind, tuple[Bars, Bars]]:
    """Return each drum's bar; nothing where there is no drummer, only a few stray clicks."""
    seconds = sum(span.seconds for span in context.heard_spans)
    if len(context.strokes) < _STROKES_A_SECOND_OF_A_DRUMMER * seconds:
        return {}
    kinds: dict[DrumKind, list[tuple[float, float]]] = {}
    for hit in context.strokes:
        kinds.setdefault(hit.kind, []).append((hit.start_seconds, hit.velocity))
    return {kind: _counted(context, hits, bars) for kind, hits in kinds.items()}


# What was in the windows


@dataclass(frozen=True, slots=True)
class Kept:
    """The onsets of what was in the windows.

    Attributes:
        onsets: of everything, by start.
        low: of what is low.
        strokes: of drums; empty where there were none.
    """

    onsets: tuple[Onset, ...]
    low: tuple[Onset, ...]
    strokes: tuple[DrumHit, ...]


def kept(clip: Clip, windows: Sequence[Window], low_hertz: float = 180.0) -> Kept:
    """Return the onsets of what is in the windows; pitches are not listened to."""
    onsets: list[Onset] = []
    low: list[Onset] = []
    strokes: list[DrumHit] = []
    sections = signal.butter(4, low_hertz, fs=ANALYSIS_RATE, output="sos")
    for window in windows:
        start = window.start / clip.sample_rate
        mono = resample.resample(cut(clip, window), ANALYSIS_RATE).mono()
        deep = np.asarray(signal.sosfiltfilt(sections, mono), np.float32)
        onsets += _peaks(mono, start)
        low += _peaks(deep, start)
        strokes += _strokes(mono, start)
    return Kept(tuple(onsets), tuple(low), tuple(strokes))


def _peaks(mono: NDArray[np.float32], start: float) -> list[Onset]:
    envelope = surroundings.onsets(mono, [Span(0.0, mono.shape[0] / ANALYSIS_RATE)])
    distance = max(1, int(_KEPT_DISTANCE_SECONDS * rhythm.FRAME_RATE))
    peaks, _ = signal.find_peaks(envelope, height=_KEPT_HEIGHT, distance=distance)
    return [
        Onset(start + frame / rhythm.FRAME_RATE, max(0.3, float(envelope[frame]) ** 0.5))
        for frame in peaks.tolist()
    ]


def _strokes(mono: NDArray[np.float32], start: float) -> list[DrumHit]:
    """Return the drum strokes, none where what strikes is a small part of the sound."""
    sustained, struck = spectrum.hpss(mono, ANALYSIS_RATE, margin=1.5)
    powers = [float(np.square(layer).sum(dtype=np.float64)) for layer in (struck, sustained)]
    if powers[0] <= _DRUM_SHARE * (sum(powers) + 1e-9):
        return []
    return [
        DrumHit(start + hit.start_seconds, hit.kind, hit.velocity)
        for hit in drums.find_strokes(struck)
    ]
