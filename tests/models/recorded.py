"""The rule by which the checkpoints behind recorded arrays are filled: a formula of a name.

The arrays in `data` are what another implementation computed from tensors filled so; filled again
here, they are to give the same. The scales keep signals alive through random layers.
"""

import re
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]

DATA = Path(__file__).parent / "data"
"""Where the recorded arrays are."""

_SCALED: tuple[tuple[str, Callable[[Floats], Floats]], ...] = (
    (r"codebook\.cluster_size$", lambda z: 10.0 + np.abs(z)),
    (r"(^|\.)(norm\d*|norm_cross|out_norm)\.weight$", lambda z: 1.0 + 0.1 * z),
    (r"\.convtr\..*(original0|weight_g)$", lambda z: (1.0 + 0.1 * z) * 1.1),
    (r"(original0|weight_g)$", lambda z: (1.0 + 0.1 * z) * 0.75),
    (r"(original1|weight_v)$", lambda z: z),
    (r"\.bias\w*$", lambda z: 0.05 * z),
    (r"^emb\.\d+\.weight$", lambda z: 1.2 * z),
    (r"^linears\.\d+\.weight$", lambda z: z * 3.0 / np.sqrt(z.shape[1])),
)
"""What becomes of normal numbers, by the first pattern that is found in the name."""


def fill(name: str, shape: tuple[int, ...]) -> Tensor:
    """Return the tensor of that name in float32."""
    return torch.from_numpy(_value(name, shape).astype(np.float32))


def _value(name: str, shape: tuple[int, ...]) -> Floats:
    if name.endswith("codebook.inited"):
        return np.ones(shape)
    if name.endswith("spec.window"):
        return np.asarray(torch.hann_window(shape[0]).numpy(), np.float64)
    z = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    if level := re.search(r"layers\.(\d+)\._?codebook\.embed", name):
        return z * 0.2 * 0.8 ** int(level[1])
    for pattern, scaled in _SCALED:
        if re.search(pattern, name):
            return scaled(z)
    return np.asarray(z / np.sqrt(shape[1]))
