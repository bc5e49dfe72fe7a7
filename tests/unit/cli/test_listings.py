"""`presets`, `engines`, `assets`, `check`: what there is, and what is missing."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import variations
from server.__main__ import main
from server.cli import check, serve
from server.config import Settings
from server.engines.arranger import assets, engine
from server.engines.catalog import ENGINES, Availability, Device
from server.engines.residency import Residency


@pytest.fixture(name="data", autouse=True)
def _data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data directory, and no broker named by the environment."""
    monkeypatch.setenv("MELODYFLOW_DATA_DIR", str(tmp_path))
    for name in ("REDIS_URL", "MELODYFLOW_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_presets_are_listed_in_the_order_of_their_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Plugins count them."""
    assert 0 == main(["presets", "--names"])
    assert list(variations.load()) == capsys.readouterr().out.split()


def test_presets_are_listed_with_their_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Every prompt is there, whole."""
    assert 0 == main(["presets"])
    shown = " ".join(capsys.readouterr().out.split())
    assert all(" ".join(each.prompt.split()) in shown for each in variations.load().values())


def test_engines_are_listed_with_their_licences(capsys: pytest.CaptureFixture[str]) -> None:
    """And whether they work here."""
    assert 0 == main(["engines"])
    shown = capsys.readouterr().out
    assert "arranger: available" in shown
    assert "MIT" in shown


def _seeing(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    cards = [Device(id=name, name=name, total_mb=8192.0, used_mb=192.0) for name in names]
    monkeypatch.setattr(engine, "devices", lambda _settings: cards, raising=False)


def test_cards_are_listed_one_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Alone for whoever counts them, at the end for whoever reads."""
    monkeypatch.setenv("MELODYFLOW_DEVICE", "cpu")
    _seeing(monkeypatch, "first", "second")

    assert 0 == main(["engines", "--cards"])
    alone = capsys.readouterr().out
    assert 0 == main(["engines"])
    assert ["first, 8000 of 8192 MB free (first)", "second, 8000 of 8192 MB free (second)"] == (
        alone.splitlines()
    )
    assert capsys.readouterr().out.endswith(alone)


@pytest.fixture(name="driver")
def _driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a driver, whose interpreter sees two cards."""
    driver, python = tmp_path / "driver", tmp_path / "python"
    driver.touch()
    python.write_text('#!/bin/sh\necho "one of $MELODYFLOW_DEVICE"\necho another\n')
    python.chmod(0o755)
    monkeypatch.setattr(serve, "_DRIVERS", (driver,))
    monkeypatch.setattr(sys, "executable", str(python))
    return driver


def test_cards_are_counted_by_another_process(driver: Path) -> None:
    assert 2 == serve.count_cards(Settings(device="auto"))


def test_without_a_driver_nobody_counts(driver: Path) -> None:
    """Nor where no card is wanted, or a certain one."""
    assert [0, 0] == [serve.count_cards(Settings(device=name)) for name in ("cpu", "cuda:1")]
    driver.unlink()
    assert 0 == serve.count_cards(Settings(device="auto"))


def test_cards_that_cannot_be_counted_keep_nobody_from_serving(
    driver: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    assert 0 == serve.count_cards(Settings(device="auto"))
    assert "could not be counted" in caplog.text


@pytest.mark.parametrize("workers", ["0", "-1", "many"])
def test_a_server_without_workers_is_refused(workers: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["serve", "--workers", workers])


def test_assets_never_fail_and_say_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A bank that is named and not there is not fetched behind the musician's back."""
    monkeypatch.setenv("MELODYFLOW_SOUND_BANK", str(tmp_path / "none.sf2"))

    assert 0 == main(["assets"])
    assert "missing. The configured sound bank" in capsys.readouterr().out


def test_assets_fetch_nothing_where_there_is_no_package_tool(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The sentence says what to do instead."""
    if assets.find_sound_bank(tmp_path, None).is_available:
        pytest.skip("this system has a sound bank")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert 0 == main(["assets"])
    assert "no apt-get" in capsys.readouterr().out


def test_check_ends_well_where_the_main_job_works(capsys: pytest.CaptureFixture[str]) -> None:
    """Codecs are tried, not looked up."""
    assert 0 == main(["check"])
    shown = capsys.readouterr().out
    assert "written and read back: wav, flac, mp3, ogg" in shown
    assert "The main job works here." in shown


def test_check_fails_where_the_broker_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It asks, and names what is missing."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")

    assert 2 == main(["check"])
    assert "The main job does not work: broker." in capsys.readouterr().err


def test_engines_and_cards_are_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What works says what it stands under, what does not says why."""
    _seeing(monkeypatch, "A card")

    assert 0 == main(["check"])
    rows = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    said = {row[1]: (row[0], row[2]) for row in rows if len(row) == 3}
    assert "ok" == said["arranger"][0]
    assert ("ok", "A card") == said["GPU"]


def test_a_machine_without_an_engine_fails_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Availability(available=False, reason="It is broken.")
    offers = dict.fromkeys(ENGINES, nothing)
    monkeypatch.setattr(Residency, "offers", lambda _self: offers)
    found = {each.name: each for each in check.engines(Settings())}

    assert "It is broken." == found["arranger"].says
    assert found["engines"].is_needed
    assert not found["engines"].works


def test_a_taken_port_is_no_failure_but_is_said() -> None:
    """`serve` takes a free one instead."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (finding,) = check.port(Settings(port=taken.getsockname()[1]))

    assert not finding.works
    assert not finding.is_needed
    assert "MELODYFLOW_PORT" in finding.says


def test_a_data_directory_that_cannot_be_made_fails_the_check(tmp_path: Path) -> None:
    """Its nearest parent is a file."""
    (tmp_path / "file").write_text("", encoding="utf-8")

    assert not next(iter(check.data(Settings(data_dir=tmp_path / "file" / "data")))).works


@pytest.fixture(name="own")
def _own(data: Path) -> Iterator[Path]:
    """A folder of one's own presets with one that is right and one that is not."""
    folder = data / "presets"
    folder.mkdir()
    (folder / "kitchen.toml").write_text(KAZOOS)
    (folder / "attic.toml").write_text(KAZOOS.replace("program", "progam"))
    yield folder
    variations.use_folder(None)


KAZOOS = """
[kazoo_choir]
prompt = "A small choir of kazoos hums along in a kitchen."

[kazoo_choir.arrangement]
voices = [{ name = "kazoo", role = "riff", program = 22, range = [48, 84] }]
"""


@pytest.mark.usefixtures("own")
def test_own_presets_are_listed_last_and_what_is_wrong_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The list stays one for programs: problems go elsewhere."""
    assert 0 == main(["presets", "--names"])
    told = capsys.readouterr()

    assert [*variations.built_in(), "kazoo_choir"] == told.out.split()
    assert "attic.toml: preset 'kazoo_choir', key arrangement.voices.0.progam" in told.err


def test_check_counts_presets_and_tells_what_is_wrong(own: Path) -> None:
    """A broken preset is no reason to say that nothing works."""
    variations.use_folder(own)
    counted, wrong = check.presets(Settings.from_environment())

    assert counted.works
    assert counted.says == f"{len(variations.built_in())}, and 1 of your own"
    assert ("without", False) == (wrong.mark, wrong.is_needed)
    assert "attic.toml: preset 'kazoo_choir'" in wrong.says
    assert str(own) in wrong.says
