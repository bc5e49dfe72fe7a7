"""The language model once more, going from step to step faster over the same weights.

Keys and values have their place in memory from the beginning, those of conditions are computed
once, and a step has the same shapes as the one before, so that it can be recorded. What is known to
be zero is left out: a row without conditions has no cross-attention. The plain decoder in
`audiocraft.models.decoding` is what this one is compared with.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn import functional

from audiocraft.models.decoding import Decoder, Rows
from audiocraft.models.graphs import Capture, Graphs
from audiocraft.modules.causal import CausalLayer, Past, sinusoids
from audiocraft.modules.half_products import HalfProduct, can_halve, is_half
from audiocraft.modules.products import Product

if TYPE_CHECKING:  # the language model may offer this decoder
    from audiocraft.models.lm import LMModel

Norm = tuple[Tensor, Tensor]
"""Gain and bias."""

_BUCKET = 256
"""Recorded steps look at so many positions more than the ones recorded before them."""

_FOLDED = 32
"""Tokens of all texts together up to which folding them into the weights leaves less to read."""

_KEPT_BYTES = 2**30
"""Of keys and values; where they take more, steps are recorded anew in every run."""


@dataclass(frozen=True, kw_only=True)
class _Cross:
    """Weights of one cross-attention; those of `asked` and `told` are what texts are folded into.

    They are the weights of `query` and `out` as tensors, in half precision where those keep none.
    """

    norm: Norm
    query: Product
    key_value: Product
    out: Product
    asked: Tensor
    told: Tensor


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """Weights of one layer."""

    self_norm: Norm
    query_key_value: Product
    out: Product
    cross: _Cross | None
    feed_forward_norm: Norm
    up: Product
    down: Product


@dataclass(frozen=True, kw_only=True)
class _View:
    """What a step looks at besides itself.

    Attributes:
        reach: how many of the places for keys and values.
        mask: `[1, 1, T, reach]`, which of them; None where all, or where `is_causal` says which.
        is_causal: whether each position looks at those before it, of a sequence that begins here.
    """

    reach: int
    mask: Tensor | None = None
    is_causal: bool = False


class FusedLM:
    """A second evaluation of a language model's weights, where they are when it is made.

    Moving or changing the model afterwards needs a new one. With a `precision` the weights are cast
    once and held a second time. On a processor, weights that half precision holds as they are get a
    copy in it, which is what steps read; `halves` decides otherwise. Where it `is_sole`, nothing is
    kept that only the model itself would need. On a card steps are recorded as graphs; `capture`
    records in another way.
    """

    def __init__(
        self,
        lm: "LMModel",
        *,
        precision: torch.dtype | None = None,
        is_sole: bool = False,
        halves: bool | None = None,
        capture: Capture | None = None,
    ) -> None:
        weight = lm.out_norm.weight
        self._device, self._dtype = weight.device, precision or weight.dtype
        self._halves = can_halve(self._device, self._dtype) if halves is None else halves
        self._is_sole = is_sole
        self._is_recorded = capture is not None or self._device.type == "cuda"
        self._capture = capture
        self._kept: deque[_Seat] = deque(maxlen=1)
        self.config = lm.config
        layers = cast("list[CausalLayer]", list(lm.transformer.layers))
        # each thread arranges weights, which takes long and holds no lock
        with ThreadPoolExecutor(torch.get_num_threads() if self._halves else 1) as pool:
            self.layers = list(pool.map(self._layer, layers))
        tables = [cast("torch.nn.Embedding", emb).weight for emb in lm.emb]
        self._embeddings = self._cast(torch.cat(tables))
        first = torch.arange(len(tables), device=self._device) * (self.config.card + 1)
        self._first_of_codebook = first[:, None]
        heads = [cast("torch.nn.Linear", linear).weight for linear in lm.linears]
        self._heads = self._product(torch.cat(heads))
        self._out_norm = self._norm(lm.out_norm)

    @contextmanager
    def decoding(self, rows: Rows, steps: int, past: Past | None = None) -> Iterator[Decoder]:
        """Open a decoder; what is recorded for it serves later ones of the same shape.

        It may go on from what another one has kept.
        """
        seat = self._seat(len(rows), steps + rows.in_front, self._text(rows))
        try:
            yield _Run(self, seat, rows, past)
        finally:
            if seat.graphs is not None and seat.places.nbytes <= _KEPT_BYTES:
                self._kept.append(seat)

    def _seat(self, rows: int, length: int, text: Tensor | None) -> "_Seat":
        """Return a seat; for recorded steps the last one that was used, where it fits."""
        if not self._is_recorded:
            return _Seat(self.places(rows, length), self.sinusoids(length), text)
        buckets = -(-length // _BUCKET)
        length, kept = buckets * _BUCKET, None
        with suppress(IndexError):  # taken out while it is used: another thread makes its own
            kept = self._kept.pop()
        if kept is not None and kept.fits(rows, length, text):
            kept.hear(text)
            return kept
        graphs = Graphs(capacity=buckets, capture=self._capture)
        return _Seat(self.places(rows, length), self.sinusoids(length), text, graphs)

    def sinusoids(self, length: int) -> Tensor:
        """Return what is added to so many positions, `[T, dim]`."""
        positions = torch.arange(length, device=self._device)
        waves = sinusoids(positions, self.config.dim, max_period=self.config.max_period)
        return waves.to(self._dtype)

    def places(self, rows: int, length: int) -> Tensor:
        """Return room for keys and values, `[layers, 2, B, H, T, D]`."""
        config = self.config
        size = (config.num_layers, 2, rows, config.num_heads, length, self.head_dim)
        if not self._is_recorded:  # nothing is looked at before it is written
            return torch.empty(size, device=self._device, dtype=self._dtype)
        return torch.zeros(size, device=self._device, dtype=self._dtype)

    @property
    def head_dim(self) -> int:
        """Width of a head."""
        return self.config.dim // self.config.num_heads

    @torch.no_grad()
    def embedded(self, tokens: Tensor) -> Tensor:
        """Return `[B, S, dim]` for tokens `[B, K, S]`."""
        return functional.embedding(tokens + self._first_of_codebook, self._embeddings).sum(1)

    @torch.no_grad()
    def logits(self, x: Tensor, seat: "_Seat", at: Tensor, view: _View) -> Tensor:
        """Return the logits `[B, K, card]` after inputs `[B, T, dim]` at positions `[T]`.

        Keys and values are written to their places; written again, they are the same.
        """
        x = x + seat.waves.index_select(0, at)
        for index, layer in enumerate(self.layers):
            self._hear_itself(x, layer, seat.places[index], at, view)
            if layer.cross is not None and seat.text is not None:
                self._hear_text(x[: seat.text.shape[2]], layer.cross, seat.text[index])
            y = functional.layer_norm(x, x.shape[-1:], *layer.feed_forward_norm)
            layer.down.add_to(x, functional.gelu(layer.up.of(y)))
        y = functional.layer_norm(x[:, -1:], x.shape[-1:], *self._out_norm)
        return self._heads.of(y).view(len(x), self.config.n_q, -1)

    def _hear_itself(
        self, x: Tensor, layer: _Layer, places: Tensor, at: Tensor, view: _View
    ) -> None:
        y = functional.layer_norm(x, x.shape[-1:], *layer.self_norm)
        heads = layer.query_key_value.of(y).view(*x.shape[:2], 3, -1, self.head_dim)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        for place, new in zip(places, (key, value), strict=True):
            place.index_copy_(2, at, new)
        keys, values = places[..., : view.reach, :]
        mixture = functional.scaled_dot_product_attention(
            query, keys, values, attn_mask=view.mask, is_causal=view.is_causal
        )
        layer.out.add_to(x, mixture.transpose(1, 2).flatten(-2))

    def _hear_text(self, x: Tensor, layer: _Cross, text: Tensor) -> None:
        y = functional.layer_norm(x, x.shape[-1:], *layer.norm)
        if text.dim() == 4:
            scores = y @ text[0].transpose(1, 2)
            shares = scores.view(*scores.shape[:2], self.config.num_heads, -1).softmax(-1)
            x += shares.flatten(-2) @ text[1]
            return
        query = layer.query.of(y).view(*x.shape[:2], -1, self.head_dim).transpose(1, 2)
        mixture = functional.scaled_dot_product_attention(query, text[0], text[1])
        layer.out.add_to(x, mixture.transpose(1, 2).flatten(-2))

    @torch.no_grad()
    def _text(self, rows: Rows) -> Tensor | None:
        """Return keys and values of what is heard, `[layers, 2, rows, H, S, D]`, or folded ones."""
        if rows.source is None:
            return None
        source = rows.source.to(self._device, self._dtype)
        crosses = [layer.cross for layer in self.layers if layer.cross is not None]
        pairs = torch.stack([cross.key_value.of(source) for cross in crosses])
        split = pairs.view(*pairs.shape[:3], 2, -1, self.head_dim)  # [L, B, S, 2, H, D]
        split = split.permute(0, 3, 1, 4, 2, 5).contiguous()
        is_worth_it = source.shape[0] * source.shape[1] <= _FOLDED
        return self._folded(crosses, split) if is_worth_it else split

    def _folded(self, crosses: Sequence[_Cross], text: Tensor) -> Tensor:
        """Multiply keys by the weights of queries and values by those of the output, once.

        What is left, `[layers, 2, rows, H * S, dim]`, is compared with the input itself and adds up
        to the output: `(q W)' k = q' (W k)`. For few texts that is less to read than the weights.
        """
        heads, dim = self.config.num_heads, self.config.dim
        folded = []
        for cross, (keys, values) in zip(crosses, text.float(), strict=True):
            asked = cross.asked.float().view(heads, -1, dim) / self.head_dim**0.5
            told = cross.told.float().view(dim, heads, -1)
            pair = (
                torch.einsum("bhsd,hdc->bhsc", keys, asked),
                torch.einsum("bhsd,chd->bhsc", values, told),
            )
            folded.append(torch.stack(pair).flatten(2, 3).to(self._dtype))
        return torch.stack(folded)

    # weights

    def _cast(self, weight: Tensor) -> Tensor:
        return weight.detach().to(self._dtype)

    def _product(self, weight: Tensor) -> Product:
        weight = self._cast(weight)
        if self._halves and is_half(weight):
            return HalfProduct(weight, is_sole=self._is_sole)
        return Product(weight)

    def _norm(self, norm: torch.nn.LayerNorm) -> Norm:
        return self._cast(norm.weight), self._cast(norm.bias)

    def _layer(self, layer: CausalLayer) -> _Layer:
        return _Layer(
            self_norm=self._norm(layer.norm1),
            query_key_value=self._product(layer.self_attn.in_proj_weight),
            out=self._product(layer.self_attn.out_proj.weight),
            cross=self._cross(layer) if self.config.has_cross_attention else None,
            feed_forward_norm=self._norm(layer.norm2),
            up=self._product(layer.linear1.weight),
            down=self._product(layer.linear2.weight),
        )

    def _cross(self, layer: CausalLayer) -> _Cross:
        attention, dim = layer.cross_attention, self.config.dim
        weights = attention.in_proj_weight[:dim], attention.out_proj.weight
        query, out = (self._product(weight) for weight in weights)
        asked, told = (
            product.weight if product.weight.numel() else weight.detach().half()
            for product, weight in zip((query, out), weights, strict=True)
        )
        return _Cross(
            norm=self._norm(layer.norm_cross),
            query=query,
            key_value=self._product(attention.in_proj_weight[dim:]),
            out=out,
            asked=asked,
            told=told,
        )


@dataclass(eq=False)
class _Seat:
    """The memory of one run, and what was recorded that looks there.

    Attributes:
        places: for keys and values, `[layers, 2, B, H, T, D]`.
        waves: what is added to the inputs at each position, `[T, dim]`.
        text: keys and values of what is heard, `[layers, 2, rows, H, S, D]`, or folded ones,
            `[layers, 2, rows, H * S, dim]`.
        graphs: None where steps are not recorded.
    """

    places: Tensor
    waves: Tensor
    text: Tensor | None
    graphs: Graphs | None = None

    def __post_init__(self) -> None:
        self.range = torch.arange(len(self.waves), device=self.waves.device)

    def fits(self, rows: int, length: int, text: Tensor | None) -> bool:
        """Return whether a run of that shape can take it over."""
        texts = [None if x is None else x.shape for x in (self.text, text)]
        is_as_long = len(self.waves) == length
        return is_as_long and self.places.shape[2] == rows and texts[0] == texts[1]

    def hear(self, text: Tensor | None) -> None:
        """Put what is heard where recordings look for it."""
        if self.text is not None and text is not None:
            self.text.copy_(text)


class _Run:
    """A decoder over the memory of a seat."""

    def __init__(self, lm: FusedLM, seat: _Seat, rows: Rows, past: Past | None) -> None:
        self._lm, self._seat, self._prefix = lm, seat, rows.prefix
        pairs = {} if past is None else past.pairs
        self._done = 0 if past is None else past.length
        for layer, pair in pairs.items():
            seat.places[layer, :, :, :, : self._done] = torch.stack(pair)

    def __call__(self, tokens: Tensor) -> Tensor:
        """Take tokens `[R, K, S]` that follow; return the logits after them `[R, K, card]`."""
        if self._seat.graphs is not None and self._done and tokens.shape[-1] == 1:
            return self._recorded(self._seat.graphs, tokens)
        x = self._lm.embedded(tokens)
        if self._prefix is not None and not self._done:
            x = torch.cat((self._prefix.to(x), x), dim=1)
        first, self._done = self._done, self._done + x.shape[1]
        at = self._seat.range[first : self._done]
        return self._lm.logits(x, self._seat, at, self._view(first, at))

    def _view(self, first: int, at: Tensor) -> _View:
        if len(at) == 1:
            return _View(reach=self._done)
        if not first:
            return _View(reach=self._done, is_causal=True)
        return _View(reach=self._done, mask=self._seat.range[: self._done] <= at[:, None])

    def _recorded(self, graphs: Graphs, tokens: Tensor) -> Tensor:
        """Do one step in shapes that later steps have too: it looks at places not yet written."""
        at = self._seat.range[self._done : self._done + 1]
        self._done += 1
        reach = -(-self._done // _BUCKET) * _BUCKET
        mask = (self._seat.range[:reach] <= at)[None, None, None]
        return graphs.run(self._step, {"tokens": tokens, "at": at, "mask": mask}, {})

    def _step(self, inputs: Mapping[str, Tensor]) -> Tensor:
        mask = inputs["mask"]
        view = _View(reach=mask.shape[-1], mask=mask)
        x = self._lm.embedded(inputs["tokens"])
        return self._lm.logits(x, self._seat, inputs["at"], view)
