"""MusicGen's weights come from several repositories; what several need is fetched and kept once."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from server import errors
from server.__main__ import main
from server.config import Settings
from server.engines.checkpoints import cards, ondisk, pull, store
from server.engines.checkpoints import hub as fetching
from server.engines.checkpoints.cards import Family
from server.engines.checkpoints.manifest import Manifest
from server.engines.checkpoints.store import Missing, Weights
from server.engines.musicgen import opening
from server.engines.protocols import Brief, Sampling, tell_nobody
from tests.local_hub import COMMIT, Hub, ask, serving
from tests.models import codecs, formula

SMALL = "facebook/musicgen-small"
STEREO = "facebook/musicgen-stereo-small"
FINETUNE = "thepatch/vanya_ai_dnb_0.1"
ENCODER = cards.CARDS[SMALL].text_encoder.repository
ENCODEC = "facebook/encodec_32khz"

CHANGES = {"conditioners.description.t5.name": "t5-small", "dataset.segment_duration": 2}


@pytest.fixture(scope="module", name="originals")
def _originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Embedded codec, pointed codec, a finetune, and the repositories they need."""
    folder = tmp_path_factory.mktemp("originals")
    for name in ("small", "stereo", "finetune", "encoder", "encodec"):
        (folder / name).mkdir()
    fewer = {"codebook_size": 64, "target_bandwidths": [1.2]}
    codecs.write_transformers(folder / "encodec", {**codecs.TRANSFORMERS, **fewer})
    for name, pointed in (("stereo", ENCODEC), ("finetune", f"//pretrained/{ENCODEC}")):
        formula.write_musicgen_checkpoint(folder / name, stereo=name == "stereo", changes=CHANGES)
        (folder / name / cards.OFFICIAL_CODEC).unlink()
        codecs.write_pointer(folder / name, pointed)
    return {
        SMALL: formula.write_musicgen_checkpoint(folder / "small", changes=CHANGES),
        STEREO: folder / "stereo",
        FINETUNE: folder / "finetune",
        ENCODER: formula.write_text_encoder(folder / "encoder"),
        ENCODEC: folder / "encodec",
    }


@pytest.fixture(name="hub")
def _hub(
    originals: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hub]:
    monkeypatch.setattr(fetching, "PAUSE_SECONDS", 0.0)
    folders = {
        repository: shutil.copytree(folder, tmp_path / "hub" / repository)
        for repository, folder in originals.items()
    }
    with serving(Hub(folders=folders)) as hub:
        ask(hub.url, monkeypatch)
        yield hub


