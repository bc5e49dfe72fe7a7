"""Which device is chosen, and that no two workers have the same card."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
import torch

from server import errors
from server.config import Settings
from server.engines.catalog import Device
from server.engines.hardware import device
from server.engines.hardware.device import (
    CardsUnseen,
    DeviceLock,
    DeviceMemory,
    NoPlace,
    Place,
    choose,
    nvml_cards,
    take,
)

GIGABYTE = 2**30


class NVMLError(Exception):
    pass


@dataclass
class Driver:
    """What NVIDIA's management library does, over cards that can be lost."""

    names: Sequence[str] = ("NVIDIA A", "NVIDIA B")
    is_lost: bool = False
    NVMLError: Any = NVMLError

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802 - the library's names
        return len(self.names)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        if self.is_lost:
            raise NVMLError("GPU is lost")
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        return SimpleNamespace(total=(handle + 1) * 8 * GIGABYTE, used=GIGABYTE)

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802
        return f"GPU-{handle}"

    def nvmlDeviceGetName(self, handle: int) -> str:  # noqa: N802
        return self.names[handle]


def two_cards() -> Sequence[Device]:
    return nvml_cards(Driver())


def settings_for(folder: Path, device: str = "auto") -> Settings:
    return Settings(data_dir=folder, device=device)


def test_cards_are_listed_with_their_memory() -> None:
    assert (
        Device(id="GPU-0", name="NVIDIA A", total_mb=8192.0, used_mb=1024.0),
        Device(id="GPU-1", name="NVIDIA B", total_mb=16384.0, used_mb=1024.0),
    ) == nvml_cards(Driver())


@pytest.mark.parametrize(
    ("asked", "name"),
    [("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")],
)
def test_the_settings_choose_the_device(tmp_path: Path, asked: str, name: str) -> None:
    place = choose(settings_for(tmp_path, asked), cards=two_cards)

    assert isinstance(place, Place)
    assert name == place.name
    assert (place.card is None) is (name == "cpu")


def test_the_processor_is_never_taken_unasked(tmp_path: Path) -> None:
    found = choose(settings_for(tmp_path), cards=list)

    assert NoPlace(reason=device.NO_CARD, advice=device.ADVICE_CPU) == found


def test_a_card_that_is_not_there_is_named(tmp_path: Path) -> None:
    found = choose(settings_for(tmp_path, "cuda:7"), cards=two_cards)

    assert NoPlace(reason="There is no cuda:7; this machine has 2 card(s).") == found


def test_a_card_that_disappears_is_the_reason_until_it_is_back(tmp_path: Path) -> None:
    driver = Driver()
    settings = settings_for(tmp_path)

    def cards() -> Sequence[Device]:
        return nvml_cards(driver)

    driver.is_lost = True
    assert NoPlace(reason=device.LOST) == choose(settings, cards=cards)
    driver.is_lost = False
    assert isinstance(choose(settings, cards=cards), Place)


