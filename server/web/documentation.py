"""The OpenAPI document: what routes say of themselves, and the page that shows it.

The page comes from a wheel and loads nothing from outside.
"""

import copy
from collections.abc import Mapping
from typing import Any

from flask import jsonify, redirect
from flask.typing import ResponseReturnValue
from flask_openapi.models.info import Info
from flask_openapi.models.tag import Tag
from flask_openapi.openapi import OpenAPI
from flask_openapi.types import ResponseDict
from flask_openapi_swagger.plugins import RegisterPlugin
from pydantic import BaseModel

from server import kinds
from server.media import formats
from server.web import errors, keys, views
from server.web.plugin import vocabulary

DOCUMENT = "/openapi.json"
PAGE = "/docs"
EVENTS = "x-socketio"
"""Where the document describes what OpenAPI has no words for: the events of both directions."""

_BINARY = {"type": "string", "format": "binary"}
_AUDIO = {
    "type": "string",
    "description": "The sound as base64 of an audio file; data URLs and line breaks are fine.",
}
_WEBHOOK = {
    "type": "string",
    "maxLength": 2000,
    "description": "A public http or https URL that is told of the job's ending.",
}


_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "query": {"type": "apiKey", "in": "query", "name": keys.PARAMETER},
}
"""Where a key may be, on servers that ask for one."""

_REFUSED = {"401": "No API key, or not a good one.", "429": "Too many requests."}


def application(import_name: str, *, version: str) -> OpenAPI:
    """Return a Flask application whose routes are described as they are declared."""
    app = OpenAPI(
        import_name,
        info=Info(
            title="MelodyFlow",
            version=version,
            description="Audio in, a preset or a sentence in, the same music out, played by "
            "something else.",
        ),
        doc_ui=False,
        validation_error_callback=errors.refuse_parameters,
        validation_error_model=views.Refusal,
        # the status whose default description is left out; every route describes its own 500
        validation_error_status=500,
    )
    app.openapi_version = "3.1.0"
    return app


def publish(app: OpenAPI) -> None:
    """Serve the document and its page."""
    app.config["SWAGGER_CONFIG"] = {"validatorUrl": None}  # else the page asks a foreign host

    def document() -> ResponseReturnValue:
        return jsonify({**_with_doors(app.api_doc), EVENTS: vocabulary.described()})

    def page() -> ResponseReturnValue:
        return redirect(f"{PAGE}/{RegisterPlugin.name}")

    app.add_url_rule(DOCUMENT, "openapi_document", document)
    app.add_url_rule(PAGE, "openapi_page", page)
    app.register_blueprint(RegisterPlugin.register(doc_url=DOCUMENT), url_prefix=PAGE)


def _with_doors(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with what every route that needs a key has in common."""
    document = copy.deepcopy(dict(described))
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if not keys.is_open(path):
                operation["security"] = [{name: []} for name in _KEYS]
                unexpected = operation["responses"]["500"]
                for status, meaning in _REFUSED.items():
                    refused = {**unexpected, "description": meaning}
                    operation["responses"].setdefault(status, refused)
    document.setdefault("components", {})["securitySchemes"] = _KEYS
    return document


def tag(name: str, description: str) -> Tag:
    """Return the heading that routes are listed under."""
    return Tag(name=name, description=description)


def answers(
    successes: ResponseDict,
    *failures: int,
    refusal: type[BaseModel] = views.Refusal,
) -> ResponseDict:
    """Return the answers of a route: what succeeds, and the failures beside an unexpected one."""
    described: ResponseDict = dict(successes)
    described.update(dict.fromkeys((*failures, 500), refusal))
    return described


def sound(description: str) -> dict[str, Any]:
    """Return the description of an answer that is an audio file."""
    types = [each.media_type for each in formats.FORMATS.values() if each.writable]
    return {
        "description": description,
        "content": {media_type: {"schema": _BINARY} for media_type in types},
    }


def stored(description: str) -> dict[str, Any]:
    """Return the description of an answer that is any stored file: sound, notes or a picture."""
    answer = sound(description)
    others = {name: {"schema": _BINARY} for name in (formats.MIDI_TYPE, "image/png")}
    return {**answer, "content": {**answer["content"], **others}}


def picture(description: str) -> dict[str, Any]:
    """Return the description of an answer that is a picture."""
    return {"description": description, "content": {"image/png": {"schema": _BINARY}}}


def file_of(media_type: str, description: str) -> dict[str, Any]:
    """Return the description of an answer that is a file of one kind."""
    return {"description": description, "content": {media_type: {"schema": _BINARY}}}


def page_of(media_type: str, description: str) -> dict[str, Any]:
    """Return the description of an answer that is text."""
    return {"description": description, "content": {media_type: {"schema": {"type": "string"}}}}


def job_request() -> dict[str, Any]:
    """Return the description of what `POST /jobs` takes: any kind's parameters at top level."""
    return {
        "description": "Parameters of the kind at top level, with the sound or an artifact's id.",
        "content": {
            "application/json": {
                "schema": {"oneOf": [_order(name, _AUDIO) for name in kinds.OFFERED]}
            },
            "multipart/form-data": {
                "schema": {"anyOf": [_order(name, _BINARY) for name in kinds.OFFERED]}
            },
        },
    }


def order_request(kind: str) -> dict[str, Any]:
    """Return the description of what a route for one kind of job takes."""
    return {
        "content": {
            "application/json": {"schema": _order_without_kind(kind, _AUDIO)},
            "multipart/form-data": {"schema": _order_without_kind(kind, _BINARY)},
        }
    }


def form_request(model: type[BaseModel], *, file_field: str) -> dict[str, Any]:
    """Return the description of a body that is JSON or a form with a file."""
    schema = model.model_json_schema()
    form = {**schema, "properties": {**schema["properties"], file_field: _BINARY}}
    return {
        "content": {
            "application/json": {"schema": schema},
            "multipart/form-data": {"schema": form},
        }
    }


def upload_request() -> dict[str, Any]:
    """Return the description of an upload: a form with a file, or the file itself."""
    form = {"type": "object", "properties": {"audio": _BINARY}, "required": ["audio"]}
    types = [each.media_type.partition(";")[0] for each in formats.FORMATS.values()]
    raw = {media_type: {"schema": _BINARY} for media_type in types}
    return {"content": {"multipart/form-data": {"schema": form}, **raw}}


def _order_without_kind(name: str, audio: Mapping[str, Any]) -> dict[str, Any]:
    schema = _order(name, audio)
    del schema["properties"]["kind"]
    return schema


def _order(name: str, audio: Mapping[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = kinds.KINDS[name].Spec.model_json_schema()
    properties = {
        "kind": {"type": "string", "const": name},
        **({"audio": dict(audio)} if "source" in schema["properties"] else {}),
        "session_id": {"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,128}$"},
        "webhook": _WEBHOOK,
        **schema["properties"],
    }
    required = [each for each in schema.get("required", ()) if each != "source"]
    return {**schema, "title": f"{name} job", "properties": properties, "required": required}
