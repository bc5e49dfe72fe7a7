"""The engine that continues over a small model: lengths, rates, seeds, weights and stops."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from audiocraft.models import MusicGen
from hypothesis import given, settings
from hypothesis import strategies as st

from server import errors
from server.config import Settings
from server.engines.checkpoints import convert, store
from server.engines.checkpoints.cards import Family
from server.engines.checkpoints.convert import Made
from server.engines.hardware import device
from server.engines.musicgen import opening, prompts
from server.engines.musicgen.engine import MIXED_DOWN, MusicGenEngine
from server.engines.musicgen.prompts import Hearing
from server.engines.protocols import Brief, Sampling, tell_nobody
from server.media.clip import Clip
from tests.models import formula

WINDOW_SECONDS = 2
CHANGES = {
    "conditioners.description.t5.name": "t5-small",
    "dataset.segment_duration": WINDOW_SECONDS,
}
STEREO = "mine/stereo"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Work on one thread: tensors this small only wait for a second one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", name="place")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A directory with official mono files, and a store with converted stereo ones."""
    folder = tmp_path_factory.mktemp("musicgen")
    official, stereo = folder / "tiny", folder / "official stereo"
    for each, is_stereo in ((official, False), (stereo, True)):
        each.mkdir()
        formula.write_musicgen_checkpoint(each, stereo=is_stereo, changes=CHANGES)
        formula.write_text_encoder(each / "t5")
    chosen = Settings(data_dir=folder / "data", device="cpu", musicgen_model=str(official))
    convert.convert(stereo, store.folder_of(chosen, STEREO), Made(name=STEREO))
    return chosen


@pytest.fixture(scope="module", name="engine")
def _engine(place: Settings) -> Iterator[MusicGenEngine]:
    engine = opening.open_engine(place)
    yield engine
    engine.close()


def _clip(seconds: float = 1.0, *, rate: int = 32000, channels: int = 1) -> Clip:
    samples = np.random.default_rng(7).standard_normal((channels, round(seconds * rate)))
    return Clip((0.1 * samples).astype(np.float32), rate)


def _brief(prompt: str = "a slow waltz", *, seed: int = 5) -> Brief:
    return Brief(variation=None, prompt=prompt, seed=seed)


def _continued(
    engine: MusicGenEngine, clip: Clip, *, seconds: float = 0.2, seed: int = 5, model: str = ""
) -> Clip:
    return engine.continue_music(
        clip,
        _brief(seed=seed),
        Sampling(model=model),
        seconds=seconds,
        on_step=tell_nobody,
    ).clip


