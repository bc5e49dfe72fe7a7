"""Finding the two assets, and fetching the sound bank with the system's own tools."""

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from server.engines.arranger import assets

_NEEDS_DPKG = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")


def _write_bank(path: Path, *, form: bytes = b"sfbk", missing: int = 0) -> Path:
    """Write the shell of a sound bank: a RIFF header and one empty list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = form + b"LIST\x04\x00\x00\x00INFO"
    path.write_bytes(b"RIFF" + len(body).to_bytes(4, "little") + body[: len(body) - missing])
    return path


def _tools(folder: Path, apt_get: str, *, dpkg_deb: str = 'exec dpkg-deb "$@"') -> str:
    """Return a search path whose `apt-get` and `dpkg-deb` are these shell scripts."""
    folder.mkdir()
    for name, script in (("apt-get", apt_get), ("dpkg-deb", dpkg_deb)):
        tool = folder / name
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    return str(folder)


def _package(folder: Path, *, form: bytes = b"sfbk") -> Path:
    """Build a real .deb laid out like the distribution's, alias link included."""
    root = folder / "root"
    bank = _write_bank(root / "usr/share/fluidr3mono-gm-soundfont/FluidR3Mono_GM.sf3", form=form)
    alias = root / "usr/share/sounds/sf3/FluidR3Mono_GM.sf3"
    alias.parent.mkdir(parents=True)
    alias.symlink_to(Path("../../fluidr3mono-gm-soundfont") / bank.name)
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN/control").write_text(
        "Package: bank\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b.c>\nDescription: test\n"
    )
    archive = folder / "bank_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", root, archive], check=True, capture_output=True)
    return archive


class TestModel:
    def test_the_packaged_model_is_found_without_importing_its_package(self) -> None:
        found = assets.find_transcription_model(None)

        assert found.is_available
        assert found.path is not None
        assert "nmp.onnx" == found.path.name
        assert "basic_pitch" not in sys.modules
        assert "" == found.advice

    def test_a_configured_model_wins(self, tmp_path: Path) -> None:
        mine = tmp_path / "mine.onnx"
        mine.write_bytes(b"anything")

        assert mine == assets.find_transcription_model(mine).path

    def test_a_configured_model_that_is_gone_is_reported_not_replaced(self, tmp_path: Path) -> None:
        found = assets.find_transcription_model(tmp_path / "gone.onnx")

        assert not found.is_available
        assert "does not exist" in found.advice

    def test_without_the_package_the_advice_is_a_command(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "path", [])

        found = assets.find_transcription_model(None)

        assert found.path is None
        assert "make assets" in found.advice


class TestBank:
    def test_a_header_and_all_promised_bytes_make_a_sound_bank(self, tmp_path: Path) -> None:
        assert assets.is_sound_bank(_write_bank(tmp_path / "good.sf2"))
        assert not assets.is_sound_bank(_write_bank(tmp_path / "wave.sf2", form=b"WAVE"))
        assert not assets.is_sound_bank(_write_bank(tmp_path / "cut.sf2", missing=3))
        assert not assets.is_sound_bank(tmp_path / "absent.sf2")
        assert not assets.is_sound_bank(tmp_path)

    def test_the_configured_bank_wins_over_the_system(self, tmp_path: Path) -> None:
        mine = _write_bank(tmp_path / "mine.sf2")
        system = _write_bank(tmp_path / "system/FluidR3_GM.sf2").parent

        found = assets.find_sound_bank(tmp_path, mine, system_folders=(system,))

        assert mine == found.path

    def test_a_configured_file_that_is_no_bank_is_reported_not_replaced(
        self, tmp_path: Path
    ) -> None:
        wrong = _write_bank(tmp_path / "wrong.sf2", form=b"WAVE")
        system = _write_bank(tmp_path / "system/FluidR3_GM.sf2").parent

        found = assets.find_sound_bank(tmp_path, wrong, system_folders=(system,))

        assert found.path is None
        assert "configured" in found.advice

    def test_the_better_bank_wins_whatever_folder_it_is_in(self, tmp_path: Path) -> None:
        _write_bank(tmp_path / "one/default.sf2")
        best = _write_bank(tmp_path / "two/FluidR3Mono_GM.sf3")

        found = assets.find_sound_bank(
            tmp_path, None, system_folders=(tmp_path / "one", tmp_path / "two")
        )

        assert best == found.path

    def test_a_broken_fetched_bank_counts_as_missing(self, tmp_path: Path) -> None:
        _write_bank(tmp_path / "assets/FluidR3Mono_GM.sf3", missing=4)

        found = assets.find_sound_bank(tmp_path, None, system_folders=())

        assert not found.is_available
        assert "make assets" in found.advice


class TestFetch:
    @_NEEDS_DPKG
    def test_a_fetched_bank_is_found_and_nothing_else_is_left(self, tmp_path: Path) -> None:
        archive = _package(tmp_path)
        tools = _tools(tmp_path / "bin", f"cp '{archive}' .")
        data_dir = tmp_path / "data"

        fetched = assets.fetch_sound_bank(data_dir, search_path=tools)

        assert "" == fetched.reason
        assert fetched.path == assets.find_sound_bank(data_dir, None, system_folders=()).path
        assert ["FluidR3Mono_GM.sf3"] == [path.name for path in (data_dir / "assets").iterdir()]

    @_NEEDS_DPKG
    def test_a_package_without_a_sound_bank_is_refused(self, tmp_path: Path) -> None:
        archive = _package(tmp_path, form=b"WAVE")
        tools = _tools(tmp_path / "bin", f"cp '{archive}' .")

        fetched = assets.fetch_sound_bank(tmp_path / "data", search_path=tools)

        assert fetched.path is None
        assert "holds no sound bank" in fetched.reason

    @pytest.mark.parametrize(
        ("apt_get", "sentence"),
        [
            ("echo 'E: Unable to locate package x' >&2; exit 100", "apt-get update"),
            ("echo 'E: Failed to fetch http://x' >&2; exit 100", "cannot be reached"),
            ("exit 0", "downloaded nothing"),
            ("echo junk > bank.deb", "could not be unpacked"),
            ("exec sleep 30", "took longer than"),
        ],
    )
    def test_each_way_to_fail_is_a_sentence(
        self, tmp_path: Path, apt_get: str, sentence: str
    ) -> None:
        tools = _tools(tmp_path / "bin", apt_get, dpkg_deb="exit 2")

        fetched = assets.fetch_sound_bank(tmp_path / "data", timeout_seconds=0.5, search_path=tools)

        assert fetched.path is None
        assert sentence in fetched.reason
        assert [] == list((tmp_path / "data/assets").iterdir())

    def test_a_system_without_the_tools_is_told_what_else_helps(self, tmp_path: Path) -> None:
        fetched = assets.fetch_sound_bank(tmp_path, search_path=str(tmp_path))

        assert "SF2/SF3" in fetched.reason

    def test_a_data_directory_that_cannot_be_made_is_a_sentence(self, tmp_path: Path) -> None:
        (tmp_path / "data").write_text("a file where a folder should be")
        tools = _tools(tmp_path / "bin", "exit 0")

        fetched = assets.fetch_sound_bank(tmp_path / "data", search_path=tools)

        assert "could not be stored" in fetched.reason
