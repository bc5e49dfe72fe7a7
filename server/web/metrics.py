"""`/metrics`: how the server is, for Prometheus.

What is told of jobs and webhooks comes from the record, so it survives restarts and is the same at
every web process. What is told of requests and connections is of this process alone.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from flask import Response, current_app
from flask_openapi.blueprint import APIBlueprint
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from server import errors
from server.engines.catalog import Device
from server.jobs.record import Status
from server.jobs.statistics import BOUNDS_SECONDS, Backlog, Distribution, Ending, Standing, Tally
from server.web import callers, documentation, pulse, traffic
from server.web.documentation import answers
from server.web.services import Services, current

WORKER_LOST = "worker_lost"
"""The code of a job that was given up because it lost one worker after another."""

PREFIX = "melodyflow_"

MEGABYTE = 2**20

Labelled = Iterable[tuple[Sequence[str], float]]

_RECORD = "Whether the record of jobs can be reached."

_BOUNDS = [str(float(bound)) for bound in BOUNDS_SECONDS] + ["+Inf"]

api = APIBlueprint(
    "metrics", __name__, abp_tags=[documentation.tag("health", "How the server is.")]
)


@api.get(
    "/metrics",
    responses=answers({200: documentation.page_of("text/plain", "Prometheus' text format.")}, 401),
)
def metrics() -> Response:
    """Tell how everything is, in the format of Prometheus; to admins where keys are asked for."""
    callers.require_admin()
    registry = CollectorRegistry()
    for part in (_Jobs(current()), _Server(), traffic.current().registry):
        registry.register(part)
    ProcessCollector(registry=registry)
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Jobs(Collector):
    """What the record says; where it cannot be reached, that alone."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        try:
            standing = self._services.statistics.read()
            deliveries = self._services.webhooks.counts()
        except errors.Unavailable:
            yield _gauge("record_up", _RECORD, 0)
            return
        yield _gauge("record_up", _RECORD, 1)
        yield from _backlogs(standing.backlogs)
        yield from _endings(standing.endings)
        yield _restarts(standing)
        told = (((str(state),), number) for state, number in deliveries.items())
        yield _gauges("webhooks", "Endings that webhooks are told of.", ("state",), told)


class _Server(Collector):
    """What is known of broker, workers, cards and disk without asking anybody now."""

    def collect(self) -> Iterator[Metric]:
        seen = pulse.current().read()
        workers = seen.workers or ()
        sockets = current_app.extensions["socketio"].server.eio.sockets
        yield _gauge("wire_up", "Whether the queue can be reached.", bool(seen.wire))
        yield _gauge("workers", "Workers that were heard of lately.", len(workers))
        yield _gauge("connections", "Socket.IO connections of this process.", len(sockets))
        if seen.machine is not None:
            room = seen.machine.disk_free
            yield _gauge("disk_free_bytes", "Room where the data directory is.", room)
        held = (((note.id,), note.memory_mb * MEGABYTE) for note in workers)
        yield _gauges("worker_memory_bytes", "What a worker holds.", ("worker",), held)
        yield from _cards({card.id: card for note in workers for card in note.devices})


def _cards(cards: Mapping[str, Device]) -> Iterator[Metric]:
    labels = ("gpu", "name")
    used = (((card.id, card.name), card.used_mb * MEGABYTE) for card in cards.values())
    total = (((card.id, card.name), card.total_mb * MEGABYTE) for card in cards.values())
    yield _gauges("gpu_memory_used_bytes", "Memory in use on a card.", labels, used)
    yield _gauges("gpu_memory_total_bytes", "Memory of a card.", labels, total)


def _backlogs(backlogs: Sequence[Backlog]) -> Iterator[Metric]:
    yield _gauges(
        "jobs",
        "Unfinished jobs.",
        ("kind", "status"),
        (((each.kind, each.status), each.number) for each in backlogs),
    )
    waiting = [each for each in backlogs if each.status == Status.QUEUED]
    yield _gauges(
        "queue_oldest_seconds",
        "Age of the oldest job that waits.",
        ("kind",),
        (((each.kind,), each.oldest_seconds) for each in waiting),
    )


def _endings(endings: Mapping[Ending, Tally]) -> Iterator[Metric]:
    yield _counters(
        "jobs_ended",
        "Jobs that ended; failures by their code.",
        Ending._fields,
        ((ending, tally.number) for ending, tally in endings.items()),
    )
    yield _counters(
        "dead_letters",
        "Jobs given up because each of their starts cost a worker.",
        ("kind",),
        (((each.kind,), it.number) for each, it in endings.items() if each.code == WORKER_LOST),
    )
    yield _counters(
        "device_losses",
        "How often a card was lost under a job that has ended.",
        ("kind",),
        (((each.kind,), tally.device_losses) for each, tally in endings.items()),
    )
    yield _histogram(
        "job_wait_seconds",
        "From a job's submission to its start.",
        ((each, tally.waits) for each, tally in endings.items()),
    )
    yield _histogram(
        "job_duration_seconds",
        "From a job's start to its ending.",
        ((each, tally.durations) for each, tally in endings.items()),
    )


def _restarts(standing: Standing) -> Metric:
    ended = (((each.kind,), tally.restarts) for each, tally in standing.endings.items())
    unfinished = (((each.kind,), each.restarts) for each in standing.backlogs)
    meaning = "Starts beyond a job's first: leases lost, jobs handed back, cards lost."
    return _counters("job_restarts", meaning, ("kind",), (*ended, *unfinished))


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, meaning, value=value)


def _gauges(name: str, meaning: str, labels: Sequence[str], values: Labelled) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, meaning, labels=labels)
    for label, value in values:
        family.add_metric(label, value)
    return family


def _counters(name: str, meaning: str, labels: Sequence[str], values: Labelled) -> Metric:
    """Return a counter; of one set of labels the values are added."""
    sums: Counter[tuple[str, ...]] = Counter()
    for label, value in values:
        sums[tuple(label)] += int(value)
    family = CounterMetricFamily(PREFIX + name, meaning, labels=labels)
    for label, total in sums.items():
        family.add_metric(label, total)
    return family


def _histogram(
    name: str, meaning: str, distributions: Iterable[tuple[Ending, Distribution]]
) -> Metric:
    """Return a histogram; failures of all codes are one."""
    sums: dict[tuple[str, str, str], Distribution] = {}
    for (kind, engine, status, _), one in distributions:
        whole = sums.setdefault((kind, engine, status), Distribution())
        whole.counts = [sum(pair) for pair in zip(whole.counts, one.counts, strict=True)]
        whole.seconds += one.seconds
    family = HistogramMetricFamily(PREFIX + name, meaning, labels=("kind", "engine", "status"))
    for label, whole in sums.items():
        buckets = list(zip(_BOUNDS, accumulate(whole.counts), strict=True))
        family.add_metric(label, buckets, whole.seconds)
    return family
