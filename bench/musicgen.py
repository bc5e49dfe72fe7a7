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
from typing import Any

import torch
from audiocraft.models.decoding import Rows, plainly
from audiocraft.models.fused_lm import FusedLM
from audiocraft.models.lm import LMConfig, LMModel
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


def rows() -> Iterator[Row]:
    """Yield the processor's rows, then those of a card where there is one."""
    with torch.no_grad():
        lm = _language_model()
        yield from _steps(lm)
        if torch.cuda.is_available():
            yield from _on_card(lm)


@dataclass(frozen=True)
class _Pair:
    """The same rows, decoded both ways."""

    lm: LMModel
    fused: FusedLM
    rows: Rows

    def compared(self, history: int) -> tuple[Row, Row]:
        """Measure what comes first, and then a step."""
        before = torch.randint(SHAPE.card, (len(self.rows), SHAPE.n_q, history))
        new = torch.randint(SHAPE.card, (_RUNS, len(self.rows), SHAPE.n_q, 1))
        with self.fused.decoding(self.rows, LONGEST) as decode:
            first = _milliseconds(lambda: decode(before))
            past = getattr(decode, "past")  # noqa: B009 - of this decoder alone
            with plainly(self.lm, self.rows, past) as plain:
                timed = [(_timed(decode, tokens), _timed(plain, tokens)) for tokens in new]
        (fused, answers), (slow, expected) = (
            zip(*kind, strict=True) for kind in zip(*timed, strict=True)
        )
        error = max(float((a - e).abs().max()) for a, e in zip(answers, expected, strict=True))
        return (
            _row(f"{len(self.rows)} rows: {history} steps at once", None, first, None),
            _row(f"{len(self.rows)} rows: a step after {history}", min(slow), min(fused), error),
        )


def _steps(lm: LMModel) -> Iterator[Row]:
    fused = FusedLM(lm)
    text = torch.randn(1, TOKENS, SHAPE.dim)
    guided = Rows(samples=torch.arange(2), source=text)
    for history in HISTORIES:
        first, step = _Pair(lm, fused, guided).compared(history)
        yield first
        yield step
    yield _Pair(lm, fused, Rows(samples=torch.arange(1))).compared(500)[1]
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

        def generate(given: Any = {"description": (text, mask)}) -> Tensor:  # noqa: B006
            frames = 30 * STEPS_A_SECOND
            return lm.generate(condition_tensors=given, max_gen_len=frames, top_k=250)

        generate()  # records
        fused = _milliseconds(generate)
        what = f"{name}: 30 s of {count} together, target {1e3 * seconds:.0f} ms"
        yield _row(what, None, fused, None)


def _timed(decode: Callable[[Tensor], Tensor], tokens: Tensor) -> tuple[float, Tensor]:
    answers: list[Tensor] = []
    return _milliseconds(lambda: answers.append(decode(tokens))), answers[0]


def _milliseconds(function: Callable[[], Any]) -> float:
    _finish()
    began = time.perf_counter()
    function()
    _finish()
    return 1e3 * (time.perf_counter() - began)


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
