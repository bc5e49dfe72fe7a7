"""Texts and melodies to conditions, and where conditions enter a model.

A text is read by a T5 encoder and the projection that checkpoints bring. The encoder is no part of
a checkpoint. It comes from a directory, or under its own name from where transformers keeps models,
and is opened when a text is first met.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from audiocraft.modules.chroma import ChromaExtractor

T5_WIDTHS: Mapping[str, int] = {
    "t5-small": 512,
    "t5-base": 768,
    "t5-large": 1024,
    "t5-3b": 1024,
    "t5-11b": 1024,
    "google/flan-t5-small": 512,
    "google/flan-t5-base": 768,
    "google/flan-t5-large": 1024,
}
"""Width of the last hidden state by the name a checkpoint gives."""

_REMEMBERED_TEXTS = 256

Condition = tuple[Tensor, Tensor]
"""`[B, S, dim]` and its mask `[B, S]`; both are zero where there is no text."""


class WavCondition(NamedTuple):
    """A sound to be conditioned on.

    Attributes:
        wav: `[1, C, N]`; a single sample stands for none.
        length: samples of it that count, `[1]`.
        sample_rate: in Hz, of each row.
        path: where each row came from, if it is known.
        seek_time: second of that file at which each row begins.
    """

    wav: Tensor
    length: Tensor
    sample_rate: Sequence[int]
    path: Sequence[str | None] = ()
    seek_time: Sequence[float | None] = ()


def nullify_wav(condition: WavCondition) -> WavCondition:
    """Return what stands for no sound where there was this one."""
    return condition._replace(
        wav=torch.zeros_like(condition.wav[..., :1]), length=torch.zeros_like(condition.length)
    )


@dataclass
class ConditioningAttributes:
    """What one sample is conditioned on: texts and waveforms by attribute name."""

    text: dict[str, str | None] = field(default_factory=dict)
    wav: dict[str, WavCondition] = field(default_factory=dict)

    def nullified(self) -> "ConditioningAttributes":
        """Return the same attributes with nothing in them: the other side of guidance."""
        return ConditioningAttributes(
            text=dict.fromkeys(self.text),
            wav={name: nullify_wav(condition) for name, condition in self.wav.items()},
        )


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
        return self.output_proj(hidden.to(self.output_proj.weight)) * mask.unsqueeze(-1), mask

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


class ChromaStemConditioner(nn.Module):
    """Melodies to a `Condition`: the pitch classes of a sound, as long as a window.

    Stems are not separated, whatever the name says: everything that sounds is heard. A melody that
    is shorter than the window is repeated.
    """

    def __init__(self, chroma: ChromaExtractor, output_dim: int, *, seconds: float) -> None:
        """Take what hears pitch classes, and how many seconds of them a condition has."""
        super().__init__()
        self.chroma = chroma
        self.output_proj = nn.Linear(chroma.n_chroma, output_dim)
        samples = max(int(chroma.sample_rate * seconds), chroma.nfft)
        self.frames = 1 + samples // chroma.winhop

    def tokenize(self, x: Sequence[WavCondition]) -> list[WavCondition]:
        """Return the melodies where the model is."""
        device = self.output_proj.weight.device
        return [each._replace(wav=each.wav.to(device)) for each in x]

    def forward(self, inputs: Sequence[WavCondition]) -> Condition:
        """Return the condition `[B, frames, dim]`; its mask is zero where there is no melody.

        None at all is heard as silence, which the projection does not map to zeros.
        """
        heard = torch.stack([self._frames(each) for each in self.tokenize(inputs)])
        present = [[each.wav.shape[-1] > 1] for each in inputs]
        mask = torch.tensor(present, device=heard.device).expand(-1, self.frames)
        return self.output_proj(heard.to(self.output_proj.weight)), mask.long()

    @torch.no_grad()
    def _frames(self, condition: WavCondition) -> Tensor:
        pitches: Tensor = self.chroma(condition.wav.float(), condition.sample_rate[0])[0]
        return pitches.repeat(-(-self.frames // len(pitches)), 1)[: self.frames]


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

    @property
    def text_conditions(self) -> list[str]:
        """Names of the attributes that are texts."""
        return [name for name, each in self.conditioners.items() if isinstance(each, T5Conditioner)]

    @property
    def wav_conditions(self) -> list[str]:
        """Names of the attributes that are waveforms."""
        return [name for name in self.conditioners if name not in self.text_conditions]

    def tokenize(self, inputs: Sequence[ConditioningAttributes]) -> dict[str, Any]:
        """Return what `forward` takes, of every attribute that has a conditioner; texts first.

        Raises:
            ValueError: a sample lacks a waveform that the model is conditioned on.
        """
        texts = {
            name: self._named(name).tokenize([each.text.get(name) for each in inputs])
            for name in self.text_conditions
        }
        return texts | {
            name: self._named(name).tokenize(_waveforms(inputs, name))
            for name in self.wav_conditions
        }

    def forward(self, tokenized: Mapping[str, Any]) -> dict[str, Condition]:
        """Return the condition of every attribute."""
        return {name: self.conditioners[name](inputs) for name, inputs in tokenized.items()}

    def conditions(self, inputs: Sequence[ConditioningAttributes]) -> dict[str, Condition]:
        """Return the conditions of some samples; texts met before are not encoded again.

        Raises:
            ValueError: a sample lacks a waveform that the model is conditioned on.
        """
        found: dict[str, Condition] = {}
        for name in self.text_conditions:
            texts = [each.text.get(name) for each in inputs]
            found[name] = self._named(name).condition(texts)
        for name in self.wav_conditions:
            found[name] = self._named(name)(_waveforms(inputs, name))
        return found

    def _named(self, name: str) -> Any:
        return self.conditioners[name]


class ConditionFuser:
    """Where conditions enter a language model: in front of the tokens, or by cross-attention.

    Attributes:
        prepend: names of the conditions in front of the tokens, the foremost first.
        cross: names of the conditions that are attended to, in order.
        cond2fuse: the method of each condition by its name.
    """

    FUSING_METHODS = ("prepend", "cross")

    def __init__(self, fuse2cond: Mapping[str, Sequence[str]]) -> None:
        """Take the names of the conditions by method.

        Raises:
            ValueError: a method is unknown, or a condition has two.
        """
        if unknown := sorted(set(fuse2cond) - set(self.FUSING_METHODS)):
            raise ValueError(f"conditions cannot be fused by {unknown[0]}")
        self.prepend = tuple(fuse2cond.get("prepend", ()))
        self.cross = tuple(fuse2cond.get("cross", ()))
        if len({*self.prepend, *self.cross}) < len(self.prepend) + len(self.cross):
            raise ValueError("a condition cannot enter a model twice")
        self.cond2fuse = dict.fromkeys(self.prepend, "prepend") | dict.fromkeys(self.cross, "cross")

    def __call__(
        self, tokens: Tensor, conditions: Mapping[str, Condition]
    ) -> tuple[Tensor, Tensor | None]:
        """Return embeddings `[B, P + S, dim]` of tokens `[B, S, dim]`, and what is attended to."""
        first = [conditions[name][0] for name in self.prepend]
        attended = [conditions[name][0] for name in self.cross]
        cross = torch.cat(attended, dim=1) if attended else None
        return torch.cat([*first, tokens], dim=1), cross


def _waveforms(inputs: Sequence[ConditioningAttributes], name: str) -> list[WavCondition]:
    found = [each.wav.get(name) for each in inputs]
    if None in found:
        raise ValueError(f"the model is conditioned on {name}, which a sample has not")
    return [each for each in found if each is not None]


def _tokenizer_and_encoder(source: Path | str | None, name: str) -> tuple[Any, Any]:
    from transformers import AutoTokenizer, T5EncoderModel  # noqa: PLC0415 - slow to import

    only_local = source is not None
    place = name if source is None else source
    tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=only_local)
    encoder = T5EncoderModel.from_pretrained(place, local_files_only=only_local)
    encoder.requires_grad_(requires_grad=False)
    return tokenizer, encoder.train(mode=False)
