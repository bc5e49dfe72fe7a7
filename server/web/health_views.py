"""What the routes about the server itself answer with."""

from collections.abc import Iterable
from typing import Self

from pydantic import BaseModel, Field

from server.engines.catalog import Device
from server.web.pulse import Machine
from server.web.views import View


class SystemResources(BaseModel):
    """The machine in three numbers."""

    cpu_percent: float | None
    memory_percent: float | None
    gpu_memory_used_mb: float


class HealthView(View):
    """How the server is. What is not known within milliseconds is null."""

    status: str = Field("live", description="Always live: a server that answers lives.")
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


class ResourcesView(View):
    """What this machine has left."""

    cpu: Processor
    memory: Space
    disk: Space
    gpus: list[CardView] = Field(description="As workers see them.")
    queue_length: int | None

    @classmethod
    def of(cls, machine: Machine, *, devices: Iterable[Device], queue_length: int | None) -> Self:
        """Show a machine."""
        return cls(
            cpu=Processor(cores=machine.cores, percent=machine.cpu_percent),
            memory=Space.of(machine.memory_used, machine.memory_total),
            disk=Space.of(machine.disk_used, machine.disk_total),
            gpus=[CardView.of(device) for device in devices],
            queue_length=queue_length,
        )
