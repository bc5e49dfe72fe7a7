"""MusicGen against recorded runs of another implementation, and what its public calls promise."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from audiocraft.data.audio_utils import convert_audio
from audiocraft.data.resampling import convert_prompt
from audiocraft.models import MusicGen, loaders
from audiocraft.models.encodec import InterleaveStereoCompressionModel
from audiocraft.models.stretches import Stretch, stretches
from audiocraft.modules.conditioners import ConditionFuser
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.models import formula, recorded
from tests.models.conftest import noise

WORDS = "jazz trio with upright bass"
GATE = 3e-5


class Stopped(BaseException):
    """What a job that is cancelled raises."""


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return formula.write_musicgen_checkpoint(tmp_path_factory.mktemp("musicgen"))


@pytest.fixture(scope="module", name="parts")
def _parts(folder: Path) -> MusicGen:
    """Return a model whose condition for the recorded words is the recorded one."""
    model = MusicGen.get_pretrained(folder, "cpu")
    with np.load(recorded.DATA / "lm.npz") as file:
        condition = torch.from_numpy(file["cond_src"][0])
    model.lm.condition_provider.description._remembered[WORDS] = condition
    return model


@pytest.fixture(name="musicgen")
def _musicgen(parts: MusicGen) -> MusicGen:
    """Return an object of its own over the same weights, greedy and short."""
    model = MusicGen("tiny", parts.compression_model, parts.lm)
    model.set_generation_params(use_sampling=False, duration=0.2)
    return model


@pytest.fixture(scope="module", name="stored")
def _stored() -> dict[str, Tensor]:
    with np.load(recorded.DATA / "musicgen.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def test_words_give_the_recorded_tokens_and_sound(
    musicgen: MusicGen, stored: dict[str, Tensor]
) -> None:
    musicgen.set_generation_params(use_sampling=False, duration=0.8)

    audio, tokens = musicgen.generate([WORDS], return_tokens=True)

    assert stored["generate_tokens"].equal(tokens.to(torch.int16))
    assert (1, 1, 25600) == audio.shape
    expected = stored["generate_audio"]
    torch.testing.assert_close(audio[..., : expected.shape[-1]], expected, atol=GATE, rtol=0)
    torch.testing.assert_close(musicgen.generate_audio(tokens), audio)


def test_prompts_are_resampled_and_coded_as_recorded(
    musicgen: MusicGen, stored: dict[str, Tensor]
) -> None:
    prompt = stored["prompt_audio"][None]

    converted = convert_prompt(prompt, 44100, 32000, 1)

    torch.testing.assert_close(converted, stored["prompt_converted"], atol=GATE, rtol=0)
    assert stored["prompt_tokens"].equal(musicgen.encode_prompt(prompt, 44100).to(torch.int16))


def test_another_filter_for_prompts_is_told_apart(stored: dict[str, Tensor]) -> None:
    """The control of the test above: a resampler of the same rates is not close enough."""
    other = convert_audio(stored["prompt_audio"][None], 44100, 32000, 1)

    assert float((other - stored["prompt_converted"]).abs().max()) > 100 * GATE


@pytest.mark.parametrize(
    ("words", "name"), [([WORDS], "continuation_tokens"), (None, "continuation_none_tokens")]
)
def test_continuations_have_the_recorded_tokens(
    musicgen: MusicGen, stored: dict[str, Tensor], words: list[str] | None, name: str
) -> None:
    musicgen.set_generation_params(use_sampling=False, duration=0.8)

    audio, tokens = musicgen.generate_continuation(
        stored["prompt_audio"], 44100, words, return_tokens=True
    )

    assert stored[name].equal(tokens.to(torch.int16))
    if words:
        expected = stored["continuation_audio"]
        torch.testing.assert_close(audio[..., : expected.shape[-1]], expected, atol=GATE, rtol=0)


def test_more_than_a_window_has_the_recorded_tokens_and_steps(
    parts: MusicGen, stored: dict[str, Tensor]
) -> None:
    model = MusicGen("tiny", parts.compression_model, parts.lm, max_duration=0.6)
    model.set_generation_params(use_sampling=False, duration=1.3, extend_stride=0.4)
    told: list[list[int]] = []
    counted: list[tuple[int, int]] = []
    model.set_custom_progress_callback(lambda done, total: told.append([done, total]))

    _, tokens = model.generate(
        [WORDS], return_tokens=True, on_step=lambda done, total: counted.append((done, total))
    )

    assert stored["extended_tokens"].equal(tokens.to(torch.int16))
    assert stored["extended_calls"].tolist() == told
    assert (65, 65) == counted[-1]
    assert {65} == {total for _, total in counted}
    assert sorted(counted) == counted


def test_continuing_beyond_a_window_has_the_recorded_tokens(
    parts: MusicGen, stored: dict[str, Tensor]
) -> None:
    model = MusicGen("tiny", parts.compression_model, parts.lm, max_duration=0.6)
    model.set_generation_params(use_sampling=False, duration=1.0, extend_stride=0.4)

    _, tokens = model.generate_continuation(
        stored["prompt_audio"], 44100, [WORDS], return_tokens=True
    )

    assert stored["extended_continuation_tokens"].equal(tokens.to(torch.int16))


def test_no_words_are_no_guidance(musicgen: MusicGen) -> None:
    """Whatever its strength: both sides of it are the same."""

    def tokens(words: str | None, cfg_coef: float) -> Tensor:
        musicgen.set_generation_params(use_sampling=False, duration=0.4, cfg_coef=cfg_coef)
        return musicgen.generate([words], return_tokens=True)[1]

    unguided = tokens(None, 1.0)

    assert unguided.equal(tokens("", 3.0))
    assert unguided.equal(tokens(None, 7.0))
    assert unguided.equal(musicgen.generate_unconditional(1, return_tokens=True)[1])
    assert not tokens(WORDS, 1.0).equal(tokens(WORDS, 7.0))


def test_a_generator_decides_what_is_drawn_and_nothing_else_does(musicgen: MusicGen) -> None:
    musicgen.set_generation_params(duration=0.2, top_k=50)

    def tokens(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return musicgen.generate([WORDS], return_tokens=True, generator=generator)[1]

    before = torch.random.get_rng_state()
    once = tokens(7)
    assert torch.random.get_rng_state().equal(before)
    torch.rand(3)
    assert once.equal(tokens(7))
    assert not once.equal(tokens(8))


def test_requests_over_the_same_weights_keep_their_own_choices(parts: MusicGen) -> None:
    one, other = (MusicGen("tiny", parts.compression_model, parts.lm) for _ in range(2))
    one.set_generation_params(use_sampling=False, duration=0.1)
    other.set_generation_params(use_sampling=False, duration=0.3)
    told: list[int] = []
    one.set_custom_progress_callback(lambda done, total: told.append(done))

    _, longer = other.generate([WORDS], return_tokens=True)
    assert not told
    _, shorter = one.generate([WORDS], return_tokens=True)

    assert ((1, 4, 15), (1, 4, 5)) == (longer.shape, shorter.shape)
    assert list(range(1, 9)) == told


@pytest.mark.parametrize("last", [1, 2, 9, 13])
def test_whoever_listens_can_stop_at_any_step(musicgen: MusicGen, last: int) -> None:
    steps: list[int] = []

    def on_step(done: int, total: int) -> None:
        steps.append(done)
        if len(steps) == last:
            raise Stopped

    with pytest.raises(Stopped):
        musicgen.generate([WORDS], on_step=on_step)

    assert last == len(steps)


def test_progress_is_a_bar_where_nobody_listens(
    musicgen: MusicGen, capsys: pytest.CaptureFixture[str]
) -> None:
    musicgen.generate([WORDS], progress=True)

    assert "step" in capsys.readouterr().err


@given(
    st.integers(1, 400),
    st.integers(2, 90).flatmap(lambda w: st.tuples(st.just(w), st.integers(1, w - 1))),
    st.integers(0, 300),
)
def test_stretches_cover_everything_once(total: int, sizes: tuple[int, int], known: int) -> None:
    window, stride = sizes
    known = min(known, total - 1)

    found = stretches(total, window=window, stride=stride, known=known)

    reached = known
    for each in found:
        assert each.offset + each.given == reached
        assert 0 <= each.given < each.length <= window
        reached = each.offset + each.length
    assert total == reached


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (0, [(0, 0, 30), (20, 10, 30), (40, 10, 25)]),
        (25, [(0, 25, 30), (20, 10, 30), (40, 10, 25)]),
        (30, [(20, 10, 30), (40, 10, 25)]),
        (50, [(40, 10, 25)]),
    ],
)
def test_stretches_begin_a_stride_apart_and_hear_the_rest_of_the_window(
    known: int, expected: list[tuple[int, int, int]]
) -> None:
    found = stretches(65, window=30, stride=20, known=known)

    assert [Stretch(*each) for each in expected] == found


def test_a_prompt_longer_than_the_window_is_kept_and_its_end_is_heard(parts: MusicGen) -> None:
    model = MusicGen("tiny", parts.compression_model, parts.lm, max_duration=0.4)
    model.set_generation_params(use_sampling=False, duration=1.0, extend_stride=0.3)
    prompt = noise("prompt", 1, 1, 22400) * 0.1

    _, tokens = model.generate_continuation(prompt, 32000, [WORDS], return_tokens=True)

    assert (1, 4, 50) == tokens.shape
    assert tokens[..., :35].equal(model.encode_prompt(prompt, 32000))


def test_two_channels_are_two_rows_of_the_codec(tmp_path: Path) -> None:
    folder = formula.write_musicgen_checkpoint(tmp_path, stereo=True)
    lm, codec = loaders.load_lm_model(folder), loaders.load_compression_model(folder)
    model = MusicGen("stereo", codec, lm)
    model.set_generation_params(use_sampling=False, duration=0.2)

    audio, tokens = model.generate([None], return_tokens=True)
    again = MusicGen("stereo", model.compression_model, lm)

    assert isinstance(model.compression_model, InterleaveStereoCompressionModel)
    assert again.compression_model is model.compression_model
    assert ((1, 2, 6400), (1, 8, 10), 2) == (audio.shape, tokens.shape, model.audio_channels)
    left, right = codec.decode(tokens[:, ::2]), codec.decode(tokens[:, 1::2])
    torch.testing.assert_close(torch.cat((left, right), dim=1), audio, atol=1e-6, rtol=0)
    prompt = noise("stereo", 1, 3200)
    model.set_generation_params(use_sampling=False, duration=0.3)
    continued, _ = model.generate_continuation(prompt, 32000, return_tokens=True)
    assert (1, 2, 9600) == continued.shape


def test_two_channels_may_have_their_frames_in_turn(tmp_path: Path) -> None:
    """Twice as many frames a second, of as many codebooks as the codec has."""
    stereo = {"use": True, "per_timestep": True}
    folder = formula.write_musicgen_checkpoint(
        tmp_path, changes={"channels": 2, "interleave_stereo_codebooks": stereo}
    )
    model = MusicGen.get_pretrained(folder, "cpu")
    model.set_generation_params(use_sampling=False, duration=0.2)

    audio, tokens = model.generate([None], return_tokens=True)

    assert ((1, 2, 6400), (1, 4, 20), 100.0) == (audio.shape, tokens.shape, model.frame_rate)


def test_sound_longer_than_the_window_is_decoded_in_tiles_without_another_result(
    parts: MusicGen,
) -> None:
    model = MusicGen("tiny", parts.compression_model, parts.lm, max_duration=0.4)
    tokens = torch.randint(0, 64, (1, 4, 70), generator=torch.Generator().manual_seed(1))

    tiled, whole = model.generate_audio(tokens), parts.generate_audio(tokens)

    torch.testing.assert_close(tiled, whole, atol=GATE, rtol=0)
    prompt = noise("long", 1, 1, 44800) * 0.1
    assert model.encode_prompt(prompt, 32000).equal(parts.encode_prompt(prompt, 32000))


def test_a_codec_of_other_tokens_is_refused(parts: MusicGen, tmp_path: Path) -> None:
    folder = formula.write_musicgen_checkpoint(tmp_path, changes={"transformer_lm.card": 32})
    lm = loaders.load_lm_model(folder)

    with pytest.raises(ValueError, match="64"):
        MusicGen("mixed", parts.compression_model, lm)
    lm.cfg = None  # as where the parts come from no file
    with pytest.raises(ValueError, match="4 codebooks of 64 tokens"):
        MusicGen("mixed", parts.compression_model, lm)


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"duration": 0}, "duration"),
        ({"duration": -1.0}, "duration"),
        ({"duration": 40.0, "extend_stride": 30.0}, "extend_stride"),
        ({"duration": 40.0, "extend_stride": 0.001}, "extend_stride"),
        ({"temperature": -1.0}, "temp"),
        ({"top_k": -1}, "top_k"),
        ({"top_p": 1.5}, "top_p"),
        ({"cfg_coef_beta": 5.0}, "cfg_coef_beta"),
    ],
)
def test_choices_that_cannot_be_are_refused(
    musicgen: MusicGen, choices: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        musicgen.set_generation_params(**choices)


def test_a_refused_choice_changes_none(musicgen: MusicGen) -> None:
    before = (musicgen.duration, dict(musicgen.generation_params))

    with pytest.raises(ValueError, match="top_k"):
        musicgen.set_generation_params(duration=2.0, top_k=-1)

    assert before == (musicgen.duration, musicgen.generation_params)


def test_calls_that_do_not_fit_are_refused(musicgen: MusicGen) -> None:
    prompt = noise("prompt", 1, 1, 3200)
    with pytest.raises(ValueError, match="nothing to generate"):
        musicgen.generate([])
    with pytest.raises(ValueError, match=r"\[B, C, N\]"):
        musicgen.generate_continuation(prompt[0, 0], 32000)
    with pytest.raises(ValueError, match="2 descriptions"):
        musicgen.generate_continuation(prompt, 32000, ["a", "b"])
    with pytest.raises(ValueError, match="leaves nothing of 10"):
        musicgen.generate_continuation(prompt.repeat(1, 1, 2), 32000)
    with pytest.raises(ValueError, match="hears no melodies"):
        musicgen.generate_with_chroma([None], prompt, 32000)
    with pytest.raises(ValueError, match=r"\[B, K, T\]"):
        musicgen.generate_audio(torch.zeros(4, 10, dtype=torch.long))


def test_conditions_in_front_stand_before_the_tokens_in_order() -> None:
    fuser = ConditionFuser({"prepend": ["self_wav", "description"], "cross": ["other"]})
    mask = torch.ones(1, 1)
    conditions = {
        name: (torch.full((1, 1, 2), value), mask)
        for name, value in (("description", 2.0), ("self_wav", 1.0), ("other", 9.0))
    }

    x, cross = fuser(torch.full((1, 1, 2), 3.0), conditions)

    assert [1.0, 2.0, 3.0] == x[0, :, 0].tolist()
    assert cross is not None
    assert [9.0] == cross[0, :, 0].tolist()
    with pytest.raises(ValueError, match="sum"):
        ConditionFuser({"sum": []})
    with pytest.raises(ValueError, match="twice"):
        ConditionFuser({"prepend": ["a"], "cross": ["a"]})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a card")
def test_a_card_plays_in_half_precision_and_the_same_again(folder: Path) -> None:
    model = MusicGen.get_pretrained(folder, "cuda")
    model.set_generation_params(duration=0.4, top_k=20)

    def play() -> tuple[Tensor, Tensor]:
        generator = torch.Generator("cuda").manual_seed(3)
        audio, tokens = model.generate([None], return_tokens=True, generator=generator)
        return audio, tokens

    (audio, tokens), (_, again) = play(), play()

    assert {torch.float16} == {each.dtype for each in model.lm.parameters()}
    assert ((1, 1, 12800), "cuda") == (audio.shape, audio.device.type)
    assert bool(audio.isfinite().all())
    assert tokens.equal(again)
    continued = model.generate_continuation(audio[0, :, :6400].cpu(), 32000, return_tokens=True)
    assert (1, 4, 20) == continued[1].shape
