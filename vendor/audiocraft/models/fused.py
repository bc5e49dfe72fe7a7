"""The flow model once more, evaluated faster over the same weights.

What stays the same during a solve is computed once: keys and values of the texts, the timestep
embeddings of the whole grid (added to the biases of the norms they follow), rotations, masks.
What is known to be zero is left out: a row without text has no cross-attention. The plain path in
`audiocraft.models.flow` is what this one is compared with.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn import functional

from audiocraft.models import solvers
from audiocraft.models.graphs import Graphs, bucket
from audiocraft.models.rows import Batch, Text, plan
from audiocraft.modules.attention import attention
from audiocraft.modules.products import PackedProduct, Product, can_pack
from audiocraft.modules.rope import rotate_in_place
from audiocraft.modules.transformer import TransformerLayer

if TYPE_CHECKING:  # the flow model may offer this evaluation
    from audiocraft.models.flow import FlowModel

Norm = tuple[Tensor, Tensor]
"""Gain and bias."""


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """Weights of one layer; the biases of the attentions' norms come with the timestep."""

    query_key_value: Product
    self_out: Product
    cross_query: Product
    cross_key_value: Product
    cross_out: Product
    up: Product
    down: Product
    self_gain: Tensor
    cross_gain: Tensor
    feed_forward_norm: Norm
    leaving: Product | None  # half of the skip projection that meets this layer's output later
    joining: Product | None  # half of the skip projection in front of this layer


