"""Cards that fail under jobs, workers that crash, weights that are damaged: real processes."""

import json
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from server import bootstrap
from server.adapters import crew, legacy_keys
from server.adapters.crew import Crew, Member
from server.adapters.rq_queue import RqQueue
from server.config import Settings
from server.jobs.ports import WorkerNote
from server.jobs.record import Job, Status, new_id
from server.jobs.routing import Router
from server.jobs.service import JobService
from tests.system import engine_worker
from tests.system.engine_worker import DAMAGED, KINDS, NEEDED, Play, PlaySpec
from tests.system.processes import PATIENCE_SECONDS, until
from tests.unit.jobs.workshop import Heard

ROOT = str(Path(__file__).parents[2])


class House:
    """A record, a broker, and a worker that is looked after as `serve` does it.

    Attributes:
        card: a file; while it exists the worker has a card.
        weights: a file; what `frail` is made of.
        slow: a file; while it exists a load of `frail` goes on.
    """

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.settings = Settings.from_environment(
            data_dir=folder, redis_url=redis_url, lease_seconds=1.5, max_attempts=2
        )
        self.record = bootstrap.open_record(self.settings)
        self.heard = Heard()
        self.redis = redis.Redis.from_url(redis_url, decode_responses=True)
        self.card, self.weights, self.slow = (folder / name for name in ("card", "weights", "slow"))
        self.card.touch()
        self.worker = self._member("worker")
        self.crew = Crew([self.worker])
        router = Router(
            workers=self.record.workers,
            kinds=KINDS,
            engines=engine_worker.ENGINES,
            within=timedelta(seconds=5),
        )
        self.service = JobService(
            jobs=self.record.jobs,
            queue=RqQueue(redis_url, kinds=KINDS, route=router.engine_for),
            events=self.heard,
            max_waiting=8,
            keep=timedelta(hours=24),
        )

    def submit(self, *acts: str, engine: str = "auto") -> Job:
        """Submit a job whose attempts go as told."""
        spec = PlaySpec(acts=acts or ("play",), engine=engine)
        return self.service.submit(KINDS[Play.NAME], spec, session_id=new_id())

    def warming(self, job: Job) -> dict[str, Any]:
        """Wait until older services read that a job's engine is being loaded; return the key."""

        def look() -> dict[str, Any] | None:
            status = self.redis.get(legacy_keys.status_key(str(job.session_id)))
            facts: dict[str, Any] = json.loads(str(status)) if status else {}
            return facts if facts.get("status") == "warming" else None

        return until(look)

    def ended(self, job: Job) -> Job:
        """Wait for the ending."""
        return self.service.wait(job.id, seconds=PATIENCE_SECONDS)

    def played_by(self, job: Job) -> int:
        """Return the process that finished a job."""
        (output,) = job.outputs
        return int(self.record.artifacts.read(output.artifact_id))

    def unload(self) -> None:
        """Load an engine, ask for the opposite as `POST /cleanup` does, and wait for it."""
        self.ended(self.submit())
        until(lambda: [note for note in self.notes() if note.loaded])
        RqQueue(str(self.settings.redis_url), kinds=KINDS).ask_unload()
        until(lambda: [note for note in self.notes() if not note.loaded])

    def notes(self) -> Sequence[WorkerNote]:
        """Return what live workers say of themselves."""
        return self.record.workers.live(timedelta(seconds=5))

    def add_workers_without_card(self, count: int) -> None:
        """Have more workers, and wait until everybody is at work."""
        others = [self._member(f"other-{each}", MELODYFLOW_DEVICE="cpu") for each in range(count)]
        self.crew = Crew([self.worker, *others])
        until(lambda: len(self.notes()) == 1 + count)

    def look_after(self, is_over: threading.Event) -> None:
        """Keep the workers alive."""
        while not is_over.wait(0.05):
            self.crew.look_after()
        self.crew.end()

    def _member(self, name: str, **environment: str) -> Member:
        given = {**self.settings.as_environment(), "PYTHONPATH": ROOT, **environment}
        command = [sys.executable, "-m", engine_worker.__name__]
        return Member(name=name, command=command, environment=given)


@contextmanager
def _housed(folder: Path, redis_url: str) -> Iterator[House]:
    house, is_over = House(folder, redis_url), threading.Event()
    caring = threading.Thread(target=house.look_after, args=(is_over,))
    caring.start()
    with closing(house.record.database), closing(house.redis):
        try:
            yield house
        finally:
            is_over.set()
            caring.join()


@pytest.fixture(name="house")
def _house(tmp_path: Path, valkey_url: str) -> Iterator[House]:
    with _housed(tmp_path, valkey_url) as house:
        yield house


@pytest.fixture(scope="module", name="lasting")
def _lasting(tmp_path_factory: pytest.TempPathFactory, valkey: str) -> Iterator[House]:
    """A house for the tests that leave its worker alive; its broker's second database."""
    with _housed(tmp_path_factory.mktemp("lasting"), valkey.removesuffix("0") + "1") as house:
        yield house