@pytest.mark.parametrize("rate", [22050, 32000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_result_is_longer_by_exactly_what_was_asked_for(
    engine: MusicGenEngine, rate: int, channels: int
) -> None:
    clip = _clip(0.3337, rate=rate, channels=channels)

    found = _continued(engine, clip, seconds=0.25)

    assert (rate, channels) == (found.sample_rate, found.channels)
    assert clip.length + prompts.samples_of(0.25, rate) == found.length
    assert np.abs(found.samples[:, clip.length :]).max() > 0


@pytest.mark.parametrize("samples", [1, 7, 639, 641])
def test_the_shortest_clips_go_on(engine: MusicGenEngine, samples: int) -> None:
    clip = _clip(samples / 32000)

    assert samples + 3200 == _continued(engine, clip, seconds=0.1).length


def test_what_comes_first_is_what_the_codec_makes_of_the_clip(
    engine: MusicGenEngine, place: Settings
) -> None:
    """The guess is that of the same model called directly, sample for sample."""
    clip = _clip(0.4)
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
    found = _continued(engine, clip, seconds=0.2)

    assert (1, 4, 20) == codes.shape
    assert isinstance(expected, torch.Tensor)
    np.testing.assert_allclose(expected[0, :, : found.length].numpy(), found.samples, atol=1e-6)


def test_a_clip_longer_than_the_window_is_kept_where_it_was_not_heard(
    engine: MusicGenEngine,
) -> None:
    """The model hears the last part, and what is before that part is the clip itself."""
    clip = _clip(3.0, rate=44100)

    result = engine.continue_music(clip, _brief(), Sampling(), seconds=1.0, on_step=tell_nobody)

    heard = result.made["prompt_seconds"]
    unheard = clip.length - round(heard * 44100)
    assert WINDOW_SECONDS - 1.0 - 0.04 <= heard <= WINDOW_SECONDS - 1.0
    assert np.array_equal(clip.samples[:, :unheard], result.clip.samples[:, :unheard])
    assert not np.allclose(
        clip.samples[:, unheard : clip.length], result.clip.samples[:, unheard : clip.length]
    )
    assert any("the last 1.0 were heard" in notice for notice in result.notices)


def test_music_beyond_the_window_is_played_in_several(engine: MusicGenEngine) -> None:
    result = engine.generate(_brief(), Sampling(), seconds=3.1, on_step=tell_nobody)

    assert (round(3.1 * 32000), 32000, 1) == (
        result.clip.length,
        result.clip.sample_rate,
        result.clip.channels,
    )
    assert (2, 155, 620) == tuple(result.made[fact] for fact in ("windows", "steps", "tokens"))


def test_a_stereo_source_of_mono_weights_is_mixed_down_and_says_so(
    engine: MusicGenEngine,
) -> None:
    clip = _clip(channels=2)

    result = engine.continue_music(clip, _brief(), Sampling(), seconds=0.1, on_step=tell_nobody)

    new = result.clip.samples[:, clip.length :]
    assert 2 == result.clip.channels
    assert np.array_equal(new[0], new[1])
    assert MIXED_DOWN in result.notices


def test_weights_are_chosen_by_name_and_stereo_ones_play_stereo(engine: MusicGenEngine) -> None:
    clip = _clip(channels=2)

    result = engine.continue_music(
        clip, _brief(), Sampling(model=STEREO), seconds=0.1, on_step=tell_nobody
    )

    new = result.clip.samples[:, clip.length :]
    assert (STEREO, 64) == (result.model["name"], len(result.model["checksum"]))
    assert not np.allclose(new[0], new[1])
    assert () == result.notices


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("facebook/musicgen-large", "models pull facebook/musicgen-large` (7.6 GB; CC-BY-NC-4.0)"),
        ("someone/finetune", "models pull someone/finetune`"),
        ("facebook/melodyflow-t24-30secs", "of another kind"),
        ("../tiny", "no weights of that name"),
        ("/etc", "no weights of that name"),
    ],
)
def test_weights_that_are_not_here_are_refused_with_what_helps(
    engine: MusicGenEngine, name: str, advice: str
) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        _continued(engine, _clip(), model=name)

    assert "model" == refused.value.field
    assert advice in refused.value.message


def test_a_directory_is_opened_by_no_name_but_the_setting(
    engine: MusicGenEngine, place: Settings
) -> None:
    with pytest.raises(errors.InvalidInput, match="no weights of that name"):
        _continued(engine, _clip(), model=place.musicgen_model)


def test_a_seed_gives_the_same_samples_whatever_was_played_between(
    engine: MusicGenEngine,
) -> None:
    clip = _clip(0.5)
    first = _continued(engine, clip)
    torch.manual_seed(99)
    other = _continued(engine, clip, seed=6)
    again = _continued(engine, clip)

    assert np.array_equal(first.samples, again.samples)
    assert not np.allclose(first.samples, other.samples)


def test_no_seed_of_the_process_is_touched(engine: MusicGenEngine) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)

    _continued(engine, _clip(0.1), seconds=0.1)

    assert torch.equal(expected, torch.rand(4))


def test_it_never_reaches_beyond_full_scale() -> None:
    loud = Clip(np.array([[0.5, -4.0, 2.0]], np.float32), 8000)

    assert [[0.125, -1.0, 0.5]] == prompts.within(loud).samples.tolist()
    quiet = Clip(np.array([[0.5, -1.0]], np.float32), 8000)
    assert quiet is prompts.within(quiet)


