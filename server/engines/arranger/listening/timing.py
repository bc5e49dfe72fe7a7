"""What is heard of time, put together: beats, the bars they make and how they are divided.

Knows the beats and the signs of bars; where no pulse is audible it claims neither bars nor swing.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from server.engines.arranger.listening import meter
from server.engines.arranger.listening.feel import Feel
from server.engines.arranger.listening.meter import Signs
from server.engines.arranger.listening.tempo import EDGE_SECONDS, Beats
from server.engines.arranger.score import AUDIBLE_PULSE, FOUR_FOUR, Meter


@dataclass(frozen=True, slots=True, eq=False)
class Timing:
    """Beats, bars and feel.

    Attributes:
        beats: as they are counted: the pulse of 6/8 may be another level of what was found.
        meter: how they make bars.
        meter_confidence: 0 where nothing tells.
        feel: how they are divided.
    """

    beats: Beats
    meter: Meter = FOUR_FOUR
    meter_confidence: float = 0.0
    feel: Feel = field(default_factory=Feel)


def read(beats: Beats, signs: Signs, seconds: float, *, hint: float | None, known: bool) -> Timing:
    """Return how the beats of a clip make bars.

    Beats that are `known`, or of a tempo that was told and followed, stay as they are.
    """
    is_told = hint is not None and beats.follows_hint
    if beats.confidence < AUDIBLE_PULSE and not known:
        return Timing(beats)
    bars = meter.find_bars(signs, beats.times, fixed=known or is_told)
    times = bars.times[bars.times < seconds - EDGE_SECONDS]
    if times.size < 2 or times.size == beats.times.size:
        counted = beats
    else:
        pace = float(np.median(np.diff(times)) / np.median(np.diff(beats.times)))
        counted = replace(beats, times=times, bpm=beats.bpm * (2.0 if pace < 1 else 0.5))
    return Timing(counted, bars.meter, bars.confidence, bars.feel)
