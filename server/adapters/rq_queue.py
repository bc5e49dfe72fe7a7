"""The queue over RQ: job ids go through Redis, everything else stays in the record.

`run_job` is what RQ calls, in a worker that was given a runner by `install`.
"""

from collections.abc import Callable

import rq
from rq.exceptions import DuplicateJobError
from rq.serializers import JSONSerializer

from server import errors
from server.adapters import wire
from server.jobs.kind import Kinds
from server.jobs.record import Job, new_id
from server.jobs.runner import Runner
from server.kinds import KINDS

DEFAULT_QUEUE = "audio"
"""Where jobs of a kind that this version does not know go; their runner says so."""

UNLOADS_KEY = "melodyflow:unloads"
"""Names the last request to unload engines; a broker that forgot it repeats no name."""

NO_TIMEOUT = -1
"""RQ's own timeout would strike at any line; ours is asked about between steps."""

FAILURES_KEPT_SECONDS = 3600

Route = Callable[[Job], str | None]
"""Returns the engine whose workers should have a job, None where any worker may."""


def _anywhere(_job: Job) -> None:
    """Be the route where workers are alike."""


_runner: Runner | None = None


def install(runner: Runner) -> None:
    """Make this process run jobs with `runner`."""
    global _runner  # noqa: PLW0603 - RQ calls a function by name; this is how it finds its runner
    _runner = runner


def run_job(job_id: str) -> None:
    """Run a job of the record; what RQ calls in a worker.

    Raises:
        errors.Unavailable: this process is no worker.
    """
    if _runner is None:
        raise errors.Unavailable("This process runs no jobs.")
    _runner.run(job_id)


RUN_JOB = f"{run_job.__module__}.{run_job.__qualname__}"
"""The only function that a worker calls."""


class RqQueue:
    """A `Queue` over RQ. Connects when first used."""

    def __init__(self, redis_url: str, *, kinds: Kinds = KINDS, route: Route = _anywhere) -> None:
        """Take the broker, and what says which queue a job belongs to: its kind and its route."""
        self._redis = wire.connect(redis_url)
        self._kinds = kinds
        self._route = route

    def enqueue(self, job: Job) -> None:
        """Hand a queued job to the workers; the same attempt twice is once.

        Raises:
            errors.WireDown: the broker does not answer.
        """
        with wire.wire_down():
            _enqueue(self._queue(job), job)

    def knows(self, job: Job) -> bool:
        """Whether the wire still holds this queued job. Raises `errors.WireDown`."""
        with wire.wire_down():
            return self._queue(job).get_job_position(rq_name(job)) is not None

    def ask_unload(self) -> None:
        """Ask every worker to unload its engines as soon as it is idle.

        Raises:
            errors.WireDown: the broker does not answer.
        """
        with wire.wire_down():
            self._redis.set(UNLOADS_KEY, new_id())

    def ping(self) -> bool:
        """Whether the wire answers."""
        try:
            with wire.wire_down():
                return bool(self._redis.ping())
        except errors.WireDown:
            return False

    def _queue(self, job: Job) -> rq.Queue:
        kind = self._kinds.get(job.kind)
        name, engine = kind.QUEUE if kind else DEFAULT_QUEUE, self._route(job)
        name = name if engine is None else of_engine(name, engine)
        return rq.Queue(name, connection=self._redis, serializer=JSONSerializer)


def of_engine(queue: str, engine: str) -> str:
    """Return the name of the queue beside `queue` for workers that have an engine."""
    return f"{queue}.{engine}"


def rq_name(job: Job) -> str:
    """Return RQ's id of one attempt at a job."""
    return f"{job.id}-{job.attempt}"


def _enqueue(queue: rq.Queue, job: Job) -> None:
    name = rq_name(job)
    try:
        queue.enqueue_call(
            run_job,
            args=(job.id,),
            job_id=name,
            timeout=NO_TIMEOUT,
            result_ttl=0,
            failure_ttl=FAILURES_KEPT_SECONDS,
            unique=True,
        )
    except DuplicateJobError:
        # its worker may have died between taking the id and writing the record: hand it out again
        if queue.get_job_position(name) is None:
            queue.push_job_id(name)
