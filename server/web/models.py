"""`/api/models`: weights that music can be continued with, and fetching them.

Looks at names and sizes alone; a worker fetches. Where keys are asked for that is for operators.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from flask import Response
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, Field

from server import errors, kinds
from server.config import Settings
from server.engines.checkpoints import cards, store
from server.engines.checkpoints.cards import Card, Family, Scale
from server.web import callers, documentation, intake, model_views, parsing
from server.web.documentation import answers
from server.web.model_views import CheckpointItem, HereView, ModelGroup, ModelItem
from server.web.plugin import payload, refusals, views, wording
from server.web.services import current

PULL = "pull"
"""The job kind that fetches."""

_UNKNOWN = "There are no weights of that name to be had."

_CHECKPOINT = re.compile(r"(.+)-(\d{1,9})")
"""Weights of one training are named for it and for how many epochs it had lasted."""

api = APIBlueprint(
    "models",
    __name__,
    url_prefix="/api/models",
    abp_tags=[documentation.tag("models", "Weights that music can be continued with.")],
)


class Which(BaseModel):
    """Which weights."""

    model_name: str | None = Field(None, description="These alone.")


class FetchPath(BaseModel):
    """Which fetch."""

    session_id: str


_FETCH = {
    "content": {"application/json": {"schema": model_views.PredownloadRequest.model_json_schema()}}
}


@api.get("", responses=answers({200: model_views.ModelsView}, refusal=views.PluginRefusal))
def show() -> Response:
    """List weights by size; what is here comes first, whatever else is known can be fetched."""
    scales = _scales(current().settings)
    sizes = {
        size: grouped(name for name, scale in scales.items() if scale == size)
        for size in model_views.ModelsBySize.model_fields
    }
    return model_views.ModelsView.of(sizes).answer()


@api.get(
    "/download_status",
    responses=answers({200: model_views.DownloadsView}, 404, refusal=views.PluginRefusal),
)
def download_status(query: Which) -> Response:
    """Tell which of these weights are here."""
    here = _here(current().settings)
    if query.model_name:
        if query.model_name not in here:
            raise errors.NotFound(_UNKNOWN, field="model_name")
        here = {query.model_name: here[query.model_name]}
    return model_views.DownloadsView.of(here).answer()


@api.post(
    "/predownload",
    request_body=_FETCH,
    responses=answers(
        {200: model_views.PredownloadView}, 400, 404, 503, refusal=views.PluginRefusal
    ),
)
def predownload() -> Response:
    """Have weights fetched; asking for them is agreeing to what they stand under."""
    callers.require_admin()
    with parsing.submission() as sent:
        name = payload.model_name(sent.fields)
    if name is None:
        raise errors.InvalidInput("model_name is missing.", field="model_name")
    card = _known(current().settings).get(name)
    if card is None:
        raise errors.NotFound(_UNKNOWN, field="model_name")
    order = intake.Order(kind=kinds.kind_named(PULL), parameters={"name": card.name})
    job = intake.submit(current(), order).job
    message = f"Fetching {card.name}. It stands under {card.licence}. {card.meaning}"
    view = model_views.PredownloadView(session_id=job.id, model_name=card.name, message=message)
    return view.answer()


@api.get(
    "/predownload_status/<session_id>",
    responses=answers(
        {200: model_views.PredownloadStatusView}, 404, 503, refusal=views.PluginRefusal
    ),
)
def predownload_status(path: FetchPath) -> Response:
    """Tell how far a fetch is."""
    jobs = current().jobs
    try:
        job = jobs.get(path.session_id)
    except errors.NoSuchJob as error:
        raise errors.NoSuchSession from error
    if job.kind != PULL:
        raise errors.NoSuchSession
    queue_status = wording.queue_status(job, jobs.outlook(job))
    return model_views.PredownloadStatusView.of(job, queue_status).answer()


def grouped(paths: Iterable[str]) -> list[ModelItem | ModelGroup]:
    """Return weights as they are listed: what comes of one training is one entry.

    Each stands where the first of its training did.
    """
    trainings: dict[str, dict[str, int | None]] = {}
    for path in paths:
        found = _CHECKPOINT.fullmatch(path)
        training, epoch = (found[1], int(found[2])) if found else (path, None)
        trainings.setdefault(training, {})[path] = epoch
    return list(_listed(trainings))


def _listed(
    trainings: Mapping[str, Mapping[str, int | None]],
) -> Iterator[ModelItem | ModelGroup]:
    for training, paths in trainings.items():
        epochs = {path: epoch for path, epoch in paths.items() if epoch is not None}
        is_group = len(epochs) > 1
        for path in paths:
            if path not in epochs or not is_group:
                yield ModelItem(name=_shown(path), path=path)
        if is_group:
            in_order = sorted(epochs.items(), key=lambda each: each[1])
            items = [CheckpointItem(name=_shown(path), path=path, epoch=n) for path, n in in_order]
            yield ModelGroup(name=_shown(training), checkpoints=items)


def _shown(path: str) -> str:
    return path.rpartition("/")[2]


def _scales(settings: Settings) -> dict[str, Scale]:
    """Return the class of each by name: those that are here, then those that could be."""
    kept = [each for each in store.kept(settings) if each.family is Family.LANGUAGE]
    found = {each.name: each.scale for each in kept}
    for card in _known(settings).values():
        if card.family is Family.LANGUAGE:
            found.setdefault(card.name, card.scale)
    return found


def _known(settings: Settings) -> dict[str, Card]:
    """Return the weights that may be fetched, by name."""
    finetunes = [cards.card_of(name) for name in settings.musicgen_finetunes]
    named = {card.name: card for card in finetunes if card is not None}
    return {**named, **cards.CARDS}


def _here(settings: Settings) -> dict[str, HereView]:
    """Return by name whether weights are here."""
    here = {kept.name: kept.licence for kept in store.kept(settings)}
    known = _known(settings)
    return {
        name: HereView(
            downloaded=name in here,
            licence=here.get(name) or known[name].licence,
            size_bytes=_size(known.get(name)),
        )
        for name in dict.fromkeys((*here, *known))
    }


def _size(card: Card | None) -> int | None:
    return card.size if card is not None and all(card.sizes.values()) else None


refusals.attach(api)