def test_progress_is_told_at_least_every_fifty_frames_and_never_falls(
    engine: MusicGenEngine,
) -> None:
    told: list[tuple[int, int]] = []

    engine.generate(
        _brief(), Sampling(), seconds=4.0, on_step=lambda done, total: told.append((done, total))
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
        engine.generate(_brief(), Sampling(), seconds=4.0, on_step=stop)

    assert 1 == len(calls)
    assert calls[0] <= 50
    assert (
        3200 == engine.generate(_brief(), Sampling(), seconds=0.1, on_step=tell_nobody).clip.length
    )


def test_words_may_be_empty_and_sampling_has_an_effect(engine: MusicGenEngine) -> None:
    plain, greedy, again = (
        engine.generate(
            _brief("", seed=seed), Sampling(top_k=top_k), seconds=0.2, on_step=tell_nobody
        ).clip.samples
        for seed, top_k in ((5, 100_000), (5, 1), (6, 1))
    )

    assert np.array_equal(greedy, again)
    assert not np.allclose(plain, greedy)


def test_too_long_is_refused_by_its_field(engine: MusicGenEngine) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        engine.generate(_brief(), Sampling(), seconds=1e6, on_step=tell_nobody)

    assert "seconds" == refused.value.field


def test_a_result_that_is_no_sound_is_told(engine: MusicGenEngine) -> None:
    network = engine._shelf.named("")
    weight = network.codec.decoder.model[-1].conv.bias
    kept = weight.clone()
    weight.fill_(torch.nan)
    try:
        with pytest.raises(errors.EngineFailed, match="another seed"):
            _continued(engine, _clip(0.1), seconds=0.1)
    finally:
        weight.copy_(kept)


def test_the_first_network_to_leave_is_the_one_unused_longest(
    place: Settings, tmp_path: Path
) -> None:
    """Two stay open; one that left is opened again when it is asked for."""
    chosen = place.model_copy(update={"data_dir": tmp_path})
    for name in ("a/one", "a/two"):
        source = Path(place.musicgen_model)
        convert.convert(source, store.folder_of(chosen, name), Made(name=name))
    engine = opening.open_engine(chosen)
    clip = _clip(0.1)

    for name in ("a/one", "a/two"):
        _continued(engine, clip, seconds=0.1, model=name)

    assert ["a/one", "a/two"] == engine._shelf.names()
    _continued(engine, clip, seconds=0.1)
    assert ["a/two", "tiny"] == engine._shelf.names()
    engine.close()


def test_for_want_of_room_other_networks_leave_and_it_is_played_once_more(
    place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opening.open_engine(place)
    expected = _continued(engine, _clip(0.2))
    _continued(engine, _clip(0.2), model=STEREO)
    fails = iter([torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB.")])
    play = MusicGen.generate_continuation

    def tight(*args: object, **options: object) -> object:
        for failure in fails:
            raise failure
        return play(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(MusicGen, "generate_continuation", tight)
    result = engine.continue_music(
        _clip(0.2), _brief(), Sampling(), seconds=0.2, on_step=tell_nobody
    )

    assert np.array_equal(expected.samples, result.clip.samples)
    assert ["play: alone"] == result.made["memory"]
    assert ["tiny"] == engine._shelf.names()
    engine.close()


def test_without_weights_it_says_how_to_get_them(tmp_path: Path) -> None:
    chosen = Settings(data_dir=tmp_path, device="cpu")

    offer = opening.availability(chosen)

    assert not offer.available
    assert "facebook/musicgen-small are not on this machine" in offer.reason
    assert "models pull facebook/musicgen-small` (2.0 GB; CC-BY-NC-4.0)" in offer.advice
    with pytest.raises(errors.EngineUnavailable, match="not on this machine"):
        opening.open_engine(chosen)


def test_any_weights_of_its_kind_in_the_store_make_it_available(place: Settings) -> None:
    chosen = place.model_copy(update={"musicgen_model": "facebook/musicgen-small"})

    assert opening.availability(chosen).available
    engine = opening.open_engine(chosen)
    assert [STEREO] == engine._shelf.names()
    engine.close()


def test_weights_of_the_other_kind_are_no_weights(place: Settings) -> None:
    chosen = place.model_copy(update={"melodyflow_model": STEREO})
    found = store.find(chosen, STEREO, Family.FLOW)

    assert isinstance(found, store.Missing)
    assert "of another kind" in found.reason


@pytest.mark.parametrize("name", ["state_dict.bin", "compression_state_dict.bin"])
def test_damaged_weights_are_refused_with_a_sentence_and_no_path(
    place: Settings, tmp_path: Path, name: str
) -> None:
    for path in Path(place.musicgen_model).rglob("*"):
        target = tmp_path / "cut" / path.relative_to(place.musicgen_model)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            data = path.read_bytes()
            target.write_bytes(data[: len(data) // 2] if path.name == name else data)
    chosen = place.model_copy(update={"musicgen_model": str(tmp_path / "cut")})

    with pytest.raises(errors.EngineUnavailable) as refused:
        opening.open_engine(chosen)

    assert str(tmp_path) not in refused.value.message
    assert "weights" in refused.value.message


@pytest.mark.skipif(bool(device.see_cards()), reason="this machine has a card")
def test_the_processor_is_never_taken_unasked(place: Settings) -> None:
    offer = opening.availability(place.model_copy(update={"device": "auto"}))

    assert (False, device.NO_CARD) == (offer.available, offer.reason)


@given(
    length=st.integers(1, 20_000),
    rate=st.sampled_from([8000, 11025, 22050, 44100, 48000, 96000]),
    channels=st.integers(1, 6),
    model_channels=st.sampled_from([1, 2]),
    new_frames=st.integers(1, 400),
    seconds=st.floats(0.01, 2.0),
)
@settings(max_examples=60, deadline=None)
def test_whatever_is_given_comes_first_and_the_length_is_exact(
    length: int, rate: int, channels: int, model_channels: int, new_frames: int, seconds: float
) -> None:
    """What is heard are whole frames that fit the window, and they end where the clip ends.

    A model that gives them back unchanged changes the clip no more than two resamplings do.
    """
    hearing = Hearing(sample_rate=16000, channels=model_channels, hop=320, window=100)
    tone = 0.3 * np.sin(0.05 * np.arange(length) * 8000 / rate)
    clip = Clip(np.repeat(tone[None], channels, axis=0).astype(np.float32), rate)

    prompt = prompts.heard(clip, hearing, new_frames=new_frames)
    new = np.zeros((model_channels, round(16000 * seconds) + 640), np.float32)
    played = Clip(np.concatenate([prompt.samples, new], axis=1), 16000)
    found = prompts.joined(clip, played, prompt_samples=prompt.samples.shape[1], seconds=seconds)

    assert (model_channels, prompt.frames * 320) == prompt.samples.shape
    assert 1 <= prompt.frames <= max(100 - new_frames, 100 - hearing.stride)
    assert (min(channels, 2), rate) == (found.channels, found.sample_rate)
    assert length + prompts.samples_of(seconds, rate) == found.length
    inner = slice(length // 4, max(length - rate // 50, 0))
    kept = clip.in_channels(found.channels).samples[:, inner]
    np.testing.assert_allclose(kept, found.samples[:, inner], atol=0.05)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no card")
def test_on_a_card_a_seed_gives_the_same_samples_again(place: Settings) -> None:
    engine = opening.open_engine(place.model_copy(update={"device": "cuda"}))

    first, again = (_continued(engine, _clip(0.5)) for _ in range(2))

    assert np.array_equal(first.samples, again.samples)
    assert np.isfinite(first.samples).all()
    engine.close()
