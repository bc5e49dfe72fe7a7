"""`/`: a page to try everything with, made of one template, one style sheet and one script."""

from flask import Response, make_response, render_template
from flask_openapi.blueprint import APIBlueprint

import variations
from server.web import documentation
from server.web.documentation import answers
from server.web.services import current

CONTENT_POLICY = "default-src 'self'; media-src 'self' blob:; img-src 'self' blob: data:"
"""Browsers refuse to load anything for the page that does not come from this server."""

api = APIBlueprint(
    "studio",
    __name__,
    static_folder="static",
    static_url_path="/static",
    template_folder="templates",
    abp_tags=[documentation.tag("studio", "The page for people.")],
)


@api.get("/", responses=answers({200: documentation.page_of("text/html", "The page.")}))
def studio() -> Response:
    """Show the page."""
    page = render_template(
        "studio.html",
        variations=variations.load(),
        most_seconds=current().settings.max_source_seconds,
    )
    response = make_response(page)
    response.headers["Content-Security-Policy"] = CONTENT_POLICY
    return response
