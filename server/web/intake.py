"""How audio and jobs come in, whatever door they use: HTTP, the plugin's routes or Socket.IO."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import PurePath
from typing import Any

from server import errors, kinds
from server.jobs.estimates import Forecast
from server.jobs.kind import JobSpec, Kind
from server.jobs.ports import Artifact
from server.jobs.record import Job, now
from server.media import formats
from server.media.bounded import READERS
from server.media.codec import Probe
from server.web import callers, keys
from server.web.parsing import Submission
from server.web.services import Services

_NO_SOUND = "There is no sound in this file; send one to listen to."
_NOT_YET_STORED = "0" * 32
_UNWANTED_IN_NAMES = re.compile(r"[^\w .()+\-\[\]]")
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """A request that makes one job, however often it is sent: its sender's name for it, its sum."""

    key: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A job somebody wants: parameters of its kind, and the audio unless they name an artifact.

    `asked_as` is what an older client calls it.
    """

    kind: Kind
    parameters: Mapping[str, Any]
    audio: bytes | None = None
    session_id: str | None = None
    asked_as: str | None = None
    webhook: str | None = None
    once: Once | None = None
    replay_of: str | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """The job of an order, and whether it was made for it or had been before."""

    job: Job
    is_new: bool


@dataclass(frozen=True, slots=True)
class _Checked:
    """An order in which everything is right; `probe` is of audio that is not stored yet.

    `source_seconds` is how much audio there is to work on.
    """

    spec: JobSpec
    source_seconds: float | None
    probe: Probe | None = None


def once(key: str | None, sent: Submission, *, asked_as: str = "") -> Once | None:
    """Return what tells a request that is sent again from a new one, None if it has no key.

    Names are each owner's own. `asked_as` tells requests apart that have the same fields.
    """
    if key is None:
        return None
    # a part of a form may have no name, and None cannot be sorted among texts
    named = {str(name): value for name, value in sent.fields.items()}
    fields = json.dumps(named, sort_keys=True, default=repr).encode()
    parts = hashlib.sha256(fields + asked_as.encode()).digest()
    digest = hashlib.sha256(parts + (sent.audio or b""))
    return Once(key=f"{callers.current().id or ''}:{key}", digest=digest.hexdigest())


def earlier(services: Services, request: Once | None) -> Job | None:
    """Return the job that the same request made before.

    Raises:
        errors.KeyReused: another request had that key.
    """
    return services.jobs.earlier(request.key, request.digest) if request else None


def submit(services: Services, order: Order) -> Taken:
    """Check an order, store its audio and hand the job to the workers.

    Raises:
        errors.InvalidInput: a parameter or the audio is wrong.
        errors.TooLong: there is too much audio.
        errors.Conflict: the session is busy, or another request had the same key.
        errors.NoSuchSession: the session is somebody else's.
        errors.QueueFull: too many jobs wait.
        errors.TooManyRequests: the caller submitted too many within a minute.
        errors.Unavailable: the queue cannot be reached.
    """
    if (known := earlier(services, order.once)) is not None:
        return Taken(known, is_new=False)
    keys.spend(services, callers.current(), "jobs")
    if order.session_id is not None:
        services.sessions.find(order.session_id)  # nobody takes another one's session
    checked = _checked(services, order)
    if order.audio is None or checked.probe is None:
        return _hand_over(services, order, checked)
    source = _stored(services, order.audio, checked.probe, name="source")
    spec = checked.spec.model_copy(update={"source": source.id})
    try:
        taken = _hand_over(services, order, replace(checked, spec=spec))
    except errors.MelodyflowError:
        services.artifacts.delete(source.id)
        raise
    if not taken.is_new:  # the same request came twice at once, and the other one was quicker
        services.artifacts.delete(source.id)
    return taken


def forecast(services: Services, order: Order) -> Forecast:
    """Check an order and tell what would become of it; nothing is stored.

    Raises:
        errors.InvalidInput: a parameter or the audio is wrong.
        errors.TooLong: there is too much audio.
    """
    return services.jobs.estimates.forecast(_job(order, _checked(services, order)))


def keep(services: Services, data: bytes, *, name: str) -> Artifact:
    """Store audio somebody sent.

    Raises:
        errors.UnreadableAudio: it is no audio, damaged, or there is no sound in it.
        errors.UnsupportedMedia: it is another kind of file.
        errors.TooLong: it is longer than the settings allow.
        errors.Unavailable: no file can be read now.
    """
    return _stored(services, data, _probed(services, data), name=name)


def _probed(services: Services, data: bytes) -> Probe:
    try:
        return READERS.check(data, max_seconds=services.settings.max_source_seconds)
    except (errors.InvalidInput, errors.TooLong) as error:
        error.field = "audio"
        raise


def _stored(services: Services, data: bytes, probe: Probe, *, name: str) -> Artifact:
    return services.artifacts.save(
        data,
        name=_file_name(name, probe.format.extension),
        media_type=probe.media_type,
        seconds=probe.seconds,
        sample_rate=probe.sample_rate,
        channels=probe.channels,
        owner=callers.current().id,
        expires_at=now() + timedelta(hours=services.settings.results_hours),
    )


def _checked(services: Services, order: Order) -> _Checked:
    if getattr(order.kind, "IS_FOR_OPERATORS", False):
        callers.require_admin()
    if order.audio is None:
        return _of_stored_source(services, order)
    spec = kinds.parse(order.kind, {**_without_source(order), "source": _NOT_YET_STORED})
    probe = _probed(services, order.audio)
    spec.check_source(probe.seconds or 0.0)
    return _Checked(spec, _worked_on(services, spec, probe.seconds), probe)


def _hand_over(services: Services, order: Order, checked: _Checked) -> Taken:
    asked = _job(order, checked)
    job = services.jobs.take(asked)
    return Taken(job, is_new=job.id == asked.id)


def _job(order: Order, checked: _Checked) -> Job:
    return Job(
        kind=order.kind.NAME,
        spec=checked.spec.model_dump(mode="json"),
        session_id=order.session_id,
        asked_as=order.asked_as,
        seed=getattr(checked.spec, "seed", None),
        owner=callers.current().id,
        idempotency_key=order.once.key if order.once else None,
        request_digest=order.once.digest if order.once else None,
        replay_of=order.replay_of,
        webhook=order.webhook,
        source_seconds=checked.source_seconds,
    )


def _of_stored_source(services: Services, order: Order) -> _Checked:
    takes_audio = "source" in order.kind.Spec.model_fields
    if takes_audio and order.parameters.get("source") is None:
        raise errors.InvalidInput(
            "Send the sound in audio, or the id of an artifact in source.", field="audio"
        )
    spec = kinds.parse(order.kind, order.parameters)
    if not takes_audio:
        return _Checked(spec, _worked_on(services, spec, None))
    seconds = _known_source(services, str(getattr(spec, "source", ""))).seconds
    spec.check_source(seconds or 0.0)
    return _Checked(spec, _worked_on(services, spec, seconds))


def _worked_on(services: Services, spec: JobSpec, source_seconds: float | None) -> float | None:
    """Return how much audio a job works on; what it makes must be short enough to work on again."""
    spec.check_result(source_seconds, most_seconds=services.settings.max_source_seconds)
    return spec.work_seconds(source_seconds)


def _known_source(services: Services, artifact_id: str) -> Artifact:
    try:
        source = services.artifacts.get(artifact_id)
    except errors.NotFound as error:
        raise errors.InvalidInput(error.message, field="source") from error
    if not formats.is_sound(source.media_type):
        raise errors.InvalidInput(_NO_SOUND, field="source")
    return source


def _without_source(order: Order) -> Mapping[str, Any]:
    if order.parameters.get("source") is not None:
        raise errors.InvalidInput("Send either audio or source.", field="source")
    return order.parameters


def _file_name(name: str, extension: str) -> str:
    """Return a name that is safe in a header and on any disk, with the ending its bytes deserve."""
    stem = PurePath(name.replace("\\", "/")).stem
    stem = _UNWANTED_IN_NAMES.sub("_", stem).strip(" ._")[:_LONGEST_NAME]
    return (stem or "audio") + extension
