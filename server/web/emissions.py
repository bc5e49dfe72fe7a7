"""What clients are sent when a job changes, in both contracts. Used by web and worker processes.

Native clients follow a job and get its view. Older clients are in the room of their session and get
the events that plugins, front servers and the first MelodyFlow service knew. Nobody else gets any.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from server import errors
from server.jobs.estimates import NOTHING, Estimates, Outlook
from server.jobs.events import Emission, Event, EventName, Translator
from server.jobs.ports import ArtifactStore
from server.jobs.record import Job, Role, Status
from server.kinds import transform
from server.web import views
from server.web.plugin import acts, sound, wording
from server.web.plugin.acts import Act

PROGRESS_INTERVAL_SECONDS = 0.5
"""Least time between two `progress_update`s of a session; the last one always comes."""

SILENCE_SECONDS = 1.5
"""A session whose engine is still being loaded is told so again after this."""

LARGEST_MESSAGE = 95 * 2**20
"""Characters of audio in one event; clients of the `ws` library hang up at 100 MiB."""

_MOVES_THE_QUEUE = frozenset({EventName.STARTED, EventName.CANCELLED})

_TOO_LARGE = "The result is too large for this connection; fetch it as an artifact of its job."


def translators(
    artifacts: ArtifactStore, estimates: Estimates, *, link: views.Link = views.plain_link
) -> Sequence[Translator]:
    """Return everything that turns events into messages."""
    followed = partial(native, artifacts=artifacts, estimates=estimates, link=link)
    return (followed, Legacy(artifacts, estimates))


# Native


def native(
    event: Event,
    *,
    artifacts: ArtifactStore,
    estimates: Estimates,
    link: views.Link = views.plain_link,
) -> Iterator[Emission]:
    """Send a job's view to those who follow it, and previews by themselves when there are some."""
    job = event.job
    view = job_view(job, outlook=estimates.outlook(job), artifacts=artifacts, link=link)
    if event.name is EventName.RESTARTED:
        restarted = {"job_id": job.id, "version": job.version, "attempt": job.attempt}
        yield Emission("restarted", restarted, room_of(job.id))
    yield Emission("job", view, room_of(job.id))
    if event.name is EventName.PREVIEW:
        previews = [each for each in view["artifacts"] if each["role"] == Role.PREVIEW]
        yield Emission("preview", {"job_id": job.id, "artifacts": previews}, room_of(job.id))


def room_of(job_id: str) -> str:
    """Return the room of those who follow a job."""
    return f"job:{job_id}"


def job_view(
    job: Job,
    *,
    outlook: Outlook,
    artifacts: ArtifactStore,
    link: views.Link = views.plain_link,
) -> dict[str, Any]:
    """Return a job as `GET /jobs/<id>` shows it."""
    outputs = views.outputs_of(job, artifacts, link=link)
    shown = views.JobView.of(job, outlook=outlook, artifacts=outputs)
    # by way of text: numbers that JSON has no name for become null
    view: dict[str, Any] = json.loads(shown.model_dump_json(by_alias=True))
    return view


# Older clients


@dataclass(frozen=True, slots=True)
class _Told:
    """What a session was last told of its job."""

    job_id: str
    state: wording.State | None = None
    percent: int = -1
    at: float = -math.inf


