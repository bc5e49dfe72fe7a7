"""Rate and channel conversion of audio tensors."""

import soxr
import torch
from torch import Tensor


def convert_audio_channels(wav: Tensor, channels: int = 2) -> Tensor:
    """Return `[*, channels, N]`: mono is copied, more are averaged or cut to the first.

    Raises:
        ValueError: one cannot be made of the other (2 of 5 can, 5 of 2 cannot).
    """
    present = wav.shape[-2]
    if present == channels:
        return wav
    if channels == 1:
        return wav.mean(dim=-2, keepdim=True)
    if present == 1:
        return wav.expand(*wav.shape[:-2], channels, wav.shape[-1])
    if present > channels:
        return wav[..., :channels, :]
    raise ValueError(f"{channels} channels cannot be made of {present}")


def resample(wav: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """Return `[*, C, M]` at another rate, `M = round(N * to_rate / from_rate)` (soxr HQ)."""
    if from_rate == to_rate:
        return wav
    length = round(wav.shape[-1] * to_rate / from_rate)
    rows = wav.detach().cpu().float().reshape(-1, wav.shape[-1])
    done = torch.zeros(rows.shape[0], length)
    for row, target in zip(rows, done, strict=True):
        part = torch.from_numpy(soxr.resample(row.numpy(), from_rate, to_rate, quality="HQ"))
        target[: len(part)] = part[:length]
    return done.reshape(*wav.shape[:-1], length).to(wav)


def convert_audio(wav: Tensor, from_rate: float, to_rate: float, to_channels: int) -> Tensor:
    """Return `wav` `[*, C, N]` at another rate with another number of channels."""
    return convert_audio_channels(resample(wav, int(from_rate), int(to_rate)), to_channels)
