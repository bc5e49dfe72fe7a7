"""Quantizers of codecs, under the original's names: reading and writing codes, no training."""

from audiocraft.quantization.base import (
    BaseQuantizer,
    DummyQuantizer,
    NoQuantizer,
    QuantizedResult,
)
from audiocraft.quantization.vq import ResidualVectorQuantizer

__all__ = [
    "BaseQuantizer",
    "DummyQuantizer",
    "NoQuantizer",
    "QuantizedResult",
    "ResidualVectorQuantizer",
]
