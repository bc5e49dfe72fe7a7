"""A broker, a web process and workers, each of which a test may kill and start again."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests

from server import bootstrap
from server.bootstrap import Record
from server.config import Settings
from server.jobs.record import Job, Status
from tests.http import sounds
from tests.http.legacy.listener import PATIENCE_SECONDS, Listener
from tests.system.processes import Running, Yard, free_port, until

LEASE_SECONDS = 2

LIVE = timedelta(seconds=LEASE_SECONDS)


@dataclass
class House:
    """Processes that share data. Workers play what `tests.system.scripted_worker` plays.

    Attributes:
        record: what they share, opened in this process as well.
    """

    yard: Yard
    settings: Settings
    record: Record
    connections: ExitStack
    workers: dict[int, Running] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start everything; one worker."""
        self.broker_port, self.port = free_port(), free_port()
        self.broker = self.yard.valkey(self.broker_port)
        self.start_web()
        self.start_worker()
        self.await_ready()

    @property
    def url(self) -> str:
        """Where the web process answers."""
        return f"http://127.0.0.1:{self.port}"

    def start_broker(self) -> None:
        """Start a broker that remembers nothing where the last one was."""
        self.broker = self.yard.valkey(self.broker_port)

    def start_web(self) -> None:
        """Start a web process where the last one was."""
        command = ("-m", "server", "web", "--port", self.port)
        self.web = self.yard.start(*command, **self._environment)

    def start_worker(self) -> None:
        """Start one more worker."""
        started = self.yard.start("-m", "tests.system.scripted_worker", **self._environment)
        self.workers[started.pid] = started

    def start_spare(self) -> None:
        """Start one more worker and return once it is there."""
        there = len(self.record.workers.live(LIVE))
        self.start_worker()
        until(lambda: len(self.record.workers.live(LIVE)) > there)

    def await_ready(self) -> None:
        """Return once jobs are taken."""
        until(lambda: self._ready() == 200, every=0.05)

    def kill_web(self) -> None:
        """Kill the web process and what it started."""
        for each in reversed(self.web.family()):
            each.kill()
        self.web.process.wait(timeout=PATIENCE_SECONDS)

    def worker_of(self, job_id: str) -> Running:
        """Return the worker that has a job, as soon as one has, and forget it."""
        job = until(lambda: self._running(job_id))
        return self.workers.pop(int(str(job.worker).split("-")[-2]))

    def job(self, job_id: str) -> Job:
        """Return a job as it is recorded."""
        return self.record.jobs.get(job_id)

    def events(self, job_id: str) -> list[str]:
        """Return what happened to a job but for its progress, in order."""
        names = [str(each.name) for each in self.record.jobs.events(job_id)]
        return [name for name in names if name != "progress"]

    def hold(self) -> None:
        """Have jobs stop half way until `release`."""
        (self.yard.data / "held").touch()

    def release(self) -> None:
        """Let held jobs go on."""
        (self.yard.data / "held").unlink(missing_ok=True)

    def ask(self, method: str, route: str, **options: Any) -> requests.Response:
        """Send a request."""
        return requests.request(method, self.url + route, timeout=PATIENCE_SECONDS, **options)

    def post_job(self) -> requests.Response:
        """Ask for a job."""
        order = {"audio": sounds.base64_wav(), "variation": "celtic"}
        return self.ask("POST", "/jobs", json=order)

    def submit(self) -> str:
        """Submit a job and return its id."""
        answer = self.post_job()
        assert 202 == answer.status_code, answer.text
        return str(answer.json()["id"])

    def half_way(self, job_id: str) -> Job:
        """Wait until a held job stands half way."""
        return until(lambda: self._running(job_id, progress=0.3))

    def ended(self, job_id: str) -> Job:
        """Wait for the ending."""
        return until(lambda: job if (job := self.job(job_id)).status.is_final else None)

    def connect(self) -> Listener:
        """Connect a client that hangs up at the end."""
        return self.connections.enter_context(closing(Listener(self.url)))

    def _running(self, job_id: str, *, progress: float = 0.0) -> Job | None:
        job = self.job(job_id)
        return job if job.status is Status.RUNNING and job.progress >= progress else None

    def _ready(self) -> int | None:
        try:
            return self.ask("GET", "/health/ready").status_code
        except (requests.ConnectionError, requests.Timeout):
            return None

    @property
    def _environment(self) -> dict[str, str]:
        return {
            **self.settings.as_environment(),
            "REDIS_URL": f"redis://127.0.0.1:{self.broker_port}/0",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }


@contextmanager
def opened(folder: Path, *, database_url: str | None) -> Iterator[House]:
    """Start a house on a record of its own, and end it."""
    with ExitStack() as ended:
        yard = Yard(folder, ended)
        yard.data.mkdir()
        settings = Settings.from_environment(
            data_dir=yard.data, database_url=database_url, lease_seconds=LEASE_SECONDS
        )
        record = bootstrap.open_record(settings)
        ended.callback(record.database.close)
        with ExitStack() as connections:
            yield House(yard, settings, record, connections)