class Legacy:
    """Tells sessions of their jobs: request confirmed, place in the queue, progress, ending.

    Previews are no news here: these clients take every sound they are sent for the result.

    Progress never goes back within an attempt while this object lives, and is told at most twice a
    second. An attempt that follows a lost one begins at 0 again.
    """

    def __init__(
        self,
        artifacts: ArtifactStore,
        estimates: Estimates,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take where results are and who looks ahead; `clock` counts seconds."""
        self._artifacts = artifacts
        self._estimates = estimates
        self._clock = clock
        self._told: dict[str, _Told] = {}

    def __call__(self, event: Event) -> Iterator[Emission]:
        """Return what is to be sent for an event."""
        job = event.job
        act = acts.told_of(job)
        if job.session_id is not None and act is not None:
            yield from self._of_session(event, job.session_id, act)
        if event.name in _MOVES_THE_QUEUE:
            yield from self._of_waiting()

    def _of_session(self, event: Event, session_id: str, act: Act) -> Iterator[Emission]:
        job = event.job
        if event.name is EventName.QUEUED:
            self._told.pop(session_id, None)
            yield _to_session(job, act.received)
        if job.status is Status.QUEUED:
            yield from place_in_queue(job, self._estimates.outlook(job))
            if event.name is EventName.RESTARTED:
                self._told[session_id] = _Told(job.id, percent=0, at=self._clock())
                yield from progress(job)
        elif job.status is Status.RUNNING:
            yield from self._of_running(job, session_id)
        else:
            self._told.pop(session_id, None)
            yield from ending(job, self._artifacts)

    def _of_running(self, job: Job, session_id: str) -> Iterator[Emission]:
        told = self._told.get(session_id)
        if told is None or told.job_id != job.id:
            told = _Told(job.id)
        state, percent = wording.state_of(job), wording.percent(job)
        silent_seconds = self._clock() - told.at
        if state is not told.state:
            yield from place_in_queue(job)
        elif state is wording.State.WARMING and silent_seconds >= SILENCE_SECONDS:
            told = replace(told, at=self._clock())
            yield from place_in_queue(job)
        is_due = silent_seconds >= PROGRESS_INTERVAL_SECONDS
        if is_due and percent > told.percent:
            told = replace(told, percent=percent, at=self._clock())
            yield from progress(job)
        self._told[session_id] = replace(told, state=state)

    def _of_waiting(self) -> Iterator[Emission]:
        """Tell those who still wait that they moved up."""
        for job, outlook in self._estimates.line():
            if job.session_id is not None and acts.told_of(job) is not None:
                yield from place_in_queue(job, outlook)


def standings(event: Event, *, estimates: Estimates) -> Iterator[Mapping[str, Any]]:
    """Yield where sessions stand after an event: its own, and those that moved up by it."""
    job = event.job
    if job.session_id is not None and job.status is not Status.QUEUED:
        yield wording.queue_status(job)
    if job.status is Status.QUEUED or event.name in _MOVES_THE_QUEUE:
        for each, outlook in estimates.line():
            if each.session_id is not None:
                yield wording.queue_status(each, outlook)


def place_in_queue(job: Job, outlook: Outlook = NOTHING) -> Iterator[Emission]:
    """Tell a session where its job stands."""
    status = wording.queue_status(job, outlook)
    yield _to_session(job, "queue_status", status)
    if job.status is Status.QUEUED:
        yield _to_session(job, "queue_position", {"position": status["position"]})


def progress(job: Job) -> Iterator[Emission]:
    """Tell a session how far its job is, under the newer and the older name."""
    yield _to_session(job, "progress_update", {"progress": wording.percent(job)})
    exact = 100.0 if job.status is Status.FINISHED else min(99.9, round(100 * job.progress, 1))
    yield _to_session(job, "progress", {"progress": exact})


def ending(job: Job, artifacts: ArtifactStore) -> Iterator[Emission]:
    """Tell a session how its job ended: with the result, or with the reason there is none."""
    if job.status is not Status.FINISHED:
        error = wording.error_of(job)
        yield from _failure(job, message=error.message, code=error.code)
        return
    if not job.results:  # it makes no sound; these clients know of nothing else
        return
    try:
        audio = sound.base64_wav(artifacts, job.results[0].artifact_id)
    except errors.MelodyflowError as error:
        yield from _failure(job, message=wording.sentence(error), code=error.code)
        return
    yield from progress(job)
    if len(audio) > LARGEST_MESSAGE:
        yield from _failure(job, message=_TOO_LARGE, code="DATA_TOO_LARGE")
        return
    act = acts.likened(job)
    if act.is_generation:
        yield _to_session(job, act.done, {"audio_data": audio})
    else:
        result = {"audio_data": audio, "variation": transform.first_variation(job.spec)}
        yield _to_session(job, act.done, result)
        yield _to_session(job, "transform_complete", {"status": "success"})
    yield _to_session(job, "job_complete", {"job_id": job.id})


def _failure(job: Job, *, message: str, code: str) -> Iterator[Emission]:
    yield _to_session(job, "error", {"message": message, "code": code})
    if not acts.likened(job).is_generation:
        yield _to_session(job, "transform_error", {"error": message})
    yield _to_session(job, "job_failed", {"job_id": job.id, "error": message})


def _to_session(job: Job, name: str, facts: Mapping[str, Any] | None = None) -> Emission:
    session_id = str(job.session_id)
    return Emission(name, {**(facts or {}), "session_id": session_id}, session_id)
