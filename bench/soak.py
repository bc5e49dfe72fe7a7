"""Is anything lost or done twice, and does memory grow, while workers and the broker are killed?

Several owners submit short jobs through HTTP, each request with an Idempotency-Key and sent again
until it is answered. Meanwhile workers are killed without a word, the broker is restarted and jobs
are cancelled, at times and in an order that the seed decides.
"""

import argparse
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import requests
from sqlalchemy import func, select

from bench import site as sites
from bench.site import Site
from server import bootstrap
from server.adapters.tables import artifacts
from server.cli.client import Client
from server.cli.demo import RIFF
from server.jobs import keys
from server.jobs.record import FINAL, Job, Role, Status

TITLE = "Jobs while everything is killed"
HEAD = (
    "Jobs",
    "Lost",
    "Twice",
    "Files left over",
    "Finished",
    "Cancelled",
    "Failed",
    "Workers killed",
    "Broker restarts",
    "Minutes",
    "MiB of web, of workers: first quarter → last",
)

JOBS = 500
OWNERS = 4
SEED = 7
PATIENCE_SECONDS = 600.0
EVERY_SECONDS = (3.0, 9.0)
"""Between one blow and the next."""

BLOWS = ("worker", "worker", "worker", "broker", "cancel", "cancel", "cancel")
RETRY_SECONDS = 0.3
MANY = 10**6


@dataclass
class Seen:
    """What happened, as clients and as the one with the hammer saw it."""

    ids: list[str] = field(default_factory=list)
    blows: Counter[str] = field(default_factory=Counter)
    web_mb: list[float] = field(default_factory=list)
    workers_mb: list[float] = field(default_factory=list)


