"""Everything that can go wrong, drawn once.

    MelodyflowError                 500 internal
    ├── InvalidInput                422 invalid_input         (carries the field's name)
    │   ├── UnreadableAudio         422 unreadable_audio
    │   ├── NoSuchVariation         422 no_such_variation
    │   └── UnsupportedMedia        415 unsupported_media
    ├── TooLong                     413 too_long
    ├── NotFound                    404 not_found
    │   ├── NoSuchJob               404 no_such_job
    │   ├── NoSuchArtifact          404 no_such_artifact
    │   ├── NoSuchSession           404 no_such_session
    │   └── Expired                 410 expired
    ├── Conflict                    409 conflict
    │   ├── Busy                    409 busy
    │   └── KeyReused               409 key_reused            (an Idempotency-Key)
    ├── Unauthorized                401 unauthorized          (WWW-Authenticate)
    ├── TooManyRequests             429 too_many_requests     (Retry-After)
    ├── QueueFull                   429 queue_full            (Retry-After, position)
    ├── Unavailable                 503 unavailable           (Retry-After)
    │   ├── EngineUnavailable       503 engine_unavailable
    │   ├── WireDown                503 wire_down
    │   └── AtCapacity              503 at_capacity
    ├── StorageFailed               507 storage               (a job's ending)
    └── EngineFailed                500 engine_failed         (a job's ending)
        └── OutOfMemory             500 out_of_memory         (a job's ending)

    Stop (BaseException: no `except Exception` of a library can swallow it)
    ├── Cancelled
    ├── DeviceLost
    ├── Interrupted
    └── TimedOut

A class docstring is the default message, so no error is ever blank. `code` is what clients switch
on, `status` the HTTP status. Messages are read by musicians: no paths, no traces, no secrets.
"""

from typing import ClassVar


class MelodyflowError(Exception):
    """Something went wrong on the server."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    retry_after_seconds: int | None = None

    def __init__(
        self,
        message: str | None = None,
        *,
        field: str | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        """Take the class docstring as message unless one is given; `field` names the bad input.

        `retry_after_seconds` is when to try again, where that is known better than of the class.
        """
        self.message = message or (type(self).__doc__ or self.code).strip()
        self.field = field
        if retry_after_seconds is not None:
            self.retry_after_seconds = retry_after_seconds
        super().__init__(self.message)


class InvalidInput(MelodyflowError):
    """The request is not valid."""

    status = 422
    code = "invalid_input"


class UnreadableAudio(InvalidInput):
    """The audio could not be read."""

    code = "unreadable_audio"


class NoSuchVariation(InvalidInput):
    """There is no such variation."""

    code = "no_such_variation"


class UnsupportedMedia(InvalidInput):
    """This kind of file is not supported."""

    status = 415
    code = "unsupported_media"


class TooLong(MelodyflowError):
    """The audio is longer than this server takes."""

    status = 413
    code = "too_long"


class NotFound(MelodyflowError):
    """There is nothing here."""

    status = 404
    code = "not_found"


class NoSuchJob(NotFound):
    """There is no such job."""

    code = "no_such_job"


class NoSuchArtifact(NotFound):
    """There is no such artifact."""

    code = "no_such_artifact"


class NoSuchSession(NotFound):
    """Session not found"""

    code = "no_such_session"


class Expired(NotFound):
    """This result has expired."""

    status = 410
    code = "expired"


class Conflict(MelodyflowError):
    """That cannot be done in the job's present state."""

    status = 409
    code = "conflict"


class Busy(Conflict):
    """This session already has a job in progress."""

    code = "busy"


class KeyReused(Conflict):
    """This Idempotency-Key was sent with another request."""

    code = "key_reused"


class Unauthorized(MelodyflowError):
    """An API key is needed: send it as a Bearer token or in X-API-Key."""

    status = 401
    code = "unauthorized"


class TooManyRequests(MelodyflowError):
    """Too many requests. Please try again later."""

    status = 429
    code = "too_many_requests"
    retry_after_seconds = 60


class QueueFull(MelodyflowError):
    """Too many jobs are waiting. Please try again later."""

    status = 429
    code = "queue_full"
    retry_after_seconds = 5

    def __init__(
        self,
        message: str | None = None,
        *,
        position: int | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        """Take how many jobs wait already, and when one of them will have begun."""
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.position = position


class Unavailable(MelodyflowError):
    """The server cannot do this right now. Please try again."""

    status = 503
    code = "unavailable"
    retry_after_seconds = 5


class EngineUnavailable(Unavailable):
    """No engine that can do this is available."""

    code = "engine_unavailable"


class WireDown(Unavailable):
    """The queue cannot be reached. Please try again."""

    code = "wire_down"


class AtCapacity(Unavailable):
    """Server is currently at capacity. Please try again later."""

    code = "at_capacity"


class StorageFailed(MelodyflowError):
    """The result could not be stored."""

    status = 507
    code = "storage"


class EngineFailed(MelodyflowError):
    """The engine could not do this."""

    code = "engine_failed"


class OutOfMemory(EngineFailed):
    """There was not enough memory for this."""

    code = "out_of_memory"


class Stop(BaseException):
    """The job should stop."""


class Cancelled(Stop):
    """The job was cancelled."""


class DeviceLost(Stop):
    """The card that computes does not answer this process any more; a fresh process may reach it.

    The job is handed back once; the worker process ends and is started anew.
    """


class Interrupted(Stop):
    """The worker is shutting down; the job goes back to the queue."""


class TimedOut(Stop):
    """The job took longer than its deadline allows."""
