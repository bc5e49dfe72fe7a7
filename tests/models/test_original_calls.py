"""Programs written for the original package: its names, its argument names, its order of them."""

import importlib
import inspect
from pathlib import Path

import pytest
import torch
from audiocraft.models import FlowModel, LMModel, MelodyFlow, MusicGen
from audiocraft.models.loaders import (
    load_compression_model,
    load_dit_model_melodyflow,
    load_lm_model,
)
from audiocraft.modules.conditioners import ConditioningAttributes

from tests.models import formula
from tests.models.conftest import noise

WORDS = "solo cello in a church"

INVERSION = {"prompt": torch.zeros(1, 16, 8), "solver": "euler", "regularize": True}


@pytest.mark.parametrize(
    ("method", "names"),
    [
        (MelodyFlow.set_generation_params, ["solver", "steps", "duration"]),
        (
            MelodyFlow.set_editing_params,
            [
                "solver",
                "steps",
                "target_flowstep",
                "regularize",
                "regularize_iters",
                "keep_last_k_iters",
                "lambda_kl",
            ],
        ),
        (MelodyFlow.generate, ["descriptions", "progress", "return_tokens"]),
        (MelodyFlow.generate_unconditional, ["num_samples", "progress", "return_tokens"]),
        (
            MelodyFlow.edit,
            ["prompt_tokens", "descriptions", "src_descriptions", "progress", "return_tokens"],
        ),
        (MelodyFlow.encode_audio, ["waveform"]),
        (MelodyFlow.generate_audio, ["gen_tokens"]),
        (MelodyFlow.set_custom_progress_callback, ["progress_callback"]),
        (FlowModel.forward, ["z", "t", "condition_src", "condition_mask"]),
        (
            MusicGen.set_generation_params,
            [
                "use_sampling",
                "top_k",
                "top_p",
                "temperature",
                "duration",
                "cfg_coef",
                "cfg_coef_beta",
                "two_step_cfg",
                "extend_stride",
            ],
        ),
        (MusicGen.generate, ["descriptions", "progress", "return_tokens"]),
        (MusicGen.generate_unconditional, ["num_samples", "progress", "return_tokens"]),
        (
            MusicGen.generate_continuation,
            ["prompt", "prompt_sample_rate", "descriptions", "progress", "return_tokens"],
        ),
        (
            MusicGen.generate_with_chroma,
            ["descriptions", "melody_wavs", "melody_sample_rate", "progress", "return_tokens"],
        ),
        (MusicGen.generate_audio, ["gen_tokens"]),
        (MusicGen.set_custom_progress_callback, ["progress_callback"]),
        (LMModel.forward, ["sequence", "conditions", "condition_tensors"]),
        (LMModel.generate, ["prompt", "conditions", "num_samples", "max_gen_len"]),
    ],
)
def test_arguments_have_the_originals_names_and_order(method: object, names: list[str]) -> None:
    parameters = inspect.signature(method).parameters.values()  # type: ignore[arg-type]
    positional = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]

    assert ["self", *names] == positional


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("models", "MusicGen MelodyFlow EncodecModel CompressionModel LMModel"),
        ("models.musicgen", "MusicGen"),
        ("models.genmodel", "BaseGenModel"),
        ("models.loaders", "load_lm_model load_compression_model load_dit_model_melodyflow"),
        ("models.lm", "LMModel LMOutput"),
        ("models.encodec", "CompressionModel EncodecModel InterleaveStereoCompressionModel"),
        ("modules.codebooks_patterns", "CodebooksPatternProvider DelayedPatternProvider Pattern"),
        ("modules.codebooks_patterns", "ParallelPatternProvider UnrolledPatternProvider"),
        ("modules.codebooks_patterns", "CoarseFirstPattern MusicLMPattern LayoutCoord"),
        ("modules.conditioners", "ConditioningAttributes ConditioningProvider ConditionFuser"),
        ("modules.conditioners", "T5Conditioner ChromaStemConditioner WavCondition nullify_wav"),
        ("modules.chroma", "ChromaExtractor"),
        ("quantization", "BaseQuantizer QuantizedResult DummyQuantizer ResidualVectorQuantizer"),
        ("data.audio_utils", "convert_audio convert_audio_channels"),
    ],
)
def test_what_programs_import_is_there(module: str, names: str) -> None:
    there = vars(importlib.import_module(f"audiocraft.{module}"))

    assert not set(names.split()) - set(there)


def test_a_backend_continues_audio_and_hears_of_every_token(
    tmp_path: Path, text_encoder: Path
) -> None:
    """As written for the original: `get_pretrained`, choices, callback, continuation, its start."""
    folder = formula.write_musicgen_checkpoint(
        tmp_path, changes={"conditioners.description.t5.name": "t5-small"}
    )
    told: list[tuple[int, int]] = []
    model = MusicGen.get_pretrained(str(folder), "cpu", text_encoder=text_encoder)
    model.set_custom_progress_callback(lambda done, total: told.append((done, total)))
    model.set_generation_params(
        use_sampling=True, top_k=250, top_p=0.0, temperature=1.0, duration=0.4, cfg_coef=3
    )

    output = model.generate_continuation(
        noise("loop", 1, 3200), prompt_sample_rate=32000, descriptions=[WORDS], progress=True
    )
    lm = load_lm_model(folder, "cpu")
    attributes = [ConditioningAttributes(text={"description": None})]
    codes = lm.generate(None, attributes, max_gen_len=5, use_sampling=True, top_k=10)

    assert isinstance(output, torch.Tensor)
    assert (1, 1, 12800) == output.cpu().shape
    assert [(n, 18) for n in range(1, 19)] == told
    assert (1, 4, 5) == codes.shape
    assert (32000, 50.0, 1) == (model.sample_rate, model.frame_rate, model.audio_channels)
    assert (30.0, "cpu") == (model.max_duration, model.device.type)


