"""Rate conversion by a windowed sinc, one filter for each phase, as the original prepares prompts.

What a model hears decides which tokens it continues, so the filter is the original's: 24 zero
crossings to either side under a squared cosine, and a cutoff 5.5 % below what the rates allow.
"""

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional

from audiocraft.data import audio_utils

_ZEROS = 24
_ROLLOFF = 0.945
_MOST_TAPS = 2**22
"""Rates without a common divisor need a filter for nearly every sample; soxr does those."""


def resample_sinc(wav: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """Return `[*, C, M]` of `[*, C, N]` at another rate, `M = floor(N * to_rate / from_rate)`."""
    divisor = math.gcd(from_rate, to_rate)
    old, new = from_rate // divisor, to_rate // divisor
    length = wav.shape[-1] * new // old
    if old == new:
        return wav
    if (old + 2 * _reach(old, new)) * new > _MOST_TAPS:
        return audio_utils.resample(wav, from_rate, to_rate)[..., :length]
    reach = _reach(old, new)
    rows = wav.reshape(-1, 1, wav.shape[-1])
    padded = functional.pad(rows, (reach, reach + old), mode="replicate")
    phases = functional.conv1d(padded, _filters(old, new).to(wav), stride=old)  # [R, new, M / new]
    return phases.transpose(1, 2).reshape(*wav.shape[:-1], -1)[..., :length]


def convert_prompt(wav: Tensor, from_rate: int, to_rate: int, channels: int) -> Tensor:
    """Return `wav` `[*, C, N]` at a model's rate, then with its number of channels.

    Raises:
        ValueError: the channels cannot be made of those there are.
    """
    return audio_utils.convert_audio_channels(resample_sinc(wav, from_rate, to_rate), channels)


def _reach(old: int, new: int) -> int:
    """Return how many samples to either side a filter hears."""
    return math.ceil(_ZEROS * old / (min(old, new) * _ROLLOFF))


@functools.lru_cache(maxsize=8)
def _filters(old: int, new: int) -> Tensor:
    """Return `[new, 1, taps]`: the filter of each sample that falls between `old` of the source."""
    reach, cutoff = _reach(old, new), min(old, new) * _ROLLOFF
    taps = torch.arange(-reach, reach + old, dtype=torch.float64) / old
    phases = torch.arange(new, dtype=torch.float64) / new
    crossings = ((taps - phases[:, None]) * cutoff).clamp(-_ZEROS, _ZEROS)
    window = torch.cos(crossings * (math.pi / 2 / _ZEROS)).square()
    kernels = torch.sinc(crossings) * window
    return (kernels / kernels.sum(dim=-1, keepdim=True)).float()[:, None]  # a constant stays one
