"""`/variations`, `/engines`, `/kinds`: what can be asked for."""

from collections.abc import Sequence

from flask import Response
from flask_openapi.blueprint import APIBlueprint

import variations
from server import kinds
from server.engines.catalog import ENGINES
from server.jobs.ports import Offer, WorkerNote
from server.web import documentation, views
from server.web.documentation import answers
from server.web.services import current

api = APIBlueprint(
    "catalog", __name__, abp_tags=[documentation.tag("catalog", "What can be asked for.")]
)


@api.get("/variations", responses=answers({200: views.VariationsView}))
def show_variations() -> Response:
    """List the presets in the order clients number them in."""
    presets = variations.load().items()
    shown = {name: views.VariationView.of(preset) for name, preset in presets}
    return views.VariationsView(variations=shown).answer()


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
