"""What the routes about weights answer with, as plugins read it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from server.jobs.record import Job, now
from server.web.plugin import wording
from server.web.views import View

_DONE = Field(True, description="True: it was done.")


class ModelItem(BaseModel):
    """Weights by themselves."""

    name: str = Field(description="What to show.")
    path: str = Field(description="What to send as model_name.")
    type: Literal["single"] = Field("single", description="They have no siblings.")


class CheckpointItem(BaseModel):
    """Weights of a training, after some of its epochs."""

    name: str = Field(description="What to show.")
    path: str = Field(description="What to send as model_name.")
    epoch: int = Field(description="After how many epochs.")


class ModelGroup(BaseModel):
    """Weights of one training at several times."""

    name: str = Field(description="What to show of all of them.")
    type: Literal["group"] = Field("group", description="They are siblings.")
    checkpoints: list[CheckpointItem] = Field(description="The earliest first.")


class ModelsBySize(BaseModel):
    """Weights by the class of their size; in each what is here comes first."""

    small: list[ModelItem | ModelGroup] = Field(description="Up to 0.5 billion parameters.")
    medium: list[ModelItem | ModelGroup] = Field(description="Up to 2 billion.")
    large: list[ModelItem | ModelGroup] = Field(description="More than that.")


class ModelsView(View):
    """Weights that music can be continued with."""

    success: bool = _DONE
    models: ModelsBySize = Field(description="By size.")
    updated_at: datetime = Field(description="When this was looked up: now.")

    @classmethod
    def of(cls, sizes: Mapping[str, Sequence[ModelItem | ModelGroup]]) -> Self:
        """Show them."""
        return cls(models=ModelsBySize.model_validate(dict(sizes)), updated_at=now())


class HereView(BaseModel):
    """Whether weights are on this machine."""

    downloaded: bool = Field(description="Whether they are here, and whole as far as sizes tell.")
    licence: str = Field(description="What they and their results stand under.")
    size_bytes: int | None = Field(description="How much there is to fetch; null if unknown.")


class DownloadsView(View):
    """Which weights are here."""

    success: bool = _DONE
    models: dict[str, HereView] = Field(description="By path.")
    updated_at: datetime = Field(description="When this was looked up: now.")

    @classmethod
    def of(cls, models: Mapping[str, HereView]) -> Self:
        """Show them."""
        return cls(models=dict(models), updated_at=now())


class PredownloadRequest(BaseModel):
    """Weights to fetch."""

    model_name: str = Field(description="Their path in /api/models, or another owner/name.")


class PredownloadView(View):
    """A fetch that was begun."""

    success: bool = _DONE
    session_id: str = Field(description="Ask /api/models/predownload_status/{session_id} with it.")
    model_name: str = Field(description="What is fetched.")
    message: str = Field(description="A sentence for people: also what the weights stand under.")


class PredownloadStatusView(View):
    """How far a fetch is."""

    success: bool = Field(True, description="True even where it failed.")
    session_id: str = Field(description="Of this fetch.")
    model_name: str = Field(description="What is fetched.")
    status: str = Field(description="queued, warming, processing, completed or failed.")
    progress: int = Field(description="From 0 to 100.")
    queue_status: dict[str, Any] = Field(description="The same with a sentence and a place.")
    error: str | None = Field(description="Why it failed, in a sentence.")

    @classmethod
    def of(cls, job: Job, queue_status: Mapping[str, Any]) -> Self:
        """Show the job that fetches."""
        name, state = str(job.spec["name"]), wording.state_of(job)
        is_failed = state is wording.State.FAILED
        words = _WORDS.get(state)
        told = {"message": words.format(name=name)} if words else {}
        return cls(
            session_id=job.id,
            model_name=name,
            status=str(state),
            progress=wording.percent(job),
            queue_status={**queue_status, "session_id": job.id, **told},
            error=wording.error_of(job).message if is_failed else None,
        )


_WORDS = {
    wording.State.WARMING: "looking up {name}...",
    wording.State.PROCESSING: "fetching {name}...",
    wording.State.COMPLETED: "{name} is here.",
}
