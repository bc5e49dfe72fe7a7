"""The half of an edit that does not know the words: from a sound to the pivot it starts from.

Computed once for all words, and kept for the next job on the same sound.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from audiocraft.models import MelodyFlow
from audiocraft.models.melodyflow import Editing
from torch import Tensor

from server.engines.melodyflow import plan
from server.engines.melodyflow.inversions import InversionKey, Inversions, digest
from server.engines.melodyflow.memory import Memory
from server.engines.melodyflow.plan import Ledger
from server.media.clip import Clip

CODEC_UNITS = 2
"""What encoding or decoding a clip counts in progress, beside the flow model's evaluations."""


@dataclass(kw_only=True)
class Sound:
    """A clip as the model takes it, and its encoding once that was needed."""

    prepared: Clip
    posterior: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Pivots:
    """Encodes and inverts with one model, and keeps what it inverted."""

    model: MelodyFlow
    identity: Mapping[str, str]
    memory: Memory
    inversions: Inversions

    def encoded(self, sound: Sound) -> Tensor:
        """Return the posterior `[1, 2C, T]` of a sound."""
        if sound.posterior is None:
            waveform = torch.from_numpy(sound.prepared.samples)[None]
            sound.posterior = self.memory.encode(self.model, waveform)
        return sound.posterior

    def pivot(
        self, sound: Sound, editing: Editing, *, seed: int, ledger: Ledger
    ) -> tuple[Tensor, str]:
        """Return the inversion `[1, C, T]` of a sound, and whether it was `computed` or `cached`.

        Takes `units(editing)` of the ledger.
        """
        encoded = ledger.stage(CODEC_UNITS)
        told = ledger.stage(editing.inversion().evaluations)
        key = InversionKey(
            sound=digest(sound.prepared),
            model=" ".join(self.identity.values()),
            editing=editing,
            seed=seed,
        )
        kept = self.inversions.find(key)
        if kept is not None:
            told(1, 1)
            return kept.to(self.model.device), "cached"
        posterior = self.encoded(sound)
        encoded(1, 1)
        inverted = plan.paced(told, self.model.device)

        def invert(_rows: int | None) -> Tensor:
            draw = plan.noise_of(seed)
            start = self.model.lm.source_latent(posterior, draw)
            return self.model.invert(start, editing, draw=draw, on_step=inverted)

        pivot = self.memory.solve(invert, size=posterior.shape[-1])
        self.inversions.keep(key, pivot)
        return pivot, "computed"


def units(editing: Editing) -> int:
    """Return what a pivot counts in progress."""
    return CODEC_UNITS + editing.inversion().evaluations
