"""The engine that continues over a small model: lengths, rates, seeds, progress and stops."""

import numpy as np
import pytest
import torch
from audiocraft.models import MusicGen

from server import errors
from server.config import Settings
from server.engines.musicgen import opening, prompts
from server.engines.musicgen.engine import MIXED_DOWN, MusicGenEngine
from server.engines.protocols import Sampling, tell_nobody
from tests.unit.engines.networks import WINDOW_SECONDS, brief, clip_of, continued

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("rate", [22050, 32000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_result_is_longer_by_exactly_what_was_asked_for(
    engine: MusicGenEngine, rate: int, channels: int
) -> None:
    clip = clip_of(0.3337, rate=rate, channels=channels)

    found = continued(engine, clip, seconds=0.25)

    assert (rate, channels) == (found.sample_rate, found.channels)
    assert clip.length + prompts.samples_of(0.25, rate) == found.length
    assert np.abs(found.samples[:, clip.length :]).max() > 0


@pytest.mark.parametrize("samples", [1, 7, 639, 641])
def test_the_shortest_clips_go_on(engine: MusicGenEngine, samples: int) -> None:
    clip = clip_of(samples / 32000)

    assert samples + 3200 == continued(engine, clip, seconds=0.1).length


def test_what_comes_first_is_what_the_codec_makes_of_theclip_of(
    engine: MusicGenEngine, place: Settings
) -> None:
    """The guess is that of the same model called directly, sample for sample."""
    clip = clip_of(0.4)
    model = MusicGen.get_pretrained(
        place.musicgen_model, "cpu", text_encoder=f"{place.musicgen_model}/t5"
    )
    codes = model.encode_prompt(torch.from_numpy(clip.samples)[None], 32000)
    with torch.no_grad():
        model.set_generation_params(duration=0.62)
        generator = torch.Generator().manual_seed(5)
        expected = model.generate_continuation(
            torch.from_numpy(clip.samples), 32000, ["a slow waltz"], generator=generator
        )
    found = continued(engine, clip, seconds=0.2)

    assert (1, 4, 20) == codes.shape
    assert isinstance(expected, torch.Tensor)
    np.testing.assert_allclose(expected[0, :, : found.length].numpy(), found.samples, atol=1e-6)


def test_a_clip_longer_than_the_window_is_kept_where_it_was_not_heard(
    engine: MusicGenEngine,
) -> None:
    """The model hears the last part, and what is before that part is the clip itself."""
    clip = clip_of(3.0, rate=44100)

    result = engine.continue_music(clip, brief(), Sampling(), seconds=1.0, on_step=tell_nobody)

    heard = result.made["prompt_seconds"]
    unheard = clip.length - round(heard * 44100)
    assert WINDOW_SECONDS - 1.0 - 0.04 <= heard <= WINDOW_SECONDS - 1.0
    assert np.array_equal(clip.samples[:, :unheard], result.clip.samples[:, :unheard])
    assert not np.allclose(
        clip.samples[:, unheard : clip.length], result.clip.samples[:, unheard : clip.length]
    )
    assert any("the last 1.0 were heard" in notice for notice in result.notices)


def test_music_beyond_the_window_is_played_in_several(engine: MusicGenEngine) -> None:
    result = engine.generate(brief(), Sampling(), seconds=3.1, on_step=tell_nobody)

    assert (round(3.1 * 32000), 32000, 1) == (
        result.clip.length,
        result.clip.sample_rate,
        result.clip.channels,
    )
    assert (2, 155, 620) == tuple(result.made[fact] for fact in ("windows", "steps", "tokens"))


def test_a_stereo_source_of_mono_weights_is_mixed_down_and_says_so(
    engine: MusicGenEngine,
) -> None:
    clip = clip_of(channels=2)

    result = engine.continue_music(clip, brief(), Sampling(), seconds=0.1, on_step=tell_nobody)

    new = result.clip.samples[:, clip.length :]
    assert 2 == result.clip.channels
    assert np.array_equal(new[0], new[1])
    assert MIXED_DOWN in result.notices


def test_a_seed_gives_the_same_samples_whatever_was_played_between(
    engine: MusicGenEngine,
) -> None:
    clip = clip_of(0.5)
    first = continued(engine, clip)
    torch.manual_seed(99)
    other = continued(engine, clip, seed=6)
    again = continued(engine, clip)

    assert np.array_equal(first.samples, again.samples)
    assert not np.allclose(first.samples, other.samples)


def test_no_seed_of_the_process_is_touched(engine: MusicGenEngine) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)

    continued(engine, clip_of(0.1), seconds=0.1)

    assert torch.equal(expected, torch.rand(4))


def test_progress_is_told_at_least_every_fifty_frames_and_never_falls(
    engine: MusicGenEngine,
) -> None:
    told: list[tuple[int, int]] = []

    engine.generate(
        brief(), Sampling(), seconds=4.0, on_step=lambda done, total: told.append((done, total))
    )

    done = [0, *(each for each, _ in told)]
    assert 1 == len({total for _, total in told})
    assert sorted(done) == done
    assert max(np.diff(done)) <= 50
    assert told[-1][0] == told[-1][1]


def test_a_stop_passes_through_within_fifty_frames_and_the_next_job_plays(
    engine: MusicGenEngine,
) -> None:
    calls: list[int] = []

    def stop(done: int, total: int) -> None:
        del total
        calls.append(done)
        raise errors.Cancelled

    with pytest.raises(errors.Cancelled):
        engine.generate(brief(), Sampling(), seconds=4.0, on_step=stop)

    assert 1 == len(calls)
    assert calls[0] <= 50
    assert (
        3200 == engine.generate(brief(), Sampling(), seconds=0.1, on_step=tell_nobody).clip.length
    )


def test_words_may_be_empty_and_sampling_has_an_effect(engine: MusicGenEngine) -> None:
    plain, greedy, again = (
        engine.generate(
            brief("", seed=seed), Sampling(top_k=top_k), seconds=0.2, on_step=tell_nobody
        ).clip.samples
        for seed, top_k in ((5, 100_000), (5, 1), (6, 1))
    )

    assert np.array_equal(greedy, again)
    assert not np.allclose(plain, greedy)


def test_too_long_is_refused_by_its_field(engine: MusicGenEngine) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        engine.generate(brief(), Sampling(), seconds=1e6, on_step=tell_nobody)

    assert "seconds" == refused.value.field


def test_a_result_that_is_no_sound_is_told(engine: MusicGenEngine) -> None:
    network = engine._shelf.named("")
    weight = network.codec.decoder.model[-1].conv.bias
    kept = weight.clone()
    weight.fill_(torch.nan)
    try:
        with pytest.raises(errors.EngineFailed, match="another seed"):
            continued(engine, clip_of(0.1), seconds=0.1)
    finally:
        weight.copy_(kept)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no card")
def test_on_a_card_a_seed_gives_the_same_samples_again(place: Settings) -> None:
    engine = opening.open_engine(place.model_copy(update={"device": "cuda"}))

    first, again = (continued(engine, clip_of(0.5)) for _ in range(2))

    assert np.array_equal(first.samples, again.samples)
    assert np.isfinite(first.samples).all()
    engine.close()
