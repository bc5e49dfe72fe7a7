"""How fast does the language model of MusicGen go from step to step, plainly and fused?

Weights are random numbers of half precision, like published ones: speed does not depend on their
values. Both decoders go on from the same past, and what they answer is compared. A step of guided
generation is one of two rows; thirty seconds are 1503 steps.

    python -m bench.musicgen
"""

import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeVar

import torch
from audiocraft.models.decoding import Rows, plainly
from audiocraft.models.fused_lm import FusedLM
from audiocraft.models.lm import LMConfig, LMModel
from audiocraft.modules.causal import Past
from audiocraft.modules.codebooks_patterns import DelayedPatternProvider
from torch import Tensor, nn

TITLE = "The language model of MusicGen at full size"
HEAD = ("What", "Plain ms", "Fused ms", "Plain / fused", "Logits differ by")

SHAPE = LMConfig(dim=1024, num_heads=16, num_layers=24)
TOKENS, STEPS_A_SECOND, LONGEST = 12, 50, 1503
HISTORIES = (50, 500, 1490)
TARGETS = {1: 1.0, 16: 16 * 30 / 200}
"""Seconds that 30 s of so many samples together may take on an H200."""

_RUNS = 6
"""Steps of each kind, in turns: the least of their times is what other work disturbs least."""

Row = tuple[str, ...]
A = TypeVar("A")


def rows() -> Iterator[Row]:
    """Yield the processor's rows, then those of a card where there is one."""
    with torch.no_grad():
        lm = _language_model()
        yield from _steps(lm)
        if torch.cuda.is_available():
            yield from _on_card(lm)


@dataclass(frozen=True)
class _Pair:
    """The same samples, decoded both ways.

    Attributes:
        rows: what the fused decoder evaluates.
        all_rows: what the original would; the first of them are the same.
    """

    lm: LMModel
    fused: FusedLM
    rows: Rows
    all_rows: Rows

    def step_after(self, history: int) -> Row:
        """Measure steps after so many, of a made-up past."""
        config, count = self.lm.config, len(self.rows)
        size = (len(self.all_rows), config.num_heads, history, config.dim // config.num_heads)
        pairs = {n: (torch.randn(size), torch.randn(size)) for n in range(config.num_layers)}
        first = {n: (keys[:count], values[:count]) for n, (keys, values) in pairs.items()}
        tokens = torch.randint(config.card, (_RUNS, len(self.all_rows), config.n_q, 1))
        fused, plain = list[float](), list[float]()
        with (
            self.fused.decoding(self.rows, LONGEST, Past(first)) as decode,
            plainly(self.lm, self.all_rows, Past(pairs)) as naive,
        ):
            errors = [
                _difference(_timed(decode, each[:count], fused), _timed(naive, each, plain))
                for each in tokens
            ]
        return _row(f"{self._what()}, a step after {history}", min(plain), min(fused), max(errors))

    def steps_at_once(self, history: int) -> Row:
        """Measure what comes before the first token of a continuation."""
        tokens = torch.randint(self.lm.card, (len(self.rows), self.lm.n_q, history))
        fused, plain = list[float](), list[float]()
        with (
            self.fused.decoding(self.rows, LONGEST) as decode,
            plainly(self.lm, self.all_rows) as naive,
        ):
            error = _difference(_timed(decode, tokens, fused), _timed(naive, tokens, plain))
        return _row(f"{self._what()}, {history} at once", plain[0], fused[0], error)

    def _what(self) -> str:
        counts = [len(self.all_rows), len(self.rows)]
        return " and ".join(str(count) for count in dict.fromkeys(counts)) + " rows"


def _steps(lm: LMModel) -> Iterator[Row]:
    arranging = list[float]()
    fused = _timed(lambda _: FusedLM(lm), torch.empty(0), arranging)
    guided = Rows(samples=torch.arange(2), source=torch.randn(1, TOKENS, SHAPE.dim))
    for history in HISTORIES:
        yield _Pair(lm, fused, guided, guided).step_after(history)
    # without a description both rows of the guidance would be equal
    nothing = Rows(samples=torch.arange(2), source=torch.zeros(2, 1, SHAPE.dim))
    yield _Pair(lm, fused, Rows(samples=torch.arange(1)), nothing).step_after(500)
    several = Rows(samples=torch.arange(8), source=torch.randn(4, TOKENS, SHAPE.dim))
    yield _Pair(lm, fused, several, several).step_after(50)
    yield _Pair(lm, fused, guided, guided).steps_at_once(250)
    yield _row("Arranging the weights, once", None, arranging[0], None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # Linux counts in KiB
    yield "Peak memory, all of this", "—", "—", "—", f"{peak:.1f} GiB"


def _on_card(lm: LMModel) -> Iterator[Row]:
    """Yield how long 30 s take in half precision, of one sample and of several together."""
    nn.Module.to(lm, "cuda")
    lm.fuse(precision=torch.float16)
    name = torch.cuda.get_device_name()
    for count, seconds in TARGETS.items():
        mask = torch.ones(count, TOKENS, device="cuda")
        text = torch.randn(count, TOKENS, SHAPE.dim, device="cuda")

        def generate(text: Tensor, mask: Tensor = mask) -> Tensor:
            given = {"description": (text, mask)}
            return lm.generate(condition_tensors=given, max_gen_len=30 * STEPS_A_SECOND)

        times = list[float]()
        for _ in range(2):  # the first records
            _timed(generate, text, times)
        what = f"{name}: 30 s of {count} together, target {1e3 * seconds:.0f} ms"
        yield _row(what, None, min(times), None)


def _timed(function: Callable[[Tensor], A], given: Tensor, times: list[float]) -> A:
    """Return the answer, and add to the times how many milliseconds it took."""
    _finish()
    began = time.perf_counter()
    answer = function(given)
    _finish()
    times.append(1e3 * (time.perf_counter() - began))
    return answer


def _difference(one: Tensor, other: Tensor) -> float:
    return float((one - other[: len(one)]).abs().max())


def _finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _row(what: str, plain: float | None, fused: float, error: float | None) -> Row:
    return (
        what,
        "—" if plain is None else f"{plain:.0f}",
        f"{fused:.0f}",
        "—" if plain is None else f"{plain / fused:.2f}",
        "—" if error is None else f"{error:.1e}",
    )


def _language_model() -> LMModel:
    nobody: Any = nn.Module()  # conditions are made up
    fuser = SimpleNamespace(prepend=(), cross=("description",))
    with torch.device("meta"):
        lm = LMModel(SHAPE, DelayedPatternProvider(SHAPE.n_q), nobody, fuser)
    lm = lm.to_empty(device="cpu").requires_grad_(requires_grad=False)
    for name, parameter in lm.named_parameters():
        if parameter.ndim > 1:
            # of the variance that keeps signals as large as they are
            bound = 1.0 if name.startswith("emb") else (3 / parameter.shape[1]) ** 0.5
            parameter.uniform_(-bound, bound).copy_(parameter.half())
        else:
            parameter.fill_(float(name.endswith("weight")))
    return lm


if __name__ == "__main__":
    print(" | ".join(HEAD))
    for row in rows():
        print(" | ".join(row), flush=True)
