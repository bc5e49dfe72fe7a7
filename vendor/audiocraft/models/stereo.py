"""Stereo from a codec for one channel."""

import torch
from torch import Tensor

from audiocraft.models.compression import CompressionModel
from audiocraft.quantization import QuantizedResult


class InterleaveStereoCompressionModel(CompressionModel):
    """A codec for one channel, applied to each of two; their codes lie side by side.

    Codes are `[B, 2 K, T]` with the codebooks of left and right in turn, or `[B, K, 2 T]` with
    their frames in turn.

    Attributes:
        model: the codec for one channel.
        per_timestep: whether frames are in turn, and not codebooks.
    """

    def __init__(self, model: CompressionModel, per_timestep: bool = False) -> None:  # noqa: FBT001, FBT002 - the original's
        """Wrap a codec.

        Raises:
            ValueError: it is not for one channel.
        """
        super().__init__()
        if model.channels != 1:
            raise ValueError(f"a codec for {model.channels} channels cannot be made stereo")
        self.model = model
        self.per_timestep = per_timestep
        self.sample_rate = model.sample_rate
        self.channels = 2

    @property
    def num_virtual_steps(self) -> int:
        """How many frames of codes there are in the time of one frame of the codec."""
        return 2 if self.per_timestep else 1

    @property
    def frame_rate(self) -> float:
        """Frames of codes a second; those of left and right count both."""
        return self.model.frame_rate * self.num_virtual_steps

    @property
    def cardinality(self) -> int:
        """How many different codes a codebook has."""
        return self.model.cardinality

    @property
    def num_codebooks(self) -> int:
        """How many codebooks codes have, those of left and right together."""
        return self.model.num_codebooks * (1 if self.per_timestep else 2)

    @property
    def total_codebooks(self) -> int:
        """How many codebooks the codec has for one channel."""
        return self.model.total_codebooks

    def set_num_codebooks(self, n: int) -> None:
        """Use the first `n` codebooks for each channel.

        Raises:
            ValueError: there are not so many.
        """
        self.model.set_num_codebooks(n)

    def forward(self, x: Tensor) -> QuantizedResult:
        """Refuse, as the original does.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("use encode and decode")

    def encode(
        self, x: Tensor, *, tile_frames: int | None = None, precision: torch.dtype | None = None
    ) -> tuple[Tensor, None]:
        """Return the interleaved codes of `[B, 2, N]`, and no scale.

        Raises:
            ValueError: `tile_frames` is not positive.
        """
        rows = x.reshape(-1, 1, x.shape[-1])
        codes, _ = self.model.encode(rows, tile_frames=tile_frames, precision=precision)
        channels = codes.reshape(-1, 2, *codes.shape[1:])  # [B, 2, K, T]
        if self.per_timestep:
            return channels.permute(0, 2, 3, 1).flatten(2), None  # [B, K, 2 T]
        return channels.transpose(1, 2).flatten(1, 2), None  # [B, 2 K, T]

    def get_left_right_codes(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the codes `[B, K, T]` of left and right.

        Raises:
            ValueError: there is an odd number of what should be in turn.
        """
        in_turn = codes.shape[-1] if self.per_timestep else codes.shape[1]
        if in_turn % 2:
            raise ValueError(f"{in_turn} cannot be left and right in turn")
        if self.per_timestep:
            return codes[..., ::2], codes[..., 1::2]
        return codes[:, ::2], codes[:, 1::2]

    def decode(
        self,
        codes: Tensor,
        scale: Tensor | None = None,
        *,
        tile_frames: int | None = None,
        precision: torch.dtype | None = None,
    ) -> Tensor:
        """Return the waveform `[B, 2, N]` of interleaved codes.

        Raises:
            ValueError: the codes cannot be left and right in turn.
        """
        rows = torch.cat(self.get_left_right_codes(codes))
        y = self.model.decode(rows, scale, tile_frames=tile_frames, precision=precision)
        return torch.cat(y.chunk(2), dim=1)

    def decode_latent(self, codes: Tensor) -> Tensor:
        """Refuse, as the original does: there are two.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("interleaved codes have two latents")
