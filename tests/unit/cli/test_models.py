"""`models`: weights come from a real hub over real HTTP, and nothing of it is believed."""

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from audiocraft.models import loaders

from server import errors
from server.__main__ import main
from server.config import Settings
from server.engines.checkpoints import cards, pull, store
from server.engines.checkpoints import hub as fetching
from server.engines.checkpoints.cards import Family
from server.engines.checkpoints.hub import Listing, Remote
from server.engines.checkpoints.manifest import Manifest
from server.engines.checkpoints.store import Missing, Weights
from tests.local_hub import COMMIT, Hub, ask, serving
from tests.models import formula

NAME = cards.DEFAULT
ENCODER = cards.CARDS[NAME].text_encoder.repository
OTHER_COMMIT = "b" * 40


@pytest.fixture(scope="module", name="originals")
def _originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("originals")
    for part in ("model", "encoder"):
        (folder / part).mkdir()
    return {
        NAME: formula.write_checkpoint(folder / "model"),
        ENCODER: formula.write_text_encoder(folder / "encoder"),
    }


@pytest.fixture(name="hub")
def _hub(
    originals: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hub]:
    """A hub with copies that a test may change; the library of this process asks it."""
    folders = {}
    for repository, folder in originals.items():
        folders[repository] = shutil.copytree(folder, tmp_path / "hub" / repository)
    with serving(Hub(folders=folders)) as hub:
        ask(hub.url, monkeypatch)
        yield hub