def test_a_job_whose_card_is_lost_is_played_by_a_fresh_process(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Which begins at once, while the old one takes nothing more."""
    first = until(lambda: house.worker.process)
    job, next_one = house.submit("lose", "play"), house.submit()
    done, after = house.ended(job), house.ended(next_one)

    assert (Status.FINISHED, 2, 1) == (done.status, done.attempt, done.device_losses)
    assert (Status.FINISHED, 1) == (after.status, after.attempt)
    assert first.pid not in {house.played_by(done), house.played_by(after)}
    assert crew.FRESH_START == first.returncode
    assert f"ended with code {crew.FRESH_START}" in caplog.text


def test_a_job_under_which_the_card_is_lost_again_fails_and_the_next_one_does_not(
    house: House,
) -> None:
    failed, after = house.ended(house.submit("lose")), house.ended(house.submit())

    assert failed.error is not None
    assert (Status.FAILED, 2, "engine_failed") == (failed.status, failed.attempt, failed.error.code)
    assert "fault of the server" in failed.error.message
    assert Status.FINISHED is after.status


def test_a_crash_costs_an_attempt_and_nothing_else(house: House) -> None:
    """The lease brings the job back; it is played from its beginning."""
    first = until(lambda: house.worker.process)
    done = house.ended(house.submit("crash", "play"))

    assert (Status.FINISHED, 2, 0) == (done.status, done.attempt, done.device_losses)
    assert first.pid != house.played_by(done)
    assert -11 == first.returncode


def test_a_job_that_always_crashes_does_so_a_bounded_number_of_times(house: House) -> None:
    failed, after = house.ended(house.submit("crash")), house.ended(house.submit())

    assert failed.error is not None
    assert ("worker_lost", 2) == (failed.error.code, failed.attempt)
    assert Status.FINISHED is after.status


def test_a_job_too_large_for_its_card_fails_once_and_the_worker_goes_on(lasting: House) -> None:
    """With what it would have needed; what it held is given back."""
    before = lasting.ended(lasting.submit())
    process = psutil.Process(lasting.played_by(before))
    empty = process.memory_info().rss
    failed = lasting.ended(lasting.submit("overfill"))
    after = lasting.ended(lasting.submit())

    assert failed.error is not None
    assert (1, "out_of_memory", NEEDED) == (
        failed.attempt,
        failed.error.code,
        failed.error.message,
    )
    assert (process.pid, Status.FINISHED) == (lasting.played_by(after), after.status)
    until(lambda: process.memory_info().rss < empty + 16 * 2**20)


def test_a_job_warms_up_in_everybodys_sight(lasting: House) -> None:
    """In the record, and again and again in the keys that older services read."""
    lasting.unload()
    lasting.slow.touch()
    job = lasting.submit()
    first = lasting.warming(job)["timestamp"]
    warming = until(lambda: lasting.service.get(job.id) if lasting.notes()[0].job_id else None)
    until(lambda: lasting.warming(job)["timestamp"] > first, every=0.1)
    lasting.slow.unlink()
    done = lasting.ended(job)

    assert ("warming", Status.RUNNING) == (warming.stage, warming.status)
    assert 0.0 <= warming.progress <= 0.02
    assert (Status.FINISHED, "frail", 1) == (done.status, done.engine, done.attempt)


def test_a_job_can_be_cancelled_while_it_warms_up(lasting: House) -> None:
    """The load is given up; the next job begins another one."""
    lasting.unload()
    lasting.slow.touch()
    job = lasting.submit()
    lasting.warming(job)
    lasting.service.cancel(job.id)
    cancelled = lasting.ended(job)
    lasting.slow.unlink()
    done = lasting.ended(lasting.submit())

    assert Status.CANCELLED is cancelled.status
    assert (Status.FINISHED, "frail") == (done.status, done.engine)


def test_damaged_weights_cost_no_job_and_are_noticed_once_mended(lasting: House) -> None:
    """Who lets the server choose gets the next engine; who names this one is told the reason."""
    lasting.unload()
    lasting.weights.write_text("damaged")
    instead, named = lasting.ended(lasting.submit()), lasting.ended(lasting.submit(engine="frail"))
    until(lambda: [note for note in lasting.notes() if note.offers[0].reason == DAMAGED])
    process = lasting.worker.process
    lasting.weights.write_text("mended")
    mended = lasting.ended(lasting.submit())

    assert (Status.FINISHED, "steady") == (instead.status, instead.engine)
    assert named.error is not None
    assert "engine_unavailable" == named.error.code
    assert DAMAGED in named.error.message
    assert (Status.FINISHED, "frail") == (mended.status, mended.engine)
    assert process is lasting.worker.process


def test_a_card_that_disappears_is_missed_and_jobs_go_on_without_it(lasting: House) -> None:
    """The note of the worker says so."""
    until(lambda: [note.devices for note in lasting.notes() if note.devices])
    lasting.card.unlink()
    done = lasting.ended(lasting.submit())
    until(lambda: [note for note in lasting.notes() if not note.devices])
    offers = [offer for note in lasting.notes() for offer in note.offers if not offer.available]

    assert "steady" == done.engine
    assert [("frail", "There is no card.")] == [(each.engine, each.reason) for each in offers]
    lasting.card.touch()


def test_jobs_go_to_the_worker_that_has_the_card(house: House) -> None:
    """Though two others wait for work: what they could do would be another engine's."""
    house.add_workers_without_card(2)
    jobs = [house.submit() for _ in range(6)]
    for_anyone = house.submit(engine="steady")
    done = [house.ended(job) for job in jobs]

    assert {"frail"} == {job.engine for job in done}
    assert house.worker.process is not None
    assert {house.worker.process.pid} == {house.played_by(job) for job in done}
    assert "steady" == house.ended(for_anyone).engine
    house.card.unlink()
    until(lambda: [n for n in house.notes() if not n.devices and not n.offers[0].available][2:])
    assert "steady" == house.ended(house.submit()).engine


def test_what_is_asked_to_be_unloaded_is_not_in_the_note_any_more(lasting: House) -> None:
    """So `/health` tells the truth about what is in memory."""
    lasting.unload()

    assert Status.FINISHED is lasting.ended(lasting.submit()).status
