"""The language model against recorded arrays, and its plain decoder against computing all anew."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from audiocraft.models.decoding import Heard, Plan, Rows
from audiocraft.models.lm import LMConfig, LMModel
from audiocraft.modules.codebooks_patterns import DelayedPatternProvider
from audiocraft.modules.sampling import Choice, among_top_k, among_top_p, multinomial
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.models import recorded
from tests.models.conftest import noise

GATE = 3e-5
SHAPE = LMConfig(dim=64, num_heads=4, num_layers=4, n_q=4, card=64)


@dataclass(frozen=True)
class Fusing:
    """Which conditions go where."""

    prepend: tuple[str, ...] = ()
    cross: tuple[str, ...] = ("description",)


def language_model(config: LMConfig = SHAPE, fuser: Fusing | None = None) -> LMModel:
    """Return a model filled by the recorded rule; half precision as in files."""
    nobody: Any = nn.Module()  # conditions come from the tests
    lm = LMModel(config, DelayedPatternProvider(config.n_q), nobody, fuser or Fusing())
    with torch.no_grad():
        for name, parameter in lm.named_parameters():
            parameter.copy_(recorded.fill(name, tuple(parameter.shape)).half())
    return lm.requires_grad_(requires_grad=False)


@pytest.fixture(scope="module", name="stored")
def _stored() -> dict[str, Tensor]:
    with np.load(recorded.DATA / "lm.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def distance(one: Tensor, other: Tensor) -> float:
    """Return the largest difference in units of the second, at least of 1."""
    return float((one - other).abs().nan_to_num(0).max() / other.abs().nan_to_num(0).max())


def conditions_of(stored: Mapping[str, Tensor], which: str) -> dict[str, tuple[Tensor, Tensor]]:
    """Return what the recorded runs were conditioned on: both texts, the first, or none."""
    rows = slice(None) if which == "both" else slice(1)
    names = ("null_src", "null_mask") if which == "none" else ("cond_src", "cond_mask")
    condition, mask = (stored[name][rows] for name in names)
    return {"description": (condition, mask)}


def test_logits_are_the_recorded_ones(stored: dict[str, Tensor]) -> None:
    logits = language_model()(stored["seq"], condition_tensors=conditions_of(stored, "both"))

    assert distance(logits, stored["logits"]) < GATE


def test_logits_in_a_stream_are_those_of_the_whole(stored: dict[str, Tensor]) -> None:
    lm = language_model()
    heard = Heard.of(conditions_of(stored, "both"), lm.fuser)
    rows = Rows(samples=torch.arange(2), source=heard.source)

    with lm.naive(rows, 7) as decode:
        parts = [decode(part) for part in stored["seq"][..., :7].tensor_split((5, 6), dim=-1)]

    for step, logits in zip((4, 5, 6), parts, strict=True):
        assert distance(logits, stored["logits"][:, :, step]) < GATE


@pytest.mark.parametrize(
    "changes", [{"num_heads": 2}, {"max_period": 9000.0}, {"num_layers": 3}], ids=str
)
def test_the_gate_tells_another_network_over_the_same_weights(
    stored: dict[str, Tensor], changes: dict[str, Any]
) -> None:
    logits = language_model(replace(SHAPE, **changes))(
        stored["seq"], condition_tensors=conditions_of(stored, "both")
    )

    assert distance(logits, stored["logits"]) > 10 * GATE


def test_predictions_are_the_recorded_ones(stored: dict[str, Tensor]) -> None:
    output = language_model().compute_predictions(
        stored["cp_codes"], condition_tensors=conditions_of(stored, "both")
    )

    expected = stored["cp_logits_withnan"]
    assert torch.equal(stored["cp_mask"], output.mask)
    assert torch.equal(expected.isnan(), output.logits.isnan())
    assert distance(output.logits, expected) < GATE


RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "greedy": ("first", {"max_gen_len": 34}),
    "greedy_none": ("none", {"max_gen_len": 34}),
    "greedy_empty": ("none", {"max_gen_len": 34}),
    "greedy_batch": ("both", {"max_gen_len": 20}),
    "greedy_cfg1": ("first", {"max_gen_len": 16, "cfg_coef": 1.0}),
    "two_step": ("first", {"max_gen_len": 16, "cfg_coef": 5.0, "two_step_cfg": True}),
    "cont": ("first", {"max_gen_len": 34}),
    "cont_removed": ("first", {"max_gen_len": 34, "remove_prompts": True}),
}


def generated(
    lm: LMModel, stored: Mapping[str, Tensor], run: str
) -> tuple[Tensor, list[tuple[int, int]]]:
    """Repeat a recorded run; return its codes and what its callback was called with."""
    which, choices = RUNS[run]
    calls: list[tuple[int, int]] = []
    codes = lm.generate(
        stored["prompt_codes"] if run.startswith("cont") else None,
        condition_tensors=conditions_of(stored, which),
        use_sampling=False,
        check=True,
        callback=lambda done, total: calls.append((done, total)),
        **choices,
    )
    return codes, calls


@pytest.mark.parametrize("run", RUNS)
def test_tokens_are_the_recorded_ones(stored: dict[str, Tensor], run: str) -> None:
    codes, calls = generated(language_model(), stored, run)

    assert torch.equal(stored[f"{run}_codes"], codes)
    assert stored[f"{run}_calls"].tolist() == [list(call) for call in calls]


def test_every_step_of_a_run_has_the_recorded_logits(stored: dict[str, Tensor]) -> None:
    lm = language_model()
    expected, seen = stored["greedy_step_logits"], list[Tensor]()
    together = Plan.together

    class Watched(Plan):
        def together(self, logits: Tensor) -> Tensor:
            seen.append(logits)
            return together(self, logits)

    heard = Heard.of(conditions_of(stored, "first"), lm.fuser)
    plan = Watched.of(heard, 1, torch.device("cpu"), coefficient=3.0, in_two=False)
    sequence = torch.full((1, 4, 7), -1)
    sequence[..., 0] = sequence[:, 1, 1] = sequence[:, 2, 1:3] = sequence[:, 3, 1:4] = 64
    lm._fill(sequence, 1, plan, Choice(use_sampling=False), on_step=_nothing, generator=None)

    assert distance(torch.stack(seen), expected) < GATE


def all_anew(lm: LMModel, conditions: Any, *, steps: int, prompt: Tensor | None) -> Tensor:
    """Generate the most likely tokens, with nothing kept from step to step."""
    (condition, mask) = conditions["description"]
    nothing = {"description": (torch.zeros_like(condition), torch.zeros_like(mask))}
    pattern = lm.pattern_provider.get_pattern(steps)
    codes = torch.full((len(condition), lm.n_q, steps), -1)
    start = 0 if prompt is None else prompt.shape[-1]
    if prompt is not None:
        codes[..., :start] = prompt
    sequence, _, _ = pattern.build_pattern_sequence(codes, lm.special_token_id)
    first = pattern.get_first_step_with_timesteps(start)
    assert first is not None
    for step in range(first, sequence.shape[-1]):
        before = sequence[..., :step]
        wanted, free = (lm(before, (), given)[:, :, -1] for given in (conditions, nothing))
        best = (free + (wanted - free) * lm.cfg_coef).argmax(-1)
        known = sequence[..., step]
        sequence[..., step] = torch.where(known == -1, best, known)
    return pattern.revert_pattern_sequence(sequence, -1)[0]


@st.composite
def runs(draw: st.DrawFn) -> tuple[LMConfig, tuple[int, ...], int, int]:
    """Draw a shape, the lengths of texts, how many timesteps are there and how many are made."""
    config = LMConfig(
        dim=8 * (heads := draw(st.integers(1, 3))),
        num_heads=heads,
        num_layers=draw(st.integers(1, 3)),
        n_q=draw(st.integers(1, 4)),
        card=draw(st.integers(2, 40)),
        cfg_coef=draw(st.sampled_from([0.0, 1.0, 2.0, 3.5])),
    )
    lengths = draw(st.lists(st.integers(0, 5), min_size=1, max_size=3).map(tuple))
    return config, lengths, draw(st.integers(0, 6)), draw(st.integers(1, 8))


def texts(lengths: tuple[int, ...], dim: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Return conditions of so many tokens, padded to the longest."""
    mask = (torch.arange(max(1, *lengths))[None] < torch.tensor(lengths)[:, None]).long()
    return {"description": (noise("texts", *mask.shape, dim) * mask.unsqueeze(-1), mask)}


