"""The two files the arranger plays better with: where they are, and how to fetch one of them.

Knows the places to look, the licences and the commands that help. Knows no settings (they arrive
as arguments), opens neither file beyond its header, and touches the network in `fetch_sound_bank`
alone.
"""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

_MODEL_PACKAGE = "basic-pitch"
_MODEL_FILE = "basic_pitch/saved_models/icassp_2022/nmp.onnx"
_BANK_PACKAGE = "fluidr3mono-gm-soundfont"
_BANK_NAMES = (
    "FluidR3Mono_GM.sf3",
    "FluidR3_GM.sf3",
    "FluidR3_GM.sf2",
    "default-GM.sf3",
    "default-GM.sf2",
    "default.sf3",
    "default.sf2",
)
"""Best first. Banks that need modulators (the MuseScore family) are left out on purpose."""

_SYSTEM_FOLDERS = (
    Path("/usr/share/sounds/sf3"),
    Path("/usr/share/sounds/sf2"),
    Path("/usr/share/soundfonts"),
)
_RIFF_HEADER_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file the engine can use, found or missing.

    Attributes:
        name: what to call it before a musician.
        path: where it is; for this process only, never for clients. None when missing.
        licence: of the file we look for; that of a file the user names is theirs to know.
        advice: the command or step that would add it; empty when there is nothing to do.
    """

    name: str
    path: Path | None
    licence: str
    advice: str = ""

    @property
    def is_available(self) -> bool:
        """Whether there is a file to open."""
        return self.path is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """How fetching ended: the file, or a sentence that says why there is none."""

    path: Path | None = None
    reason: str = ""


def find_transcription_model(configured: Path | None) -> Asset:
    """Return the network that turns sound into notes.

    A configured path is taken or reported, never silently replaced by another file.
    """
    path = configured if configured is not None else _packaged_model()
    present = path is not None and path.is_file()
    if present:
        advice = ""
    elif configured is None:
        advice = "Run `make assets` (or `pip install --no-deps basic-pitch==0.4.0`)."
    else:
        advice = "The configured transcription model does not exist."
    return Asset(
        name="transcription model",
        path=path if present else None,
        licence="Apache-2.0 (basic-pitch)",
        advice=advice,
    )


def _packaged_model() -> Path | None:
    """Find the file by metadata; importing the package would pull in its dependencies."""
    try:
        located = metadata.distribution(_MODEL_PACKAGE).locate_file(_MODEL_FILE)
    except metadata.PackageNotFoundError:
        return None
    return Path(str(located))


def find_sound_bank(
    data_dir: Path,
    configured: Path | None,
    *,
    system_folders: tuple[Path, ...] = _SYSTEM_FOLDERS,
) -> Asset:
    """Return the General MIDI sound bank: the configured one, the system's, or the fetched one."""
    if configured is not None:
        path = configured if is_sound_bank(configured) else None
        advice = "" if path else "The configured sound bank is missing or is not an SF2/SF3 file."
    else:
        folders = (*system_folders, _asset_folder(data_dir))
        path = _first_bank(folders)
        advice = "" if path else "Run `make assets`, or name an SF2/SF3 file in the settings."
    return Asset(
        name="sound bank",
        path=path,
        licence="MIT (FluidR3)" if not configured else "",
        advice=advice,
    )


def _first_bank(folders: tuple[Path, ...]) -> Path | None:
    candidates = (folder / name for name in _BANK_NAMES for folder in folders)
    return next((path for path in candidates if is_sound_bank(path)), None)


def is_sound_bank(path: Path) -> bool:
    """Tell whether this is a complete RIFF file of the form `sfbk` (SoundFont 2.04, section 4)."""
    try:
        with path.open("rb") as file:
            header = file.read(_RIFF_HEADER_BYTES)
        size = path.stat().st_size
    except OSError:
        return False
    promised = 8 + int.from_bytes(header[4:8], "little")
    return header[:4] == b"RIFF" and header[8:12] == b"sfbk" and size >= promised


def fetch_sound_bank(
    data_dir: Path, *, timeout_seconds: float = 180.0, search_path: str | None = None
) -> Fetched:
    """Fetch the sound bank with the distribution's package tool, into the data directory.

    Needs no root. `apt-get download` checks the archive's signatures, so the file is the
    distribution's. The result is moved into place in one step; `search_path` replaces the PATH the
    tools are looked up in.
    Never raises for a missing tool, list or network: the reason comes back as a sentence.
    """
    tools = [shutil.which(tool, path=search_path) for tool in ("apt-get", "dpkg-deb")]
    apt_get, dpkg_deb = tools
    if apt_get is None or dpkg_deb is None:
        return Fetched(
            reason="This system has no apt-get; install a General MIDI sound bank with its own"
            " package tool, or name an SF2/SF3 file in the settings."
        )
    folder = _asset_folder(data_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
            return _fetch_into(folder, Path(scratch), apt_get, dpkg_deb, timeout_seconds)
    except subprocess.TimeoutExpired:
        return Fetched(reason=f"Fetching the sound bank took longer than {timeout_seconds:.0f} s.")
    except OSError as error:
        return Fetched(reason=f"The sound bank could not be stored: {error.strerror}.")


def _fetch_into(
    folder: Path, scratch: Path, apt_get: str, dpkg_deb: str, timeout_seconds: float
) -> Fetched:
    limits = ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20"]
    complaint = _run([apt_get, *limits, "download", _BANK_PACKAGE], scratch, timeout_seconds)
    if complaint is not None:
        return Fetched(reason=_explained(complaint))
    archive = next(scratch.glob("*.deb"), None)
    if archive is None:
        return Fetched(reason="apt-get reported success but downloaded nothing.")
    complaint = _run([dpkg_deb, "-x", archive.name, "unpacked"], scratch, timeout_seconds)
    if complaint is not None:
        return Fetched(reason="The downloaded package could not be unpacked.")
    return _moved_into_place(scratch / "unpacked", folder)


def _run(command: list[str], cwd: Path, timeout_seconds: float) -> str | None:
    """Return None on success, else what the tool said, in English."""
    done = subprocess.run(  # noqa: S603 -- the command is made here, not by a client
        ["/usr/bin/env", "LC_ALL=C", *command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_seconds,
        check=False,
    )
    return None if done.returncode == 0 else done.stdout + done.stderr


def _explained(complaint: str) -> str:
    if "Unable to locate package" in complaint or "No packages found" in complaint:
        return (
            "The package lists are missing or too old: run `apt-get update` (as root), then again."
        )
    return "The sound bank could not be downloaded: the package archive cannot be reached."


def _moved_into_place(unpacked: Path, folder: Path) -> Fetched:
    found = (path for path in unpacked.rglob("*.sf3") if not path.is_symlink())
    bank = next((path for path in found if is_sound_bank(path)), None)
    if bank is None:
        return Fetched(reason="The downloaded package holds no sound bank.")
    return Fetched(path=bank.replace(folder / _BANK_NAMES[0]))


def _asset_folder(data_dir: Path) -> Path:
    return data_dir / "assets"


def bank_title(path: Path | None) -> str:
    """Return what to call the bank before clients, who are told no paths."""
    if path is None:
        return "synthesized"
    return "FluidR3Mono" if path.name.startswith("FluidR3Mono") else "General MIDI"
