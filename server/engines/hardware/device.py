"""Chooses the device that networks run on, and keeps other workers off it.

Knows cards, locks and what their errors mean; nothing of networks. The driver's own library is
asked where it can be: every worker asks every other second, and torch is large. What opens a model
asks torch, because only torch knows how its own names (`cuda:1`) count the cards.
"""

import ctypes
import functools
import gc
import importlib
import re
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar

import psutil

from server import errors
from server.config import Settings
from server.engines.catalog import Device

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

MEGABYTE = 1024 * 1024
CPU = "cpu"

NO_CARD = "There is no NVIDIA card on this machine, or its driver is not installed."
LOST = "The graphics card does not answer."
NO_CUDA = "The installed torch has no CUDA in it, so it cannot use a graphics card."
TAKEN = "The graphics card is in use."
ADVICE_CPU = "Set MELODYFLOW_DEVICE=cpu to compute on the processor, slowly."


class CardsUnseen(Exception):
    """The cards of this machine cannot be listed; the message is for the musician."""


Cards = Callable[[], Sequence[Device]]
"""Lists the cards as they are now, in the order of their numbers. Raises `CardsUnseen`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where networks shall run.

    Attributes:
        name: what torch calls it: `cpu` or `cuda:0`.
        title: what people call it.
        card: None for the processor.
    """

    name: str
    title: str
    card: Device | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPlace:
    """Why networks cannot run here, and what helps."""

    reason: str
    advice: str = ""


def see_cards() -> Sequence[Device]:
    """List the cards without torch where the driver's library can be asked.

    Raises:
        CardsUnseen: a card is there but does not answer.
    """
    nvml = _nvml()
    if nvml is not None:
        return nvml_cards(nvml)
    if "torch" in sys.modules or _has_driver():
        return torch_cards()
    return ()


def nvml_cards(nvml: Any) -> Sequence[Device]:
    """List the cards by NVIDIA's management library, given as its module.

    Raises:
        CardsUnseen: a card is there but does not answer.
    """
    try:
        handles = [nvml.nvmlDeviceGetHandleByIndex(n) for n in range(nvml.nvmlDeviceGetCount())]
        return tuple(_nvml_card(nvml, handle) for handle in handles)
    except nvml.NVMLError as error:
        _nvml.cache_clear()  # a driver that was loaded again wants to be greeted again
        raise CardsUnseen(LOST) from error


def torch_cards() -> Sequence[Device]:
    """List the cards as torch counts them; loads torch. What is used is what this process holds.

    Raises:
        CardsUnseen: a card is there but does not answer.
    """
    import torch  # noqa: PLC0415 - large; most workers never need it

    if torch.version.cuda is None and _has_driver():
        raise CardsUnseen(NO_CUDA)
    if not torch.cuda.is_available():
        return ()
    try:
        return tuple(_torch_card(torch, index) for index in range(torch.cuda.device_count()))
    except RuntimeError as error:
        raise CardsUnseen(LOST) from error