@settings(deadline=None, max_examples=25)
@given(runs())
def test_going_on_from_what_is_kept_equals_computing_all_anew(
    run: tuple[LMConfig, tuple[int, ...], int, int],
) -> None:
    config, lengths, before, more = run
    lm, conditions = language_model(config), texts(lengths, config.dim)
    prompt = torch.arange(before).expand(len(lengths), config.n_q, -1) % config.card

    codes = lm.generate(
        prompt if before else None,
        condition_tensors=conditions,
        max_gen_len=before + more,
        use_sampling=False,
    )

    assert torch.equal(
        all_anew(lm, conditions, steps=before + more, prompt=prompt if before else None), codes
    )


def test_what_stands_in_front_is_heard_and_counted(stored: dict[str, Tensor]) -> None:
    in_front = Fusing(prepend=("self_wav", "description"), cross=())
    lm = language_model(replace(SHAPE, has_cross_attention=False), in_front)
    words = conditions_of(stored, "first")["description"]
    melody = (noise("melody", 1, 3, 64), torch.ones(1, 3))
    sequence = stored["seq"][:1]

    logits = lm(sequence, condition_tensors={"description": words, "self_wav": melody})
    swapped = lm(sequence, condition_tensors={"self_wav": melody, "description": words})
    x = torch.cat((melody[0], words[0], lm.embedded(sequence)), dim=1)

    assert torch.equal(lm.logits(lm.transformer(x))[:, :, -12:], logits)
    assert distance(swapped, logits) > 10 * GATE


