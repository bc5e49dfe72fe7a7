"""Melodies as conditions: what stands in front of the tokens, and what the public call promises."""

import copy
from pathlib import Path

import pytest
import torch
from audiocraft.models import MusicGen
from audiocraft.modules.chroma import ChromaExtractor
from audiocraft.modules.conditioners import (
    ChromaStemConditioner,
    ConditioningAttributes,
    WavCondition,
    nullify_wav,
)
from torch import Tensor

from tests.models import formula, recorded
from tests.models.conftest import noise

RATE = 32000


@pytest.fixture(scope="module", name="parts")
def _parts(tmp_path_factory: pytest.TempPathFactory, text_encoder: Path) -> MusicGen:
    folder = formula.write_musicgen_checkpoint(
        tmp_path_factory.mktemp("melody"),
        melody=True,
        changes={"conditioners.description.t5.name": "t5-small"},
    )
    return MusicGen.get_pretrained(folder, "cpu", text_encoder=text_encoder)


@pytest.fixture(name="model")
def _model(parts: MusicGen) -> MusicGen:
    model = MusicGen("melody", parts.compression_model, parts.lm)
    model.set_generation_params(use_sampling=False, duration=0.2)
    return model


def tone(hertz: float, seconds: float, *, rate: int = RATE) -> Tensor:
    """Return a sine `[1, N]`."""
    return torch.sin(2 * torch.pi * hertz * torch.arange(int(seconds * rate)) / rate)[None]


def melody_of(wav: Tensor) -> WavCondition:
    """Return the condition of `[C, N]`."""
    return WavCondition(wav[None], torch.tensor([wav.shape[-1]]), [RATE])


def conditioner(*, seconds: float, argmax: bool = True) -> ChromaStemConditioner:
    """Return one whose projection changes nothing: pitch classes come out as they are."""
    chroma = ChromaExtractor(RATE, n_chroma=12, radix2_exp=12, argmax=argmax)
    made = ChromaStemConditioner(chroma, 12, seconds=seconds)
    with torch.no_grad():
        made.output_proj.weight.copy_(torch.eye(12))
        made.output_proj.bias.zero_()
    return made.requires_grad_(requires_grad=False)


