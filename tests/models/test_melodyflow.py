"""The flow model and the edits made with it."""

from pathlib import Path

import pytest
import torch
from audiocraft.data.audio_utils import convert_audio
from audiocraft.models import MelodyFlow, loaders
from audiocraft.models.checkpoints import InvalidCheckpoint
from audiocraft.models.flow import Watch
from audiocraft.models.melodyflow import Editing
from torch import Tensor

from tests.models import formula
from tests.models.conftest import noise, replay

WORDS = "solo cello in a church"


def _edited(model: MelodyFlow, words: list[str | None], **choices: object) -> Tensor:
    model.set_editing_params(**{"regularize": False} | choices)  # type: ignore[arg-type]
    tokens = model.encode_audio(noise("source", 1, 2, 480))
    _, latent = model.edit(tokens, words, return_tokens=True, draw=replay("edit"))
    return latent


def test_the_velocity_is_the_one_recorded(model: MelodyFlow) -> None:
    condition, log_mask = noise("condition", 1, 5, 48), torch.zeros(1, 1, 1, 5)

    v = model.lm(noise("z", 1, 16, 9), torch.tensor([[0.37]]), condition, log_mask)

    torch.testing.assert_close(v[0, :3, :3], torch.tensor(RECORDED_VELOCITY), atol=5e-5, rtol=0)


def test_a_masked_condition_does_not_count(model: MelodyFlow) -> None:
    z, t = noise("z", 1, 16, 9), torch.tensor([[0.2]])
    nothing = torch.full((1, 1, 1, 5), -torch.inf)

    masked = model.lm(z, t, noise("condition", 1, 5, 48), nothing)
    absent = model.lm(z, t, torch.zeros(1, 1, 48), nothing[..., :1])

    torch.testing.assert_close(masked, absent)


def test_absent_text_is_zeros_under_a_zero_mask_and_a_space_is_not(model: MelodyFlow) -> None:
    condition, mask = model.lm.condition_provider.description.condition([WORDS, "", None, " "])

    assert [True, False, False, True] == mask.bool().any(dim=1).tolist()
    assert 0.0 == float(condition[1:3].abs().max())
    assert float(condition[0].abs().max()) > 0


def test_padding_beside_a_longer_text_changes_nothing(model: MelodyFlow) -> None:
    alone, _ = model.lm.condition_provider.description.condition([WORDS])
    beside, mask = model.lm.condition_provider.description.condition([WORDS, WORDS * 3])

    torch.testing.assert_close(alone[0], beside[0, : alone.shape[1]], atol=1e-5, rtol=0)
    assert alone.shape[1] == int(mask[0].sum())


def test_the_top_of_the_flow_keeps_the_source(model: MelodyFlow) -> None:
    tokens = model.encode_audio(noise("source", 1, 2, 480))

    latent = _edited(model, [WORDS], target_flowstep=1.0)

    assert torch.equal(model.lm.source_latent(tokens, replay("edit")), latent)


@pytest.mark.parametrize("solver", ["euler", "midpoint"])
def test_a_higher_flowstep_stays_closer_to_the_source(model: MelodyFlow, solver: str) -> None:
    tokens = model.encode_audio(noise("source", 1, 2, 480))
    source = model.lm.source_latent(tokens, replay("edit"))

    far, near, nearest = (
        float((_edited(model, [WORDS], solver=solver, steps=16, target_flowstep=t) - source).norm())
        for t in (0.1, 0.6, 0.95)
    )

    assert far > near > nearest > 0


def test_several_descriptions_of_one_clip_share_its_inversion(model: MelodyFlow) -> None:
    both = _edited(model, [WORDS, "a choir"], solver="euler", steps=4, target_flowstep=0.2)
    second = _edited(model, ["a choir"], solver="euler", steps=4, target_flowstep=0.2)

    torch.testing.assert_close(both[1:], second, atol=1e-4, rtol=1e-4)
    assert float((both[0] - both[1]).abs().max()) > 1e-2


def test_progress_of_an_edit_is_counted_over_both_ways(model: MelodyFlow) -> None:
    told: list[tuple[int, int]] = []
    model.set_custom_progress_callback(lambda done, total: told.append((done, total)))

    _edited(
        model,
        [WORDS],
        solver="euler",
        steps=25,
        target_flowstep=0.12,
        regularize=True,
        regularize_iters=2,
        keep_last_k_iters=1,
    )

    assert [(n, 75) for n in range(1, 76)] == told


def test_the_edit_is_the_one_recorded(model: MelodyFlow) -> None:
    latent = _edited(
        model,
        [WORDS],
        solver="euler",
        steps=5,
        target_flowstep=0.12,
        regularize=True,
        regularize_iters=2,
        keep_last_k_iters=1,
    )

    torch.testing.assert_close(latent[0, :2, :3], torch.tensor(RECORDED_EDIT), atol=2e-4, rtol=0)


def test_the_edit_is_the_same_when_it_is_computed_plainly(model: MelodyFlow) -> None:
    choices = {"steps": 4, "target_flowstep": 0.12, "regularize": True, "regularize_iters": 2}
    words: list[str | None] = [WORDS, "a choir of many voices", ""]

    fused = _edited(model, words, keep_last_k_iters=1, **choices)
    model.lm.evaluation = model.lm.naive
    plain = _edited(model, words, keep_last_k_iters=1, **choices)

    torch.testing.assert_close(plain, fused, atol=5e-5 * float(plain.abs().max()), rtol=0)


def test_generation_has_the_frames_of_its_duration(model: MelodyFlow) -> None:
    model.set_generation_params(solver="euler", steps=2, duration=0.1)

    audio = model.generate([WORDS, None], draw=replay("generate"))

    assert isinstance(audio, Tensor)
    assert (2, 2, 20 * 40) == audio.shape


