"""Whose turn it is: a few jobs of an owner at a time, and nobody's backlog delays another."""

import threading
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server import errors
from server.adapters.database import Database
from server.adapters.job_store import SqlJobs
from server.adapters.tables import events, keys
from server.adapters.tables import jobs as table
from server.jobs.record import Job, Status, now

LEASE = timedelta(minutes=1)
KEEP = timedelta(hours=1)
BEGAN = now()

OWNERS = ("ada", "bob", None)
AT_ONCE = 2
OWN_LIMITS = {"bob": 1}
"""Bob's key says how many; Ada's does not."""


def queued(owner: str | None, number: int) -> Job:
    """Return a job that was submitted in its turn."""
    at = BEGAN + timedelta(milliseconds=number)
    return Job(id=f"{number:04}", kind="transform", spec={}, owner=owner, created_at=at)


def started(job: Job) -> Job:
    return job.started(worker="w", lease=LEASE)


def limit(database: Database, owner: str, at_once: int) -> None:
    """Make a key that says how many of its jobs run at once."""
    row = {"id": owner, "name": owner, "digest": "", "jobs_at_once": at_once, "created_at": now()}
    database.put(keys, row)


class Model:
    """The slow way: count, for every question, through everything."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}

    def of(self, owner: str | None, status: Status) -> list[Job]:
        """Return the jobs of an owner, oldest first."""
        found = (job for job in self.jobs.values() if job.owner == owner)
        return sorted((job for job in found if job.status is status), key=lambda job: job.id)

    def free(self, owner: str) -> int:
        """Return how many more of an owner may run."""
        return OWN_LIMITS.get(owner, AT_ONCE) - len(self.of(owner, Status.RUNNING))

    def turns(self) -> dict[str, int]:
        """Return the turn of every queued job."""
        found = {job.id: 0 for job in self.of(None, Status.QUEUED)}
        for owner in filter(None, OWNERS):
            free, turn = self.free(owner), 0
            for job in self.of(owner, Status.QUEUED):
                free -= 1
                turn += free < 0
                found[job.id] = turn
        return found

    def line(self) -> list[str]:
        """Return who waits, in order."""
        turns = self.turns()
        return sorted(turns, key=lambda each: (turns[each], each))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["submit", "submit", "start", "end", "hand back", "cancel"]),
        st.sampled_from(OWNERS),
        st.integers(0, 5),
    ),
    max_size=24,
)


@given(steps=STEPS)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_line_is_what_counting_by_hand_gives(
    database: Database, steps: list[tuple[str, str | None, int]]
) -> None:
    """After any interleaving: who is due, in which order all others follow, and who may start."""
    with database.transaction() as connection:
        connection.execute(events.delete())
        connection.execute(table.delete())
    for limited, at_once in OWN_LIMITS.items():
        limit(database, limited, at_once)
    store, model = SqlJobs(database, at_once=AT_ONCE), Model()
    for number, (step, owner, which) in enumerate(steps):
        _take(step, owner, which, number=number, store=store, model=model)
        turns = model.turns()

        assert model.line() == [job.id for job in store.waiting()]
        assert sorted(each for each in turns if turns[each] == 0) == [j.id for j in store.due()]


def _take(
    step: str, owner: str | None, which: int, *, number: int, store: SqlJobs, model: Model
) -> None:
    if step == "submit":
        store.add(job := queued(owner, number))
        model.jobs[job.id] = job
        return
    needed = Status.QUEUED if step in ("start", "cancel") else Status.RUNNING
    candidates = model.of(owner, needed)
    if not candidates:
        return
    job = candidates[which % len(candidates)]
    after = _after(job, step)
    if step == "start" and owner is not None and model.free(owner) <= 0:
        with pytest.raises(errors.Conflict):
            store.start(job, after)
        return
    (store.start if step == "start" else store.update)(job, after)
    model.jobs[job.id] = store.get(job.id)


def _after(job: Job, step: str) -> Job:
    if step == "start":
        return started(job)
    if step == "hand back":
        return job.handed_back()
    return job.ended(Status.FINISHED if step == "end" else Status.CANCELLED, keep=KEEP)


@pytest.mark.parametrize("at_once", [1, 3])
def test_many_starters_at_once_start_no_more_than_may_run(record: Database, at_once: int) -> None:
    """Eight workers take eight jobs of one owner, all at the same moment."""
    store, together = SqlJobs(record, at_once=at_once), threading.Barrier(8)
    backlog = [queued("ada", number) for number in range(8)]
    for job in backlog:
        store.add(job)

    def start(job: Job) -> None:
        together.wait()
        with suppress(errors.Conflict):
            store.start(job, started(job))

    threads = [threading.Thread(target=start, args=(job,)) for job in backlog]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert at_once == len(store.running())


def test_without_the_question_all_would_start(record: Database) -> None:
    """The negative control: `update` asks nobody's turn."""
    store = SqlJobs(record)
    for number in range(3):
        store.add(job := queued("ada", number))
        store.update(job, started(job))

    assert 3 == len(store.running())