def choose(settings: Settings, *, cards: Cards = see_cards) -> Place | NoPlace:
    """Return the place the settings ask for, or why there is none.

    `auto` and `cuda` mean the first card that no other worker uses; the processor is never taken
    unasked.
    """
    if settings.device == CPU:
        return Place(name=CPU, title="the processor")
    try:
        found = cards()
    except CardsUnseen as error:
        return NoPlace(reason=str(error))
    if not found:
        return NoPlace(reason=NO_CARD, advice=ADVICE_CPU)
    free = [index for index in _wanted(settings, found) if _lock(settings, found[index]).is_open]
    if free:
        card = found[free[0]]
        return Place(name=f"cuda:{free[0]}", title=card.name, card=card)
    return NoPlace(reason=_why_not(settings, found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A place that is this process's own until the lock is given up."""

    place: Place
    lock: "DeviceLock | None"

    def give_up(self) -> None:
        """Let other workers have it."""
        if self.lock is not None:
            self.lock.release()


def take(settings: Settings, *, cards: Cards = torch_cards) -> Held:
    """Choose a place and keep other workers off it.

    Raises:
        errors.EngineUnavailable: there is none, with the reason.
    """
    for _ in range(_TRIES):
        place = choose(settings, cards=cards)
        if isinstance(place, NoPlace):
            raise errors.EngineUnavailable(place.reason)
        if place.card is None:
            return Held(place=place, lock=None)
        lock = _lock(settings, place.card)
        if lock.acquire():
            return Held(place=place, lock=lock)
        # another worker was quicker: it holds the lock now, so the next choice is another
    raise errors.EngineUnavailable(TAKEN)


class DeviceLock:
    """At most one process a card. The system gives it back when the process dies, however.

    Engines of one process share its card; it is given back when the last of them gives it up.
    """

    _process = uuid.uuid4().hex
    _files: ClassVar[dict[Path, IO[str]]] = {}
    _holders: ClassVar[Counter[Path]] = Counter()

    def __init__(self, folder: Path, card_id: str) -> None:
        """Name the card; nothing is locked yet."""
        self._path = folder.resolve() / (re.sub(r"[^\w-]", "_", card_id) + ".lock")
        self._is_held = False

    @property
    def is_open(self) -> bool:
        """Whether this process has the card or could have it."""
        if self._path in self._files:
            return True
        with self._opened() as file:
            return _try_lock(file) or self._holder(file) == self._process

    def acquire(self) -> bool:
        """Take the card and say whether that was possible."""
        if not self._is_held and (self._path in self._files or self._lock()):
            self._holders[self._path] += 1
            self._is_held = True
        return self._is_held

    def release(self) -> None:
        """Give the card back; nothing happens if it was not held."""
        if not self._is_held:
            return
        self._is_held = False
        self._holders[self._path] -= 1
        if not self._holders[self._path]:
            file = self._files.pop(self._path)
            file.truncate(0)
            file.close()

    def _lock(self) -> bool:
        file = self._opened()
        for _ in range(_TRIES):  # somebody who only looks holds it for an instant
            if _try_lock(file):
                file.truncate(0)
                file.write(self._process)
                file.flush()
                self._files[self._path] = file
                return True
            time.sleep(_TRY_SECONDS)
        file.close()
        return False

    def _opened(self) -> IO[str]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return self._path.open("a+", encoding="ascii")

    @staticmethod
    def _holder(file: IO[str]) -> str:
        file.seek(0)
        return file.read()


class DeviceMemory:
    """The memory of one device, as far as this process has to do with it."""

    def __init__(self, name: str, *, cuda: Any = None) -> None:
        """Take torch's name of the device; `cuda` stands in for `torch.cuda`."""
        self._name = name
        self._cuda = cuda
        self._baseline_mb = 0.0
        if cuda is None and name != CPU:
            import torch  # noqa: PLC0415 - only where there is a card

            self._cuda = torch.cuda

    def free_mb(self) -> float:
        """Return what nobody uses."""
        if self._cuda is None:
            return psutil.virtual_memory().available / MEGABYTE
        return float(self._cuda.mem_get_info(self._name)[0]) / MEGABYTE

    def total_mb(self) -> float:
        """Return what there is."""
        if self._cuda is None:
            return psutil.virtual_memory().total / MEGABYTE
        return float(self._cuda.mem_get_info(self._name)[1]) / MEGABYTE

    def held_mb(self) -> float:
        """Return what this process holds of a card, in use or not; 0 on the processor."""
        return 0.0 if self._cuda is None else self._cuda.memory_reserved(self._name) / MEGABYTE

    def release(self) -> None:
        """Give back what is held and not in use."""
        gc.collect()
        if self._cuda is not None:
            self._cuda.empty_cache()

    def baseline(self) -> float:
        """Release, remember what is held now as the baseline, and return it."""
        self.release()
        self._baseline_mb = self.held_mb()
        return self._baseline_mb

    def is_back_to_baseline(self, *, tolerance: float = 0.05) -> bool:
        """Whether no more is held than the baseline, or by this share of it."""
        return self.held_mb() <= self._baseline_mb * (1 + tolerance)


_TRIES, _TRY_SECONDS = 5, 0.02
_FAR = 1 << 30  # Windows forbids reading what is locked, so a byte beyond the text is


if sys.platform == "win32":

    def _try_lock(file: IO[str]) -> bool:
        file.seek(_FAR)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:

    def _try_lock(file: IO[str]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


def _lock(settings: Settings, card: Device) -> DeviceLock:
    return DeviceLock(settings.data_dir / "devices", card.id)


def _wanted(settings: Settings, cards: Sequence[Device]) -> list[int]:
    """Return the numbers of the cards the settings allow."""
    _, _, number = settings.device.partition(":")
    every = list(range(len(cards)))
    return [index for index in every if index == int(number)] if number else every


def _why_not(settings: Settings, cards: Sequence[Device]) -> str:
    wanted = _wanted(settings, cards)
    if not wanted:
        return f"There is no {settings.device}; this machine has {len(cards)} card(s)."
    if len(wanted) == 1:
        return f"Another worker uses the {cards[wanted[0]].name}."
    return f"Other workers use all {len(wanted)} cards."


@functools.lru_cache(maxsize=1)
def _nvml() -> Any | None:
    """Return the driver's management library, ready, or None where there is none."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    return nvml


def _nvml_card(nvml: Any, handle: Any) -> Device:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return Device(
        id=str(nvml.nvmlDeviceGetUUID(handle)),
        name=str(nvml.nvmlDeviceGetName(handle)),
        total_mb=memory.total / MEGABYTE,
        used_mb=memory.used / MEGABYTE,
    )


def _torch_card(torch: Any, index: int) -> Device:
    # asking for the free memory would open a context on every card, hundreds of megabytes each
    properties = torch.cuda.get_device_properties(index)
    return Device(
        id=f"GPU-{properties.uuid}",
        name=str(properties.name),
        total_mb=properties.total_memory / MEGABYTE,
        used_mb=torch.cuda.memory_reserved(index) / MEGABYTE,
    )


@functools.lru_cache(maxsize=1)
def _has_driver() -> bool:
    """Whether CUDA's driver is installed, which does not take torch to find out."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
