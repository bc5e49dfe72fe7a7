"""Attention kernels that know a key of zeros without being given one."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`attend(query, key, value) -> mixture`, all `[B, H, T, D]`, unmasked."""

_FLASH_CAPABILITY = (8, 0)


def attention(device: torch.device, dtype: torch.dtype, *, head_dim: int, zero_key: bool) -> Attend:
    """Return the fastest kernel for unmasked attention there."""
    if not zero_key:
        return functional.scaled_dot_product_attention
    if device.type == "cpu":
        return _with_zero_key_on_cpu
    if device.type == "cuda" and dtype != torch.float32 and head_dim % 8 == 0:
        capability = torch.cuda.get_device_capability(device)
        return _with_zero_key_on_cuda if capability >= _FLASH_CAPABILITY else with_padded_key
    return with_padded_key


def with_padded_key(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Put the zero key in front by copying: right everywhere."""
    key, value = (functional.pad(x, (0, 0, 1, 0)) for x in (key, value))
    return functional.scaled_dot_product_attention(query, key, value)


def _with_zero_key_on_cpu(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001 - the log-sum is not returned by anything public
    mixture, log_sum = flash(query, key, value)
    return _share(mixture, log_sum)


def _with_zero_key_on_cuda(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    flash = torch.ops.aten._scaled_dot_product_flash_attention  # noqa: SLF001 - as above
    mixture, log_sum, *_ = flash(query, key, value)
    return _share(mixture, log_sum)


def _share(mixture: Tensor, log_sum: Tensor) -> Tensor:
    """Leave the zero key its share.

    Its score is 0 and its value nothing, so the others keep Z / (1 + Z) where Z is the sum of
    their exponentials.
    """
    return mixture.mul_(log_sum.sigmoid().unsqueeze(-1).to(mixture.dtype))
