"""Audio in memory: samples and their rate, never one without the other.

Knows nothing of files, codecs or engines. Everything that handles sound in `server` passes `Clip`s.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Sound as float32 samples, nominally within [-1, 1].

    Attributes:
        samples: `[C, N]`, one row a channel.
        sample_rate: in Hz.

    Raises:
        ValueError: the samples are not float32 of two dimensions, or the rate is not positive.
    """

    samples: Samples
    sample_rate: int

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.dtype != np.float32:
            raise ValueError("samples must be a float32 array of shape [C, N]")
        if self.sample_rate <= 0:
            raise ValueError(f"sample_rate must be positive, not {self.sample_rate}")

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[0])

    @property
    def length(self) -> int:
        """Number of samples in each channel."""
        return int(self.samples.shape[1])

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.length / self.sample_rate

    def mono(self) -> Samples:
        """Return the mean of the channels, `[N]`."""
        mean: Samples = self.samples.mean(axis=0, dtype=np.float32)
        return mean

    def as_stereo(self) -> Self:
        """Return two channels: mono is doubled, more than two are cut to the first two."""
        if self.channels == 2:
            return self
        rows = self.samples[[0, 0]] if self.channels == 1 else self.samples[:2]
        return self.with_samples(rows)

    def in_channels(self, channels: int) -> Self:
        """Return one channel or two: mixed down, doubled, or the first two.

        Raises:
            ValueError: another number is asked for, and the clip does not have it.
        """
        if self.channels == channels:
            return self
        if channels not in (1, 2):
            raise ValueError(f"a clip of {self.channels} channels has no {channels}")
        return self.with_samples(self.mono()[None]) if channels == 1 else self.as_stereo()

    def with_samples(self, samples: Samples) -> Self:
        """Return a clip of the same rate with other samples `[C, N]`."""
        return type(self)(np.ascontiguousarray(samples, dtype=np.float32), self.sample_rate)
