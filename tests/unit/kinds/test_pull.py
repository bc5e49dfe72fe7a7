"""Job kind `pull`: a worker fetches, and the record tells how far it is."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from server import errors
from server.adapters import migrate
from server.adapters.database import Database
from server.jobs.record import Job
from server.kinds import pull
from server.kinds.pull import Spec
from tests.unit.jobs.workshop import OneEngine, Workshop

NAME = "facebook/musicgen-small"

FACTS = {"name": NAME, "licence": "CC-BY-NC-4.0"}


class Shop(OneEngine):
    """Engines whose weights come in two steps, or not at all."""

    failure: BaseException | None = None

    def pull(self, name: str, *, on_progress: Callable[[float, str], None]) -> Mapping[str, Any]:
        on_progress(0.25, "Fetching")
        if self.failure is not None:
            raise self.failure
        on_progress(0.9, "Converting")
        return FACTS


@pytest.fixture(name="workshop")
def _workshop(tmp_path: Path) -> Iterator[Workshop]:
    database = Database(f"sqlite:///{tmp_path / 'record.sqlite3'}")
    migrate.upgrade(database)
    yield Workshop(database)
    database.close()


def _ended(workshop: Workshop, engines: OneEngine) -> Job:
    """Run a pull and return the job at its ending."""
    job = Job(kind=pull.NAME, spec=Spec(name=NAME).model_dump(mode="json"))
    workshop.jobs.add(job)
    runner = replace(workshop.runner(), kinds={pull.NAME: pull}, engines=engines)
    runner.run(job.id)
    return workshop.jobs.get(job.id)


def test_a_fetch_ends_with_what_came_and_under_which_licence(workshop: Workshop) -> None:
    job = _ended(workshop, Shop())

    assert ("finished", FACTS) == (job.status, job.report)
    assert job.recipe is not None
    assert ("pull", {"name": NAME}) == (job.recipe["kind"], job.recipe["parameters"])
    stages = [event.job.stage for event in workshop.heard.events]
    assert {"looking", "fetching", "converting"} <= set(stages)


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (errors.Unavailable("The hub cannot be reached."), "failed", "unavailable"),
        (errors.StorageFailed("There is no room."), "failed", "storage"),
        (errors.InvalidInput("There are no such weights."), "failed", "invalid_input"),
        (errors.Cancelled(), "cancelled", None),
    ],
)
def test_what_goes_wrong_is_the_ending(
    workshop: Workshop, failure: BaseException, status: str, code: str | None
) -> None:
    engines = Shop()
    engines.failure = failure

    job = _ended(workshop, engines)

    assert (status, code) == (job.status, job.error and job.error.code)


def test_a_worker_that_keeps_no_weights_says_so(workshop: Workshop) -> None:
    job = _ended(workshop, OneEngine())

    assert job.error is not None
    assert "keeps no weights" in job.error.message


@pytest.mark.parametrize("name", ["", "small", "a/b/c", "../up", "/etc/passwd", "a/b\n", "a" * 300])
def test_what_cannot_be_the_name_of_a_repository_is_refused_at_the_door(name: str) -> None:
    with pytest.raises(ValidationError):
        Spec(name=name)
