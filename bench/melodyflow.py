"""How fast is the flow model at full size, evaluated plainly and fused, and near to what bound?

Weights are random: speed does not depend on their values, and no checkpoint is needed. On a
processor the bound is its own multiplication of large float32 matrices, on a card the dense
bfloat16 rate of its data sheet where it is known.

    python -m bench.melodyflow          all devices, edits on a processor in a few of their steps
    python -m bench.melodyflow --full   every step, and loading from a file on a processor too
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from audiocraft.models import checkpoints, loaders, solvers
from audiocraft.models.encodec import EncodecModel
from audiocraft.models.flow import Evaluation, FlowModel
from audiocraft.models.fused import FusedFlow
from audiocraft.modules.conditioners import ConditioningProvider, T5Conditioner
from audiocraft.modules.seanet import SEANetConfig
from audiocraft.modules.transformer import TransformerConfig
from safetensors.torch import save_file
from torch import Tensor, nn

TITLE = "The flow model at full size"
HEAD = ("What", "Plain s", "Fused s", "Plain / fused", "Fused, of the bound")

SHAPE = TransformerConfig(dim=1536, num_heads=24, num_layers=24)
LATENT, FRAMES_A_SECOND, TOKENS = 128, 25, 24
STEPS, PIVOT, MEASURED_STEPS = 25, 0.12, 2
USUAL = solvers.Regularization(iterations=2, keep_last=1, weight=0.2)
DATA_SHEETS = {"H200": 790e12}
"""Dense bfloat16 operations a second."""

_QUICK = 1.2e12
"""Operations: what is less is measured twice on a processor."""

Row = tuple[str, ...]

Ready = Callable[[Evaluation], Callable[[], Any]]
"""Prepares what is measured afterwards."""


def rows(*, full: bool = False) -> Iterator[Row]:
    """Yield the processor's rows, then those of a card where there is one."""
    lm = _flow_model()
    yield from _rows_of(_Device(torch.device("cpu"), full=full), lm)
    if torch.cuda.is_available():
        nn.Module.to(lm, "cuda")
        yield from _rows_of(_Device(torch.device("cuda"), full=True), lm)


@dataclass(frozen=True)
class _Device:
    """Where to measure, and whether every step of an edit is made."""

    device: torch.device
    full: bool

    @property
    def is_card(self) -> bool:
        return self.device.type == "cuda"

    @property
    def name(self) -> str:
        return torch.cuda.get_device_name(self.device) if self.is_card else "CPU"

    def seconds(self, function: Callable[[], Any], *, runs: int = 1, warm: int = 0) -> float:
        """Return the least time of some runs."""
        for _ in range(warm):
            function()
        return min(self._once(function) for _ in range(runs))

    def _once(self, function: Callable[[], Any]) -> float:
        self._finish()
        began = time.perf_counter()
        function()
        self._finish()
        return time.perf_counter() - began

    def _finish(self) -> None:
        if self.is_card:
            torch.cuda.synchronize(self.device)

    def bound(self) -> float:
        """Return operations a second of the best multiplication."""
        known = [rate for name, rate in DATA_SHEETS.items() if name in self.name]
        if known:
            return known[0]
        size, dtype = (8192, torch.bfloat16) if self.is_card else (2048, torch.float32)
        a, b = (torch.randn(size, size, device=self.device, dtype=dtype) for _ in range(2))
        return 2 * size**3 / self.seconds(lambda: a @ b, runs=7, warm=1)


@dataclass(frozen=True)
class _Bench:
    """Both evaluations of one model on one device."""

    at: _Device
    plain: Evaluation
    fused: Evaluation
    bound: float

    def compared(
        self, what: str, ready: Ready, *, work: float, share: float = 1.0, warm: int = 1
    ) -> Row:
        """Measure a part of something with both; `work` is that of the whole, in operations."""
        runs = 5 if self.at.is_card else 1 + 2 * (work < _QUICK)
        fused = self.at.seconds(ready(self.fused), runs=runs, warm=warm) / share
        with self._as_the_original_does():
            # nothing is prepared on a processor, and the first run is as quick as the next
            warm = warm if self.at.is_card else 0
            plain = self.at.seconds(ready(self.plain), runs=runs, warm=warm) / share
        return self.row(what, plain, fused, work)

    def _as_the_original_does(self) -> Any:
        on_card = self.at.is_card
        return torch.autocast("cuda", torch.bfloat16) if on_card else nullcontext()

    def row(self, what: str, plain: float | None, fused: float, work: float | None) -> Row:
        return (
            f"{self.at.name}: {what}",
            "—" if plain is None else _in_seconds(plain),
            _in_seconds(fused),
            "—" if plain is None else f"{plain / fused:.2f}",
            "—" if work is None else f"{work / fused / self.bound:.0%}",
        )


