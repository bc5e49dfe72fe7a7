"""A worker opens engines when asked, keeps them, and takes the best one that works here."""

import gc
import sys
import types
import weakref
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import psutil
import pytest

from server import errors
from server.config import Settings
from server.engines import residency as residencies
from server.engines.catalog import ENGINES, Availability, Device, EngineCard
from server.engines.protocols import OnStep, tell_nobody
from server.engines.residency import Residency

CARD = Device(id="GPU-1", name="A card", total_mb=24000.0, used_mb=100.0)


class Engine:
    """An engine that remembers what became of it, holds a buffer and refers to itself."""

    def __init__(self, name: str, *, megabytes: int = 0) -> None:
        self.name = name
        self.closed = self.rested = 0
        self.refusal: BaseException | None = None
        self.buffer = np.ones(megabytes * 2**20, dtype=np.uint8)
        self.itself = self

    def close(self) -> None:
        """Be closed."""
        self.closed += 1
        if self.refusal is not None:
            raise self.refusal

    def rest(self) -> None:
        """Give back what only a job needed."""
        self.rested += 1


class Scripted:
    """A table of two engines, and what happened to them.

    Attributes:
        available: by name.
        refusals: what loads raise, one each, in order.
        megabytes: that an engine holds.
        files: that the best engine is made of.
        sees: the cards, or what looking for them raises.
    """

    def __init__(self) -> None:
        self.available = {"best": True, "second": True}
        self.opened: list[str] = []
        self.refusals: dict[str, list[BaseException]] = {"best": [], "second": []}
        self.megabytes = 0
        self.files: list[Path] = []
        self.sees: list[Device] | BaseException = [CARD]

    def cards(self) -> Mapping[str, EngineCard]:
        return {name: _card(name) for name in self.available}

    def module(self, name: str) -> types.ModuleType:
        def open_engine(settings: Settings, *, on_step: OnStep = tell_nobody) -> Engine:
            self.opened.append(name)
            on_step(1, 2)
            if self.refusals[name]:
                raise self.refusals[name].pop(0)
            on_step(2, 2)
            return Engine(name, megabytes=self.megabytes)

        def availability(settings: Settings) -> Availability:
            return Availability(available=self.available[name], reason="no weights")

        def devices(settings: Settings) -> list[Device]:
            if isinstance(self.sees, BaseException):
                raise self.sees
            return self.sees

        module = types.ModuleType(f"scripted_{name}")
        vars(module).update(open_engine=open_engine, availability=availability, devices=devices)
        if name == "best":
            vars(module).update(files=lambda _settings: self.files)
        return module


def _card(name: str) -> EngineCard:
    return EngineCard(
        name=name,
        module=f"scripted_{name}",
        offers=frozenset({"transforms"}),
        summary="",
        licence="",
    )


@pytest.fixture(name="scripted")
def _scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    scripted = Scripted()
    for name in scripted.available:
        monkeypatch.setitem(sys.modules, f"scripted_{name}", scripted.module(name))
    return scripted


def _residency(scripted: Scripted, **settings: object) -> Residency:
    return Residency(Settings.from_environment(**settings), engines=scripted.cards())


def _opened(residency: Residency, name: str) -> Engine:
    engine: Engine = residency.open(name, "transforms")[1]
    return engine


def test_auto_takes_the_first_that_is_available(scripted: Scripted) -> None:
    residency = _residency(scripted)

    assert "best" == residency.open("auto", "transforms")[0]

    scripted.available["best"] = False
    assert "second" == residency.open("auto", "transforms")[0]


def test_an_engine_is_opened_once_and_kept(scripted: Scripted) -> None:
    residency = _residency(scripted)
    first, again = _opened(residency, "best"), _opened(residency, "best")

    assert first is again
    assert ["best"] == scripted.opened


def test_nothing_is_opened_before_it_is_asked_for(scripted: Scripted) -> None:
    offers = _residency(scripted).offers()

    assert {"best", "second"} == set(offers)
    assert [] == scripted.opened


@pytest.mark.parametrize("name", ["auto", "second"])
def test_when_none_can_do_it_the_reason_is_said(scripted: Scripted, name: str) -> None:
    scripted.available.update(best=False, second=False)

    with pytest.raises(errors.EngineUnavailable, match="second: no weights"):
        _residency(scripted).open(name, "transforms")


