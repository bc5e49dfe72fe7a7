"""Weights are found, told apart from damaged ones, and never believed blindly."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from server import errors
from server.config import Settings
from server.engines.checkpoints import cards, store
from server.engines.checkpoints.cards import Family
from server.engines.checkpoints.manifest import Checked, Manifest, Origin, Print
from server.engines.checkpoints.store import Missing, Weights

CONTENT = {
    cards.FLOW: b"flow",
    cards.CODEC: b"codec",
    "text_encoder/config.json": b"{}",
}


@pytest.fixture(name="settings")
def _settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


def _install(settings: Settings, name: str = cards.DEFAULT) -> Path:
    """Fill a folder of the store and return it."""
    folder = store.folder_of(settings, name)
    prints = {}
    for each, content in CONTENT.items():
        path = folder / each
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        prints[each] = Print(size=len(content), sha256=hashlib.sha256(content).hexdigest())
    origin = Origin(repository=name, revision="c0ffee", files={})
    Manifest(name=name, licence="CC0", files=prints, origins={"model": origin}).write(folder)
    return folder


def _found(settings: Settings) -> Weights:
    found = store.find(settings, settings.melodyflow_model, Family.FLOW)
    assert isinstance(found, Weights), found
    return found


def _missing(settings: Settings) -> Missing:
    missing = store.find(settings, settings.melodyflow_model, Family.FLOW)
    assert isinstance(missing, Missing), missing
    return missing


def test_installed_weights_are_found_with_their_facts(settings: Settings) -> None:
    folder = _install(settings)

    found = _found(settings)

    assert (
        Weights(
            name=cards.DEFAULT,
            model=folder / cards.FLOW,
            codec=folder / cards.CODEC,
            text_encoder=folder / "text_encoder",
            revision="c0ffee",
            checksum=hashlib.sha256(b"flow").hexdigest(),
            licence="CC0",
        )
        == found
    )


def test_weights_that_are_not_here_come_with_the_command_that_fetches_them(
    settings: Settings,
) -> None:
    missing = _missing(settings)

    assert f"The weights {cards.DEFAULT} are not on this machine." == missing.reason
    assert "models pull` (5.0 GB; CC-BY-NC-4.0)" in missing.advice
    assert not missing.is_damaged


def test_a_name_that_nobody_knows_names_the_setting(tmp_path: Path) -> None:
    missing = _missing(Settings(data_dir=tmp_path, melodyflow_model="no/such"))

    assert "MELODYFLOW_MELODYFLOW_MODEL" in missing.reason
    assert "models list" in missing.advice


@pytest.mark.parametrize("name", list(CONTENT))
def test_a_file_of_another_size_is_damage(settings: Settings, name: str) -> None:
    (_install(settings) / name).write_bytes(b"?")

    missing = _missing(settings)

    assert missing.is_damaged
    assert name in missing.reason
    assert "models pull" in missing.advice


def test_a_file_that_is_gone_is_damage(settings: Settings) -> None:
    (_install(settings) / cards.CODEC).unlink()

    assert _missing(settings).is_damaged


@pytest.mark.parametrize("encoder", ["text_encoder", "t5"])
def test_a_directory_with_the_official_files_is_taken_as_it_is(
    tmp_path: Path, encoder: str
) -> None:
    folder = tmp_path / "mine"
    (folder / encoder).mkdir(parents=True)
    for name in (cards.OFFICIAL_MODEL, cards.OFFICIAL_CODEC, f"{encoder}/config.json"):
        (folder / name).write_bytes(b"x")

    found = _found(Settings(data_dir=tmp_path, melodyflow_model=str(folder)))

    assert ("mine", folder / "state_dict.bin") == (found.name, found.model)
    assert (folder / encoder, "", "CC-BY-NC-4.0") == (
        found.text_encoder,
        found.checksum,
        found.licence,
    )


@pytest.mark.parametrize(
    ("present", "lacking"),
    [
        ([], "state_dict.bin"),
        (["state_dict.bin"], "compression_state_dict.bin"),
        (["state_dict.bin", "codec.safetensors"], "text encoder"),
    ],
)
def test_an_incomplete_directory_says_what_it_lacks(
    tmp_path: Path, present: list[str], lacking: str
) -> None:
    for name in present:
        (tmp_path / name).write_bytes(b"x")

    missing = _missing(Settings(data_dir=tmp_path, melodyflow_model=str(tmp_path)))

    assert lacking in missing.reason
    assert missing.advice


def test_a_manifest_that_cannot_be_read_counts_as_none(settings: Settings) -> None:
    (_install(settings) / "manifest.json").write_text('{"name": 3}', encoding="utf-8")

    assert "" == _found(settings).checksum


def test_proof_reads_a_file_once_per_change(settings: Settings) -> None:
    folder = _install(settings)
    proven = store.proven(_found(settings), settings)
    kept = json.loads((settings.weights_dir / "checked.json").read_text("utf-8"))
    flow = folder / cards.FLOW
    times = (flow.stat().st_atime_ns, flow.stat().st_mtime_ns)

    # the same size and time of change: the remembered checksum stands
    flow.write_bytes(b"wolf")
    os.utime(flow, ns=times)
    remembered = store.proven(_found(settings), settings)

    assert proven == remembered
    assert str(flow.resolve()) in kept


def test_a_changed_file_of_the_same_size_is_refused(settings: Settings) -> None:
    folder = _install(settings)
    store.proven(_found(settings), settings)
    flow = folder / cards.FLOW
    flow.write_bytes(b"wolf")
    os.utime(flow, ns=(0, 1))

    with pytest.raises(errors.EngineUnavailable, match="flow.safetensors is not what it was"):
        store.proven(_found(settings), settings)


def test_proof_gives_loose_weights_their_checksum(tmp_path: Path) -> None:
    for name in ("state_dict.bin", "codec.safetensors", "t5/config.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"flow")
    settings = Settings(data_dir=tmp_path / "data", melodyflow_model=str(tmp_path))

    assert hashlib.sha256(b"flow").hexdigest() == store.proven(_found(settings), settings).checksum


def test_a_store_that_cannot_be_written_only_remembers_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"flow")
    checked = Checked(tmp_path / "file" / "store")

    assert hashlib.sha256(b"flow").hexdigest() == checked.sha256_of(tmp_path / "file")


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(errors.StorageFailed, match=r"gone\.bin cannot be read"):
        Checked(tmp_path).sha256_of(tmp_path / "gone.bin")


def test_asking_loads_nothing_heavy() -> None:
    """Workers without a model library ask as well, and often."""
    script = (
        "import sys; from server.config import Settings; "
        "from server.engines.checkpoints import store; store.find(Settings(), 'a/b', 'flow'); "
        "heavy = ('torch', 'numpy', 'safetensors', 'huggingface_hub'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )

    assert "[]" == done.stdout.strip()
