"""How much sooner are two workers done than one? Independent jobs, one thread a worker."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from bench import site as sites
from bench.resting import KINDS, Rest, Resting
from bench.site import Site
from server import bootstrap
from server.adapters.rq_queue import RqQueue
from server.cli.client import Client
from server.cli.demo import RIFF
from server.jobs.alone import Silence
from server.jobs.record import Job, Status
from server.jobs.service import JobService

TITLE = "Two workers on one queue"
HEAD = ("Jobs", "One worker", "Two workers", "Times as fast")

PLAYED = 8
RESTED = 40
REST_SECONDS = 0.5
WARM_UPS = 4

Work = Callable[[Site], float]
"""Does jobs and returns the seconds from the first submission to the last ending."""


def rows() -> Iterator[tuple[str, ...]]:
    """Do the same jobs with one worker and with two."""
    for name, work in (
        (f"{PLAYED} of the arranger, a riff each", _played),
        (f"{RESTED} that rest for {REST_SECONDS} s", _rested),
    ):
        one, two = (_seconds(work, workers) for workers in (1, 2))
        yield name, f"{one:.1f} s", f"{two:.1f} s", f"{one / two:.2f}"


def _seconds(work: Work, workers: int) -> float:
    with sites.opened(workers=0) as site:
        program = ("-m", "bench.resting") if work is _rested else sites.WORKER
        for _ in range(workers):
            site.start_worker(*program)
        return work(site)


def _played(site: Site) -> float:
    client = Client(site.url)
    sites.await_workers(site, client)
    _play(client, WARM_UPS * len(site.workers))
    return _play(client, PLAYED)


def _play(client: Client, count: int) -> float:
    receipts = [client.submit(RIFF, variation="rock_band", seed=seed) for seed in range(count)]
    ended = [client.follow(each["id"], on_news=lambda _: None) for each in receipts]
    if any(each["status"] != Status.FINISHED for each in ended):
        raise RuntimeError("A job of the bench failed.")
    times = [
        datetime.fromisoformat(each[at]) for each in ended for at in ("created_at", "ended_at")
    ]
    return (max(times) - min(times)).total_seconds()


def _rested(site: Site) -> float:
    record = bootstrap.open_record(site.settings)
    queue = RqQueue(site.redis_url, kinds=KINDS)
    service = JobService(
        jobs=record.jobs,
        queue=queue,
        events=Silence(),
        max_waiting=RESTED,
        keep=timedelta(hours=1),
    )
    _rest(service, WARM_UPS, seconds=0.1)
    return _rest(service, RESTED, seconds=REST_SECONDS)


def _rest(service: JobService, count: int, *, seconds: float) -> float:
    jobs = [service.submit(Resting(), Rest(seconds=seconds)) for _ in range(count)]
    return _span([service.wait(each.id, seconds=sites.READY_SECONDS) for each in jobs])


def _span(jobs: Sequence[Job]) -> float:
    ended = [job.ended_at for job in jobs if job.ended_at is not None]
    return (max(ended) - min(job.created_at for job in jobs)).total_seconds()


def main() -> None:
    """Print the table."""
    for row in (HEAD, tuple("---" for _ in HEAD), *rows()):
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
