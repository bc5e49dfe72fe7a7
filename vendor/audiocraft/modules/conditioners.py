"""Text to condition: a T5 encoder and the projection that checkpoints bring.

The encoder is no part of a checkpoint. It comes from a directory, or under its own name from where
transformers keeps models, and is opened when a text is first met.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

T5_WIDTHS: Mapping[str, int] = {
    "t5-small": 512,
    "t5-base": 768,
    "t5-large": 1024,
    "t5-3b": 1024,
    "t5-11b": 1024,
}
"""Width of the last hidden state by the name a checkpoint gives."""

_REMEMBERED_TEXTS = 256

Condition = tuple[Tensor, Tensor]
"""`[B, S, dim]` and its mask `[B, S]`; both are zero where there is no text."""


@dataclass
class ConditioningAttributes:
    """What one sample is conditioned on: texts and waveforms by attribute name."""

    text: dict[str, str | None] = field(default_factory=dict)
    wav: dict[str, Any] = field(default_factory=dict)


class T5Conditioner(nn.Module):
    """Texts to a `Condition`."""

    def __init__(self, name: str, output_dim: int) -> None:
        """Take the encoder's name, one of `T5_WIDTHS`; nothing is loaded yet."""
        super().__init__()
        self.name = name
        self.output_proj = nn.Linear(T5_WIDTHS[name], output_dim)
        self._source: Path | str | None = None
        self._parts: tuple[Any, Any] | None = None
        self._remembered: OrderedDict[str, Tensor] = OrderedDict()

    def use_encoder(self, directory: Path | str) -> None:
        """Take tokenizer and encoder from a transformers directory, without any network.

        Raises:
            OSError: there is no such thing in it.
            ValueError: it is of another width than the checkpoint's.
        """
        self._source, self._parts = directory, None
        self._remembered.clear()
        if self.t5.config.d_model != T5_WIDTHS[self.name]:
            raise ValueError(f"the text encoder is not a {self.name}")

    @property
    def t5(self) -> Any:
        """The encoder."""
        return self._open()[1]

    @property
    def t5_tokenizer(self) -> Any:
        """The tokenizer."""
        return self._open()[0]

    def tokenize(self, x: Sequence[str | None]) -> dict[str, Tensor]:
        """Return `input_ids` and `attention_mask` `[B, S]`, padded to the longest text.

        "" and None get a zero mask; " " is a text like any other.
        """
        entries = [text or "" for text in x]
        batch = self.t5_tokenizer(entries, return_tensors="pt", padding=True)
        present = torch.tensor([[bool(entry)] for entry in entries])
        device = self.output_proj.weight.device
        return {
            "input_ids": batch["input_ids"].to(device),
            "attention_mask": (batch["attention_mask"] * present).to(device),
        }

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the encoder's last hidden state, zero where the mask is zero."""
        with torch.no_grad():
            hidden: Tensor = self.t5(input_ids=ids, attention_mask=mask).last_hidden_state
        # a row without any token may come back as anything; it must not reach the projection as NaN
        return hidden.masked_fill(mask.unsqueeze(-1) == 0, 0.0)

    def forward(self, inputs: Mapping[str, Tensor]) -> Condition:
        """Return the condition of tokenized texts."""
        mask = inputs["attention_mask"]
        hidden = self.encode(inputs["input_ids"], mask)
        return self.output_proj(hidden.float()) * mask.unsqueeze(-1), mask

    def condition(self, texts: Sequence[str | None]) -> Condition:
        """Return the condition of texts; those met before are not encoded again."""
        rows = [self._remembered_row(text) for text in texts]
        condition = nn.utils.rnn.pad_sequence([row for row, _ in rows], batch_first=True)
        mask = nn.utils.rnn.pad_sequence([mask for _, mask in rows], batch_first=True)
        return condition, mask

    def _remembered_row(self, text: str | None) -> Condition:
        weight = self.output_proj.weight
        if not text:
            nothing = torch.zeros(1, dtype=torch.long, device=weight.device)
            return weight.new_zeros(1, len(weight)), nothing
        row = self._remembered.get(text)
        if row is None or row.device != weight.device:
            row = self(self.tokenize([text]))[0][0].detach()
        self._remembered[text] = row
        self._remembered.move_to_end(text)
        if len(self._remembered) > _REMEMBERED_TEXTS:
            self._remembered.popitem(last=False)
        return row, torch.ones(len(row), dtype=torch.long, device=row.device)

    def _open(self) -> tuple[Any, Any]:
        # a tuple hides the encoder from the state dict: checkpoints do not contain it
        if self._parts is None:
            self._parts = _tokenizer_and_encoder(self._source, self.name)
        tokenizer, encoder = self._parts
        device = self.output_proj.weight.device
        if encoder.device != device:
            nn.Module.to(encoder, device)
        return tokenizer, encoder


class ConditioningProvider(nn.Module):
    """The conditioners of a checkpoint by attribute name."""

    def __init__(self, conditioners: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.conditioners = nn.ModuleDict(dict(conditioners))

    @property
    def description(self) -> T5Conditioner:
        """The text conditioner."""
        conditioner = self.conditioners["description"]
        assert isinstance(conditioner, T5Conditioner)  # noqa: S101 - what the loader put there
        return conditioner

    def tokenize(self, inputs: Sequence[ConditioningAttributes]) -> dict[str, dict[str, Tensor]]:
        """Return what `forward` takes, of every text attribute that has a conditioner."""
        return {
            name: conditioner.tokenize([attributes.text.get(name) for attributes in inputs])
            for name, conditioner in self.conditioners.items()
            if isinstance(conditioner, T5Conditioner)
        }

    def forward(self, tokenized: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Condition]:
        """Return the condition of every attribute."""
        return {name: self.conditioners[name](inputs) for name, inputs in tokenized.items()}


def _tokenizer_and_encoder(source: Path | str | None, name: str) -> tuple[Any, Any]:
    from transformers import AutoTokenizer, T5EncoderModel  # noqa: PLC0415 - slow to import

    only_local = source is not None
    place = name if source is None else source
    tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=only_local)
    encoder = T5EncoderModel.from_pretrained(place, local_files_only=only_local)
    encoder.requires_grad_(requires_grad=False)
    return tokenizer, encoder.train(mode=False)
