"""`/inpaint`: replace windows of a sound, and ask where something could be put."""

from flask import Response
from flask_openapi.blueprint import APIBlueprint

from server.web import documentation, jobs, parsing, views
from server.web.documentation import answers

api = APIBlueprint(
    "inpaint",
    __name__,
    abp_tags=[documentation.tag("inpaint", "Windows of a sound, replaced by something else.")],
)


@api.post(
    "/inpaint",
    request_body=documentation.order_request("inpaint"),
    responses=answers(
        {200: views.KnownOrForecast, 202: views.Receipt}, 400, 409, 413, 415, 422, 429, 503, 507
    ),
)
def inpaint(query: jobs.Asking, header: parsing.IdempotencyHeader) -> Response:
    """Submit an inpainting, as `POST /jobs` with the kind inpaint does."""
    return jobs.submitted(query, header, kind="inpaint")
