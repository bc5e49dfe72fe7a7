"""The worker process: takes job ids from RQ and keeps its engines between jobs.

RQ's own loop ends when the broker goes away, and waits for a running job when it is told to stop.
This one waits for the broker, and has the job hand itself back.
"""

import logging
import os
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from types import FrameType
from typing import Any, Protocol

import redis
from redis.exceptions import RedisError
from rq import Queue
from rq.exceptions import DequeueTimeout, DeserializationError
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import BaseDeathPenalty
from rq.worker import SimpleWorker

from server import errors
from server.adapters import crew, logs
from server.adapters.rq_queue import RUN_JOB, UNLOADS_KEY, of_engine

log = logging.getLogger(__name__)

LOOK_SECONDS = 1
"""How long one look for a job lasts, and how soon an idle worker notices that it should stop."""

RECONNECT_SECONDS = 0.5

GRACE_SECONDS = 6.0
"""A job that has not handed itself back by then dies with the process; the janitor finds it."""

TTL_SECONDS = 30
"""How long RQ believes in a silent worker."""

MAINTENANCE_SECONDS = 60


class Engines(Protocol):
    """What a worker keeps in memory."""

    def available(self) -> list[str]:
        """Return the names of the engines that work here."""
        ...

    def unload(self) -> list[str]:
        """Forget every open engine and return their names."""
        ...

    def rest(self) -> None:
        """Have every open engine give back what only the last job needed."""
        ...

    def unload_idle(self) -> list[str]:
        """Forget the engines unused for long and return their names."""
        ...


class Shift:
    """What a worker is at: its job, whether it should stop, and the code to end with then."""

    def __init__(self) -> None:
        """Begin at work, without a job."""
        self.job_id: str | None = None
        self.code = 0
        self._is_over = False

    def is_over(self) -> bool:
        """Whether this process should stop."""
        return self._is_over

    def end(self) -> None:
        """Have everything stop that asks `is_over`. Safe inside a signal handler."""
        self._is_over = True

    def end_for_a_fresh_start(self) -> None:
        """End, and have the process end with the code that asks for another one at once."""
        self.code = crew.FRESH_START
        self.end()


class NoDeathPenalty(BaseDeathPenalty):
    """No timeout of RQ's: the one it has would take SIGALRM away from `request_stop`."""

    def setup_death_penalty(self) -> None:
        """Set up nothing."""

    def cancel_death_penalty(self) -> None:
        """Cancel nothing."""


class ResidentWorker(SimpleWorker):
    """An RQ worker that does not fork, outlives the broker and stops when told to."""

    death_penalty_class = NoDeathPenalty

    def __init__(
        self,
        queues: Sequence[str],
        *,
        redis_url: str,
        name: str,
        shift: Shift,
        engines: Engines,
        companions: Sequence[AbstractContextManager[object]] = (),
    ) -> None:
        """Take queues, most important first, and what goes on beside the jobs. Connects later."""
        super().__init__(
            list(queues),
            name=name,
            connection=redis.Redis.from_url(redis_url),
            worker_ttl=TTL_SECONDS,
            maintenance_interval=MAINTENANCE_SECONDS,
            serializer=JSONSerializer,
            log_job_description=False,
            prepare_for_work=False,  # would connect
        )
        self.hostname, self.pid = socket.gethostname(), os.getpid()
        self._names = list(queues)
        self._looks = 0
        self._shift = shift
        self._engines = engines
        self._companions = companions
        self._unloads: Any = None

    @property
    def dequeue_timeout(self) -> int:
        """Seconds that one look for a job lasts."""
        return LOOK_SECONDS

    def serve(self) -> int:
        """Take jobs until told to stop and return the exit code; wait while the broker is away."""
        self._install_signal_handlers()  # type: ignore[no-untyped-call]
        with ExitStack() as beside:
            for companion in self._companions:
                beside.enter_context(companion)
            while not self._shift.is_over():
                try:
                    self._register()
                    self._take_jobs()
                except RedisError as error:
                    log.warning("the broker does not answer: %s", error)
                    time.sleep(RECONNECT_SECONDS)
                except errors.DeviceLost as error:  # while nothing was played
                    log.error("device lost: %s", error)  # noqa: TRY400 - the trace says no more
                    self._shift.end_for_a_fresh_start()
            with suppress(RedisError):
                self.register_death()  # type: ignore[no-untyped-call]
        return self._shift.code

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Stop taking jobs, interrupt the present one, and be gone within the grace."""
        del signum, frame
        self._shift.end()
        if hasattr(signal, "setitimer"):
            # ends the process even where the main thread is deep in native code
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run one job in this process; whoever reaches the broker can have nothing else called."""
        if not _is_ours(job):
            log.error("a foreign job was found in the queue and thrown away")
            self.connection.delete(job.key)
            return
        self._shift.job_id = str(job.args[0])
        try:
            with logs.working_at(self._shift.job_id):
                super().execute_job(job, queue)
        finally:
            self._shift.job_id = None

    def _register(self) -> None:
        self.connection.delete(self.key)  # what an outage may have left of the same worker
        self.register_birth()  # type: ignore[no-untyped-call]
        self._unloads = self.connection.get(UNLOADS_KEY)

    def _take_jobs(self) -> None:
        while not self._shift.is_over():
            if self.should_run_maintenance_tasks:
                self.run_maintenance_tasks()  # type: ignore[no-untyped-call]
            self.heartbeat()
            self.queues = self._queues()
            try:
                found = self.queue_class.dequeue_any(
                    self.queues,
                    LOOK_SECONDS,
                    connection=self.connection,
                    serializer=self.serializer,
                )
            except DequeueTimeout:
                self._unload_if_asked()
            else:
                if found is not None:
                    self.execute_job(*found)
                    self._engines.rest()
            self._engines.unload_idle()

    def _queues(self) -> list[Queue]:
        """Return everybody's queues and those of the engines that work here, each first in turn."""
        engines = self._engines.available()
        names = [*self._names, *(of_engine(name, each) for name in self._names for each in engines)]
        self._looks += 1
        first = self._looks % len(names)
        return [
            Queue(name, connection=self.connection, serializer=JSONSerializer)
            for name in (*names[first:], *names[:first])
        ]

    def _unload_if_asked(self) -> None:
        unloads = self.connection.get(UNLOADS_KEY)
        if unloads != self._unloads:
            self._unloads = unloads
            log.info("unloaded on request: %s", ", ".join(self._engines.unload()) or "nothing")


def _is_ours(job: Job) -> bool:
    try:
        return bool(job.func_name == RUN_JOB and len(job.args) == 1 and not job.kwargs)
    except DeserializationError:
        return False
