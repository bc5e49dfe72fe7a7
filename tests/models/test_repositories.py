"""Checkpoints come from every kind of place; a file chooses none of them by itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from audiocraft.models import loaders
from audiocraft.models.checkpoints import InvalidCheckpoint
from huggingface_hub import constants

from tests.local_hub import Hub, ask, serving


@pytest.fixture(name="hub")
def _hub(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.delenv("AUDIOCRAFT_CACHE_DIR", raising=False)
    folders = {"tiny/flow": checkpoint, "tiny/pointer": tmp_path / "pointer"}
    (tmp_path / "pointer").mkdir()
    with serving(Hub(folders=folders)) as hub:
        ask(hub.url, monkeypatch)
        yield hub


def test_a_hub_id_is_fetched_once_into_the_cache(hub: Hub, tmp_path: Path) -> None:
    """The cache is the hub library's own; what is in it needs no network."""
    for _ in range(2):
        model = loaders.load_dit_model_melodyflow("tiny/flow", cache_dir=tmp_path / "cache")

    assert 16 == model.latent_dim
    assert 1 == len(hub.starts["state_dict.bin"])
    assert (tmp_path / "cache" / "models--tiny--flow").is_dir()


def test_the_originals_variable_names_the_cache(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIOCRAFT_CACHE_DIR", str(tmp_path / "named"))

    assert 2 == loaders.load_compression_model("tiny/flow").channels
    assert (tmp_path / "named" / "models--tiny--flow").is_dir()
    assert hub.served


def test_an_address_is_fetched_once(hub: Hub, tmp_path: Path) -> None:
    address = f"{hub.url}/tiny/flow/resolve/main/compression_state_dict.bin?download=true"
    for _ in range(2):
        codec = loaders.load_compression_model(address, cache_dir=tmp_path / "cache")

    assert 2 == codec.channels
    assert 1 == len(hub.starts["compression_state_dict.bin"])
    [file] = (tmp_path / "cache").iterdir()
    assert file.name.endswith("-compression_state_dict.bin")


def test_a_file_may_have_another_name(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.bin").write_bytes((checkpoint / "state_dict.bin").read_bytes())

    assert 16 == loaders.load_dit_model_melodyflow(tmp_path, filename="mine.bin").latent_dim


def test_a_pointer_to_a_hub_id_is_followed(hub: Hub, tmp_path: Path) -> None:
    file = tmp_path / "pointer" / "compression_state_dict.bin"
    torch.save({"pretrained": "tiny/flow", "version": "1", "exported": True}, file)

    codec = loaders.load_compression_model(file.parent, cache_dir=tmp_path / "cache")

    assert 2 == codec.channels
    assert hub.served["compression_state_dict.bin"]


@pytest.mark.parametrize("target", ["{local}", "../up", "/etc/passwd", "https://x.y/z", 7, ""])
def test_a_pointer_to_anything_else_is_refused(
    tmp_path: Path, checkpoint: Path, target: object
) -> None:
    """A file must not choose what is opened on this machine."""
    place = target.format(local=checkpoint) if isinstance(target, str) else target
    torch.save({"pretrained": place}, tmp_path / "compression_state_dict.bin")

    with pytest.raises(InvalidCheckpoint, match="no hub id"):
        loaders.load_compression_model(tmp_path)


def test_a_pointer_never_means_a_folder_of_that_name(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "codec").symlink_to(checkpoint)
    torch.save({"pretrained": "own/codec"}, tmp_path / "compression_state_dict.bin")

    with pytest.raises(InvalidCheckpoint, match="cannot be fetched"):
        loaders.load_compression_model(tmp_path, cache_dir=tmp_path / "cache")


def test_a_pointer_is_followed_once_only(hub: Hub, tmp_path: Path) -> None:
    file = tmp_path / "pointer" / "compression_state_dict.bin"
    torch.save({"pretrained": "tiny/pointer"}, file)

    with pytest.raises(InvalidCheckpoint, match="compression_model"):
        loaders.load_compression_model(file, cache_dir=tmp_path / "cache")
    assert 1 == len(hub.starts["compression_state_dict.bin"])


@pytest.mark.parametrize(
    "name", ["tiny/absent", "http://127.0.0.1:9/state_dict.bin", "http://x.example/y.bin", "no"]
)
@pytest.mark.usefixtures("hub")
def test_what_cannot_be_had_is_a_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match="state_dict.bin"):
        loaders.load_dit_model_melodyflow(name, cache_dir=tmp_path)


def test_offline_the_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    with pytest.raises(InvalidCheckpoint, match="put state_dict.bin into a directory"):
        loaders.load_dit_model_melodyflow("facebook/melodyflow-t24-30secs", cache_dir=tmp_path)
