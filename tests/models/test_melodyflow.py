"""The flow model and the edits made with it."""

from pathlib import Path

import pytest
import torch
from audiocraft.data.audio_utils import convert_audio
from audiocraft.models import MelodyFlow, loaders
from audiocraft.models.checkpoints import InvalidCheckpoint
from audiocraft.models.melodyflow import Editing
from torch import Tensor

from tests.models import formula
from tests.models.conftest import noise, replay

WORDS = "solo cello in a church"


def _edited(model: MelodyFlow, words: list[str | None], **choices: object) -> Tensor:
    model.set_editing_params(**choices)  # type: ignore[arg-type]
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

    assert torch.equal(model.source_latent(tokens, replay("edit")), latent)


@pytest.mark.parametrize("solver", ["euler", "midpoint"])
def test_a_higher_flowstep_stays_closer_to_the_source(model: MelodyFlow, solver: str) -> None:
    tokens = model.encode_audio(noise("source", 1, 2, 480))
    source = model.source_latent(tokens, replay("edit"))

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


def test_generation_has_the_frames_of_its_duration(model: MelodyFlow) -> None:
    model.set_generation_params(solver="euler", steps=2, duration=0.1)

    audio = model.generate([WORDS, None], draw=replay("generate"))

    assert isinstance(audio, Tensor)
    assert (2, 2, 20 * 40) == audio.shape


def test_more_than_the_window_is_refused(model: MelodyFlow) -> None:
    with pytest.raises(ValueError, match="window"):
        model.edit(torch.zeros(1, 32, 801), [WORDS])


def test_choices_of_one_caller_do_not_reach_another(model: MelodyFlow) -> None:
    other = model.with_editing(Editing(steps=3, target_flowstep=0.5))
    told: list[int] = []
    model.set_custom_progress_callback(lambda done, total: told.append(total))

    other.edit(model.encode_audio(noise("source", 1, 2, 80)), [WORDS])

    assert [] == told


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
