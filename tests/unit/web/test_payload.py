"""What clients put into an event."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import errors
from server.web.plugin import payload

OBJECTS = st.dictionaries(
    st.text(alphabet="abc_", min_size=1), st.text(alphabet="xyz/+=") | st.integers()
)


@given(OBJECTS)
def test_an_object_is_read_in_every_wrapping(fields: dict[str, Any]) -> None:
    """As it is, as text, as text of text, and with a backslash before every quote."""
    text = json.dumps(fields)
    for wrapped in (fields, text, json.dumps(text), text.replace('"', '\\"')):
        assert fields == payload.fields(wrapped)


@given(st.text() | st.integers() | st.lists(st.integers()) | st.booleans() | st.binary())
def test_everything_else_is_refused_or_read(value: object) -> None:
    """Never anything but our own error."""
    with suppress(errors.InvalidInput):
        assert isinstance(payload.fields(value), dict)


@pytest.mark.parametrize("value", ["", "{", "[]", "5", 5, True, [], b"{}"])
def test_what_is_no_object_is_refused_as_clients_know_it(value: object) -> None:
    """With the words that begin their message."""
    with pytest.raises(errors.InvalidInput, match="^Invalid JSON format"):
        payload.fields(value)


def test_nothing_is_an_object_without_fields() -> None:
    """Some events have no payload."""
    assert {} == payload.fields(None) == payload.fields("null")


def test_endless_nesting_is_refused() -> None:
    """The parser's own limit is no crash."""
    with pytest.raises(errors.InvalidInput):
        payload.fields("[" * 100_000)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("abc", "abc"),
        (" a\\bc ", "abc"),
        ('\\"', None),
        ("\\", ""),
        (None, ""),
        ("", ""),
    ],
)
def test_backslashes_are_no_part_of_a_session(sent: object, expected: str | None) -> None:
    """What is left has to be an id, or nothing."""
    if expected is None:
        with pytest.raises(errors.InvalidInput):
            payload.session_id({"session_id": sent})
    else:
        assert (expected or None) == payload.session_id({"session_id": sent})


def test_a_session_may_have_to_be_named() -> None:
    """With the text clients know."""
    with pytest.raises(errors.InvalidInput, match="No session ID provided"):
        payload.named_session_id({})


@pytest.mark.parametrize("value", [3, "3", "03"])
def test_whole_numbers_may_be_digits(value: object) -> None:
    """As everything is on some phones."""
    assert 3 == payload.whole_number({"n": value}, "n")


@pytest.mark.parametrize("value", [None, True, 1.0, "x", "", "-1", "9" * 5000, "²", [3]])
def test_other_numbers_are_refused(value: object) -> None:
    """With the field's name."""
    with pytest.raises(errors.InvalidInput, match="n must be a whole number"):
        payload.whole_number({"n": value}, "n")


@pytest.mark.parametrize("value", [None, ""])
def test_no_audio_is_none(value: object) -> None:
    """What is there has to be base64."""
    assert payload.audio({"audio_data": value}, "audio_data") is None
    with pytest.raises(errors.InvalidInput):
        payload.audio({"audio_data": "!"}, "audio_data")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("thepatch/vanya_ai_dnb_0.1", "thepatch/vanya_ai_dnb_0.1"),
        (" thepatch\\/keygen\\", "thepatch/keygen"),
        ("mine", "mine"),
        ("", None),
        ("\\", None),
        (None, None),
        ("../../etc/passwd", ""),
        ("a b", ""),
        ("x" * 300, ""),
        (5, ""),
        (["a"], ""),
    ],
)
def test_weights_are_named_without_stray_backslashes(sent: object, expected: str | None) -> None:
    """What can be no name is refused with the field."""
    if expected == "":
        with pytest.raises(errors.InvalidInput) as refused:
            payload.model_name({"model_name": sent})
        assert "model_name" == refused.value.field
    else:
        assert expected == payload.model_name({"model_name": sent})


@given(st.floats() | st.integers() | st.text(max_size=6) | st.booleans() | st.none())
def test_a_prompt_lasts_so_many_seconds_or_is_refused(sent: object) -> None:
    """Never anything but a number within the bounds, nothing, or our own error."""
    with suppress(errors.InvalidInput):
        seconds = payload.prompt_duration({"prompt_duration": sent})

        assert seconds is None or 1 <= seconds <= payload.MOST_PROMPT_SECONDS
