"""What a result is made of: each of its sounds, taken along the way that their sum took.

A `Desk` has a lane for every sound. What is done to the sum is remembered with the gains it had
there, and done to each lane at the end, so that all lanes together are the result. What cannot be
told apart by sounds has a lane of its own, the bus. Knows sound; nothing of instruments or scores.
"""

from collections.abc import Callable, Mapping
from itertools import count

import numpy as np

from server.engines.protocols import OnStep
from server.media.clip import Clip, Samples

SOURCE = "source"
"""Name of what stays of the clip itself."""

BUS = "bus"
"""Name of what effects add that is no single sound's: hiss, what distortion makes of the sum."""

INAUDIBLE = 10.0 ** (-90 / 20)
"""Peak below which nothing is missing."""

Pass = Callable[[Clip], Clip]
"""One thing that is done to a sum, settled, so that it can be done to its parts."""


class Desk:
    """Lanes of sound and what all of them go through.

    Unless it is used it has no lanes, remembers nothing and costs nothing.
    """

    def __init__(self, sounds: Mapping[str, Samples], sample_rate: int, *, is_used: bool) -> None:
        """Take the sounds `[2, N]` that the sum has from the beginning."""
        self._is_used = is_used
        self._passes: list[Pass] = []
        self._lanes: dict[str, tuple[int, Clip]] = {}
        for name, samples in sounds.items():
            self.add(name, Clip(samples, sample_rate))

    def add(self, name: str, clip: Clip) -> None:
        """Take a sound that the sum has from here on."""
        if self._is_used:
            self._lanes[name] = (len(self._passes), clip)

    def through(self, done: Pass, mix: Clip) -> Clip:
        """Return the sum with something done to it, which its sounds will go through too."""
        self.follow(done)
        return done(mix)

    def follow(self, done: Pass) -> None:
        """Remember what has been done to the sum."""
        if self._is_used:
            self._passes.append(done)

    def stems(self, result: Clip, on_step: OnStep) -> dict[str, Clip]:
        """Return every sound as it is in the result, then the bus where anything is left for it.

        One lane is finished after the other and leaves the desk. `on_step(done, total)` is called
        before each thing that is done.
        """
        finished: dict[str, Clip] = {}
        left = result.samples.copy()
        total = sum(len(self._passes) - first for first, _ in self._lanes.values())
        steps = count()
        for name in list(self._lanes):
            first, clip = self._lanes.pop(name)
            for done in self._passes[first:]:
                on_step(next(steps), total)
                clip = done(clip)
            left -= clip.samples
            finished[name] = clip
        if self._is_used and np.abs(left).max(initial=0.0) > INAUDIBLE:
            finished[BUS] = result.with_samples(left)
        return finished