@pytest.mark.parametrize("two_step", [False, True])
def test_a_melody_is_followed_from_step_to_step(*, two_step: bool) -> None:
    lm = language_model(
        replace(SHAPE, has_cross_attention=False), Fusing(prepend=("self_wav",), cross=())
    )
    melody = {"self_wav": (noise("melody", 2, 3, 64), torch.ones(2, 3))}
    nothing = {"self_wav": (torch.zeros(2, 3, 64), torch.zeros(2, 3))}
    codes = lm.generate(
        condition_tensors=melody, max_gen_len=6, use_sampling=False, two_step_cfg=two_step
    )
    pattern = lm.pattern_provider.get_pattern(6)
    sequence, _, valid = pattern.build_pattern_sequence(codes, 64)

    wanted, free = (lm(sequence, (), given) for given in (melody, nothing))
    best = (free + (wanted - free) * 3.0).argmax(-1)

    assert torch.equal(sequence[:, valid], best.roll(1, dims=-1)[:, valid])


def test_a_model_without_conditions_makes_as_many_as_asked_for() -> None:
    lm = language_model(replace(SHAPE, has_cross_attention=False), Fusing(cross=()))

    codes = lm.generate(num_samples=2, max_gen_len=5, use_sampling=False)

    assert (2, 4, 5) == tuple(codes.shape)
    assert torch.equal(codes[0], codes[1])


# choosing


FILTERS: dict[str, Callable[[Tensor], Tensor]] = {
    "topk10": lambda logits: among_top_k(logits.softmax(-1), 10),
    "topk_t07": lambda logits: among_top_k((logits / 0.7).softmax(-1), 25),
    "topp06": lambda logits: among_top_p(logits.softmax(-1), 0.6)[0],
}