class FusedFlow:
    """A second evaluation of a flow model's weights, where they are when it is made.

    Moving or changing the model afterwards needs a new one. With a `precision` the weights are
    cast once and held a second time; statistics of norms, softmax and everything outside the
    network stay in float32.

    On a processor the weights are packed, which holds them a second time as well, where there is
    memory for it; `packed` decides otherwise. Rows are then evaluated one after another. On a
    card evaluations are recorded as graphs.
    """

    def __init__(
        self,
        lm: "FlowModel",
        *,
        precision: torch.dtype | None = None,
        packed: bool | None = None,
        graphs: Graphs | None = None,
    ) -> None:
        transformer, self._lm = lm.transformer, lm
        self._device = lm.in_proj.weight.device
        self._dtype = precision or lm.in_proj.weight.dtype
        if packed is None:
            weights = sum(parameter.numel() for parameter in lm.parameters())
            packed = can_pack(self._device, self._dtype, weights=weights)
        if graphs is None and self._device.type == "cuda":
            graphs = Graphs()
        self._graphs, self._one_by_one = graphs, packed and graphs is None
        layers = cast("list[TransformerLayer]", list(transformer.layers))
        own = layers[0].self_attn
        self._heads, self._zero_key = own.num_heads, own.add_zero_attn
        self._attend = attention(
            self._device,
            self._dtype,
            head_dim=own.out_proj.in_features // own.num_heads,
            zero_key=self._zero_key,
        )
        frequencies = torch.stack([layer.self_attn.rope.frequencies for layer in layers]).float()
        self._turns = _Turns(frequencies)
        self._attention_biases = torch.stack(
            [torch.stack((layer.norm1.bias, layer.norm_cross.bias)) for layer in layers]
        ).detach()
        self._in, self._out = (Product(self._cast(p.weight)) for p in (lm.in_proj, lm.out_proj))
        self._out_norm = self._norm(lm.out_norm)
        self._layers = [self._layer(layer, index) for index, layer in enumerate(layers)]

    @torch.no_grad()
    def velocity(
        self, condition: Tensor, mask: Tensor, grid: Tensor, *, guided: bool
    ) -> solvers.Velocity:
        """Return the velocity of one solve; it means what the plain one means.

        `condition` `[n, S, dim]` and `mask` `[n, S]` come from the text conditioner; `grid`
        `[steps + 1]` holds every flow step that will be asked for.
        """
        heard = [row for row, has_text in enumerate(mask.bool().any(dim=1).tolist()) if has_text]
        text = self._text(condition[heard], mask[heard]) if heard else None
        flowsteps = grid.to(self._device)
        scales = (flowsteps.square() + (1 - flowsteps).square()).sqrt()
        biases = self._biases(flowsteps)
        at = _position_in(grid)
        batches: dict[tuple[int, int], Batch] = {}

        def batch_for(count: int, frames: int) -> Batch:
            # a regularised call brings every latent twice; each copy has the same description
            described = [row % len(condition) for row in range(count)]
            entries = [heard.index(row) if row in heard else None for row in described]
            turns, one_by_one = self._turns.of(frames), self._one_by_one
            return plan(entries, text, turns, guided=guided, one_by_one=one_by_one)

        @torch.no_grad()
        def evaluate(z: Tensor, t: Tensor) -> Tensor:
            size, index = (len(z), z.shape[-1]), at(t)
            if size not in batches:
                batches[size] = batch_for(*size)
            batch, scale, shifted = batches[size], scales[index], biases[index]
            if self._graphs is None:
                return self._field(z, scale, shifted, batch)
            moving = {"z": z, "scale": scale, "biases": shifted}
            return self._graphs.run(self._recordable, moving, batch.tensors())

        return evaluate

    # what a solve computes once

    def _text(self, condition: Tensor, mask: Tensor) -> Text:
        source, present = condition.to(self._device, self._dtype), mask.to(self._device).bool()
        if self._zero_key:  # in front, never masked
            source = functional.pad(source, (0, 0, 1, 0))
            present = functional.pad(present, (1, 0), value=True)
        if self._graphs is not None:
            more = bucket(source.shape[1]) - source.shape[1]
            source = functional.pad(source, (0, 0, 0, more))
            present = functional.pad(present, (0, more), value=False)
        pairs = torch.stack([layer.cross_key_value.of(source) for layer in self._layers])
        split = pairs.view(*pairs.shape[:3], 2, self._heads, -1)  # [L, n, S, 2, H, D]
        keys, values = split.permute(3, 0, 1, 4, 2, 5).contiguous().unbind()
        log_mask = torch.log(present.to(self._dtype))[:, None, None]
        is_needed = self._graphs is not None or not bool(present.all())
        return Text(keys=keys, values=values, mask=log_mask if is_needed else None)

    def _biases(self, flowsteps: Tensor) -> Tensor:
        """Return `[steps + 1, layers, 2, dim]`: the attentions' norms, shifted by the timestep."""
        timesteps: Tensor = self._lm.timestep_embedder(flowsteps[:, None])
        return (timesteps[:, :, None] + self._attention_biases).to(self._dtype)

    # what every evaluation computes

    def _recordable(self, named: Mapping[str, Tensor]) -> Tensor:
        batch = Batch.from_tensors(named)
        return self._field(named["z"], named["scale"], named["biases"], batch)

    def _field(self, z: Tensor, scale: Tensor, biases: Tensor, batch: Batch) -> Tensor:
        x = self._in.of((z / scale).transpose(1, 2).to(self._dtype))
        x = self._transform(x, biases, batch)
        x = functional.layer_norm(x, x.shape[-1:], *self._out_norm)
        rows = self._out.of(x).transpose(1, 2).to(z.dtype) * math.sqrt(2)
        return rows if batch.rows is None else self._combined(rows, batch, like=z)

    def _combined(self, rows: Tensor, batch: Batch, *, like: Tensor) -> Tensor:
        wanted, free = rows[: len(batch.wanted)], rows[len(batch.wanted) :]
        if len(free) < len(like):  # not guided: only brought back into order
            return torch.empty_like(rows).index_copy_(0, cast("Tensor", batch.rows), rows)
        coefficient = self._lm.cfg_coef
        null = free.index_select(0, batch.wanted)
        return free.index_copy(0, batch.wanted, (1 + coefficient) * wanted - coefficient * null)

    def _transform(self, x: Tensor, biases: Tensor, batch: Batch) -> Tensor:
        turns = batch.turns
        # all rows of one latent are equal until the first of them hears its text
        begun = [self._hear_itself(part, 0, biases, turns) for part in self._parts(x)]
        x = torch.cat(begun) if len(begun) > 1 else begun[0]
        parts = self._parts(x if batch.rows is None else x.index_select(0, batch.rows))
        done = [
            self._through_layers(part, biases, turns, text)
            for part, text in zip(parts, batch.texts, strict=True)
        ]
        return torch.cat(done) if len(done) > 1 else done[0]

    def _parts(self, x: Tensor) -> tuple[Tensor, ...]:
        return x.chunk(len(x)) if self._one_by_one else (x,)

    def _through_layers(
        self, x: Tensor, biases: Tensor, turns: Tensor, text: Text | None
    ) -> Tensor:
        """Transform `[B, T, C]` in place, from the first layer's cross-attention on."""
        waiting: list[Tensor] = []
        for index, layer in enumerate(self._layers):
            if layer.joining is not None:
                x = layer.joining.add_to(waiting.pop(), x)
            if index:
                self._hear_itself(x, index, biases, turns)
            if text is not None:
                self._hear_text(x[: len(text)], index, biases, text)
            y = functional.layer_norm(x, x.shape[-1:], *layer.feed_forward_norm)
            layer.down.add_to(x, torch.ops.aten.gelu_(layer.up.of(y)))
            if layer.leaving is not None:
                waiting.append(layer.leaving.of(x))
        return x

    def _hear_itself(self, x: Tensor, index: int, biases: Tensor, turns: Tensor) -> Tensor:
        layer = self._layers[index]
        y = functional.layer_norm(x, x.shape[-1:], layer.self_gain, biases[index, 0])
        heads = layer.query_key_value.of(y).view(*x.shape[:2], 3, self._heads, -1)
        rotate_in_place(heads[:, :, :2].flatten(2, 3), turns[index])
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        mixture = self._attend(query, key, value)
        return layer.self_out.add_to(x, mixture.transpose(1, 2).flatten(-2))

    def _hear_text(self, x: Tensor, index: int, biases: Tensor, text: Text) -> None:
        layer = self._layers[index]
        y = functional.layer_norm(x, x.shape[-1:], layer.cross_gain, biases[index, 1])
        query = layer.cross_query.of(y).view(*x.shape[:2], self._heads, -1).transpose(1, 2)
        mixture = functional.scaled_dot_product_attention(
            query, text.keys[index], text.values[index], attn_mask=text.mask
        )
        layer.cross_out.add_to(x, mixture.transpose(1, 2).flatten(-2))

    # weights

    def _cast(self, weight: Tensor) -> Tensor:
        return weight.detach().to(self._dtype)

    def _product(self, weight: Tensor) -> Product:
        kind = PackedProduct if self._one_by_one else Product
        return kind(self._cast(weight))

    def _norm(self, norm: torch.nn.LayerNorm) -> Norm:
        return self._cast(norm.weight), self._cast(norm.bias)

    def _layer(self, layer: TransformerLayer, index: int) -> _Layer:
        own, cross = layer.self_attn, layer.cross_attention
        dim = own.out_proj.in_features
        return _Layer(
            query_key_value=self._product(own.in_proj_weight),
            self_out=self._product(own.out_proj.weight),
            cross_query=self._product(cross.in_proj_weight[:dim]),
            cross_key_value=Product(self._cast(cross.in_proj_weight[dim:])),
            cross_out=self._product(cross.out_proj.weight),
            up=self._product(layer.linear1.weight),
            down=self._product(layer.linear2.weight),
            self_gain=self._cast(layer.norm1.weight),
            cross_gain=self._cast(layer.norm_cross.weight),
            feed_forward_norm=self._norm(layer.norm2),
            leaving=self._leaving(index),
            joining=self._joining(index),
        )

    def _leaving(self, index: int) -> Product | None:
        """Return the half for a kept output, applied at once: nothing is copied or concatenated."""
        transformer = self._lm.transformer
        count = len(transformer.skip_projections)
        if index >= count:
            return None
        taken_by = transformer.middle + count - index  # last in, first out
        projection = cast("torch.nn.Linear", transformer.skip_projections[taken_by % count])
        return self._product(projection.weight[:, projection.out_features :])

    def _joining(self, index: int) -> Product | None:
        transformer = self._lm.transformer
        if index <= transformer.middle:
            return None
        skips = transformer.skip_projections
        projection = cast("torch.nn.Linear", skips[index % len(skips)])
        return self._product(projection.weight[:, : projection.out_features])


class _Turns:
    """Rotations of every layer and position for the last length asked for."""

    def __init__(self, frequencies: Tensor) -> None:
        """Take `[layers, D / 2]`."""
        self._frequencies = frequencies
        self._last = torch.empty(len(frequencies), 0, 1, 0)

    def of(self, length: int) -> Tensor:
        """Return complex `[layers, length, 1, D / 2]`."""
        if self._last.shape[1] != length:
            positions = torch.arange(length, device=self._frequencies.device, dtype=torch.float32)
            phase = positions[:, None] * self._frequencies[:, None]
            self._last = torch.polar(torch.ones_like(phase), phase).unsqueeze(2)
        return self._last


def _position_in(grid: Tensor) -> Callable[[Tensor], int]:
    """Return a function that finds a flow step of the grid.

    A step taken from the grid tells its position by where it lies in memory. To ask for its value
    would make the host wait for the device, at every evaluation.
    """
    values = grid.tolist()

    def position(t: Tensor) -> int:
        if t.numel() == 1 and t.untyped_storage().data_ptr() == grid.untyped_storage().data_ptr():
            return (t.storage_offset() - grid.storage_offset()) // grid.stride(0)
        return values.index(t.item())

    return position
