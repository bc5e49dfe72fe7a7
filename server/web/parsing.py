"""Requests to checked values: bodies, base64, names.

What is wrong is refused with the field's name; nothing that was sent is ever repeated in an answer.
Knows the request, not what becomes of it.
"""

import json
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Annotated, Any

import pybase64
from flask import request
from pydantic import BaseModel, Field
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from server import errors
from server.jobs.service import IDEMPOTENCY_HEADER
from server.media import formats

PARSED_AT_ONCE = 4
"""Bodies that are decoded at the same time: each takes a few times its size in memory."""

IN_MEMORY = 2**20
"""Bytes of a body that wait in memory; larger ones wait in a temporary file."""

STEP = 2**18
"""Bytes received at once."""

MULTIPART = "multipart/form-data"

IDEMPOTENCY_KEY = r"^[!-~]{1,200}$"
"""What an Idempotency-Key looks like."""

_turns = threading.BoundedSemaphore(PARSED_AT_ONCE)

_SESSION_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_WHITESPACE = b" \t\r\n\v\f"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


@dataclass(frozen=True, slots=True)
class Submission:
    """What was sent: audio, if it came with the request, and everything else by name."""

    audio: bytes | None
    fields: Mapping[str, Any]


class IdempotencyHeader(BaseModel):
    """The sender's name for a request."""

    key: Annotated[str, Field(pattern=IDEMPOTENCY_KEY)] | None = Field(
        None,
        alias=IDEMPOTENCY_HEADER,
        description="1 to 200 visible ASCII characters that name the request: sent again with "
        "them, it makes no second job.",
    )


@contextmanager
def submission(*audio_fields: str) -> Iterator[Submission]:
    """Yield what a JSON or multipart request sent; few requests at a time get past this.

    Audio is the first of `audio_fields` that is there: base64, or a file.

    Raises:
        errors.InvalidInput: the audio is not base64 or is empty.
        UnsupportedMediaType: the body is neither JSON nor multipart.
        BadRequest: the body is not what its content type says.
    """
    if request.mimetype == MULTIPART:
        files = request.files.to_dict()
        fields = {name: _one_or_all(values) for name, values in request.form.lists()}
        with _turns:
            yield _with_audio({**fields, **files}, audio_fields)
    elif request.is_json:
        with _received() as body, _turns:
            yield _with_audio(json_object(body.read()), audio_fields)
    else:
        raise UnsupportedMediaType("Send application/json or multipart/form-data.")


@contextmanager
def upload(*file_fields: str) -> Iterator[tuple[bytes, str]]:
    """Yield bytes and name of a file sent as multipart or as the body itself.

    Raises:
        errors.InvalidInput: there is none, or it is empty.
        errors.UnsupportedMedia: the content type is certainly no audio.
    """
    name = request.args.get("name", "")
    if request.mimetype == MULTIPART:
        sent = next((request.files[each] for each in file_fields if each in request.files), None)
        if sent is None:
            raise errors.InvalidInput("Send the file in the field `audio`.", field="audio")
        with _turns:
            yield _not_empty(sent.read(), "audio"), name or sent.filename or ""
        return
    if not _may_be_audio(request.mimetype):
        raise errors.UnsupportedMedia(f"Send an audio file. {formats.supported()}", field="audio")
    with _received() as body, _turns:
        yield _not_empty(body.read(), "audio"), name


@contextmanager
def turn() -> Iterator[None]:
    """Wait for a turn: few decode audio at the same time."""
    with _turns:
        yield


def json_object(raw: bytes | str) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        BadRequest: it is not JSON, or JSON of another type.
    """
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadRequest("The body is not valid JSON.") from error
    if not isinstance(value, dict):
        raise BadRequest("The body must be a JSON object.")
    return value


def audio_bytes(text: object, *, field: str) -> bytes:
    """Return what base64 stands for; line breaks, data URLs and the URL-safe alphabet are read too.

    Raises:
        errors.InvalidInput: it is not base64, or empty.
    """
    if not isinstance(text, str):
        raise errors.InvalidInput("The audio must be base64 text.", field=field)
    try:
        return _not_empty(_decoded(text), field)
    except ValueError as error:
        raise errors.InvalidInput("The audio is not valid base64.", field=field) from error


def session_id(value: object) -> str | None:
    """Return a session id, or None where none is given.

    Raises:
        errors.InvalidInput: it is too long or has characters that no id has.
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _SESSION_ID.fullmatch(value):
        raise errors.InvalidInput(
            "A session_id has 1 to 128 letters, digits or any of _ . : -", field="session_id"
        )
    return value


def word(value: object, *, field: str) -> str:
    """Return a text.

    Raises:
        errors.InvalidInput: it is something else.
    """
    if not isinstance(value, str):
        raise errors.InvalidInput(f"{field} must be a text.", field=field)
    return value


def is_yes(value: object) -> bool:
    """Tell whether a JSON value or a form field says yes."""
    return value is True or (isinstance(value, str) and value.lower() in ("true", "1", "yes"))


def _one_or_all(values: list[str]) -> str | list[str]:
    """Return what a form has under a name; a field that is sent again is a list, never lost."""
    return values[0] if len(values) == 1 else values


@contextmanager
def _received() -> Iterator[IO[bytes]]:
    """Yield the whole body: a slow sender takes nobody's turn, and who waits for one waits on disk.

    Raises:
        RequestEntityTooLarge: it is larger than the settings allow.
        ClientDisconnected: not all of it came.
    """
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as body:
        shutil.copyfileobj(request.stream, body, STEP)
        body.seek(0)
        yield body


def _with_audio(sent: dict[str, Any], audio_fields: tuple[str, ...]) -> Submission:
    fields = {name: value for name, value in sent.items() if name not in audio_fields}
    for name in audio_fields:
        value = sent.get(name)
        if isinstance(value, FileStorage):
            return Submission(_not_empty(value.read(), name), fields)
        if value is not None and value != "":  # forms and older clients leave fields blank
            return Submission(audio_bytes(value, field=name), fields)
    return Submission(None, fields)


def _decoded(text: str) -> bytes:
    """Decode. Raises `ValueError`."""
    if text[:5].lower() == "data:":
        text = text[text.index(",") + 1 :]
    raw = text.encode("ascii")
    try:
        return pybase64.b64decode(raw, validate=True)
    except ValueError:
        raw = raw.translate(_URL_SAFE, _WHITESPACE).rstrip(b"=")
        return pybase64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)


def _not_empty(data: bytes, field: str) -> bytes:
    if not data:
        raise errors.InvalidInput("The audio is empty.", field=field)
    return data


def _may_be_audio(media_type: str) -> bool:
    return media_type in ("", "application/octet-stream", "application/ogg", "video/mp4") or (
        media_type.startswith("audio/")
    )