def test_a_tone_is_heard_as_its_pitch_class() -> None:
    heard, mask = conditioner(seconds=1.0)([melody_of(tone(440.0, 1.0))])

    assert (1, 1 + RATE // 1024, 12) == heard.shape
    assert {9} == set(heard[0].argmax(-1).tolist())
    assert bool(mask.all())


def test_a_short_melody_is_repeated_and_a_long_one_cut() -> None:
    both = torch.cat((tone(440.0, 0.25), tone(523.25, 0.25)), dim=-1)
    hears = conditioner(seconds=2.0)

    short, _ = hears([melody_of(both)])
    long, _ = hears([melody_of(both.repeat(1, 10))])

    length = 1 + both.shape[-1] // 1024
    assert torch.equal(short[0, :length], short[0, length : 2 * length])
    assert short.shape == long.shape
    assert {0, 9} == set(long[0].argmax(-1).tolist())


def test_a_row_is_the_same_beside_a_longer_one() -> None:
    short, long = melody_of(tone(440.0, 0.3)), melody_of(tone(523.25, 1.5))
    hears = conditioner(seconds=1.0)

    together, _ = hears([short, long])

    assert together[:1].equal(hears([short])[0])
    assert together[1:].equal(hears([long])[0])


def test_no_melody_is_silence_under_a_zero_mask() -> None:
    """Of a silent frame the first class is the loudest, which the projection does not zero."""
    nothing = nullify_wav(melody_of(tone(440.0, 1.0)))

    heard, mask = conditioner(seconds=1.0)([nothing])

    assert {0} == set(heard[0].argmax(-1).tolist())
    assert torch.equal(torch.ones(heard.shape[1]), heard[0].sum(-1))
    assert not bool(mask.any())


def test_the_projection_is_the_checkpoints(parts: MusicGen) -> None:
    provider = parts.lm.condition_provider
    melody = melody_of(tone(440.0, 0.5))
    attributes = ConditioningAttributes({"description": "a cello"}, {"self_wav": melody})

    found = provider(provider.tokenize([attributes]))

    name = "condition_provider.conditioners.self_wav.output_proj"
    weight, bias = recorded.fill(f"{name}.weight", (64, 12)), recorded.fill(f"{name}.bias", (64,))
    expected = weight.half().float()[:, 9] + bias.half().float()
    assert ["description", "self_wav"] == list(found)
    torch.testing.assert_close(found["self_wav"][0][0, 0], expected, atol=1e-6, rtol=0)
    again = provider.conditions([attributes])
    for each in found:
        torch.testing.assert_close(found[each][0], again[each][0], atol=1e-5, rtol=0)


def test_guidance_is_away_from_silence_and_no_words(parts: MusicGen) -> None:
    """The guided logits, computed plainly from a whole sequence with each prefix in front of it."""
    lm = parts.lm
    with_melody = ConditioningAttributes(
        {"description": None}, {"self_wav": melody_of(tone(440.0, 0.5))}
    )
    conditions = lm.condition_provider.conditions([with_melody, with_melody.nullified()])
    sequence = torch.full((2, 4, 1), lm.special_token_id)

    logits = lm(sequence, condition_tensors=conditions)[:, 0, -1]
    guided = logits[1] + (logits[0] - logits[1]) * 3.0
    tokens = lm.generate(conditions=[with_melody], max_gen_len=4, use_sampling=False, cfg_coef=3.0)

    assert int(guided.argmax()) == int(tokens[0, 0, 0])
    zeros = {
        name: (x * torch.tensor([1.0, 0.0])[:, None, None], m)
        for name, (x, m) in conditions.items()
    }
    other = lm(sequence, condition_tensors=zeros)[1, 0, -1]
    assert float((other - logits[1]).abs().max()) > 1e-2, "zeros in front would be something else"


def test_melodies_decide_what_is_played(model: MusicGen) -> None:
    one, other = tone(440.0, 1.0, rate=44100), tone(523.25, 1.0, rate=44100)

    def tokens(*wavs: Tensor | None) -> Tensor:
        words = [None] * len(wavs)
        return model.generate_with_chroma(words, list(wavs), 44100, return_tokens=True)[1]

    together = tokens(one, other, None)

    assert not together[0].equal(together[1])
    assert together[:1].equal(tokens(one))
    assert together[2:].equal(tokens(None))
    assert together[2:].equal(model.generate([None], return_tokens=True)[1])
    stereo = torch.stack((one, one), dim=1)
    assert together[:1].equal(
        model.generate_with_chroma([None], stereo, 44100, return_tokens=True)[1]
    )


def test_a_melody_goes_round_beyond_the_window(parts: MusicGen) -> None:
    model = MusicGen("melody", parts.compression_model, parts.lm, max_duration=0.4)
    model.set_generation_params(use_sampling=False, duration=0.8, extend_stride=0.2)
    melody = ConditioningAttributes(
        {"description": None}, {"self_wav": melody_of(noise("melody", 1, 10000))}
    )

    later = model._from(melody, 15).wav["self_wav"]

    wav = melody.wav["self_wav"].wav
    first = 15 * 640
    assert (1, 1, 12800) == later.wav.shape
    expected = torch.cat((wav[..., first:], wav, wav), dim=-1)[..., :12800]
    assert expected.equal(later.wav)
    _, tokens = model.generate_with_chroma([None], wav[0], RATE, return_tokens=True)
    assert (1, 4, 40) == tokens.shape


def test_melodies_of_another_shape_or_number_are_refused(model: MusicGen) -> None:
    wav = tone(440.0, 0.5)
    with pytest.raises(ValueError, match="2 descriptions"):
        model.generate_with_chroma([None, None], wav, RATE)
    with pytest.raises(ValueError, match=r"\[C, N\]"):
        model.generate_with_chroma([None], [wav[0]], RATE)
    with pytest.raises(ValueError, match=r"\[C, N\]"):
        model.generate_with_chroma([None], [wav[:, :1]], RATE)
    bare = ConditioningAttributes({"description": None})
    with pytest.raises(ValueError, match="self_wav"):
        model.lm.generate(conditions=[bare], max_gen_len=4)


def test_a_prompt_goes_on_without_a_melody(model: MusicGen) -> None:
    prompt = noise("prompt", 1, 3200) * 0.1

    _, tokens = model.generate_continuation(prompt, RATE, return_tokens=True)

    assert tokens[..., :5].equal(model.encode_prompt(prompt[None], RATE))


def test_conditions_have_the_precision_of_the_weights(parts: MusicGen) -> None:
    """As on a card, where the language model stays in half precision and what listens does not."""
    provider = copy.deepcopy(parts.lm.condition_provider)
    for name in ("description", "self_wav"):
        provider.get_submodule(f"conditioners.{name}.output_proj").half()
    melody = melody_of(tone(440.0, 0.5))
    attributes = ConditioningAttributes({"description": "an oboe"}, {"self_wav": melody})

    halves = provider.conditions([attributes])

    whole = parts.lm.condition_provider.conditions([attributes])
    for name, (condition, _) in halves.items():
        assert condition.dtype == torch.float16
        torch.testing.assert_close(condition.float(), whole[name][0], atol=2e-2, rtol=0)
