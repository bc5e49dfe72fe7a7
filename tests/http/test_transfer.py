"""Files left in the transfer directory, and everything else that must not be read."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from server import errors
from server.web import transfer

BYTES = b"sound"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a transfer directory with a file, beside a secret."""
    (tmp_path / "secret.wav").write_bytes(b"secret")
    folder = tmp_path / "transfer"
    (folder / "deep").mkdir(parents=True)
    for name in ("in.wav", "deep/in.wav"):
        (folder / name).write_bytes(BYTES)
    (folder / "empty.wav").touch()
    (folder / "large.wav").write_bytes(bytes(200))
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    (folder / "inner-link.wav").symlink_to(folder / "in.wav")
    (folder / "up").symlink_to(tmp_path)
    os.mkfifo(folder / "fifo.wav")
    return folder


def read(name: object, folder: Path | None) -> bytes:
    """Read with a limit of 100 bytes."""
    return transfer.read(name, folder=folder, most_bytes=100)


@pytest.mark.parametrize(
    "name",
    [
        lambda _: "in.wav",
        lambda _: "deep/in.wav",
        lambda f: str(f / "in.wav"),
        lambda _: "./in.wav",
    ],
)
def test_a_file_inside_is_read(folder: Path, name: Callable[[Path], str]) -> None:
    """By its path in the directory, or by its absolute path."""
    assert read(name(folder), folder) == BYTES


def test_a_directory_may_be_configured_through_a_link(folder: Path, tmp_path: Path) -> None:
    """Both names of the directory work."""
    link = tmp_path / "link"
    link.symlink_to(folder)

    assert BYTES == read(str(link / "in.wav"), link) == read(str(folder / "in.wav"), link)


FORBIDDEN: dict[str, Callable[[Path], object]] = {
    "missing": lambda _: "nothing.wav",
    "missing outside": lambda folder: str(folder.parent / "nothing.wav"),
    "there, outside": lambda folder: str(folder.parent / "secret.wav"),
    "up and over": lambda _: "../secret.wav",
    "up and over, absolute": lambda folder: f"{folder}/../secret.wav",
    "system": lambda _: "/etc/passwd",
    "device": lambda _: "/dev/zero",
    "link out": lambda _: "link.wav",
    "link inside": lambda _: "inner-link.wav",
    "linked directory": lambda _: "up/secret.wav",
    "directory": lambda _: "deep",
    "the directory itself": str,
    "FIFO": lambda _: "fifo.wav",
    "empty": lambda _: "empty.wav",
    "too large": lambda _: "large.wav",
    "file as directory": lambda _: "in.wav/x",
    "NUL": lambda _: "in.wav\0",
    "surrogate": lambda _: "\ud800",
    "endless": lambda _: "x" * 10_000,
    "blank": lambda _: "",
    "share": lambda _: "\\\\host\\share\\in.wav",
    "number": lambda _: 5,
    "list": lambda _: ["in.wav"],
}


@pytest.mark.parametrize("case", FORBIDDEN)
def test_everything_else_is_refused_in_the_same_words(folder: Path, case: str) -> None:
    """Missing and forbidden cannot be told apart."""
    with pytest.raises(errors.InvalidInput) as refused:
        read(FORBIDDEN[case](folder), folder)
    with pytest.raises(errors.InvalidInput) as missing:
        read("no such file", folder)

    assert missing.value.message == refused.value.message
    assert refused.value.field == "audio_file_path"


def test_without_a_directory_nothing_is_read(folder: Path) -> None:
    """Even a file that is there."""
    with pytest.raises(errors.InvalidInput):
        read(str(folder / "in.wav"), None)


def test_a_link_put_in_the_way_later_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that becomes a link while the path is walked is refused."""
    really_open = os.open

    def swap_then_open(path: str | Path, flags: int, **more: int) -> int:
        if path == "deep" and not (folder / "deep").is_symlink():
            (folder / "deep").rename(folder / "was")
            (folder / "deep").symlink_to(folder.parent)
        return really_open(path, flags, **more)

    monkeypatch.setattr(os, "open", swap_then_open)
    with pytest.raises(errors.InvalidInput):
        read("deep/secret.wav", folder)


def test_no_descriptor_stays_open(folder: Path) -> None:
    """Whether it went well or not."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    read("deep/in.wav", folder)
    with pytest.raises(errors.InvalidInput):
        read("deep/nothing.wav", folder)

    assert before == len(list(Path("/proc/self/fd").iterdir()))
