"""Where new sound was put between old: can the joint be heard?

Each measure is taken at the seam of the result and at the same place of the source, because an
attack on the seam that was there before is no fault of it. A seam on a bar line is masked by the
music; off the beat a hard cut shows in the flux or as a click, and a crossfade of 30 ms in neither.
What no measure here sees is content that is late: `analysis` has the lag for that.

Knows samples and windows; which sound was put there, and by whom, it does not know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from server.media import loudness, spectrum
from server.media.analysis import Gate, Verdict, worst
from server.media.clip import Clip, Samples
from server.media.window import Window, cut

LOUDNESS_SECONDS = 3.0
"""How much of either side is heard for its loudness."""

GATES: dict[str, Gate] = {
    gate.name: gate
    for gate in (
        Gate("click", "ratio", 1.6, 2.0, "Music reaches 1.5 on its attacks, a hard cut 2 to 6."),
        Gate("flux", "of p99", 0.25, 0.4, "30 ms of crossfade add 0.05, a hard cut 0.2 to 2."),
        Gate("loudness", "LU", 1.0, 2.0, "Another timbre wanders by 0.5 at most."),
    )
}
"""By name. Fitted on 28 synthetic pieces cut on bar lines and off the beat."""

NEAR_SECONDS = 10.0
"""How much of either side tells what is usual there; the rest of a long clip is not looked at."""

_CLICK_SECONDS = 0.001
_NEIGHBOURHOOD_SECONDS = 0.010
_MARGIN_SECONDS = 0.010
_WINDOW, _HOP = 512, 128
_MASKED = 1.5
_FAINT = 1e-4
_SILENCE_LUFS = -70.0


@dataclass(frozen=True, slots=True)
class Seam:
    """One end of what was put in.

    Attributes:
        seconds: where it is.
        values: the measured value of each gate, by its name.
    """

    seconds: float
    values: Mapping[str, float]

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdict of every gate."""
        return {name: gate.verdict(self.values[name]) for name, gate in GATES.items()}

    @property
    def verdict(self) -> Verdict:
        """The worst of them."""
        return worst(self.verdicts.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the measures as plain JSON values."""
        verdicts = self.verdicts
        return {
            "seconds": round(self.seconds, 4),
            "verdict": self.verdict,
            "gates": {
                name: {
                    "value": round(self.values[name], 3) + 0.0,
                    "unit": gate.unit,
                    "verdict": verdicts[name],
                }
                for name, gate in GATES.items()
            },
        }


def measure(
    source: Clip, result: Clip, window: Window, *, overlap: int
) -> tuple[Seam | None, Seam | None]:
    """Measure the seams at the start and at the end of a window; None at an edge of the clip.

    Both clips have the same shape and rate; `overlap` samples at either end of the window were
    crossfaded.
    """
    rate = source.sample_rate
    reach = round(NEAR_SECONDS * rate)
    near = Window(max(0, window.start - reach), min(source.length, window.end + reach))
    here = Window(window.start - near.start, window.end - near.start)
    one, other = cut(source, near), cut(result, near)
    fluxes = _flux(one), _flux(other)
    before, after = _sides(here, one)
    first = Window(here.start, here.start + overlap)
    last = Window(here.end - overlap, here.end)
    start, end = (
        Seam(place / rate, _values(one, other, fluxes, joint, sides))
        for place, joint, sides in ((window.start, first, before), (window.end, last, after))
    )
    return start if window.start else None, end if window.end < source.length else None


def _sides(window: Window, clip: Clip) -> tuple[tuple[Window, Window], tuple[Window, Window]]:
    """Return outside and inside of the start, and inside and outside of the end."""
    reach = round(LOUDNESS_SECONDS * clip.sample_rate)
    inside = min(reach, window.length)
    start, end = window.start, window.end
    return (
        (Window(max(0, start - reach), start), Window(start, start + inside)),
        (Window(end - inside, end), Window(end, min(clip.length, end + reach))),
    )


def _values(
    source: Clip,
    result: Clip,
    fluxes: tuple[Samples, Samples],
    joint: Window,
    sides: tuple[Window, Window],
) -> dict[str, float]:
    natural, found = (_peak_flux(each, joint, source.sample_rate) for each in fluxes)
    step = _loudness_step(result, sides)
    # a chorus that begins here may go on rising, and what replaces it may as well not
    change = min(abs(step), abs(step - _loudness_step(source, sides)))
    return {
        "click": click(result, joint),
        "flux": max(0.0, found - _MASKED * natural),
        "loudness": change,
    }


def usual(clip: Clip, places: Sequence[int], *, overlap: int) -> dict[str, float]:
    """Return the median click and flux at some places: what attacks there sound like on their own.

    Raises:
        ValueError: there are no places.
    """
    flux = _flux(clip)
    joints = [Window(place, place + overlap) for place in places]
    return {
        "click": median(click(clip, joint) for joint in joints),
        "flux": median(_peak_flux(flux, joint, clip.sample_rate) for joint in joints),
    }


def click(clip: Clip, joint: Window) -> float:
    """Return how far the sharpest bend in a joint stands above all bends within 10 ms of it.

    A discontinuity bends the wave in one place alone; an attack goes on bending it.
    """
    near, far = (
        max(1, round(seconds * clip.sample_rate))
        for seconds in (_CLICK_SECONDS, _NEIGHBOURHOOD_SECONDS)
    )
    start, end = max(0, joint.start - near), joint.end + near
    bends = _bends(clip.samples[:, max(0, start - far) : end + far])
    first = min(start, far)
    zone = bends[first : first + end - start]
    padded = np.pad(bends, far)
    reach = np.lib.stride_tricks.sliding_window_view(padded, far - near)
    place = np.arange(first, first + zone.shape[0]) + far
    around = np.maximum(reach[place - far].max(axis=1), reach[place + near].max(axis=1))
    faintest = _FAINT * float(np.abs(clip.samples).max(initial=0.0))
    return float((zone / np.maximum(around, max(faintest, 1e-9))).max())


def _bends(samples: Samples) -> Samples:
    """Return the highest second difference of any channel around each sample, `[N]`."""
    bends = np.abs(np.diff(samples, n=2, axis=1)).max(axis=0, initial=0.0)
    return np.pad(bends, (1, 1))[: samples.shape[1]]


def _flux(clip: Clip) -> Samples:
    """Return the rise of the logarithmic spectrum in each frame over its 99th percentile, `[T]`."""
    levels = spectrum.magnitudes(clip.mono(), n_fft=_WINDOW, hop=_HOP)
    levels = np.log1p(1000.0 / max(float(levels.max(initial=0.0)), _FAINT) * levels)
    rise = np.maximum(0.0, np.diff(levels, axis=1, prepend=levels[:, :1])).sum(axis=0)
    usual = float(np.percentile(rise, 99.0))
    return np.asarray(rise / max(usual, _FAINT), dtype=np.float32)


def _peak_flux(flux: Samples, joint: Window, sample_rate: int) -> float:
    margin = round(_MARGIN_SECONDS * sample_rate)
    first = max(0, joint.start - margin) // _HOP
    last = (joint.end + margin) // _HOP + 1
    return float(flux[first:last].max(initial=0.0))


def _loudness_step(clip: Clip, sides: tuple[Window, Window]) -> float:
    """Return by how many LU the second side is louder; silence counts as -70 LUFS."""
    before, after = (
        max(loudness.integrated_loudness(cut(clip, side)), _SILENCE_LUFS) for side in sides
    )
    return after - before