def test_more_than_the_window_is_not_generated(model: MelodyFlow) -> None:
    model.set_generation_params(duration=4.1)

    with pytest.raises(ValueError, match="window"):
        model.generate([WORDS])


def test_choices_of_one_caller_do_not_reach_another(model: MelodyFlow) -> None:
    other = MelodyFlow("other", model.compression_model, model.lm, model.max_duration)
    model.set_editing_params(steps=2, target_flowstep=0.5)
    model.set_generation_params(steps=2)
    told: list[int] = []
    model.set_custom_progress_callback(lambda done, total: told.append(total))

    other.edit(model.encode_audio(noise("source", 1, 2, 80)), [WORDS])

    assert [] == told
    assert (25, 64) == (other.editing_params["steps"], other.generation_params["steps"])


def test_halves_of_an_edit_are_the_edit(model: MelodyFlow) -> None:
    editing = Editing(steps=3, target_flowstep=0.3)
    start = model.lm.source_latent(model.encode_audio(noise("source", 1, 2, 480)), replay("edit"))

    pivot = model.invert(start, editing, draw=replay("unused"), on_step=_ignore)
    latent = model.render(pivot, [WORDS], editing)

    assert torch.equal(_edited(model, [WORDS], steps=3, target_flowstep=0.3), latent)


def test_a_smaller_batch_gives_the_same_latents(model: MelodyFlow) -> None:
    editing = Editing(steps=3, target_flowstep=0.3)
    pivot = noise("pivot", 1, 16, 12)
    texts = [WORDS, "a choir", ""]
    told: list[tuple[int, int]] = []

    at_once = model.render(pivot, texts, editing)
    watch = Watch(on_step=lambda done, total: told.append((done, total)))
    in_turn = model.render(pivot, texts, editing, rows=1, watch=watch)

    torch.testing.assert_close(at_once, in_turn, atol=1e-4, rtol=1e-4)
    assert [(n, 9) for n in range(1, 10)] == told


@pytest.mark.parametrize("rows", [None, 1])
def test_a_result_is_foreseen_once_and_close(model: MelodyFlow, rows: int | None) -> None:
    editing = Editing(steps=10, target_flowstep=0.3)
    foreseen: list[Tensor] = []
    watch = Watch(estimates=foreseen.append, estimate_at=0.9)

    latent = model.render(noise("pivot", 1, 16, 12), [WORDS, ""], editing, watch=watch, rows=rows)

    assert [latent.shape] == [estimate.shape for estimate in foreseen]
    start = noise("pivot", 1, 16, 12)
    assert float((foreseen[0] - latent).norm()) < 0.5 * float((start - latent).norm())


def test_an_edit_can_be_stopped_after_any_step(model: MelodyFlow) -> None:
    def stop(done: int, total: int) -> None:
        del total
        if done == 3:
            raise KeyboardInterrupt

    model.set_custom_progress_callback(stop)

    with pytest.raises(KeyboardInterrupt):
        _edited(model, [WORDS], steps=2, target_flowstep=0.3)


def test_as_many_sources_as_descriptions_are_edited_beside_each_other(model: MelodyFlow) -> None:
    tokens = model.encode_audio(noise("sources", 2, 2, 480))
    model.set_editing_params(steps=3, target_flowstep=0.3, regularize=False)

    _, both = model.edit(tokens, [WORDS, "a choir"], return_tokens=True, draw=_zeros)
    _, second = model.edit(tokens[1:], ["a choir"], return_tokens=True, draw=_zeros)

    torch.testing.assert_close(both[1:], second, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("words", [[WORDS], [WORDS] * 3])
def test_numbers_of_sources_and_descriptions_that_do_not_fit_are_refused(
    model: MelodyFlow, words: list[str | None]
) -> None:
    with pytest.raises(ValueError, match="cannot"):
        model.edit(torch.zeros(2, 16, 8), words)


def _ignore(done: int, total: int) -> None:
    """Ignore progress."""


def _zeros(like: Tensor) -> Tensor:
    return torch.zeros_like(like)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("transformer_lm.causal", True),
        ("transformer_lm.positional_embedding", "sin"),
        ("transformer_lm.qk_layer_norm", True),
        ("conditioners.description.t5.name", "clap"),
    ],
)
def test_an_unsupported_flow_model_is_refused(tmp_path: Path, path: str, value: object) -> None:
    formula.save(tmp_path / "state_dict.bin", {}, formula.changed(formula.FLOW, path, value))

    with pytest.raises(InvalidCheckpoint, match="not supported"):
        loaders.load_dit_model_melodyflow(tmp_path)


def test_tensors_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    narrower = formula.changed(formula.FLOW, "transformer_lm.dim", 32)
    shapes = dict(formula.flow_tensors(narrower))
    formula.save(tmp_path / "state_dict.bin", shapes, formula.FLOW)

    with pytest.raises(InvalidCheckpoint, match="do not fit"):
        loaders.load_dit_model_melodyflow(tmp_path)


def test_conversion_has_the_rate_the_channels_and_the_rounded_length() -> None:
    stereo = convert_audio(noise("wav", 1, 1001), 44100, 48000, 2)

    assert (2, round(1001 * 48000 / 44100)) == stereo.shape
    assert torch.equal(stereo[0], stereo[1])


RECORDED_VELOCITY = [
    [-1.128339, -1.079425, 0.228429],
    [0.799907, -1.514743, -0.072719],
    [-0.890415, 0.88442, -1.033136],
]
RECORDED_EDIT = [[2.459104, -0.845743, 15.934357], [2.22147, 9.207643, 8.961982]]
