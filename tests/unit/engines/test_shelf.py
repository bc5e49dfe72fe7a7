"""Which weights MusicGen plays with: by name, by room, and whether there are any."""

from pathlib import Path

import numpy as np
import pytest
import torch
from audiocraft.models import MusicGen

from server import errors
from server.config import Settings
from server.engines.checkpoints import convert, store
from server.engines.checkpoints.cards import Family
from server.engines.checkpoints.convert import Made
from server.engines.hardware import device
from server.engines.musicgen import opening
from server.engines.musicgen.engine import MusicGenEngine
from server.engines.protocols import Sampling, tell_nobody
from tests.unit.engines.networks import STEREO, brief, clip_of, continued

pytestmark = pytest.mark.usefixtures("one_thread")


def test_weights_are_chosen_by_name_and_stereo_ones_play_stereo(engine: MusicGenEngine) -> None:
    clip = clip_of(channels=2)

    result = engine.continue_music(
        clip, brief(), Sampling(model=STEREO), seconds=0.1, on_step=tell_nobody
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
        continued(engine, clip_of(), model=name)

    assert "model" == refused.value.field
    assert advice in refused.value.message


def test_a_directory_is_opened_by_no_name_but_the_setting(
    engine: MusicGenEngine, place: Settings
) -> None:
    with pytest.raises(errors.InvalidInput, match="no weights of that name"):
        continued(engine, clip_of(), model=place.musicgen_model)


def test_the_first_network_to_leave_is_the_one_unused_longest(
    place: Settings, tmp_path: Path
) -> None:
    """Two stay open; one that left is opened again when it is asked for."""
    chosen = place.model_copy(update={"data_dir": tmp_path})
    for name in ("a/one", "a/two"):
        source = Path(place.musicgen_model)
        convert.convert(source, store.folder_of(chosen, name), Made(name=name))
    engine = opening.open_engine(chosen)
    clip = clip_of(0.1)

    for name in ("a/one", "a/two"):
        continued(engine, clip, seconds=0.1, model=name)

    assert ["a/one", "a/two"] == engine._shelf.names()
    continued(engine, clip, seconds=0.1)
    assert ["a/two", "tiny"] == engine._shelf.names()
    engine.close()


def test_for_want_of_room_other_networks_leave_and_it_is_played_once_more(
    place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opening.open_engine(place)
    expected = continued(engine, clip_of(0.2))
    continued(engine, clip_of(0.2), model=STEREO)
    fails = iter([torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB.")])
    play = MusicGen.generate_continuation

    def tight(*args: object, **options: object) -> object:
        for failure in fails:
            raise failure
        return play(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(MusicGen, "generate_continuation", tight)
    result = engine.continue_music(
        clip_of(0.2), brief(), Sampling(), seconds=0.2, on_step=tell_nobody
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