def _rows_of(at: _Device, lm: FlowModel) -> Iterator[Row]:
    lm.evaluation = lm.naive
    precision = torch.bfloat16 if at.is_card else None
    bench = _Bench(at, lm.naive, FusedFlow(lm, precision=precision).velocity, at.bound())
    yield f"{at.name}: the bound", "—", "—", "—", f"{bench.bound / 1e9:,.0f} GFLOP/s"
    for seconds in (10, 30):
        yield from _evaluations(bench, seconds)
    for seconds, count in ((30, 1), (30, 8)) if at.is_card else ((10, 1),):
        yield _edit(bench, seconds, count)
    yield from _regularisations(bench)
    yield from _codec(bench)
    if at.full:
        yield _loading(bench, lm)
    yield (
        f"{at.name}: peak memory, all of this",
        "—",
        "—",
        "—",
        f"{_peak_bytes(at) / 2**30:.1f} GiB",
    )


# evaluations and edits


def _evaluations(bench: _Bench, seconds: int) -> Iterator[Row]:
    frames = seconds * FRAMES_A_SECOND
    for what, latents, guided in (
        (f"{seconds} s, one row without text", 1, False),
        (f"{seconds} s, two rows without text", 2, False),
        (f"{seconds} s, guided: a row with text, one without", 1, True),
    ):
        z = torch.randn(latents, LATENT, frames, device=bench.at.device)

        def ready(
            evaluation: Evaluation, z: Tensor = z, *, guided: bool = guided
        ) -> Callable[[], Tensor]:
            grid, condition, mask = _solve(bench, int(guided))
            velocity = evaluation(condition, mask, grid, guided=guided)
            return lambda: velocity(z, grid[1])

        work = _work(frames, rows=latents + guided, with_text=int(guided))
        yield bench.compared(what, ready, work=work)


def _edit(bench: _Bench, seconds: int, count: int) -> Row:
    """Invert once, then generate under `count` descriptions together."""
    frames = seconds * FRAMES_A_SECOND
    steps = STEPS if bench.at.full else MEASURED_STEPS
    source = torch.randn(1, LATENT, frames, device=bench.at.device)

    def edited(evaluation: Evaluation, steps: int) -> Tensor:
        grid, condition, mask = _solve(bench, 0)
        pivot = solvers.regularized_euler(
            source,
            grid[: steps + 1],
            evaluation(condition, mask, grid, guided=False),
            prompt=source,
            regularization=USUAL,
            draw=torch.randn_like,
            on_step=_ignore,
        )
        grid, condition, mask = _solve(bench, count)
        velocity = evaluation(condition, mask, grid, guided=True)
        z = pivot.repeat(count, 1, 1)
        return solvers.euler(z, grid[: steps + 1], velocity, on_step=_ignore)

    work = STEPS * (_work(frames, rows=3) + _work(frames, rows=2 * count, with_text=count))
    what = f"{seconds} s edit, {STEPS} euler steps"
    what += f", {count} descriptions" if count > 1 else ""
    what += "" if bench.at.full else f", EXTRAPOLATED from {steps} of them"

    def ready(evaluation: Evaluation) -> Callable[[], Tensor]:
        edited(evaluation, 1)  # weights are packed once a length, not once an edit
        return lambda: edited(evaluation, steps)

    return bench.compared(what, ready, work=work, share=steps / STEPS, warm=0)


