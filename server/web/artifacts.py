"""`/artifacts`: sound in, sound out, in parts and in other formats."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal, cast

from flask import Request, Response, request
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from server import errors
from server.jobs.ports import Artifact
from server.media import codec, formats
from server.media.bounded import READERS
from server.web import callers, documentation, intake, parsing, views
from server.web.documentation import answers
from server.web.services import current

NO_SOUND = "There is no sound in this file; it can only be had as it is."

WRITABLE = {each.name: each for each in formats.FORMATS.values() if each.writable}

api = APIBlueprint(
    "artifacts", __name__, abp_tags=[documentation.tag("artifacts", "Stored sound.")]
)


class ArtifactPath(BaseModel):
    """Which artifact."""

    id: str = Field(max_length=64)


class Delivery(BaseModel):
    """How an artifact is wanted."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["wav", "flac", "mp3", "ogg"] | None = Field(
        None, description="Convert it. Without this the Accept header decides."
    )
    download: bool = Field(default=False, description="Ask browsers to save it, not to play it.")
    expires: int | None = Field(None, ge=0, le=2**53, description="Of a signed link: until when.")
    signature: str | None = Field(
        None, max_length=128, description="Of a signed link: it takes the place of a key."
    )


class UploadQuery(BaseModel):
    """What an upload is called."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, description="File name to remember.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The bytes of an answer, before it is known which part of them is wanted."""

    etag: str
    name: str
    media_type: str
    size_bytes: int
    artifact_id: str
    converted: bytes | None = None

    def part(self, start: int, end: int) -> Iterable[bytes]:
        """Return the bytes [start, end)."""
        if self.converted is not None:
            return (self.converted[start:end],)
        return current().artifacts.chunks(self.artifact_id, start, end)


@api.post(
    "/artifacts",
    request_body=documentation.upload_request(),
    responses=answers({201: views.ArtifactView}, 400, 413, 415, 422, 503, 507),
)
def upload(query: UploadQuery) -> Response:
    """Upload a sound: a form with the file in `audio`, or the file as the body."""
    with parsing.upload("audio", "file") as (data, file_name):
        artifact = intake.keep(current(), data, name=query.name or file_name)
    view = views.ArtifactView.of(artifact, link=current().downloads.url)
    return view.answer(201, Location=f"/artifacts/{artifact.id}")


@api.get(
    "/artifacts/<id>",
    responses=answers(
        {
            200: documentation.stored("The file."),
            206: documentation.stored("A part of it."),
            304: None,
        },
        404,
        410,
        416,
        422,
        503,
    ),
)
def fetch(path: ArtifactPath, query: Delivery) -> Response:
    """Download a file, whole or in part; a sound as it is or converted."""
    _let_in_by_link(path, query)
    artifact = current().artifacts.get(path.id)
    wanted = _conversion(query, artifact)
    content = _converted(artifact, wanted) if wanted else _stored(artifact)
    return _with_facts(_delivered(content), content, download=query.download)


@api.delete("/artifacts/<id>", responses=answers({204: None}, 404, 410, 422, 503))
def delete(path: ArtifactPath) -> Response:
    """Delete a sound."""
    artifact = current().artifacts.get(path.id)
    current().artifacts.delete(artifact.id)
    return Response(status=204)


def deliver(artifact: Artifact, *, download: bool = False) -> Response:
    """Return the answer with a stored file as it is, or with the part that the request wants."""
    content = _stored(artifact)
    return _with_facts(_delivered(content), content, download=download)


def _let_in_by_link(path: ArtifactPath, query: Delivery) -> None:
    """Let somebody without a key see what their link is for.

    Raises:
        errors.NoSuchArtifact: the link was signed by nobody here.
        errors.Expired: it was good once.
    """
    if callers.current() is callers.NOBODY:
        links = current().downloads
        links.check(path.id, expires=query.expires, signature=query.signature)
        callers.let_in(callers.EVERYBODY)


def _conversion(query: Delivery, artifact: Artifact) -> str | None:
    """Return the format to convert to, or None for the stored file.

    What an Accept header prefers means nothing to a file that is no sound.

    Raises:
        errors.InvalidInput: notes or a picture are wanted as sound; names `format`.
    """
    if formats.is_sound(artifact.media_type):
        return query.format or _accepted(request, artifact)
    if query.format is not None:
        raise errors.InvalidInput(NO_SOUND, field="format")
    return None


def _accepted(incoming: Request, artifact: Artifact) -> str | None:
    """Return the format to convert to, or None when the stored one is as welcome as any."""
    accept = incoming.accept_mimetypes
    stored = accept.quality(artifact.media_type.partition(";")[0])
    best = max(WRITABLE, key=lambda name: accept.quality(WRITABLE[name].media_type))
    return best if accept.quality(WRITABLE[best].media_type) > stored else None


def _stored(artifact: Artifact) -> Content:
    return Content(
        etag=artifact.id,
        name=artifact.name,
        media_type=artifact.media_type,
        size_bytes=artifact.size_bytes,
        artifact_id=artifact.id,
    )


def _converted(artifact: Artifact, wanted: str) -> Content:
    format_ = WRITABLE[wanted]
    if artifact.media_type == format_.media_type:
        return _stored(artifact)
    with parsing.turn():
        clip = READERS.decode(current().artifacts.read(artifact.id))
        data = codec.encode(clip, cast("codec.Writable", wanted))
    return Content(
        etag=f"{artifact.id}-{wanted}",
        name=PurePath(artifact.name).stem + format_.extension,
        media_type=format_.media_type,
        size_bytes=len(data),
        artifact_id=artifact.id,
        converted=data,
    )


def _delivered(content: Content) -> Response:
    if request.if_none_match.contains(content.etag):
        return Response(status=304)
    span = _wanted_part(request, content)
    if span is None:
        return Response(content.part(0, content.size_bytes), content_type=content.media_type)
    start, end = span
    part = content.part(start, end)
    response = Response(part, status=206, content_type=content.media_type)
    response.content_range.set(start, end, content.size_bytes)
    response.content_length = end - start
    return response


def _wanted_part(incoming: Request, content: Content) -> tuple[int, int] | None:
    """Return the bytes [start, end) a range request is for, None for everything.

    A header that is not understood, several ranges, and a part of another version are answered with
    everything, as RFC 9110 wants it.

    Raises:
        RequestedRangeNotSatisfiable: there are no such bytes.
    """
    wanted = incoming.range
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1:
        return None
    if "If-Range" in incoming.headers and incoming.if_range.etag != content.etag:
        return None
    start, end = wanted.ranges[0]
    if start < 0:
        start = max(0, start + content.size_bytes)
    end = min(content.size_bytes, content.size_bytes if end is None else end)
    if start >= end:
        raise RequestedRangeNotSatisfiable(content.size_bytes)
    return start, end


def _with_facts(response: Response, content: Content, *, download: bool) -> Response:
    response.set_etag(content.etag)
    response.accept_ranges = "bytes"
    response.vary.add("Accept")
    response.cache_control.private = True
    if response.status_code == 200:
        response.content_length = content.size_bytes
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.set(
        "Content-Disposition", "attachment" if download else "inline", filename=content.name
    )
    return response
