"""Bodies and base64, apart from the routes that read them."""

import base64
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from server import errors
from server.web import parsing

SOME_BYTES = st.binary(min_size=1, max_size=300)

FORMS: list[Callable[[bytes], str]] = [
    lambda data: base64.b64encode(data).decode(),
    lambda data: base64.encodebytes(data).decode(),
    lambda data: base64.urlsafe_b64encode(data).decode(),
    lambda data: base64.b64encode(data).decode().rstrip("="),
    lambda data: "data:audio/x-wav;base64," + base64.b64encode(data).decode(),
    lambda data: "DATA:;base64,\r\n" + base64.urlsafe_b64encode(data).decode().rstrip("="),
    lambda data: " \t" + base64.b64encode(data).decode() + "\n",
]


@given(data=SOME_BYTES, form=st.sampled_from(FORMS))
def test_bytes_survive_every_form_of_base64(data: bytes, form: Callable[[bytes], str]) -> None:
    """Wrapped, URL-safe, unpadded, as a data URL, and all at once."""
    assert data == parsing.audio_bytes(form(data), field="audio")


def slowly(text: str) -> bytes | None:
    """Read base64 the long way: None where it is none, or empty."""
    if text[:5].lower() == "data:":
        text = text.partition(",")[2]
    bare = "".join(each for each in text if each not in " \t\r\n\v\f").rstrip("=")
    padded = (bare + "=" * (-len(bare) % 4)).replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(padded, validate=True) or None
    except ValueError:
        return None


@given(text=st.text() | st.text(alphabet="aB4+/-_= \n", max_size=12))
def test_any_text_is_read_as_the_long_way_reads_it(text: str) -> None:
    """Or refused; nothing but our own refusal ever comes out."""
    with suppress(errors.InvalidInput):
        assert slowly(text) == parsing.audio_bytes(text, field="audio")


@pytest.mark.parametrize(
    "value", [None, 5, True, ["aGk="], {"a": 1}, "", "=", "a", "aGk=aGk=", "äö"]
)
def test_what_is_no_base64_is_refused(value: object) -> None:
    """With the field's name."""
    with pytest.raises(errors.InvalidInput) as refused:
        parsing.audio_bytes(value, field="audio_data")

    assert refused.value.field == "audio_data"


@given(raw=st.binary(max_size=100) | st.text(max_size=30).map(str.encode))
def test_any_bytes_are_an_object_or_a_bad_request(raw: bytes) -> None:
    """Never anything else."""
    with suppress(BadRequest):
        assert isinstance(parsing.json_object(raw), dict)


@pytest.mark.parametrize("value", ["a", "A" * 128, "6f1c-22", "daw:1.2_x"])
def test_usual_session_ids_are_taken(value: str) -> None:
    """UUIDs and the names front servers make up."""
    assert value == parsing.session_id(value)


@pytest.mark.parametrize("value", [None, ""])
def test_no_session_is_none(value: str | None) -> None:
    """Clients send null and empty."""
    assert parsing.session_id(value) is None


@pytest.mark.parametrize("value", [True, "true", "1", "YES"])
def test_a_clear_yes_is_yes(value: object) -> None:
    """JSON's true, or a form's word for it."""
    assert parsing.is_yes(value)


@pytest.mark.parametrize("value", [False, None, "", "no", "false", "0", 1, [], {}])
def test_anything_else_is_no(value: object) -> None:
    """A number is not a yes."""
    assert not parsing.is_yes(value)


def test_few_bodies_are_decoded_at_a_time() -> None:
    """One more than may waits until somebody has finished."""
    inside, may_leave, extra_is_in = (threading.Barrier(5), threading.Event(), threading.Event())

    def take_a_turn() -> None:
        with parsing.turn():
            inside.wait(20)
            may_leave.wait(20)

    def come_late() -> None:
        with parsing.turn():
            extra_is_in.set()

    with ThreadPoolExecutor(max_workers=parsing.PARSED_AT_ONCE + 1) as pool:
        for _ in range(parsing.PARSED_AT_ONCE):
            pool.submit(take_a_turn)
        inside.wait(20)
        late = pool.submit(come_late)
        waited = not extra_is_in.wait(0.1)
        may_leave.set()
        late.result(20)

    assert waited
    assert extra_is_in.is_set()


@pytest.mark.parametrize(
    "size", [1, parsing.IN_MEMORY - 1, parsing.IN_MEMORY, 3 * parsing.IN_MEMORY]
)
def test_bodies_of_any_size_come_whole(size: int) -> None:
    """Whether they wait for their turn in memory or on disk."""
    data = bytes(range(256)) * (size // 256 + 1)
    with Flask("upload").test_request_context(data=data, method="POST"), parsing.upload() as sent:
        received, _ = sent

    assert data == received


def test_a_large_body_that_waits_takes_no_memory() -> None:
    """A slow decoder of others is no reason to hold on to tens of megabytes."""
    data = b"\0" * (3 * parsing.IN_MEMORY)
    with (
        Flask("upload").test_request_context(data=data, method="POST"),
        parsing._received() as body,
    ):
        is_on_disk = body._rolled  # type: ignore[attr-defined]  # its own name for it

    assert is_on_disk


def test_a_body_that_is_too_large_is_refused_before_it_is_kept() -> None:
    """By its length, whatever it holds."""
    app = Flask("upload")
    app.config["MAX_CONTENT_LENGTH"] = 10
    with (
        app.test_request_context(data=b"\0" * 11, method="POST"),
        pytest.raises(RequestEntityTooLarge),
        parsing.upload(),
    ):
        pass
