"""Inversions that were computed before, so that a new prompt on the same clip starts half way.

An inversion does not know the prompt: it depends on the sound, the weights, where and how precisely
they run, and on the choices of the solver. All of that is the key, so what is found is what would
be computed.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

from audiocraft.models.melodyflow import Editing
from torch import Tensor

from server.media.clip import Clip

_MEGABYTE = 2**20


@dataclass(frozen=True, kw_only=True)
class InversionKey:
    """Everything an inversion depends on.

    Attributes:
        sound: digest of samples, shape and rate.
        model: identity of the weights, the device and the precision.
        editing: solver, steps, flowstep and regularization.
        seed: of the noise.
    """

    sound: str
    model: str
    editing: Editing
    seed: int


def digest(clip: Clip) -> str:
    """Return the identity of a clip's sound."""
    hashed = hashlib.sha256(f"{clip.samples.shape} {clip.sample_rate} ".encode())
    hashed.update(clip.samples.tobytes())
    return hashed.hexdigest()


class Inversions:
    """Pivots `[1, C, T]` by key, in main memory; the longest unused ones make room."""

    def __init__(self, *, megabytes: int) -> None:
        """Keep at most that much; 0 keeps nothing."""
        self._most = megabytes * _MEGABYTE
        self._pivots: OrderedDict[InversionKey, Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pivots)

    @property
    def size_bytes(self) -> int:
        """How much is kept."""
        return sum(map(_size, self._pivots.values()))

    def find(self, key: InversionKey) -> Tensor | None:
        """Return a pivot that was kept, which nobody may change."""
        pivot = self._pivots.get(key)
        if pivot is not None:
            self._pivots.move_to_end(key)
        return pivot

    def keep(self, key: InversionKey, pivot: Tensor) -> None:
        """Keep a copy of a pivot where it fits at all."""
        if _size(pivot) > self._most:
            return
        self._pivots[key] = pivot.detach().to("cpu", copy=True)
        self._pivots.move_to_end(key)
        while self.size_bytes > self._most:
            self._pivots.popitem(last=False)

    def forget(self) -> None:
        """Keep nothing any more."""
        self._pivots.clear()


def _size(pivot: Tensor) -> int:
    return pivot.numel() * pivot.element_size()
