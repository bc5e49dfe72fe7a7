"""A record, a broker, and workers that come and go: what faults are done to."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from server import bootstrap
from server.adapters import migrate
from server.adapters.crew import Member
from server.adapters.database import Database
from server.adapters.rq_queue import RqQueue
from server.adapters.tables import metadata
from server.config import Settings
from server.jobs.record import Job
from server.jobs.service import JobService
from tests.system import slow_worker
from tests.system.processes import PATIENCE_SECONDS, Running, Yard, until
from tests.system.slow_worker import KINDS, Slow, SlowSpec
from tests.unit.jobs.workshop import Heard

LEASE_SECONDS = 1.5

Figure = Callable[[str, float], None]
"""Notes a measured number of seconds under a name."""


class Works:
    """Everything but the web process.

    Attributes:
        marks: where every attempt of a job leaves a file named after it and its worker.
    """

    def __init__(self, yard: Yard, redis_url: str, **settings: Any) -> None:
        """Open the record; `settings` win over a short lease."""
        self._yard, self._redis_url = yard, redis_url
        given = {"lease_seconds": LEASE_SECONDS, **settings}
        self.settings = Settings.from_environment(data_dir=yard.data, redis_url=redis_url, **given)
        self.record = bootstrap.open_record(self.settings)
        self.marks = yard.directory / "marks"
        self.marks.mkdir()
        self.queue = RqQueue(redis_url, kinds=KINDS)
        self.service = JobService(
            jobs=self.record.jobs,
            queue=self.queue,
            events=Heard(),
            max_waiting=8,
            keep=timedelta(hours=24),
        )

    @property
    def environment(self) -> dict[str, str]:
        """What workers of these works start with."""
        return {
            **self.settings.as_environment(),
            "REDIS_URL": self._redis_url,
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }

    def worker(self) -> Running:
        """Start one more."""
        return self._yard.start(slow_worker.__file__, **self.environment)

    def member(self, command: Sequence[str]) -> Member:
        """Return a worker that a crew may look after."""
        return Member(
            name="worker", command=[*command, slow_worker.__file__], environment=self.environment
        )

    def submit(self, go: str = "go", *, way: str = "steps") -> Job:
        """Submit a job that waits for a file in its own way."""
        spec = SlowSpec(marks=str(self.marks), go=str(self._yard.directory / go), way=way)
        return self.service.submit(Slow(), spec)

    def let_go(self, go: str = "go") -> None:
        """Let jobs finish."""
        (self._yard.directory / go).touch()

    def started_by(self, attempt: int) -> int:
        """Wait for an attempt and return who makes it."""
        mark = until(lambda: next(self.marks.glob(f"{attempt}-*"), None))
        return int(mark.name.split("-")[1])

    def ended(self, job: Job) -> Job:
        """Wait for the ending."""
        return self.service.wait(job.id, seconds=PATIENCE_SECONDS)

    def results(self, job: Job) -> list[bytes]:
        """Return what is stored of a job."""
        return [self.record.artifacts.read(output.artifact_id) for output in job.outputs]

    def happened(self, job: Job) -> list[str]:
        """Return what happened to a job but for its progress, in order."""
        names = [str(each.name) for each in self.record.jobs.events(job.id)]
        return [name for name in names if name != "progress"]


@contextmanager
def opened(yard: Yard, redis_url: str, **settings: Any) -> Iterator[Works]:
    """Open works and close their record."""
    works = Works(yard, redis_url, **settings)
    with closing(works.record.database):
        yield works


def emptied(url: str) -> str:
    """Return the URL of a database after everything in it was deleted."""
    with closing(Database(url)) as database:
        migrate.upgrade(database)
        with database.transaction() as connection:
            for table in metadata.sorted_tables:
                connection.execute(table.delete())
    return url
