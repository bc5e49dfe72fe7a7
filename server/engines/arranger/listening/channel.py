"""Which channel of a clip is listened to. Knows samples, nothing of what is heard in them."""

import numpy as np

from server.media.clip import Samples

_CANCELLED = 0.25
"""Middle less than this share of a channel: the channels cancel, and the louder one is heard."""


def listened_to(samples: Samples) -> Samples:
    """Return the mean of the channels of `[C, N]`, or the loudest where they cancel each other."""
    middle: Samples = samples.mean(axis=0, dtype=np.float32)
    loudness = np.sqrt(np.square(samples).mean(axis=1, dtype=np.float64))
    loudest = int(loudness.argmax())
    if np.sqrt(np.square(middle).mean(dtype=np.float64)) < _CANCELLED * loudness[loudest]:
        middle = samples[loudest]
    return middle