def rows(*, jobs: int = JOBS, seed: int = SEED) -> Iterator[tuple[str, ...]]:
    """Soak a site and count."""
    with sites.opened(
        keys="on", jobs_per_minute=MANY, requests_per_minute=MANY, lease_seconds=5
    ) as site:
        texts = _keys(site)
        sites.await_workers(site, Client(site.url))
        began, seen, is_over = time.monotonic(), Seen(), threading.Event()
        beside = [
            threading.Thread(target=each, args=(site, seen, is_over, seed))
            for each in (_strike, _weigh)
        ]
        senders = [
            threading.Thread(target=_send, args=(site.url, text, jobs // OWNERS, seen))
            for text in texts
        ]
        for each in (*beside, *senders):
            each.start()
        for each in senders:
            each.join()
        in_time = _await_all(site, seen)
        is_over.set()
        for each in beside:
            each.join()
        yield _row(site, seen, minutes=(time.monotonic() - began) / 60, in_time=in_time)


def _keys(site: Site) -> list[str]:
    with bootstrap.open_keys(site.settings) as store:
        made = [keys.made(f"owner {number}") for number in range(OWNERS)]
        for key, _ in made:
            store.add(key)
    return [text for _, text in made]


def _send(url: str, key: str, count: int, seen: Seen) -> None:
    """Submit jobs one after the other; whatever goes wrong, the same request is sent again."""
    with requests.Session() as http:
        http.headers["Authorization"] = f"Bearer {key}"
        for number in range(count):
            seen.ids.append(_submitted(http, url, name=f"soak-{number}", seed=number))


def _submitted(http: requests.Session, url: str, *, name: str, seed: int) -> str:
    fields = {"variation": "music_box", "strength": "0", "seed": str(seed)}
    while True:
        try:
            answer = http.post(
                f"{url}/jobs",
                data=fields,
                files={"audio": (RIFF.name, RIFF.read_bytes())},
                headers={"Idempotency-Key": name},
                timeout=30,
            )
        except requests.RequestException:
            time.sleep(RETRY_SECONDS)
            continue
        if answer.ok:
            return str(answer.json()["id"])
        if answer.status_code not in (429, 503):
            raise RuntimeError(f"{answer.status_code}: {answer.text[:200]}")
        time.sleep(min(float(answer.headers.get("Retry-After", 1)), 2.0))


def _strike(site: Site, seen: Seen, is_over: threading.Event, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same blows each time
    record = bootstrap.open_record(site.settings)
    with closing(record.database):
        while not is_over.wait(chance.uniform(*EVERY_SECONDS)):
            blow = chance.choice(BLOWS)
            if blow == "worker":
                site.kill_worker(chance.randrange(len(site.workers)))
            elif blow == "broker":
                site.restart_broker()
            else:
                _cancel(chance, record.jobs.waiting(), record)
            seen.blows[blow] += 1


def _cancel(chance: random.Random, waiting: Sequence[Job], record: bootstrap.Record) -> None:
    unfinished = [*waiting, *record.jobs.running()]
    if unfinished:
        record.jobs.request_cancel(chance.choice(unfinished).id)


def _weigh(site: Site, seen: Seen, is_over: threading.Event, _seed: int) -> None:
    while not is_over.wait(1.0):
        seen.web_mb.append(site.memory_mb(site.web))
        seen.workers_mb.append(max(site.memory_mb(each) for each in list(site.workers)))


def _await_all(site: Site, seen: Seen) -> bool:
    """Return whether every job ended in time; nobody is asked but the record."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    record = bootstrap.open_record(site.settings)
    with closing(record.database):
        while time.monotonic() < give_up_at:
            if all(record.jobs.get(each).status in FINAL for each in set(seen.ids)):
                return True
            time.sleep(1.0)
    return False


def _row(site: Site, seen: Seen, *, minutes: float, in_time: bool) -> tuple[str, ...]:
    record = bootstrap.open_record(site.settings)
    with closing(record.database):
        jobs = [record.jobs.get(each) for each in dict.fromkeys(seen.ids)]
        ended = Counter(job.status for job in jobs)
        lost = sum(job.status not in FINAL for job in jobs)
        return (
            f"{len(seen.ids)} of {OWNERS} owners",
            f"{lost}" if in_time else f"{lost} (not ended in time)",
            str(_twice(jobs, asked=len(seen.ids))),
            str(_left_over(jobs, record)),
            str(ended[Status.FINISHED]),
            str(ended[Status.CANCELLED]),
            _failures(jobs),
            str(seen.blows["worker"]),
            str(seen.blows["broker"]),
            f"{minutes:.1f}",
            f"{_quarters(seen.web_mb)}, {_quarters(seen.workers_mb)}",
        )


def _twice(jobs: Sequence[Job], *, asked: int) -> int:
    """Return how many requests have no job of their own, and results beyond one a finished job."""
    finished = [job for job in jobs if job.status is Status.FINISHED]
    return asked - len(jobs) + sum(abs(len(job.results) - 1) for job in finished)


def _left_over(jobs: Sequence[Job], record: bootstrap.Record) -> int:
    """Return how many results of killed attempts are stored; they expire like all others."""
    everything = select(func.count()).where(artifacts.c.is_removed.is_(False))
    with record.database.transaction() as connection:
        by_name: Any = everything.where(artifacts.c.name.like("transformed%"))
        stored = int(connection.execute(by_name).scalar_one())
    named = sum(each.role is Role.RESULT for job in jobs for each in job.outputs)
    return max(0, stored - named)


def _failures(jobs: Sequence[Job]) -> str:
    codes = Counter(job.error.code for job in jobs if job.error is not None)
    return ", ".join(f"{count} {code}" for code, count in sorted(codes.items())) or "0"


def _quarters(sizes: Sequence[float]) -> str:
    quarter = max(1, len(sizes) // 4)
    first, last = sizes[:quarter] or [0.0], sizes[-quarter:] or [0.0]
    return f"{median(first):.0f} → {median(last):.0f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    for row in (HEAD, tuple("---" for _ in HEAD), *rows(jobs=given.jobs, seed=given.seed)):
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