def test_workers_spread_over_the_cards_and_one_too_many_is_told(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    with _worker(tmp_path, "GPU-0") as first:
        ours = take(settings, cards=two_cards)
        with _worker(tmp_path, "GPU-1") as second:
            assert "taken" == first.answer
            assert ("cuda:1", "refused") == (ours.place.name, second.answer)
        ours.give_up()
        with _worker(tmp_path, "GPU-1") as third:
            assert "taken" == third.answer
            assert NoPlace(reason="Other workers use all 2 cards.") == choose(
                settings, cards=two_cards
            )
            with pytest.raises(errors.EngineUnavailable, match="Another worker uses the NVIDIA B"):
                take(settings_for(tmp_path, "cuda:1"), cards=two_cards)


def test_the_worker_that_has_the_card_still_finds_it_available(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, "cuda:0")
    held = take(settings, cards=two_cards)

    assert held.place == choose(settings, cards=two_cards)
    held.give_up()
    held.give_up()
    take(settings, cards=two_cards).give_up()


def test_engines_of_one_worker_share_its_card_until_the_last_gives_it_up(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, "cuda:0")
    first, second = (take(settings, cards=two_cards) for _ in range(2))

    assert first.place == second.place
    first.give_up()
    first.give_up()
    with _worker(tmp_path, "GPU-0") as other:
        assert "refused" == other.answer
    second.give_up()
    with _worker(tmp_path, "GPU-0") as other:
        assert "taken" == other.answer


def test_a_card_is_free_again_when_its_worker_is_killed(tmp_path: Path) -> None:
    lock = DeviceLock(tmp_path / "devices", "GPU-0")
    with _worker(tmp_path, "GPU-0") as worker:
        before = lock.is_open
        worker.process.kill()
        worker.process.wait()

        assert (False, True) == (before, lock.is_open)
        assert lock.acquire()
    lock.release()


def test_the_processor_needs_no_lock(tmp_path: Path) -> None:
    first, second = (take(settings_for(tmp_path, "cpu")) for _ in range(2))
    first.give_up()

    assert "cpu" == second.place.name
    assert [] == list(tmp_path.iterdir())


def test_asking_for_a_device_does_not_load_torch(tmp_path: Path) -> None:
    script = (
        "import sys; from server.config import Settings;"
        "from server.engines.hardware import device;"
        f"device.choose(Settings(data_dir={str(tmp_path)!r}, device='cpu'));"
        "device.choose(Settings(device='auto'), cards=lambda: ());"
        "print('torch' in sys.modules)"
    )

    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )

    assert "False" == told.stdout.strip()


@dataclass
class Cuda:
    """The part of `torch.cuda` that minds memory, with numbers of its own."""

    reserved: int = 0
    unused: int = 0
    emptied: list[str] = field(default_factory=list)

    def mem_get_info(self, name: str) -> tuple[int, int]:
        return 8 * GIGABYTE - self.reserved, 8 * GIGABYTE

    def memory_reserved(self, name: str) -> int:
        return self.reserved

    def empty_cache(self) -> None:
        self.reserved -= self.unused
        self.unused = 0


def test_memory_is_back_at_its_baseline_once_what_a_job_left_is_released() -> None:
    cuda = Cuda(reserved=3 * GIGABYTE, unused=GIGABYTE)
    memory = DeviceMemory("cuda:0", cuda=cuda)

    assert 2048.0 == memory.baseline()
    cuda.reserved, cuda.unused = 7 * GIGABYTE, 5 * GIGABYTE
    assert (1024.0, 8192.0) == (memory.free_mb(), memory.total_mb())
    assert not memory.is_back_to_baseline()
    memory.release()
    assert memory.is_back_to_baseline()
    cuda.reserved += int(0.06 * 2 * GIGABYTE)
    assert not memory.is_back_to_baseline()
    assert memory.is_back_to_baseline(tolerance=0.1)


def test_the_processor_has_memory_and_nothing_to_give_back() -> None:
    memory = DeviceMemory("cpu")

    assert 0 < memory.free_mb() <= memory.total_mb()
    assert 0.0 == memory.baseline()
    assert memory.is_back_to_baseline()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no card")
def test_a_real_card_is_seen_taken_and_back_at_its_baseline(tmp_path: Path) -> None:
    held = take(settings_for(tmp_path))
    memory = DeviceMemory(held.place.name)
    memory.baseline()

    large = torch.empty(2**28, device=held.place.name)
    grown = memory.is_back_to_baseline()
    del large
    memory.release()

    assert (False, True) == (grown, memory.is_back_to_baseline())
    assert held.place.card is not None
    assert held.place.card.total_mb == pytest.approx(memory.total_mb(), rel=0.05)
    assert {held.place.card.id} <= {card.id for card in device.see_cards()}
    held.give_up()


def test_a_broken_driver_is_an_error_of_its_own() -> None:
    with pytest.raises(CardsUnseen, match="does not answer"):
        nvml_cards(Driver(is_lost=True))


class _worker:  # noqa: N801 - a context
    """Another process that tries to lock a card and keeps it while the block runs."""

    def __init__(self, data_dir: Path, card: str) -> None:
        script = (
            "import sys; from pathlib import Path;"
            "from server.engines.hardware.device import DeviceLock;"
            f"lock = DeviceLock(Path({str(data_dir / 'devices')!r}), {card!r});"
            "print('taken' if lock.acquire() else 'refused', flush=True); sys.stdin.read()"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.answer = self.process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()
