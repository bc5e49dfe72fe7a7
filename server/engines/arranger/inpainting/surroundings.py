"""What is around the windows: the stretches that may be heard, and the clip with the rest cut out.

Whatever lies in a window is silenced before anything is listened to, so nothing of it can be heard
by mistake. Knows samples and times; nothing of beats, except that what is cut out of the clip is a
whole number of bars where the caller gives their edges.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from server.engines.arranger.score import ANALYSIS_RATE
from server.engines.arranger.spans import Span
from server.media import rhythm, spectrum
from server.media.clip import Clip, Samples
from server.media.window import Window, rising

_FADE_SECONDS = 0.005
_FALSE_ONSET_SECONDS = 0.04
"""Where a stretch begins, whatever sounds seems to start; that long its onsets are not believed."""

_SHORTEST_SECONDS = 0.25


def outside(windows: Sequence[Window], length: int, rate: int) -> tuple[Span, ...]:
    """Return the stretches of a clip of `length` samples that lie in no window, in seconds."""
    edges = [0, *(edge for window in windows for edge in (window.start, window.end)), length]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return tuple(Span(start / rate, end / rate) for start, end in pairs if end > start)


def silenced(clip: Clip, windows: Sequence[Window]) -> Clip:
    """Return the clip with silence in the windows, faded towards them from outside."""
    samples = clip.samples.copy()
    for window in windows:
        samples[:, window.start : window.end] = 0.0
        before = min(round(_FADE_SECONDS * clip.sample_rate), window.start)
        after = min(round(_FADE_SECONDS * clip.sample_rate), clip.length - window.end)
        samples[:, window.start - before : window.start] *= rising(before, "equal_gain")[::-1]
        samples[:, window.end : window.end + after] *= rising(after, "equal_gain")
    return clip.with_samples(samples)


def onsets(samples: Samples, heard: Sequence[Span]) -> Samples:
    """Return the onset envelope of mono samples `[N]` in the heard stretches, `[T]`, 0 elsewhere.

    Samples are at the analysis rate, frames at `rhythm.FRAME_RATE`. Every stretch has its own
    strongest onset, so that a soft verse counts as much as the loud chorus behind the window.
    """
    envelope = np.zeros(1 + samples.shape[0] // rhythm.HOP, np.float32)
    for span in heard:
        first = int(np.ceil(span.start * rhythm.FRAME_RATE - 1e-6))
        last = min(int(span.end * rhythm.FRAME_RATE), envelope.shape[0] - 1)
        if last - first < _SHORTEST_SECONDS * rhythm.FRAME_RATE:
            continue
        part = samples[first * rhythm.HOP : last * rhythm.HOP]
        found = spectrum.onset_envelope(part, ANALYSIS_RATE, hop=rhythm.HOP)
        if first > 0:
            found[: round(_FALSE_ONSET_SECONDS * rhythm.FRAME_RATE)] = 0.0
        envelope[first : first + found.shape[0]] = found / max(float(found.max()), 1e-9)
    return envelope


@dataclass(frozen=True, slots=True)
class Abridgement:
    """A clip with stretches cut out, and the way between its time and the clip's.

    Attributes:
        cuts: what is cut out, in the clip's seconds, by start, disjoint.
    """

    cuts: tuple[Span, ...]

    def clip(self, full: Clip) -> Clip:
        """Return what is left of a clip."""
        rate, kept, at = full.sample_rate, [], 0
        for cut in self.cuts:
            kept.append(full.samples[:, at : round(cut.start * rate)])
            at = round(cut.end * rate)
        kept.append(full.samples[:, at:])
        return full.with_samples(np.concatenate(kept, axis=1))

    def short(self, seconds: float) -> float:
        """Return when a moment of the clip is in the abridged one; one cut out is at the joint."""
        gone = (min(max(seconds - cut.start, 0.0), cut.seconds) for cut in self.cuts)
        return seconds - sum(gone)

    def full(self, seconds: float) -> float:
        """Return when a moment of the abridged clip is in the whole one."""
        for cut in self.cuts:
            if seconds >= cut.start:
                seconds += cut.seconds
        return seconds

    def holds(self, seconds: float) -> bool:
        """Return whether a moment of the clip was cut out."""
        return any(cut.start <= seconds < cut.end for cut in self.cuts)