def test_the_names_of_those_that_work_are_told(scripted: Scripted) -> None:
    scripted.available["best"] = False

    assert ["second"] == _residency(scripted).available()


def test_an_engine_is_not_asked_for_what_it_does_not_offer(scripted: Scripted) -> None:
    with pytest.raises(errors.EngineUnavailable, match="does not offer"):
        _residency(scripted).open("auto", "sings")


def test_a_load_is_told_of_before_it_begins_and_a_warm_engine_is_not(scripted: Scripted) -> None:
    residency, told = _residency(scripted), list[tuple[int, int]]()
    for _ in range(2):
        residency.open("best", "transforms", on_step=lambda done, total: told.append((done, total)))

    assert [(0, 1), (1, 2), (2, 2)] == told


def test_a_load_that_is_stopped_leaves_nothing_behind(scripted: Scripted) -> None:
    """And is no failure: the next job loads it."""
    residency = _residency(scripted)

    def stop(done: int, total: int) -> None:
        if done == 1:
            raise errors.Cancelled

    with pytest.raises(errors.Cancelled):
        residency.open("best", "transforms", on_step=stop)
    assert [] == residency.loaded()
    assert "best" == residency.open("auto", "transforms")[0]


BROKEN = [
    (errors.EngineUnavailable("The checksum is wrong."), "The checksum is wrong."),
    (errors.EngineFailed("It is upside down."), "It is upside down."),
    (errors.OutOfMemory("It needs 4000 MB; 512 MB are free."), "512 MB are free"),
    (MemoryError(), "not enough memory"),
    (OSError(5, "/secret/weights"), "could not be read"),
]


@pytest.mark.parametrize(("refusal", "reason"), BROKEN)
def test_what_cannot_be_loaded_is_passed_over_and_says_why(
    scripted: Scripted, refusal: Exception, reason: str
) -> None:
    """To whoever lets the server choose; and to everybody who looks at the engines."""
    scripted.refusals["best"] = [refusal]
    residency = _residency(scripted)
    chosen, _ = residency.open("auto", "transforms")
    offer = residency.offers()["best"]

    assert "second" == chosen
    assert not offer.available
    assert reason in offer.reason
    assert "secret" not in offer.reason


def test_who_names_an_engine_that_does_not_load_is_told_why(scripted: Scripted) -> None:
    """With the code of its failure the first time, as unavailable for a while afterwards."""
    scripted.refusals["best"] = [errors.OutOfMemory("It needs 4000 MB.")]
    residency = _residency(scripted)

    with pytest.raises(errors.OutOfMemory, match="It needs 4000 MB"):
        residency.open("best", "transforms")
    with pytest.raises(errors.EngineUnavailable, match="It needs 4000 MB"):
        residency.open("best", "transforms")
    assert ["best"] == scripted.opened


@pytest.fixture(name="damaged")
def _damaged(scripted: Scripted, tmp_path: Path) -> Path:
    """A file that keeps the best engine from being loaded, once."""
    file = tmp_path / "weights"
    file.write_bytes(b"damaged")
    scripted.files = [file, tmp_path / "missing"]
    scripted.refusals["best"] = [errors.EngineUnavailable("The checksum is wrong.")]
    return file


def test_a_failed_load_is_not_tried_for_every_job(scripted: Scripted, damaged: Path) -> None:
    residency = _residency(scripted)
    chosen = [residency.open("auto", "transforms")[0] for _ in range(3)]

    assert ["second"] * 3 == chosen
    assert ["best", "second"] == scripted.opened


def test_a_failed_load_is_tried_again_once_its_files_change(
    scripted: Scripted, damaged: Path
) -> None:
    residency = _residency(scripted)
    before = residency.open("auto", "transforms")[0]
    damaged.write_bytes(b"mended now")

    assert residency.offers()["best"].available
    assert ("second", "best") == (before, residency.open("auto", "transforms")[0])


