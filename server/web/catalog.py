"""`/variations`, `/engines`, `/kinds`: what can be asked for."""

import hashlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from flask import Response, send_file
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, Field

import variations
from server import errors, kinds
from server.engines.catalog import ENGINES
from server.jobs.ports import Offer, WorkerNote
from server.kinds import choices
from server.media.formats import FORMATS
from server.web import catalog_views, documentation, views
from server.web.documentation import answers
from server.web.services import current

api = APIBlueprint(
    "catalog", __name__, abp_tags=[documentation.tag("catalog", "What can be asked for.")]
)

_EXAMPLE = FORMATS["ogg"]
_EXAMPLE_SECONDS = 300
"""How long a browser plays an example without asking whether there is a newer one."""


class VariationPath(BaseModel):
    """Which preset."""

    name: str = Field(max_length=64)


@api.get("/variations", responses=answers({200: catalog_views.VariationsView}))
def show_variations() -> Response:
    """List the presets in the order clients number them in."""
    examples = rendered()
    return catalog_views.VariationsView(
        variations={
            name: catalog_views.VariationView.of(preset, example=examples.get(name))
            for name, preset in variations.load().items()
        },
        problems=[catalog_views.ProblemView.of(problem) for problem in variations.problems()],
    ).answer()


@api.get(
    "/variations/<name>/example",
    responses=answers(
        {
            200: documentation.file_of(_EXAMPLE.media_type, "The example."),
            206: documentation.file_of(_EXAMPLE.media_type, "A part of it."),
            304: None,
        },
        404,
        416,
        422,
    ),
)
def example(path: VariationPath) -> Response:
    """Play the bundled riff as a preset plays it; `make examples` renders it."""
    if path.name not in variations.load():
        raise errors.NotFound(choices.no_such_preset(path.name))
    file = _example(path.name)
    if not file.is_file():  # a few hundred kilobytes at most, so the whole of it is read
        raise errors.NotFound(
            f"The example of {path.name} is not rendered on this server; `make examples` does it."
        )
    data = file.read_bytes()
    response = send_file(
        BytesIO(data),
        mimetype=_EXAMPLE.media_type,
        etag=hashlib.sha256(data).hexdigest()[:32],
        conditional=True,
        max_age=_EXAMPLE_SECONDS,
    )
    response.cache_control.public = False  # a key may be needed
    response.cache_control.private = True
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def rendered() -> dict[str, str]:
    """Return where the examples of presets are that were rendered here, by name."""
    return {
        name: f"/variations/{name}/example"
        for name in variations.load()
        if _example(name).is_file()
    }


def _example(name: str) -> Path:
    folder = current().settings.examples_dir.resolve()
    return folder / f"{name}{_EXAMPLE.extension}"


@api.get("/engines", responses=answers({200: views.EnginesView}, 503))
def show_engines() -> Response:
    """List the engines and whether a live worker has them."""
    workers = current().live_workers()
    engines = [views.EngineView.of(card, offered(card.name, workers)) for card in ENGINES.values()]
    return views.EnginesView(engines=engines).answer()


@api.get("/kinds", responses=answers({200: views.KindsView}))
def show_kinds() -> Response:
    """List the job kinds and their parameters."""
    return views.KindsView(
        kinds=[views.KindView.of(kind) for kind in kinds.OFFERED.values()]
    ).answer()


def offered(engine: str, workers: Sequence[WorkerNote]) -> Offer:
    """Return the best that any of these workers says of an engine."""
    said = [offer for worker in workers for offer in worker.offers if offer.engine == engine]
    reason = "No worker has it." if workers else "No worker is running."
    none = Offer(engine=engine, available=False, reason=reason)
    return max(said, key=lambda offer: offer.available, default=none)