def test_a_backlog_delays_nobodys_first_job(record: Database) -> None:
    """Ada has ten; Bob comes last and is next but one."""
    store = SqlJobs(record)
    for number in range(10):
        store.add(queued("ada", number))
    store.add(queued("bob", 10))

    assert ["0000", "0010"] == [job.id for job in store.due()]
    assert "0010" == store.waiting()[1].id
    assert ["0010"] == [job.id for job in store.due(owner="bob")]


def test_owners_take_turns(record: Database) -> None:
    """One each, whoever sent many first."""
    store = SqlJobs(record)
    owners = ["ada"] * 3 + ["bob"] * 2
    for number, owner in enumerate(owners):
        store.add(queued(owner, number))

    assert ["ada", "bob", "ada", "bob", "ada"] == [job.owner for job in store.waiting()]


def test_jobs_without_an_owner_wait_for_nobody_of_theirs(record: Database) -> None:
    """Where keys are not asked for everything is done in order."""
    store = SqlJobs(record)
    for number in range(4):
        store.add(queued(None, number))
        store.start(store.due()[0], started(store.due()[0]))

    assert 4 == len(store.running())


def test_a_key_may_say_how_many(record: Database) -> None:
    """Its own number counts, not the default."""
    limit(record, "ada", 2)
    store = SqlJobs(record, at_once=1)
    for number in range(4):
        store.add(queued("ada", number))

    assert 2 == len(store.due())


def test_a_lost_race_for_a_record_is_a_conflict_also_when_starting(record: Database) -> None:
    """Two workers with one job."""
    store = SqlJobs(record)
    store.add(job := queued(None, 0))
    store.start(job, started(job))

    with pytest.raises(errors.Conflict):
        store.start(job, started(job))


@pytest.fixture(name="ended")
def _ended(record: Database) -> SqlJobs:
    """Three finished jobs of known lengths, the newest last."""
    store = SqlJobs(record)
    for number, seconds in enumerate((4.0, 2.0, 8.0)):
        store.add(job := replace(queued(None, number), source_seconds=2.0, engine="arranger"))
        done = started(job).ended(Status.FINISHED, keep=KEEP)
        began = BEGAN + timedelta(minutes=number)
        ended = began + timedelta(seconds=seconds)
        store.update(job, replace(done, version=1, started_at=began, ended_at=ended))
    return store


def test_what_jobs_took_is_remembered_newest_first(ended: SqlJobs) -> None:
    """Of an engine, or of all; no more than asked for."""
    assert [8.0, 2.0] == [each.seconds for each in ended.took("transform", "arranger", most=2)]
    assert {2.0} == {each.source_seconds for each in ended.took("transform", None, most=9)}
    assert [] == list(ended.took("transform", "melodyflow", most=9))
    assert [] == list(ended.took("song", None, most=9))


def test_what_ended_long_ago_is_forgotten_with_its_events(ended: SqlJobs) -> None:
    """What ended later, and what waits, stays."""
    ended.add(queued(None, 9))
    count = ended.forget_ended(BEGAN + timedelta(seconds=90))

    assert 2 == count
    assert [] == list(ended.events("0000"))
    assert ["queued", "finished"] == [str(each.name) for each in ended.events("0002")]
    assert "0009" == ended.get("0009").id
    with pytest.raises(errors.NoSuchJob):
        ended.get("0001")
