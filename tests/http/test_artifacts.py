"""Artifacts: sound in and out, whole, in parts, in other formats."""

from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.jobs.record import now
from server.media import codec
from tests.http import sounds
from tests.http.conftest import MakeWorld
from tests.http.world import World

WAV = sounds.wav()


def upload(here: World, data: bytes = WAV, *, name: str = "riff.wav") -> dict[str, Any]:
    """Upload a sound as a body and return what is told of it."""
    response = here.client.post(
        "/artifacts", query_string={"name": name}, data=data, content_type="audio/wav"
    )
    return here.json(response, status=201)


def test_a_body_is_stored_as_it_is(here: World) -> None:
    """Raw upload: the facts come back, and the same bytes."""
    told = upload(here, sounds.wav(0.5, rate=22_050, channels=2))
    fetched = here.client.get(told["url"])

    assert ("riff.wav", "audio/wav") == (told["name"], told["media_type"])
    assert (22_050, 2, 0.5) == (told["sample_rate"], told["channels"], told["seconds"])
    assert sounds.wav(0.5, rate=22_050, channels=2) == fetched.data


@pytest.mark.parametrize("field", ["audio", "file"])
def test_a_form_is_stored_too(here: World, field: str) -> None:
    """Multipart upload, in either field."""
    response = here.client.post("/artifacts", data={field: (BytesIO(WAV), "a loop.wav")})

    assert here.json(response, status=201)["name"] == "a loop.wav"
    assert response.headers["Location"] == response.get_json()["url"]


def test_bytes_decide_what_a_file_is(here: World) -> None:
    """A FLAC file called .wav and sent as WAV is FLAC."""
    told = upload(here, sounds.flac(), name="liar.wav")

    assert ("liar.flac", "audio/flac") == (told["name"], told["media_type"])


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd.wav"),
        ('a";b\r\nSet-Cookie: x', "a__b__Set-Cookie_ x.wav"),
        ("C:\\Users\\me\\riff.mp3", "riff.wav"),
        ("", "audio.wav"),
        ("...", "audio.wav"),
        ("grüße.wav", "grüße.wav"),
        ("x" * 300, "x" * 100 + ".wav"),
    ],
)
def test_names_are_made_safe(here: World, name: str, kept: str) -> None:
    """No path, no header, no endless name."""
    told = upload(here, name=name)
    disposition = here.client.get(told["url"]).headers["Content-Disposition"]

    assert kept == told["name"]
    assert "\n" not in disposition


@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b"", "audio/wav", 422),
        (b"\x00" * 100, "audio/wav", 422),
        (WAV[:20], "audio/wav", 422),
        (sounds.empty_wav(), "audio/wav", 422),
        (codec.encode(sounds.tone(0.1), "flac")[:60], "audio/flac", 422),
        (b"MThd" + bytes(20), "audio/midi", 415),
        (b"%PDF-1.7", "application/octet-stream", 415),
        (b"{}", "application/json", 415),
        (b"", "multipart/form-data; boundary=x", 422),
    ],
)
def test_what_is_no_sound_is_refused(
    here: World, data: bytes, content_type: str, status: int
) -> None:
    """422 for damaged, 415 with the list for other things."""
    response = here.client.post("/artifacts", data=data, content_type=content_type)
    error = here.json(response, status=status)["error"]

    assert error["field"] == "audio"
    assert status != 415 or "FLAC" in error["message"]


def test_too_long_a_sound_is_refused(make_world: MakeWorld) -> None:
    """413."""
    here = make_world(max_source_seconds=0.4)
    response = here.client.post("/artifacts", data=WAV, content_type="audio/wav")

    assert here.json(response, status=413)["error"]["code"] == "too_long"


def test_a_length_nobody_tells_is_measured(make_world: MakeWorld) -> None:
    """A stream without a length is decoded as far as the limit goes."""
    here = make_world(max_source_seconds=0.4)
    streamed = sounds.streamed_flac(1.0)
    response = here.client.post("/artifacts", data=streamed, content_type="audio/flac")

    assert here.json(response, status=413)["error"]["code"] == "too_long"


def test_a_streamed_sound_gets_its_length(here: World) -> None:
    """What was measured is told."""
    told = upload(here, sounds.streamed_flac(1.0), name="stream")

    assert told["seconds"] == 1.0


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-99", (0, 100)),
        ("bytes=100-", (100, None)),
        ("bytes=-50", (-50, None)),
        ("bytes=-99999999", (0, None)),
        ("bytes=10-99999999", (10, None)),
    ],
)
def test_a_part_can_be_had(here: World, header: str, expected: tuple[int, int | None]) -> None:
    """206 with exactly the bytes asked for."""
    url = upload(here)["url"]
    response = here.client.get(url, headers={"Range": header})

    assert response.status_code == 206
    assert WAV[slice(*expected)] == response.data
    assert response.headers["Content-Range"].endswith(f"/{len(WAV)}")
    assert len(response.data) == response.content_length


@pytest.mark.parametrize("header", ["bytes=99999999-"])
def test_a_part_that_is_not_there_is_416(here: World, header: str) -> None:
    """With the true size."""
    response = here.client.get(upload(here)["url"], headers={"Range": header})

    assert response.status_code == 416
    assert f"bytes */{len(WAV)}" == response.headers["Content-Range"]
    assert response.get_json()["error"]["code"] == "range_not_satisfiable"