def test_a_service_edits_and_hears_of_every_step(model: MelodyFlow) -> None:
    told: list[tuple[int, int]] = []
    model._progress_callback = lambda done, total: told.append((done, total))
    model.set_editing_params(
        solver="euler",
        steps=3,
        target_flowstep=0.12,
        regularize=True,
        regularize_iters=2,
        keep_last_k_iters=1,
        lambda_kl=0.2,
    )

    tokens = model.encode_audio(noise("source", 1, 2, 480))
    audio, latent = model.edit(
        prompt_tokens=tokens,
        descriptions=[WORDS],
        src_descriptions=[""],
        progress=True,
        return_tokens=True,
    )

    assert [(n, 9) for n in range(1, 10)] == told
    assert ((1, 2, 480), (1, 16, 12)) == (audio.shape, latent.shape)
    assert model.generate_audio(latent).equal(audio)


def test_rate_window_and_channels_are_attributes(model: MelodyFlow) -> None:
    assert (8000, 200.0, 2) == (model.sample_rate, model.frame_rate, model.audio_channels)
    assert (4.0, "cpu") == (model.max_duration, model.device.type)


def test_progress_without_a_callback_is_a_bar(
    model: MelodyFlow, capsys: pytest.CaptureFixture[str]
) -> None:
    model.set_generation_params("euler", 2, 0.1)

    model.generate([WORDS], True)

    assert "step" in capsys.readouterr().err


def test_conditions_are_tokenized_and_projected_by_name(model: MelodyFlow) -> None:
    attributes = [ConditioningAttributes(text={"description": text}) for text in (WORDS, None)]
    provider = model.lm.condition_provider

    tokenized = provider.tokenize(attributes)
    projected, mask = provider(tokenized)["description"]
    t5 = getattr(provider.conditioners["description"], "t5")  # noqa: B009 - a module's own
    hidden = t5(**tokenized["description"]).last_hidden_state

    again, again_mask = provider.description.condition([WORDS, None])
    torch.testing.assert_close(projected, again, atol=1e-5, rtol=0)
    assert torch.equal(mask, again_mask)
    assert hidden.shape[:2] == mask.shape


def test_a_velocity_is_asked_for_with_the_logarithm_of_the_mask(model: MelodyFlow) -> None:
    provider = model.lm.condition_provider
    attributes = [ConditioningAttributes(text={"description": WORDS})]
    projected, mask = provider(provider.tokenize(attributes))["description"]
    z, t = noise("z", 1, 16, 9), torch.tensor([0.37]).expand(1, 1)

    v = model.lm.forward(z, t, projected, torch.log(mask.unsqueeze(1).unsqueeze(1)))

    plain = model.lm.naive(projected, mask, t[0], guided=False)
    torch.testing.assert_close(plain(z, t[0, 0]), v)


def test_the_flow_model_generates_from_attributes(model: MelodyFlow) -> None:
    attributes = [ConditioningAttributes(text={"description": text}) for text in (WORDS, "")]
    told: list[tuple[int, int]] = []

    made = model.lm.generate(
        conditions=attributes,
        max_gen_len=10,
        solver="midpoint",
        steps=4,
        callback=lambda done, total: told.append((done, total)),
    )
    inverted = model.lm.generate(
        prompt=made[:1],
        conditions=[ConditioningAttributes(text={"description": ""})],
        source_flowstep=1.0,
        target_flowstep=0.1,
        solver="euler",
        steps=2,
        regularize=True,
        regularize_iters=2,
        keep_last_k_iters=1,
        lambda_kl=0.2,
    )

    assert ((2, 16, 10), (1, 16, 10)) == (made.shape, inverted.shape)
    assert [(n, 4) for n in range(1, 5)] == told


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"num_samples": 1, "solver": "heun"},
        {"num_samples": 1, "steps": 0},
        {"num_samples": 1, "regularize": True},
        {**INVERSION, "keep_last_k_iters": 0},
        {**INVERSION, "regularize_iters": 1, "keep_last_k_iters": 1},
        {"num_samples": 1, "steps": 3, "solver": "midpoint"},
        {"num_samples": 1, "target_flowstep": 1.5},
    ],
)
def test_what_the_original_runs_into_nonsense_is_refused(
    model: MelodyFlow, wrong: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match="."):
        model.lm.generate(max_gen_len=8, **wrong)  # type: ignore[arg-type]


def test_parts_load_on_their_own_and_weight_norm_may_be_looked_for(checkpoint: Path) -> None:
    codec = load_compression_model(str(checkpoint), device="cpu")
    lm = load_dit_model_melodyflow(str(checkpoint), device="cpu")

    normed = [each for each in codec.modules() if hasattr(getattr(each, "conv", None), "conv")]
    model = MelodyFlow(name="tiny", compression_model=codec, lm=lm)

    assert ([], 30.0) == (normed, model.max_duration)
    latent, scale = codec.encode(noise("source", 1, 2, 480))
    assert scale is None
    again = model.encode_audio(noise("source", 1, 2, 480))
    torch.testing.assert_close(latent.squeeze(1), again, atol=1e-5, rtol=1e-5)
