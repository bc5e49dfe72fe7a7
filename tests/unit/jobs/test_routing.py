"""Jobs go where the best engine for them is."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from server.adapters.database import Database
from server.adapters.worker_store import SqlWorkers
from server.engines.catalog import EngineCard
from server.jobs.ports import Offer, WorkerNote
from server.jobs.record import Job, now
from server.jobs.routing import Router
from tests.unit.jobs.workshop import LEASE, ScriptedKind


class Player(ScriptedKind):
    """A kind that asks engines to play."""

    NAME = "player"
    CAPABILITY = "plays"


def _card(name: str, *offers: str) -> EngineCard:
    return EngineCard(name=name, module="", offers=frozenset(offers), summary="", licence="")


ENGINES = {
    "singer": _card("singer", "sings"),
    "best": _card("best", "plays"),
    "second": _card("second", "plays", "sings"),
}
EVERYTHING = ("singer", "best", "second")

Route = Callable[..., str | None]


@pytest.fixture(name="workers")
def _workers(database: Database) -> SqlWorkers:
    return SqlWorkers(database)


@pytest.fixture(name="route")
def _route(workers: SqlWorkers) -> Route:
    kinds = {kind.NAME: kind for kind in (Player(), ScriptedKind())}
    router = Router(workers=workers, kinds=kinds, engines=ENGINES, within=LEASE)

    def route(kind: str = Player.NAME, **spec: str) -> str | None:
        return router.engine_for(Job(kind=kind, spec=spec))

    return route


def _with(workers: SqlWorkers, name: str, *engines: str, silent_seconds: float = 0.0) -> None:
    offers = tuple(Offer(engine=each, available=each in engines) for each in ENGINES)
    seen_at = now() - timedelta(seconds=silent_seconds)
    workers.announce(WorkerNote(id=name, queues=("audio",), offers=offers, seen_at=seen_at))


def test_without_workers_nobody_is_preferred(route: Route) -> None:
    assert route() is None


def test_workers_that_are_alike_share_everything(workers: SqlWorkers, route: Route) -> None:
    """Jobs are done in the order in which they came."""
    _with(workers, "a", *EVERYTHING)
    _with(workers, "b", *EVERYTHING)

    assert [None, None] == [route(), route(engine="second")]


def test_where_workers_differ_the_best_engine_decides(workers: SqlWorkers, route: Route) -> None:
    """`singer` is better than both and cannot play."""
    _with(workers, "a", *EVERYTHING)
    _with(workers, "b", "second")

    assert ["best", "best", None] == [route(), route(engine="best"), route(engine="second")]


def test_what_no_worker_has_is_anybodys_to_refuse(workers: SqlWorkers, route: Route) -> None:
    _with(workers, "a", "second")
    _with(workers, "b", "second")

    assert [None, None] == [route(), route(engine="best")]


def test_the_second_best_is_taken_where_the_best_is_gone(workers: SqlWorkers, route: Route) -> None:
    """Its worker has not been heard of for longer than a lease."""
    _with(workers, "a", *EVERYTHING, silent_seconds=2 * LEASE.total_seconds())
    _with(workers, "b", "second")
    _with(workers, "c")

    assert "second" == route()


@pytest.mark.parametrize("kind", [ScriptedKind.NAME, "of the future"])
def test_kinds_that_ask_for_nothing_go_anywhere(
    workers: SqlWorkers, route: Route, kind: str
) -> None:
    _with(workers, "a", *EVERYTHING)
    _with(workers, "b")

    assert route(kind=kind) is None
