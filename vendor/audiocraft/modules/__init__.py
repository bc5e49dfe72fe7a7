"""Building blocks of the networks, under the original's names."""

from audiocraft.modules.conv import StreamableConv1d, StreamableConvTranspose1d
from audiocraft.modules.lstm import StreamableLSTM
from audiocraft.modules.seanet import SEANetDecoder, SEANetEncoder
from audiocraft.modules.transformer import StreamingTransformer

__all__ = [
    "SEANetDecoder",
    "SEANetEncoder",
    "StreamableConv1d",
    "StreamableConvTranspose1d",
    "StreamableLSTM",
    "StreamingTransformer",
]
