"""`/continue` and `/generate`: music that goes on from a sound, and music from words alone."""

from flask import Response
from flask_openapi.blueprint import APIBlueprint

from server.web import asking_views, documentation, jobs, parsing, views
from server.web.documentation import answers

api = APIBlueprint(
    "extensions",
    __name__,
    abp_tags=[documentation.tag("extensions", "Music that goes on, and music from words.")],
)


@api.post(
    "/continue",
    request_body=documentation.order_request("continuation"),
    responses=jobs.TAKEN,
)
def go_on(query: jobs.Asking, header: parsing.IdempotencyHeader) -> Response:
    """Submit a continuation, as `POST /jobs` with the kind continuation does."""
    return jobs.submitted(query, header, kind="continuation")


@api.post(
    "/generate",
    request_body=documentation.order_request("generate"),
    responses=answers(
        {200: asking_views.KnownOrForecast, 202: views.Receipt}, 400, 409, 413, 415, 422, 429, 503
    ),
)
def generate(query: jobs.Asking, header: parsing.IdempotencyHeader) -> Response:
    """Submit music from words alone, as `POST /jobs` with the kind generate does."""
    return jobs.submitted(query, header, kind="generate")
