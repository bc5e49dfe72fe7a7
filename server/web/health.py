"""`/health` and its relatives: what is up, told in milliseconds whatever the workers do."""

import time
from collections.abc import Sequence
from importlib import metadata

from flask import Response, current_app
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field

from server import errors
from server.engines.catalog import ENGINES, Device
from server.jobs.ports import WorkerNote
from server.kinds.fields import EngineName
from server.web import catalog, documentation, health_views, pulse
from server.web.documentation import answers
from server.web.services import current

READY_WITHIN_SECONDS = 1.0
"""What has not answered by then is not ready; nobody takes a slow answer here for a dead server."""

api = APIBlueprint("health", __name__, abp_tags=[documentation.tag("health", "How the server is.")])


@api.get("/health", responses=answers({200: health_views.HealthView}))
def health() -> Response:
    """Tell how the server is. Always 200: what is missing is said in the fields."""
    seen = pulse.current().read()
    machine, workers = seen.machine, seen.workers
    devices = _devices(workers or ())
    missing, scarce = _missing(seen), _scarce(seen)
    return health_views.HealthView(
        condition=_condition(missing, scarce),
        reasons=[*missing, *scarce],
        gpu_available=bool(devices),
        model_loaded=any(note.loaded for note in workers or ()),
        system_resources=health_views.SystemResources(
            cpu_percent=machine.cpu_percent if machine else None,
            memory_percent=machine.memory_percent if machine else None,
            gpu_memory_used_mb=sum(device.used_mb for device in devices),
        ),
        uptime=round(time.monotonic() - pulse.current().started_at, 3),
        version=metadata.version("melodyflow"),
        environment=current().settings.environment,
        redis=seen.wire,
        database=seen.waiting is not None,
        workers=None if workers is None else len(workers),
        queue_length=seen.waiting,
        connections=len(current_app.extensions["socketio"].server.eio.sockets),
    ).answer()


@api.get("/health/live", responses=answers({200: health_views.LiveView}))
def live() -> Response:
    """Tell that this process answers."""
    return health_views.LiveView().answer()


class Wanted(BaseModel):
    """What must be ready."""

    model_config = ConfigDict(extra="forbid")

    engine: EngineName = Field(
        "auto", description="An engine's name. auto: any engine will do, as for most jobs."
    )


@api.get(
    "/health/ready",
    responses=answers({200: health_views.ReadyView, 503: health_views.ReadyView}, 422),
)
def ready(query: Wanted) -> Response:
    """Tell whether a job submitted now would run, on a certain engine if asked: 503 if not."""
    seen = pulse.current().read(patience_seconds=READY_WITHIN_SECONDS)
    broken = _broken(seen.workers or ())
    lacking = [broken[query.engine]] if query.engine in broken else []
    reasons = _missing(seen) + _unstorable(seen) + lacking
    view = health_views.ReadyView(ready=not reasons, reasons=reasons, engines=broken)
    return view.answer(503 if reasons else 200)


@api.get("/resources", responses=answers({200: health_views.ResourcesView}, 503))
def resources() -> Response:
    """Tell what this machine has left."""
    seen = pulse.current().read(patience_seconds=READY_WITHIN_SECONDS)
    if seen.machine is None:
        raise errors.Unavailable("The machine has not been looked at yet.")
    return health_views.ResourcesView.of(
        seen.machine,
        workers=seen.workers or (),
        devices=_devices(seen.workers or ()),
        queue_length=seen.waiting,
    ).answer()


def _missing(seen: pulse.Reading) -> list[str]:
    workers = seen.workers or ()
    checks = {
        "The queue cannot be reached.": seen.wire,
        "The record of jobs cannot be reached.": seen.waiting is not None,
        "No worker is running.": bool(workers),
        "No worker has an engine that works.": _has_engine(workers),
    }
    return [reason for reason, is_fine in checks.items() if not is_fine]


def _unstorable(seen: pulse.Reading) -> list[str]:
    return ["Results cannot be stored."] if seen.storage is False else []


def _scarce(seen: pulse.Reading) -> list[str]:
    """Return what there is too little of for all to go well."""
    least = current().settings.low_disk_megabytes * 2**20
    is_low = seen.machine is not None and seen.machine.disk_free < least
    return _unstorable(seen) + (["The disk is nearly full."] if is_low else [])


def _condition(missing: Sequence[str], scarce: Sequence[str]) -> health_views.Condition:
    if missing:
        return health_views.Condition.UNHEALTHY
    return health_views.Condition.DEGRADED if scarce else health_views.Condition.HEALTHY


def _broken(workers: Sequence[WorkerNote]) -> dict[str, str]:
    """Return why engines do not work at any of these workers."""
    offers = [catalog.offered(name, workers) for name in ENGINES]
    return {offer.engine: offer.reason for offer in offers if not offer.available}


def _devices(workers: Sequence[WorkerNote]) -> list[Device]:
    """Return the cards that workers see; several may see the same one."""
    return list({device.id: device for note in workers for device in note.devices}.values())


def _has_engine(workers: Sequence[WorkerNote]) -> bool:
    return any(offer.available for note in workers for offer in note.offers)
