"""What the routes about the server itself answer with."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, Field

from server.engines.catalog import Device
from server.jobs.ports import WorkerNote
from server.web.pulse import Machine
from server.web.views import View


class SystemResources(BaseModel):
    """The machine in three numbers."""

    cpu_percent: float | None
    memory_percent: float | None
    gpu_memory_used_mb: float


class Condition(StrEnum):
    """How well a server does its work."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


class HealthView(View):
    """How the server is. What is not known within milliseconds is null."""

    status: str = Field("live", description="Always live: a server that answers lives.")
    condition: Condition = Field(
        description="unhealthy: no job would run; degraded: there is no room, or hardly any."
    )
    reasons: list[str] = Field(description="What is missing.")
    gpu_available: bool
    model_loaded: bool
    system_resources: SystemResources
    uptime: float = Field(description="Seconds.")
    version: str
    environment: str
    redis: bool | None
    database: bool | None
    workers: int | None
    queue_length: int | None
    connections: int


class LiveView(View):
    """This process answers."""

    status: str = "live"


class ReadyView(View):
    """Whether jobs would run now."""

    ready: bool
    reasons: list[str] = Field(description="What is missing.")
    engines: dict[str, str] = Field(description="Those that do not work, and why.")


class Space(BaseModel):
    """How much there is of something."""

    total_bytes: int
    used_bytes: int
    percent: float

    @classmethod
    def of(cls, used: int, total: int) -> Self:
        """Show how much is used."""
        return cls(total_bytes=total, used_bytes=used, percent=round(100 * used / total, 1))


class Processor(BaseModel):
    """The processor."""

    cores: int
    percent: float


class CardView(BaseModel):
    """A card that networks run on."""

    name: str
    memory: Space

    @classmethod
    def of(cls, device: Device) -> Self:
        """Show a card."""
        used, total = (round(each * 2**20) for each in (device.used_mb, device.total_mb))
        return cls(name=device.name, memory=Space.of(used, total))


class WorkerView(BaseModel):
    """A worker that was heard of lately."""

    id: str
    memory_bytes: int
    is_busy: bool
    loaded: list[str] = Field(description="Engines in its memory.")

    @classmethod
    def of(cls, note: WorkerNote) -> Self:
        """Show a worker; what it works at is nobody's business."""
        return cls(
            id=note.id,
            memory_bytes=note.memory_mb * 2**20,
            is_busy=note.job_id is not None,
            loaded=list(note.loaded),
        )


class ResourcesView(View):
    """What this machine has left."""

    cpu: Processor
    memory: Space
    disk: Space
    disk_free_bytes: int = Field(description="Room where the data directory is.")
    web_memory_bytes: int = Field(description="What the process holds that answers this.")
    workers: list[WorkerView]
    gpus: list[CardView] = Field(description="As workers see them.")
    queue_length: int | None

    @classmethod
    def of(
        cls,
        machine: Machine,
        *,
        workers: Iterable[WorkerNote],
        devices: Iterable[Device],
        queue_length: int | None,
    ) -> Self:
        """Show a machine."""
        return cls(
            cpu=Processor(cores=machine.cores, percent=machine.cpu_percent),
            memory=Space.of(machine.memory_used, machine.memory_total),
            disk=Space.of(machine.disk_used, machine.disk_total),
            disk_free_bytes=machine.disk_free,
            web_memory_bytes=machine.own_memory,
            workers=[WorkerView.of(note) for note in workers],
            gpus=[CardView.of(device) for device in devices],
            queue_length=queue_length,
        )
