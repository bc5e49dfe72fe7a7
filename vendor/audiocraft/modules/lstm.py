"""The recurrent layer inside SEANet."""

from torch import Tensor, nn


class StreamableLSTM(nn.Module):
    """LSTM over `[B, C, T]` with a residual, starting from a zero state."""

    def __init__(self, dimension: int, num_layers: int = 2) -> None:
        super().__init__()
        self.lstm = nn.LSTM(dimension, dimension, num_layers)

    def forward(self, x: Tensor) -> Tensor:
        """Run over time."""
        steps = x.permute(2, 0, 1)
        y, _ = self.lstm(steps)
        out: Tensor = (y + steps).permute(1, 2, 0)
        return out
