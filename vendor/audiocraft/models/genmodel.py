"""What all generative models share: a codec, a language or flow model, and who is told of it."""

from collections.abc import Callable
from typing import Any

import torch
from tqdm import tqdm

from audiocraft.models.compression import CompressionModel
from audiocraft.models.solvers import OnStep


class BaseGenModel:
    """A codec, a model over its latents or tokens, and the choices of the next call.

    The choices (`generation_params`, the progress callback) belong to this object, not to the
    weights: requests that run beside each other each have an object of their own over the same
    weights.
    """

    def __init__(
        self,
        name: str,
        compression_model: CompressionModel,
        lm: Any,
        max_duration: float | None = None,
    ) -> None:
        """Put the parts together; `max_duration` is the window in seconds."""
        self.name = name
        self.compression_model = compression_model
        self.lm = lm
        self.max_duration = 30.0 if max_duration is None else max_duration
        self.duration = self.max_duration
        self.generation_params: dict[str, Any] = {}
        self._progress_callback: OnStep | None = None

    @property
    def sample_rate(self) -> int:
        """Of the waveforms, in Hz."""
        return self.compression_model.sample_rate

    @property
    def frame_rate(self) -> float:
        """Latent frames or tokens of a codebook a second."""
        return self.compression_model.frame_rate

    @property
    def audio_channels(self) -> int:
        """Channels of the waveforms."""
        return self.compression_model.channels

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = next(iter(self.lm.parameters())).device
        return device

    def set_custom_progress_callback(
        self, progress_callback: Callable[[int, int], None] | None = None
    ) -> None:
        """Choose what is called with (done, total) after every step of the model."""
        self._progress_callback = progress_callback

    def _on_step(self, *, progress: bool) -> OnStep:
        """Return what follows a call: the callback, a bar on the terminal, or nobody."""
        if self._progress_callback is not None:
            return self._progress_callback
        return _bar() if progress else _nothing


def _nothing(done: int, total: int) -> None:
    """Ignore progress."""


def _bar() -> OnStep:
    bar: Any = tqdm(unit="step", leave=False)

    def on_step(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return on_step