def _solve(bench: _Bench, texts: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the grid, and conditions with text or a single one without."""
    grid = solvers.schedule(STEPS, *((PIVOT, 1.0) if texts else (1.0, PIVOT)))
    condition = torch.randn(max(texts, 1), TOKENS, SHAPE.dim, device=bench.at.device)
    mask = torch.full((max(texts, 1), TOKENS), int(texts > 0), device=bench.at.device)
    return grid.to(bench.at.device), condition * mask.unsqueeze(-1), mask


def _work(frames: int, *, rows: int, with_text: int = 0) -> float:
    """Return the operations a velocity needs: a row without text needs no cross-attention."""
    dim, layers = SHAPE.dim, SHAPE.num_layers
    skips = layers // 2 - 1
    weights = layers * (4 + 2 * SHAPE.hidden_scale) * dim**2 + skips * 2 * dim**2 + 2 * LATENT * dim
    row = 2.0 * frames * (weights + layers * 2 * frames * dim)
    return rows * row + with_text * 2.0 * frames * layers * (2 * dim**2 + 2 * (TOKENS + 1) * dim)


# the parts around them


def _regularisations(bench: _Bench) -> Iterator[Row]:
    for seconds in (10, 30):
        frames = seconds * FRAMES_A_SECOND
        e, other = (torch.randn(1, LATENT, frames, device=bench.at.device) for _ in range(2))
        plain, closed = (
            bench.at.seconds(partial(move, e, other, USUAL.weight), runs=10, warm=2)
            for move in (_differentiated, solvers.noise_regularization)
        )
        what = f"{seconds} s, regularisation: differentiated against in closed form"
        yield bench.row(what, plain, closed, None)


def _differentiated(e: Tensor, reference: Tensor, weight: float) -> Tensor:
    for _ in range(4):
        leaf = e.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(solvers.divergence(leaf, reference), leaf)
        e = e - weight * gradient.clamp(-100, 100)
    return e


def _codec(bench: _Bench) -> Iterator[Row]:
    codec = _codec_model().to(bench.at.device)
    with torch.no_grad():
        for seconds in (10, 30) if bench.at.is_card else (10,):
            audio = torch.randn(1, 2, seconds * codec.sample_rate, device=bench.at.device)
            latent = torch.randn(1, LATENT, seconds * FRAMES_A_SECOND, device=bench.at.device)
            for what, run in (
                ("encode", partial(codec.encode, audio)),
                ("decode", partial(codec.decode, latent)),
            ):
                yield bench.row(f"{seconds} s, {what}", None, bench.at.seconds(run, warm=1), None)


def _loading(bench: _Bench, lm: FlowModel) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "state_dict.safetensors"
        state = {name: value.contiguous() for name, value in lm.state_dict().items()}
        save_file(state, file, metadata={checkpoints.CONFIG_KEY: json.dumps(_configuration())})
        del state

        def load() -> None:
            loaders.load_dit_model_melodyflow(file, str(bench.at.device))

        return bench.row(
            "load from a safetensors file just written", None, bench.at.seconds(load), None
        )


def _configuration() -> dict[str, Any]:
    """Return what the loader insists on knowing."""
    means: dict[str, Any] = {"norm_first": True, "bias_ff": False, "bias_attn": False}
    means |= {"positional_embedding": "rope", "cross_attention": True, "memory_efficient": True}
    text = {"model": "t5", "t5": {"name": "t5-base", "finetune": False}}
    return {
        "transformer_lm": vars(SHAPE) | means | {"latent_dim": LATENT},
        "conditioners": {"description": text},
        "fuser": {"sum": [], "prepend": [], "cross": ["description"], "input_interpolate": []},
    }


def _flow_model() -> FlowModel:
    with torch.device("meta"):
        text = T5Conditioner("t5-base", SHAPE.dim)
        lm = FlowModel(SHAPE, ConditioningProvider({"description": text}), latent_dim=LATENT)
    lm = lm.to_empty(device="cpu").requires_grad_(requires_grad=False)
    for name, parameter in lm.named_parameters():
        if parameter.ndim > 1:
            # of the variance that keeps signals as large as they are
            parameter.uniform_(-1, 1).mul_((3 / parameter.shape[1]) ** 0.5)
        else:
            parameter.fill_(float(name.endswith("weight")))
    for name, buffer in lm.named_buffers():
        half = SHAPE.dim // SHAPE.num_heads // 2
        turns = SHAPE.max_period ** -(torch.arange(half) / half)
        buffer.copy_(turns if name.endswith("frequencies") else torch.ones_like(buffer))
    lm.latent_mean.zero_()
    return lm


def _codec_model() -> EncodecModel:
    shape: dict[str, Any] = {"channels": 2, "n_filters": 64, "n_residual_layers": 1, "lstm": 2}
    shape |= {"ratios": (8, 8, 6, 5), "activation": "snake"}
    encoder, decoder = (SEANetConfig(dimension=width, **shape) for width in (2 * LATENT, LATENT))
    return EncodecModel(encoder, decoder, sample_rate=48000).requires_grad_(requires_grad=False)


def _peak_bytes(at: _Device) -> int:
    if at.is_card:
        return torch.cuda.max_memory_allocated(at.device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB


def _in_seconds(seconds: float) -> str:
    return f"{seconds:.2f}" if seconds >= 1 else f"{seconds:.4f}"


def _ignore(done: int, total: int) -> None:
    """Ignore progress."""


if __name__ == "__main__":
    print(" | ".join(HEAD))
    for row in rows(full="--full" in sys.argv[1:]):
        print(" | ".join(row), flush=True)
