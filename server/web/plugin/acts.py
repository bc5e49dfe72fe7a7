"""What plugins ask for, as the first services call it: a transform, and three continuations.

A job that came through another door is told of as what it is most like. Knows records and names.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from server.jobs.record import Job
from server.kinds import continuation, generate, transform


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing to ask for.

    Attributes:
        name: of the request: of the route, and of the event without its ending.
        done: the event that brings the result.
        begun: what is said of a job that was taken.
        busy: what is said where another one is to come while this one lives.
        doing: what is said while it is done.
        is_generation: whether it makes more music; else it changes what there is.
    """

    name: str
    done: str
    begun: str = "Generation started"
    busy: str = "Generation already in progress"
    doing: str = "generating..."
    is_generation: bool = True

    @property
    def received(self) -> str:
        """The event that confirms the request."""
        return f"{self.name}_received"

    @property
    def request(self) -> str:
        """The event that asks for it."""
        return f"{self.name}_request"


TRANSFORM = Act(
    name="transform_audio",
    done="audio_transformed",
    begun="Transform started",
    busy="Transform already in progress",
    doing="transforming...",
    is_generation=False,
)
PROCESS = Act(name="process_audio", done="audio_processed")
CONTINUE = Act(name="continue_music", done="music_continued")
RETRY = Act(name="retry_music", done="music_retried")

ACTS = (TRANSFORM, PROCESS, CONTINUE, RETRY)

_NAMED: Mapping[str, Act] = {act.name: act for act in ACTS}
_OF_KIND: Mapping[str, Act] = {
    transform.NAME: TRANSFORM,
    continuation.NAME: CONTINUE,
    generate.NAME: PROCESS,
}


def told_of(job: Job) -> Act | None:
    """Return as what plugins are told of a job; None of what they know nothing like."""
    return _NAMED.get(job.asked_as or "") or _OF_KIND.get(job.kind)


def likened(job: Job) -> Act:
    """Return as what a job is shown to who asks; what is like nothing else is a transform."""
    return told_of(job) or TRANSFORM
