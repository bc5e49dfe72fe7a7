"""A worker opens engines when asked, keeps them, and takes the best one that works here."""

import sys
import types
from collections.abc import Mapping
from types import SimpleNamespace

import pytest

from server import errors
from server.config import Settings
from server.engines.catalog import ENGINES, Availability, EngineCard
from server.engines.protocols import OnStep, tell_nobody
from server.engines.residency import Residency


class Scripted:
    """A table of two engines, and what happened to them."""

    def __init__(self) -> None:
        self.available = {"best": True, "second": True}
        self.opened: list[str] = []

    def cards(self) -> Mapping[str, EngineCard]:
        return {name: _card(name) for name in self.available}

    def module(self, name: str) -> types.ModuleType:
        def open_engine(settings: Settings, *, on_step: OnStep = tell_nobody) -> SimpleNamespace:
            self.opened.append(name)
            return SimpleNamespace(name=name)

        def availability(settings: Settings) -> Availability:
            return Availability(available=self.available[name], reason="no weights")

        module = types.ModuleType(f"scripted_{name}")
        vars(module).update(open_engine=open_engine, availability=availability)
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


def test_auto_takes_the_first_that_is_available(scripted: Scripted) -> None:
    residency = _residency(scripted)

    assert "best" == residency.open("auto", "transforms")[0]

    scripted.available["best"] = False
    assert "second" == residency.open("auto", "transforms")[0]


def test_an_engine_is_opened_once_and_kept(scripted: Scripted) -> None:
    residency = _residency(scripted)
    _, first = residency.open("best", "transforms")
    _, again = residency.open("best", "transforms")

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


def test_an_engine_is_not_asked_for_what_it_does_not_offer(scripted: Scripted) -> None:
    with pytest.raises(errors.EngineUnavailable, match="does not offer"):
        _residency(scripted).open("auto", "sings")


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


def test_the_table_names_real_modules_that_say_whether_they_work() -> None:
    offers = Residency(Settings.from_environment()).offers()

    assert set(ENGINES) == set(offers)
