"""The fast decoder against the plain one and against computing all anew."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from audiocraft.models.decoding import Heard, Rows, plainly
from audiocraft.models.fused_lm import FusedLM
from audiocraft.models.graphs import Function, Inputs
from audiocraft.models.lm import LMConfig, LMModel
from audiocraft.modules.causal import Past
from audiocraft.modules.half_products import HalfProduct, can_halve, is_half
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.models.conftest import noise
from tests.models.test_fused import _NoValueLeaves
from tests.models.test_graphs import recorded
from tests.models.test_lm import (
    GATE,
    RUNS,
    SHAPE,
    Fusing,
    _stored,  # noqa: F401 - a fixture
    all_anew,
    conditions_of,
    distance,
    generated,
    language_model,
    runs,
    texts,
)

CAN_HALVE = can_halve(torch.device("cpu"), torch.float32)
WAYS: Mapping[str, dict[str, Any]] = {
    "as they are": {"halves": False},
    "halves": {"halves": CAN_HALVE},
    "halves alone": {"halves": CAN_HALVE, "is_sole": True},
    "recorded": {"capture": recorded},
}


def fused(lm: LMModel, way: str) -> LMModel:
    """Return the model, decoding fast."""
    lm.decoding = FusedLM(lm, **WAYS[way]).decoding
    return lm


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("run", RUNS)
def test_tokens_are_the_recorded_ones(stored: dict[str, Tensor], run: str, way: str) -> None:
    codes, calls = generated(fused(language_model(), way), stored, run)

    assert torch.equal(stored[f"{run}_codes"], codes)
    assert stored[f"{run}_calls"].tolist() == [list(call) for call in calls]


@settings(deadline=None, max_examples=20)
@given(run=runs(), way=st.sampled_from(sorted(WAYS)))
def test_tokens_are_those_of_computing_all_anew(
    run: tuple[LMConfig, tuple[int, ...], int, int], way: str
) -> None:
    config, lengths, before, more = run
    lm, conditions = language_model(config), texts(lengths, config.dim)
    prompt = torch.arange(before).expand(len(lengths), config.n_q, -1) % config.card
    given_prompt = prompt if before else None
    expected = all_anew(lm, conditions, steps=before + more, prompt=given_prompt)

    codes = fused(lm, way).generate(
        given_prompt,
        condition_tensors=conditions,
        max_gen_len=before + more,
        use_sampling=False,
    )

    assert torch.equal(expected, codes)


@pytest.mark.parametrize(("before", "length"), [(0, 1), (0, 25), (1, 9), (60, 80)])
def test_tokens_do_not_depend_on_what_is_kept_at_any_length(
    stored: dict[str, Tensor], before: int, length: int
) -> None:
    lm, conditions = language_model(), conditions_of(stored, "first")
    prompt = (torch.arange(before * 4).view(1, 4, before) * 7) % 64 if before else None
    expected = all_anew(lm, conditions, steps=length, prompt=prompt)

    for way in WAYS:
        codes = fused(lm, way).generate(
            prompt, condition_tensors=conditions, max_gen_len=length, use_sampling=False
        )
        assert torch.equal(expected, codes)


@settings(deadline=None, max_examples=10)
@given(
    parts=st.lists(st.integers(1, 70), min_size=1, max_size=5),
    hearing=st.integers(0, 2),
    words=st.sampled_from([5, 30]),
    in_front=st.integers(0, 3),
    way=st.sampled_from(sorted(WAYS)),
)
def test_logits_are_those_of_the_whole_however_it_is_cut(
    parts: list[int], hearing: int, words: int, in_front: int, way: str
) -> None:
    steps = sum(parts)
    lm = language_model(replace(SHAPE, num_layers=2))
    tokens = torch.arange(2 * 4 * steps).view(2, 4, steps) % 65
    rows = Rows(
        samples=torch.arange(2),
        source=noise("text", hearing, words, 64) if hearing else None,
        prefix=noise("front", 2, in_front, 64) if in_front else None,
    )
    with lm.naive(rows, steps) as decode:
        expected = decode(tokens)

    with fused(lm, way).decoding(rows, steps) as decode:
        for part in tokens.tensor_split(torch.tensor(parts).cumsum(0)[:-1], dim=-1):
            logits = decode(part)

    assert distance(logits, expected) < GATE


def after_a_past(*, lost: int = 0) -> tuple[Tensor, Tensor]:
    """Return the logits of one step after 9, by a past that may lack the first positions."""
    lm, rows = language_model(), Rows(samples=torch.arange(1))
    tokens, past = torch.arange(40).view(1, 4, 10), Past()
    with plainly(lm, rows, past) as plain:
        plain(tokens[..., :9])
        kept = {layer: (k[:, :, lost:], v[:, :, lost:]) for layer, (k, v) in past.pairs.items()}
        expected = plain(tokens[..., 9:])
    with FusedLM(lm).decoding(rows, 10, Past(kept)) as decode:
        return decode(tokens[..., 9:]), expected


def test_a_step_goes_on_from_what_the_plain_decoder_kept() -> None:
    logits, expected = after_a_past()

    assert distance(logits, expected) < GATE


def test_the_gate_tells_a_past_that_is_off_by_one_position() -> None:
    logits, other = after_a_past(lost=1)

    assert distance(logits, other) > 100 * GATE


def test_the_gate_tells_a_step_that_looks_one_place_too_far(stored: dict[str, Tensor]) -> None:
    lm = language_model()
    rows = Rows(samples=torch.arange(1))
    fast = FusedLM(lm, capture=recorded)

    def last_logits(*, is_wrong: bool) -> Tensor:
        with fast.decoding(rows, 12) as decode:
            run: Any = decode
            decode(stored["seq"][:1, :, :5])
            run._done += is_wrong
            return decode(stored["seq"][:1, :, 5:6])

    assert distance(last_logits(is_wrong=True), last_logits(is_wrong=False)) > 100 * GATE


def test_a_step_is_recorded_once_for_many_places_and_serves_later_runs(
    stored: dict[str, Tensor],
) -> None:
    recordings = []

    def capture(function: Function, inputs: Inputs) -> tuple[Callable[[], None], Tensor]:
        recordings.append(inputs["mask"].shape[-1])
        return recorded(function, inputs)

    lm = language_model(replace(SHAPE, num_layers=1))
    fast = FusedLM(lm, capture=capture)
    tokens = torch.arange(4 * 260).view(1, 4, 260) % 64
    source = stored["cond_src"]

    for steps, texts_heard in ((260, source[:1]), (300, source[1:]), (300, None), (270, None)):
        rows = Rows(samples=torch.arange(1), source=texts_heard)
        with lm.naive(rows, 260) as decode:
            expected = decode(tokens)
        with fast.decoding(rows, steps) as decode:
            for part in tokens[..., :254], *tokens[..., 254:].unbind(-1):
                logits = decode(part.view(1, 4, -1))
            assert distance(logits, expected) < GATE
    assert [256, 512, 256, 512] == recordings


@pytest.mark.parametrize("way", WAYS)
def test_a_decoder_opened_later_knows_nothing_of_earlier_ones(
    stored: dict[str, Tensor], way: str
) -> None:
    lm = fused(language_model(), way)
    first, _ = generated(lm, stored, "greedy")
    generated(lm, stored, "cont")

    again, _ = generated(lm, stored, "greedy")

    assert torch.equal(first, again)


def test_runs_beside_each_other_do_not_mix(stored: dict[str, Tensor]) -> None:
    lm = fused(language_model(), "recorded")
    heard = Heard.of(conditions_of(stored, "both"), lm.fuser)
    both = [Rows(samples=torch.arange(1), source=heard.source[n : n + 1]) for n in (0, 1)]  # type: ignore[index]
    tokens = stored["seq"]

    with lm.decoding(both[0], 12) as one, lm.decoding(both[1], 12) as other:
        for part in (slice(5), slice(5, 6), slice(6, 7)):
            logits = [decode(tokens[n : n + 1, :, part]) for n, decode in enumerate((one, other))]

    assert distance(torch.cat(logits), stored["logits"][:, :, 6]) < GATE


def test_no_step_waits_for_the_device(stored: dict[str, Tensor]) -> None:
    lm = fused(language_model(), "as they are")
    heard = Heard.of(conditions_of(stored, "both"), lm.fuser)
    rows = Rows(samples=torch.arange(2), source=heard.source)

    with lm.decoding(rows, 7) as decode:
        decode(stored["seq"][..., :5])
        with _NoValueLeaves():  # type: ignore[no-untyped-call]
            logits = decode(stored["seq"][..., 5:6])

    assert distance(logits, stored["logits"][:, :, 5]) < GATE


def test_half_precision_is_near_and_float32_is_not_near_by_chance(
    stored: dict[str, Tensor],
) -> None:
    lm = language_model()
    rows = Rows(samples=torch.arange(2))
    with lm.naive(rows, 5) as decode:
        plain = decode(stored["seq"][..., :5])

    lm.fuse(precision=torch.bfloat16)
    with lm.decoding(rows, 5) as decode:
        half = decode(stored["seq"][..., :5])

    assert GATE < distance(half.float(), plain) < 0.1


@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_a_sole_decoder_needs_no_weights_of_the_model(
    stored: dict[str, Tensor], precision: torch.dtype | None
) -> None:
    lm = language_model()
    lm.fuse(precision=precision, is_sole=True)

    codes = lm.generate(condition_tensors=conditions_of(stored, "first"), max_gen_len=5)

    assert (1, 4, 5) == tuple(codes.shape)
    assert lm.transformer.layers[0].linear1.weight.is_meta  # type: ignore[union-attr]


@pytest.mark.skipif(not CAN_HALVE, reason="this build of torch has no such multiplication")
@pytest.mark.parametrize("is_sole", [False, True])
@pytest.mark.parametrize("positions", [1, 2, 128, 129])
def test_a_product_by_halves_is_that_of_float32(positions: int, *, is_sole: bool) -> None:
    weight = noise("weight", 24, 16).half().float()
    product, x = HalfProduct(weight, is_sole=is_sole), noise("x", 1, positions, 16)
    total = noise("total", 1, positions, 24)

    expected = (x.double() @ weight.double().t()).float()

    torch.testing.assert_close(product.of(x), expected)
    torch.testing.assert_close(product.add_to(total.clone(), x), total + expected)


def test_only_weights_that_lose_nothing_are_halved() -> None:
    weight = noise("weight", 24, 16)

    assert is_half(weight.half().float())
    assert not is_half(weight)
    assert not is_half(torch.tensor([1e6]))
    assert not can_halve(torch.device("cpu"), torch.bfloat16)
    assert not can_halve(torch.device("meta"), torch.float32)


def test_a_model_of_other_weights_is_decoded_all_the_same() -> None:
    lm = language_model(replace(SHAPE, num_layers=1))
    with torch.no_grad():
        for parameter in lm.parameters():
            parameter.mul_(1.0001)
    rows, tokens = Rows(samples=torch.arange(1)), torch.arange(8).view(1, 4, 2)
    with lm.naive(rows, 2) as decode:
        expected = decode(tokens)

    with fused(lm, "halves").decoding(rows, 2) as decode:
        assert distance(decode(tokens), expected) < GATE


def test_a_melody_is_followed() -> None:
    fuser = Fusing(prepend=("self_wav",), cross=())
    lm = language_model(replace(SHAPE, has_cross_attention=False), fuser)
    melody = {"self_wav": (noise("melody", 2, 3, 64), torch.tensor([[1, 1, 1], [0, 0, 0]]))}
    plain = lm.generate(condition_tensors=melody, max_gen_len=6, use_sampling=False)

    for way in WAYS:
        codes = fused(lm, way).generate(condition_tensors=melody, max_gen_len=6, use_sampling=False)
        assert torch.equal(plain, codes)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a card")
@pytest.mark.parametrize(("precision", "gate"), [(None, 2e-3), (torch.float16, 0.1)])
def test_logits_on_a_card_are_those_of_the_plain_path(
    stored: dict[str, Tensor], precision: torch.dtype | None, gate: float
) -> None:
    lm = language_model().to("cuda")
    source = stored["cond_src"].cuda()
    lm.fuse(precision=precision)

    with lm.decoding(Rows(samples=torch.arange(2, device="cuda"), source=source), 12) as decode:
        parts = stored["seq"].cuda().tensor_split((5, 6, 7, 8), dim=-1)
        logits = [decode(part).float().cpu() for part in parts]

    for step, at_step in zip((4, 5, 6, 7, 11), logits, strict=True):
        assert distance(at_step, stored["logits"][:, :, step]) < gate
