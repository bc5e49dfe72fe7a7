"""From clips to what the model takes, and back from its latents."""

import numpy as np
from audiocraft.models import MelodyFlow
from torch import Tensor

from server import errors
from server.engines.melodyflow.memory import Memory
from server.media import resample, window
from server.media.clip import Clip


def prepared(clip: Clip, model: MelodyFlow) -> Clip:
    """Return the clip at the rate and with the channels of the model."""
    channels = (
        clip.as_stereo() if model.audio_channels == 2 else clip.with_samples(clip.mono()[None])
    )
    return resample.resample(channels, model.sample_rate)


def heard_by(model: MelodyFlow, memory: Memory, latent: Tensor, *, length: int) -> Clip:
    """Return the sound of a latent `[1, C, T]`, of that many samples at the model's rate.

    Raises:
        errors.EngineFailed: it is no sound.
    """
    audio = memory.decode(model, latent)[0].float().cpu().numpy()
    if not np.isfinite(audio).all():
        raise errors.EngineFailed("The model's output is not a sound; please try another seed.")
    return Clip(window.fit_length(audio, length), model.sample_rate)