@pytest.mark.parametrize("name", FILTERS)
def test_distributions_are_the_recorded_ones(stored: dict[str, Tensor], name: str) -> None:
    distribution = FILTERS[name](stored["sample_logits"]).flatten(0, 1)

    assert distance(distribution, stored[name]) < GATE
    assert torch.equal(stored[name] > 0, distribution > 0)


@pytest.mark.parametrize(
    ("name", "choice"),
    [
        ("topk10", Choice(top_k=10)),
        ("topk_t07", Choice(temp=0.7, top_k=25)),
        ("topp06", Choice(top_p=0.6)),
        ("topk10", Choice(top_k=0)),
        ("topk10", Choice(use_sampling=False)),
        ("topk10", Choice(temp=0)),
    ],
    ids=str,
)
def test_the_most_likely_token_is_the_recorded_one(
    stored: dict[str, Tensor], name: str, choice: Choice
) -> None:
    assert torch.equal(stored[f"{name}_argmax"], choice.of(stored["sample_logits"], None))


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    probs = torch.tensor([0.5, 0.3, 0.2, 0.0])
    # of 40000 a share is off by 0.0025 in one run of three, and by 0.02 in none
    race = torch.empty(40000, 4).exponential_(generator=torch.Generator().manual_seed(7))

    drawn = multinomial(probs.expand(40000, 4), race)
    share = torch.bincount(drawn.flatten(), minlength=4) / 40000

    assert float((share - probs).abs().max()) < 0.02
    assert 0 == share[3]


def test_a_generator_repeats_a_run_and_another_seed_does_not(stored: dict[str, Tensor]) -> None:
    lm, conditions = language_model(), conditions_of(stored, "both")

    def sampled(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return lm.generate(condition_tensors=conditions, max_gen_len=9, generator=generator)

    before = torch.random.get_rng_state()
    assert torch.equal(sampled(3), sampled(3))
    assert not torch.equal(sampled(3), sampled(4))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("wrong", [{"temp": -1.0}, {"top_k": -1}, {"top_p": 1.5}], ids=str)
def test_choices_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="negative"):
        Choice(**wrong)


# what does not fit


class Stop(BaseException):
    """Ends a run from within."""


def test_a_callback_ends_a_run(stored: dict[str, Tensor]) -> None:
    calls = []

    def stop(done: int, total: int) -> None:
        calls.append((done, total))
        if done == 3:
            raise Stop

    with pytest.raises(Stop):
        language_model().generate(
            condition_tensors=conditions_of(stored, "first"), max_gen_len=20, callback=stop
        )

    assert [(1, 23), (2, 23), (3, 23)] == calls


@pytest.mark.parametrize(
    ("sentence", "wrong"),
    [
        ("agree", {"num_samples": 3}),
        ("agree", {"prompt": torch.zeros(2, 4, 3, dtype=torch.int64)}),
        ("a prompt is", {"prompt": torch.zeros(1, 3, 3, dtype=torch.int64)}),
        ("leaves nothing", {"prompt": torch.zeros(1, 4, 8, dtype=torch.int64)}),
        ("tokens outside", {"prompt": torch.full((1, 4, 3), 64)}),
        ("needs conditions", {"condition_tensors": None, "num_samples": 1}),
        ("agree", {"condition_tensors": None}),
    ],
)
def test_what_does_not_fit_is_refused(
    stored: dict[str, Tensor], sentence: str, wrong: dict[str, Any]
) -> None:
    usual: dict[str, Any] = {"max_gen_len": 8}
    usual["condition_tensors"] = conditions_of(stored, "first")

    with pytest.raises(ValueError, match=sentence):
        language_model().generate(**(usual | wrong))


def test_a_pattern_of_other_codebooks_is_refused() -> None:
    nobody: Any = nn.Module()

    with pytest.raises(ValueError, match="3 codebooks"):
        LMModel(SHAPE, DelayedPatternProvider(3), nobody, Fusing())


def _nothing(done: int, total: int) -> None:
    """Ignore progress."""