@pytest.fixture(name="settings", autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("MELODYFLOW_DATA_DIR", str(tmp_path / "data"))
    return Settings(data_dir=tmp_path / "data", device="cpu")


def _ignore(_share: float, _stage: str) -> None:
    """Follow nothing."""


def _installed(settings: Settings, name: str) -> Weights:
    found = store.find_stored(settings, name, Family.LANGUAGE)
    assert isinstance(found, Weights), found
    return found


def _plays(settings: Settings, name: str) -> int:
    """Return how many channels weights play."""
    engine = opening.open_engine(settings.model_copy(update={"musicgen_model": name}))
    result = engine.generate(
        Brief(variation=None, prompt=""), Sampling(), seconds=0.1, on_step=tell_nobody
    )
    engine.close()
    assert name == result.model["name"]
    return result.clip.channels


@pytest.mark.parametrize(("name", "channels"), [(SMALL, 1), (STEREO, 2), (FINETUNE, 1)])
def test_weights_of_every_kind_of_repository_play_after_a_pull(
    hub: Hub, settings: Settings, name: str, channels: int
) -> None:
    """An embedded codec, and both spellings of a pointer to another repository's."""
    assert 0 == main(["models", "pull", "--yes", name])

    found = _installed(settings, name)
    assert (COMMIT, "CC-BY-NC-4.0") == (found.revision, found.licence)
    assert (cards.CODEC if name == SMALL else cards.POINTED_CODEC) == found.codec.name
    assert [] == list(found.model.parent.rglob("*.bin"))
    assert channels == _plays(settings, name)
    assert 0 == main(["models", "verify", name])
    manifest = Manifest.read(found.model.parent)
    assert manifest is not None
    assert "float16" == manifest.precision


def test_what_several_need_is_fetched_once_and_kept_once(hub: Hub, settings: Settings) -> None:
    pull.pull(settings, cards.CARDS[STEREO], on_progress=_ignore)
    hub.served.clear()

    pull.pull(settings, cards.finetune(FINETUNE), on_progress=_ignore)

    assert {"state_dict.bin", "compression_state_dict.bin"} == set(hub.served)
    one, other = (_installed(settings, name) for name in (STEREO, FINETUNE))
    for name in ("text_encoder/model.safetensors", "codec/model.safetensors"):
        assert (one.model.parent / name).samefile(other.model.parent / name)


def test_a_damaged_copy_is_not_shared_and_fetching_one_spoils_no_other(
    hub: Hub, settings: Settings
) -> None:
    """What is put right for one is a file of its own; the other asks to be put right itself."""
    pull.pull(settings, cards.CARDS[STEREO], on_progress=_ignore)
    shared = _installed(settings, STEREO).text_encoder / "model.safetensors"
    content = bytearray(shared.read_bytes())
    content[-1] ^= 1
    shared.write_bytes(content)

    pull.pull(settings, cards.finetune(FINETUNE), on_progress=_ignore)

    sound = _installed(settings, FINETUNE).text_encoder / "model.safetensors"
    assert bytes(content) == shared.read_bytes() != sound.read_bytes()
    assert 1 == main(["models", "verify", STEREO])
    hub.served.clear()
    pull.pull(settings, cards.CARDS[STEREO], on_progress=_ignore)
    assert not hub.served
    assert sound.samefile(_installed(settings, STEREO).text_encoder / "model.safetensors")
    assert 0 == main(["models", "verify"])


def test_a_second_pull_fetches_nothing_and_a_damaged_codec_alone(
    hub: Hub, settings: Settings
) -> None:
    pull.pull(settings, cards.CARDS[STEREO], on_progress=_ignore)
    hub.served.clear()
    pull.pull(settings, cards.CARDS[STEREO], on_progress=_ignore)
    assert not hub.served

    codec = _installed(settings, STEREO).codec / "model.safetensors"
    codec.write_bytes(codec.read_bytes()[:-1])
    assert isinstance(store.find_stored(settings, STEREO, Family.LANGUAGE), Missing)
    pull.pull(settings, cards.CARDS[STEREO], on_progress=_ignore)

    assert {"config.json", "model.safetensors"} == set(hub.served)
    assert 2 == _plays(settings, STEREO)


def test_a_stop_keeps_what_has_come_for_the_next_time(hub: Hub, settings: Settings) -> None:
    def stop(share: float, _stage: str) -> None:
        if share > 0.3:
            raise errors.Cancelled

    size = (hub.folders[SMALL] / "state_dict.bin").stat().st_size
    with pytest.raises(errors.Cancelled):
        ondisk.pull(settings, SMALL, on_progress=stop)
    assert isinstance(store.find_stored(settings, SMALL, Family.LANGUAGE), Missing)

    facts = ondisk.pull(settings, SMALL, on_progress=_ignore)

    assert (SMALL, COMMIT, "float16") == (facts["name"], facts["revision"], facts["precision"])
    assert hub.served["state_dict.bin"] < 2 * size
    assert 1 == _plays(settings, SMALL)


@pytest.mark.parametrize("name", ["someone/else", "no repository", "/etc/passwd"])
def test_callers_have_known_weights_fetched_and_no_others(
    hub: Hub, settings: Settings, name: str
) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        ondisk.pull(settings, name, on_progress=_ignore)

    assert "name" == refused.value.field
    assert not hub.served


def test_a_library_that_is_missing_is_a_sentence(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ondisk, "LIBRARIES", ("no_such_library",))

    with pytest.raises(errors.Unavailable, match="needs no_such_library"):
        ondisk.pull(settings, SMALL, on_progress=_ignore)


def test_a_pointer_that_leads_nowhere_is_refused(hub: Hub, settings: Settings) -> None:
    (hub.folders[STEREO] / cards.OFFICIAL_CODEC).unlink()
    codecs.write_pointer(hub.folders[STEREO], "../../elsewhere")

    with pytest.raises(errors.InvalidInput, match="no repository"):
        pull.pull(settings, cards.CARDS[STEREO], on_progress=_ignore)


def test_files_by_hand_are_converted_with_the_codec_they_point_to(
    originals: dict[str, Path], settings: Settings, tmp_path: Path
) -> None:
    """What the pointer needs is said, and what is said works."""
    folder = shutil.copytree(originals[FINETUNE], tmp_path / "by hand")
    shutil.copytree(originals[ENCODER], folder / "text_encoder")
    arguments = ["models", "convert", str(folder), "--name", "mine"]

    assert 1 == main(arguments)
    shutil.copytree(originals[ENCODEC], folder / "codec")
    assert 0 == main(arguments)
    assert 1 == _plays(settings, "mine")
    assert not (folder / "codec" / "model.safetensors").samefile(
        _installed(settings, "mine").codec / "model.safetensors"
    )


def test_weights_do_not_take_the_name_of_another_kind(
    originals: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert 1 == main(["models", "convert", str(originals[SMALL])])
    assert "give them a name of their own" in capsys.readouterr().err


def test_the_store_tells_kind_and_size_of_what_it_has(hub: Hub, settings: Settings) -> None:
    pull.pull(settings, cards.CARDS[STEREO], on_progress=_ignore)
    pull.pull(settings, cards.finetune(FINETUNE), on_progress=_ignore)

    kept = {each.name: (each.family, each.scale) for each in store.kept(settings)}

    assert {STEREO: ("language", "small"), FINETUNE: ("language", "small")} == kept


def test_where_no_links_can_be_made_parts_are_copied(
    hub: Hub, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    pull.pull(settings, cards.CARDS[STEREO], on_progress=_ignore)
    hub.served.clear()
    pull.pull(settings, cards.finetune(FINETUNE), on_progress=_ignore)

    assert {"state_dict.bin", "compression_state_dict.bin"} == set(hub.served)
    assert 0 == main(["models", "verify"])


@pytest.mark.parametrize(("size", "scale"), [(8e8, "small"), (3.7e9, "medium"), (6.5e9, "large")])
def test_size_classes_are_those_of_the_published_files(size: float, scale: str) -> None:
    assert scale == cards.scale_of(int(size))
    language = [card for card in cards.CARDS.values() if card.family is Family.LANGUAGE]
    assert all(card.scale == cards.scale_of(card.sizes[cards.OFFICIAL_MODEL]) for card in language)


def test_every_card_names_its_licence_and_asks_for_no_money() -> None:
    for card in (*cards.CARDS.values(), cards.finetune(FINETUNE)):
        assert "CC-BY-NC-4.0" == card.licence
        assert "commercial" in card.meaning
        assert "Meta" in card.meaning


def test_verifying_what_is_not_there_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["models", "verify"])
    assert "nothing to check" in capsys.readouterr().err
