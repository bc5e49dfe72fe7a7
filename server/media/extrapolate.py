"""How a sound would have gone on for some milliseconds, by linear prediction.

Where a sound stops, something has to fade out under what comes next. Its own spectrum, gone on
without any new attack, is heard as the sound itself being let go. The predictor is Burg's (J. P.
Burg, "Maximum entropy spectral analysis", 1967): its poles lie within the unit circle whatever it
is given, so what it predicts never grows.

Knows samples `[C, N]`; each channel is predicted on its own.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from server.media.clip import Samples

ORDER = 400
"""Enough for some hundred partials; a chord of five instruments has fewer that can be heard."""

CONTEXT = 6 * ORDER
"""Samples that the predictor is fitted to at least; four times what is predicted, if that is more.
"""

_FLOOR = 1e-9

Wave = NDArray[np.float64]


def beyond(samples: Samples, length: int) -> Samples:
    """Return `length` samples that follow on from the end of a sound, `[C, length]`.

    After silence, and after less than three samples, there is silence.
    """
    heard = samples[:, -max(CONTEXT, 4 * length) :].astype(np.float64)
    rows = [_predicted(channel, length) for channel in heard]
    return np.asarray(rows, dtype=np.float32).reshape(samples.shape[0], length)


def _predicted(heard: Wave, length: int) -> Wave:
    order = min(ORDER, heard.shape[0] // 3)
    if order < 1 or not np.any(np.abs(heard) > _FLOOR):
        return np.zeros(length)
    predictor = burg(heard, order)
    past = signal.lfiltic([1.0], predictor, y=heard[::-1][:order])
    found, _ = signal.lfilter([1.0], predictor, np.zeros(length), zi=past)
    return np.asarray(found, np.float64)


def burg(heard: Wave, order: int) -> Wave:
    """Return the filter `[order + 1]`, 1 first, that leaves least of a sound `[N]`.

    It minimises what is left forwards and backwards together, one reflection after the other; a
    reflection is never above 1 in size.

    Raises:
        ValueError: the sound is not longer than the order.
    """
    if heard.shape[0] <= order:
        raise ValueError("a predictor needs more samples than it has coefficients")
    predictor = np.ones(1)
    forward, backward = heard[1:], heard[:-1]
    for _ in range(order):
        energy = float(forward @ forward + backward @ backward)
        if energy <= _FLOOR**2:
            break
        reflection = -2.0 * float(forward @ backward) / energy
        turned = np.append(predictor, 0.0)
        predictor = turned + reflection * turned[::-1]
        forward, backward = (
            forward[1:] + reflection * backward[1:],
            backward[:-1] + reflection * forward[:-1],
        )
    return np.pad(predictor, (0, order + 1 - predictor.shape[0]))
