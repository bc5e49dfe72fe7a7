"""How audio and jobs come in, whatever door they use: HTTP, the plugin's routes or Socket.IO."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePath
from typing import Any

from server import errors, kinds
from server.jobs.kind import JobSpec, Kind
from server.jobs.ports import Artifact
from server.jobs.record import Job, now
from server.media.bounded import READERS
from server.web.services import Services

_NOT_YET_STORED = "0" * 32
_UNWANTED_IN_NAMES = re.compile(r"[^\w .()+\-\[\]]")
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A job somebody wants: parameters of its kind, and the audio unless they name an artifact."""

    kind: Kind
    parameters: Mapping[str, Any]
    audio: bytes | None = None
    session_id: str | None = None
    webhook: str | None = None


def submit(services: Services, order: Order) -> Job:
    """Check an order, store its audio and hand the job to the workers.

    Raises:
        errors.InvalidInput: a parameter or the audio is wrong.
        errors.TooLong: there is too much audio.
        errors.Conflict: the session is busy.
        errors.Unavailable: too many jobs wait, or the queue cannot be reached.
    """
    if order.audio is None:
        return _hand_over(services, order, _of_stored_source(services, order))
    draft = kinds.parse(order.kind, {**_without_source(order), "source": _NOT_YET_STORED})
    source = keep(services, order.audio, name="source")
    try:
        draft.check_source(source.seconds or 0.0)
        return _hand_over(services, order, draft.model_copy(update={"source": source.id}))
    except errors.MelodyflowError:
        services.artifacts.delete(source.id)
        raise


def keep(services: Services, data: bytes, *, name: str) -> Artifact:
    """Store audio somebody sent.

    Raises:
        errors.UnreadableAudio: it is no audio, damaged, or there is no sound in it.
        errors.UnsupportedMedia: it is another kind of file.
        errors.TooLong: it is longer than the settings allow.
        errors.Unavailable: no file can be read now.
    """
    try:
        probe = READERS.check(data, max_seconds=services.settings.max_source_seconds)
    except (errors.InvalidInput, errors.TooLong) as error:
        error.field = "audio"
        raise
    return services.artifacts.save(
        data,
        name=_file_name(name, probe.format.extension),
        media_type=probe.media_type,
        seconds=probe.seconds,
        sample_rate=probe.sample_rate,
        channels=probe.channels,
        expires_at=now() + timedelta(hours=services.settings.results_hours),
    )


def _hand_over(services: Services, order: Order, spec: JobSpec) -> Job:
    return services.jobs.submit(
        order.kind,
        spec,
        session_id=order.session_id,
        seed=getattr(spec, "seed", None),
        webhook=order.webhook,
    )


def _of_stored_source(services: Services, order: Order) -> JobSpec:
    takes_audio = "source" in order.kind.Spec.model_fields
    if takes_audio and order.parameters.get("source") is None:
        raise errors.InvalidInput(
            "Send the sound in audio, or the id of an artifact in source.", field="audio"
        )
    spec = kinds.parse(order.kind, order.parameters)
    if takes_audio:
        seconds = _known_source(services, str(getattr(spec, "source", ""))).seconds
        spec.check_source(seconds or 0.0)
    return spec


def _known_source(services: Services, artifact_id: str) -> Artifact:
    try:
        return services.artifacts.get(artifact_id)
    except errors.NotFound as error:
        raise errors.InvalidInput(error.message, field="source") from error


def _without_source(order: Order) -> Mapping[str, Any]:
    if order.parameters.get("source") is not None:
        raise errors.InvalidInput("Send either audio or source.", field="source")
    return order.parameters


def _file_name(name: str, extension: str) -> str:
    """Return a name that is safe in a header and on any disk, with the ending its bytes deserve."""
    stem = PurePath(name.replace("\\", "/")).stem
    stem = _UNWANTED_IN_NAMES.sub("_", stem).strip(" ._")[:_LONGEST_NAME]
    return (stem or "audio") + extension