@pytest.mark.parametrize(
    "header", ["lines=0-5", "bytes=-0", "bytes=0-1,5-6", "bytes=x", "nonsense"]
)
def test_a_range_not_understood_gives_everything(here: World, header: str) -> None:
    """200, as the standard wants it."""
    response = here.client.get(upload(here)["url"], headers={"Range": header})

    assert (200, WAV) == (response.status_code, response.data)


@given(start=st.integers(0, len(WAV) + 10), length=st.integers(1, len(WAV)))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_part_is_a_slice(here: World, start: int, length: int) -> None:
    """The slow and obvious version: cut the whole file."""
    artifact = here.artifacts.save(WAV, name="a.wav", media_type="audio/wav")
    header = {"Range": f"bytes={start}-{start + length - 1}"}
    response = here.client.get(f"/artifacts/{artifact.id}", headers=header)
    expected = WAV[start : start + length]

    assert (206 if expected else 416) == response.status_code
    assert not expected or expected == response.data


def test_parts_belong_to_one_version(here: World) -> None:
    """If-Range: the part when the tag is still right, everything when not."""
    url = upload(here)["url"]
    tag = here.client.get(url).headers["ETag"]
    statuses = [
        here.client.get(url, headers={"Range": "bytes=0-9", "If-Range": each}).status_code
        for each in (tag, '"other"', "Sat, 01 Jan 2000 00:00:00 GMT")
    ]

    assert [206, 200, 200] == statuses
    assert not tag.startswith("W/")


def test_what_is_known_is_not_sent_again(here: World) -> None:
    """If-None-Match: 304."""
    url = upload(here)["url"]
    tag = here.client.get(url).headers["ETag"]
    response = here.client.get(url, headers={"If-None-Match": tag})

    assert (304, b"") == (response.status_code, response.data)


def test_heads_tell_without_sending(here: World) -> None:
    """HEAD has the headers of GET and no body."""
    response = here.client.head(upload(here)["url"])

    assert (200, b"") == (response.status_code, response.data)
    assert len(WAV) == response.content_length
    assert response.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("wanted", ["flac", "mp3", "ogg", "wav"])
def test_other_formats_are_made(here: World, wanted: str) -> None:
    """`?format=` converts, names and labels the result."""
    response = here.client.get(f"{upload(here)['url']}?format={wanted}")
    clip = codec.decode(response.data)

    assert codec.probe(response.data).media_type == response.mimetype
    assert f"riff.{wanted}" in response.headers["Content-Disposition"]
    assert codec.decode(WAV).length == pytest.approx(clip.length, abs=2_000)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("audio/flac", "audio/flac"),
        ("audio/mpeg, audio/wav;q=0.5", "audio/mpeg"),
        ("audio/webm,audio/ogg,audio/wav,audio/*;q=0.9", "audio/wav"),
        ("audio/*", "audio/wav"),
        ("*/*", "audio/wav"),
        ("image/png", "audio/wav"),
    ],
)
def test_the_accept_header_decides(here: World, accept: str, expected: str) -> None:
    """The stored format, unless another is more welcome."""
    response = here.client.get(upload(here)["url"], headers={"Accept": accept})

    assert expected == response.mimetype
    assert "Accept" in response.headers["Vary"]


def test_parts_of_a_converted_sound_fit_together(here: World) -> None:
    """A player that seeks gets the same bytes as one that does not, under another tag."""
    url = f"{upload(here)['url']}?format=flac"
    whole = here.client.get(url)
    parts = [here.client.get(url, headers={"Range": r}).data for r in ("bytes=0-99", "bytes=100-")]

    assert whole.data == b"".join(parts)
    assert whole.headers["ETag"] != here.client.get(upload(here)["url"]).headers["ETag"]


def test_browsers_can_be_asked_to_save(here: World) -> None:
    """`?download=1` makes it an attachment."""
    url = upload(here)["url"]
    played, saved = (
        here.client.get(url + query).headers["Content-Disposition"] for query in ("", "?download=1")
    )

    assert ("inline", "attachment") == (played.partition(";")[0], saved.partition(";")[0])


@pytest.mark.parametrize("query", ["format=exe", "format=opus", "download=perhaps", "x=1"])
def test_wrong_wishes_are_refused(here: World, query: str) -> None:
    """422 with the parameter's name."""
    response = here.client.get(f"{upload(here)['url']}?{query}")

    assert query.partition("=")[0] == here.json(response, status=422)["error"]["field"]


def test_a_deleted_sound_is_gone(here: World) -> None:
    """204, then 404."""
    url = upload(here)["url"]

    assert here.client.delete(url).status_code == 204
    assert here.client.get(url).get_json()["error"]["code"] == "no_such_artifact"
    assert here.client.delete(url).status_code == 404


@pytest.mark.parametrize("method", ["get", "head", "delete"])
def test_an_expired_sound_is_410(here: World, method: str) -> None:
    """It was there, and it is told so."""
    artifact = here.artifacts.save(
        WAV, name="old.wav", media_type="audio/wav", expires_at=now() - timedelta(seconds=1)
    )

    assert getattr(here.client, method)(f"/artifacts/{artifact.id}").status_code == 410


def test_uploads_are_kept_for_a_while(make_world: MakeWorld) -> None:
    """As long as results."""
    here = make_world(results_hours=2)
    left = here.artifacts.get(upload(here)["id"]).expires_at

    assert left is not None
    assert timedelta(hours=1) < left - now() <= timedelta(hours=2)