@pytest.fixture(name="settings", autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("MELODYFLOW_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(fetching, "PAUSE_SECONDS", 0.0)
    return Settings(data_dir=tmp_path / "data")


def _installed(settings: Settings) -> Weights:
    found = store.find(settings, NAME, Family.FLOW)
    assert isinstance(found, Weights), found
    return found


def _pull(*arguments: str) -> int:
    return main(["models", "pull", "--yes", *arguments])


def _outcome(capsys: pytest.CaptureFixture[str]) -> str:
    shown = capsys.readouterr()
    return shown.out + shown.err


def test_a_pull_in_its_own_process_installs_weights_that_play_the_same(
    hub: Hub, settings: Settings, originals: dict[str, Path], tmp_path: Path
) -> None:
    """Shown licence, pinned commit, no official file left, the same velocities bit for bit."""
    done = subprocess.run(
        [sys.executable, "-m", "server", "models", "pull", "--yes"],
        env={**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    assert "CC-BY-NC-4.0" in done.stdout
    assert COMMIT in done.stdout
    found = _installed(settings)
    assert (COMMIT, "CC-BY-NC-4.0") == (found.revision, found.licence)
    assert found == store.proven(found, settings)
    assert [] == list(found.model.parent.rglob("*.bin"))
    assert torch.equal(_velocity(originals[NAME]), _velocity(found.model))
    assert torch.equal(_encoding(originals[NAME]), _encoding(found.codec))


def _velocity(place: Path) -> torch.Tensor:
    model = loaders.load_dit_model_melodyflow(place)
    z = torch.linspace(-1, 1, 16 * 9).reshape(1, 16, 9)
    source = torch.linspace(-1, 1, 5 * 48).reshape(1, 5, 48)
    with torch.no_grad():
        v: torch.Tensor = model(z, torch.tensor([[0.4]]), source, torch.zeros(1, 1, 1, 5))
    return v


def _encoding(place: Path) -> torch.Tensor:
    codec = loaders.load_compression_model(place)
    with torch.no_grad():
        return codec.encode(torch.linspace(-1, 1, 2 * 200).reshape(1, 2, 200))[0]


def test_a_download_that_breaks_off_goes_on_where_it_stopped(hub: Hub) -> None:
    """Of what had come no more than a part of one chunk is fetched again."""
    size = (hub.folders[NAME] / "state_dict.bin").stat().st_size
    hub.breaks["state_dict.bin"] = [size // 2]

    assert 0 == _pull()
    first, second = hub.starts["state_dict.bin"]
    assert 0 == first
    assert size // 2 - fetching.CHUNK < second <= size // 2
    assert size // 2 + size - second == hub.served["state_dict.bin"]


def test_a_download_goes_on_in_the_next_run(
    hub: Hub, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """What came is kept, and not fetched again."""
    size = (hub.folders[NAME] / "state_dict.bin").stat().st_size
    hub.breaks["state_dict.bin"] = [2 * fetching.CHUNK, *[0] * fetching.TRIES]

    assert 2 == _pull()
    assert "What has come is kept" in _outcome(capsys)
    assert isinstance(store.find(settings, NAME, Family.FLOW), Missing)

    hub.breaks.clear()
    assert 0 == _pull()
    assert size == hub.served["state_dict.bin"]
    assert 2 * fetching.CHUNK == hub.starts["state_dict.bin"][-1]
    _installed(settings)


def test_a_hub_that_cannot_go_on_is_asked_for_everything_again(
    hub: Hub, settings: Settings
) -> None:
    hub.ignores_ranges = True
    hub.breaks["state_dict.bin"] = [1000]

    assert 0 == _pull()
    _installed(settings)


@pytest.mark.parametrize("name", ["state_dict.bin", "config.json"])
def test_a_file_that_is_not_what_the_hub_declares_is_thrown_away(
    hub: Hub, settings: Settings, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Large files are declared by SHA-256, small ones by git's own checksum."""
    hub.spoiled.add(name)

    assert 1 == _pull()
    assert f"{name} is not what the hub declares" in _outcome(capsys)
    assert isinstance(store.find(settings, NAME, Family.FLOW), Missing)
    assert [] == list(settings.weights_dir.rglob(name))

    hub.spoiled.clear()
    assert 0 == _pull()


def test_without_a_network_every_file_and_its_place_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ask("http://127.0.0.1:9", monkeypatch)

    assert 2 == _pull()
    told = _outcome(capsys)
    assert f"https://huggingface.co/{NAME}" in told
    names = ["state_dict.bin", "compression_state_dict.bin", "text_encoder/model.safetensors"]
    assert all(f"    {name}\n" in told for name in names)
    assert "models convert FOLDER" in told


def test_what_the_offline_advice_says_works(
    originals: dict[str, Path], settings: Settings, tmp_path: Path
) -> None:
    folder = shutil.copytree(originals[NAME], tmp_path / "by hand")
    shutil.copytree(originals[ENCODER], folder / "text_encoder")

    assert 0 == main(["models", "convert", str(folder)])
    assert 0 == main(["models", "verify"])
    assert "safetensors" in _installed(settings).codec.name


def test_without_a_terminal_the_licence_has_to_be_accepted_by_an_option(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path(os.devnull).open(encoding="utf-8") as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)

        assert 2 == main(["models", "pull"])
    told = _outcome(capsys)
    assert "CC-BY-NC-4.0" in told
    assert "--yes" in told
    assert not hub.served


@pytest.mark.parametrize(("answer", "code"), [("n\n", 2), ("\n", 2), ("y\n", 0)])
def test_at_a_terminal_the_licence_is_asked_for(
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
    code: int,
) -> None:
    """Anything but yes is no, and nothing was fetched."""
    here, there = pty.openpty()
    os.write(here, answer.encode())
    with os.fdopen(there, encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)

        assert code == main(["models", "pull"])
    os.close(here)
    assert "under this licence?" in _outcome(capsys)
    assert bool(hub.served) == (code == 0)


def test_a_second_pull_fetches_nothing_and_a_damaged_file_alone(
    hub: Hub, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    _pull()
    hub.served.clear()

    assert 0 == _pull()
    assert "is here and intact" in _outcome(capsys)
    assert not hub.served

    _flip(_installed(settings).codec)
    assert 0 == _pull()
    assert ["compression_state_dict.bin"] == list(hub.served)
    assert 0 == main(["models", "verify"])


def _flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", [cards.FLOW, cards.CODEC, "text_encoder/config.json"])
def test_one_flipped_bit_is_found_and_its_file_named(
    hub: Hub, settings: Settings, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    _pull()
    _flip(_installed(settings).model.parent / name)
    capsys.readouterr()

    assert 1 == main(["models", "verify", NAME])
    verdicts = dict(line.split(None, 1) for line in _outcome(capsys).splitlines() if "  " in line)
    assert [name] == [each for each, said in verdicts.items() if said.startswith("DAMAGED")]


def test_later_pulls_keep_to_the_commit_of_the_first(hub: Hub, settings: Settings) -> None:
    """A branch that moved on is followed only when it is named."""
    _pull()
    hub.commits[NAME, "main"] = OTHER_COMMIT
    _flip(_installed(settings).model)

    assert 0 == _pull()
    assert COMMIT == _installed(settings).revision

    hub.commits[NAME, OTHER_COMMIT] = OTHER_COMMIT
    assert 0 == _pull("--revision", "main")
    assert OTHER_COMMIT == _installed(settings).revision


def test_other_content_at_the_same_commit_is_refused(
    hub: Hub, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    _pull()
    _flip(hub.folders[NAME] / "state_dict.bin")
    hub.served.clear()

    assert 1 == _pull()
    assert "other content for state_dict.bin" in _outcome(capsys)
    assert not hub.served
    _installed(settings)


def test_official_files_are_kept_when_asked_for(hub: Hub, settings: Settings) -> None:
    """And serve the next pull instead of the hub."""
    _pull("--keep-original")
    hub.served.clear()
    flow = _installed(settings).model
    assert ["compression_state_dict.bin", "state_dict.bin"] == sorted(
        path.name for path in flow.parent.rglob("*.bin")
    )

    _flip(flow)
    assert 0 == _pull("--keep-original")
    assert not hub.served


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--revision", "nowhere"], 1, "has no revision nowhere"),
        (["no/such"], 1, "There is no repository no/such"),
        (["../up"], 2, "cannot be the name of weights"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_what_there_is_not_is_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, sentence: str
) -> None:
    assert code == _pull(*arguments)
    assert sentence in _outcome(capsys)


def test_a_repository_that_is_gone_or_lacks_a_file_is_a_sentence(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    (hub.folders[NAME] / "state_dict.bin").unlink()
    assert 1 == _pull()
    assert "has no state_dict.bin" in _outcome(capsys)

    del hub.folders[NAME]
    assert 1 == _pull()
    assert f"There is no repository {NAME}" in _outcome(capsys)


def test_a_full_disk_is_seen_before_anything_is_fetched(tmp_path: Path) -> None:
    listing = Listing(repository="a/b", revision=COMMIT, files=())
    planned = pull.Plan(
        card=cards.CARDS[NAME],
        folder=tmp_path / "store" / "a--b",
        listings={"model": listing},
        wanted={"model": [Remote(name="state_dict.bin", size=10**18)]},
    )

    with pytest.raises(errors.StorageFailed, match="2000000000.0 GB while it works"):
        planned.refuse_without_room()


def test_known_weights_are_listed_with_licence_and_state(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == main(["models", "list"])
    before = _outcome(capsys)
    _pull()
    capsys.readouterr()
    main(["models", "list"])
    after = _outcome(capsys)

    assert all(each in before for each in (NAME, "CC-BY-NC-4.0", "Apache-2.0", "models pull"))
    assert all(each in after for each in ("here, ", COMMIT, "float32", "(chosen)"))


def test_converted_weights_can_have_a_name_of_their_own(
    originals: dict[str, Path], settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(originals[NAME])

    assert 0 == main(["models", "convert", source, "--name", "mine", "--precision", "bfloat16"])
    assert "have no text encoder" in _outcome(capsys)
    manifest = Manifest.read(settings.weights_dir / "mine")
    assert manifest is not None
    assert ("mine", "bfloat16", {}) == (manifest.name, manifest.precision, manifest.origins)
    main(["models", "list"])
    assert "mine\n" in _outcome(capsys)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["nowhere"], 2, "There is no nowhere."),
        ([".", "--name", "../up"], 2, "cannot be a name"),
        (["tests/models"], 1, "no state_dict.bin and no compression_state_dict.bin"),
    ],
)
def test_what_cannot_be_converted_is_a_sentence(
    capsys: pytest.CaptureFixture[str], words: list[str], code: int, sentence: str
) -> None:
    assert code == main(["models", "convert", *words])
    assert sentence in _outcome(capsys)


def test_a_missing_library_comes_with_the_command_that_adds_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("server.cli.models._LIBRARIES", ("no_such_library",))

    assert 2 == _pull()
    assert "pip install 'melodyflow[models]'" in _outcome(capsys)
