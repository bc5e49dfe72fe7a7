"""Text to condition: a T5 encoder and the projection that checkpoints bring.

The encoder is no part of a checkpoint; it comes from a directory of its own.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


class T5Conditioner(nn.Module):
    """Texts to `[B, S, dim]` and a mask `[B, S]`; both are zero where there is no text."""

    def __init__(self, input_dim: int, output_dim: int) -> None:
        super().__init__()
        self.output_proj = nn.Linear(input_dim, output_dim)
        self._encoder: tuple[Any, Any] | None = None

    def use_encoder(self, directory: Path | str) -> None:
        """Take tokenizer and encoder from a transformers directory, offline."""
        from transformers import AutoTokenizer, T5EncoderModel  # noqa: PLC0415 - slow to import

        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
        encoder = T5EncoderModel.from_pretrained(directory, local_files_only=True)
        encoder.requires_grad_(requires_grad=False)
        # a tuple hides the encoder from the state dict: checkpoints do not contain it
        self._encoder = (
            tokenizer,
            nn.Module.to(encoder.train(mode=False), self.output_proj.weight.device),
        )

    def tokenize(self, texts: Sequence[str | None]) -> tuple[Tensor, Tensor]:
        """Return ids and mask `[B, S]`, padded to the longest; "" and None get a zero mask.

        Raises:
            RuntimeError: no encoder was given yet.
        """
        if self._encoder is None:
            raise RuntimeError("The text encoder has not been loaded.")
        entries = [text or "" for text in texts]
        batch = self._encoder[0](entries, return_tensors="pt", padding=True)
        present = torch.tensor([[bool(entry)] for entry in entries])
        return batch["input_ids"], batch["attention_mask"] * present

    def forward(self, texts: Sequence[str | None]) -> tuple[Tensor, Tensor]:
        """Return the condition and its mask."""
        device = self.output_proj.weight.device
        ids, mask = (x.to(device) for x in self.tokenize(texts))
        hidden = self.encode(ids, mask)
        return self.output_proj(hidden.float()) * mask.unsqueeze(-1), mask

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the encoder's last hidden state, zero where the mask is zero."""
        if self._encoder is None:
            raise RuntimeError("The text encoder has not been loaded.")
        with torch.no_grad():
            hidden: Tensor = self._encoder[1](input_ids=ids, attention_mask=mask).last_hidden_state
        # a row without any token may come back as anything; it must not reach the projection as NaN
        return hidden.masked_fill(mask.unsqueeze(-1) == 0, 0.0)


class ConditionProvider(nn.Module):
    """The conditioners of a checkpoint by attribute name; here there is one, the description."""

    def __init__(self, description: T5Conditioner) -> None:
        super().__init__()
        self.conditioners = nn.ModuleDict({"description": description})

    @property
    def description(self) -> T5Conditioner:
        """The text conditioner."""
        conditioner = self.conditioners["description"]
        assert isinstance(conditioner, T5Conditioner)  # noqa: S101 - what the constructor put there
        return conditioner