def test_a_failed_load_is_tried_again_after_a_while(
    scripted: Scripted, damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    residency = _residency(scripted)
    before = residency.open("auto", "transforms")[0]
    monkeypatch.setattr(residencies, "REMEMBERED_SECONDS", 0.0)

    assert ("second", "best") == (before, residency.open("auto", "transforms")[0])


@pytest.mark.parametrize("refusal", [errors.OutOfMemory(), MemoryError()])
def test_others_leave_where_there_is_no_room(scripted: Scripted, refusal: Exception) -> None:
    residency = _residency(scripted)
    second = _opened(residency, "second")
    scripted.refusals["best"] = [refusal]

    assert "best" == _opened(residency, "best").name
    assert (["best"], 1) == (residency.loaded(), second.closed)


def test_a_lost_device_is_nobodys_next_engine(scripted: Scripted) -> None:
    """It goes through: this process is finished."""
    scripted.refusals["best"] = [errors.DeviceLost()]

    with pytest.raises(errors.DeviceLost):
        _residency(scripted).open("auto", "transforms")


def test_what_is_unloaded_is_closed_and_its_memory_comes_back(scripted: Scripted) -> None:
    """Even of engines that refer to themselves, as networks do."""
    scripted.megabytes = 256
    residency = _residency(scripted)
    gc.collect()
    gc.disable()  # so that it is not by chance
    try:
        before = psutil.Process().memory_info().rss
        watched = weakref.ref(_opened(residency, "best"))
        held = psutil.Process().memory_info().rss - before
        names = residency.unload()
        kept = psutil.Process().memory_info().rss - before
    finally:
        gc.enable()

    assert ["best"] == names
    assert watched() is None
    assert held > 200 * 2**20 > 100 * 2**20 > kept


def test_an_engine_is_closed_once(scripted: Scripted) -> None:
    residency = _residency(scripted)
    engine = _opened(residency, "best")
    residency.unload()
    residency.unload()

    assert 1 == engine.closed


def test_an_engine_that_would_not_close_is_forgotten_all_the_same(
    scripted: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    residency = _residency(scripted)
    _opened(residency, "best").refusal = errors.EngineFailed("The lock is stuck.")

    assert (["best"], []) == (residency.unload(), residency.loaded())
    assert "The lock is stuck." in caplog.text


def test_engines_rest_when_told_to(scripted: Scripted) -> None:
    residency = _residency(scripted)
    engines = [_opened(residency, name) for name in ("best", "second")]
    residency.rest()

    assert [1, 1] == [engine.rested for engine in engines]


def test_an_engine_with_nothing_to_give_back_is_asked_for_nothing(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`close` and `rest` are no duty."""
    monkeypatch.setattr(sys.modules["scripted_best"], "open_engine", lambda *_, **__: object())
    residency = _residency(scripted)
    residency.open("best", "transforms")
    residency.rest()

    assert ["best"] == residency.unload()


def test_idle_engines_are_forgotten_and_opened_anew(scripted: Scripted) -> None:
    residency = _residency(scripted, engine_idle_seconds=1e-9)
    residency.open("best", "transforms")

    assert ["best"] == residency.unload_idle()

    residency.open("best", "transforms")
    assert ["best", "best"] == scripted.opened


def test_an_idle_time_of_zero_keeps_engines(scripted: Scripted) -> None:
    residency = _residency(scripted, engine_idle_seconds=0)
    residency.open("best", "transforms")

    assert [] == residency.unload_idle()
    assert ["best"] == residency.unload()
    assert [] == residency.unload()


def test_cards_are_told_each_once(scripted: Scripted) -> None:
    """Both engines see the same one."""
    assert [CARD] == _residency(scripted).devices()


@pytest.mark.parametrize("gone", [errors.EngineUnavailable(), errors.DeviceLost()])
def test_where_looking_for_cards_fails_there_are_none(
    scripted: Scripted, gone: BaseException
) -> None:
    scripted.sees = gone

    assert [] == _residency(scripted).devices()


def test_a_card_that_is_gone_makes_its_engine_unavailable(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def availability(settings: Settings) -> Availability:
        raise errors.DeviceLost("The card does not answer.")

    monkeypatch.setattr(sys.modules["scripted_best"], "availability", availability)
    residency = _residency(scripted)

    assert "The card does not answer." == residency.offers()["best"].reason
    assert "second" == residency.open("auto", "transforms")[0]


def test_an_engine_without_its_library_is_not_available(scripted: Scripted) -> None:
    """The others are not hurt by it."""
    cards = {**scripted.cards(), "third": _card("that_nobody_has")}
    residency = Residency(Settings.from_environment(), engines=cards)

    assert "scripted_that_nobody_has" in residency.offers()["third"].reason
    assert residency.offers()["second"].available
    assert [CARD] == residency.devices()


def test_the_table_names_real_modules_that_say_whether_they_work() -> None:
    offers = Residency(Settings.from_environment()).offers()

    assert set(ENGINES) == set(offers)
