"""Every failure has a code, a status and a sentence, and the drawing shows them all."""

import inspect

import pytest

from server import errors

TREE = [
    each
    for each in vars(errors).values()
    if inspect.isclass(each) and issubclass(each, errors.MelodyflowError)
]


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_a_failure_without_words_says_its_docstring(kind: type[errors.MelodyflowError]) -> None:
    error = kind()

    assert kind.__doc__ == error.message == str(error)
    assert 400 <= kind.status < 600


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in TREE]

    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_the_drawing_shows_status_and_code_of_each(kind: type[errors.MelodyflowError]) -> None:
    lines = [line for line in str(errors.__doc__).splitlines() if f" {kind.__name__} " in line]

    assert 1 == len(lines)
    assert f" {kind.status} {kind.code}" in " ".join(lines[0].split())


def test_whoever_may_try_again_is_told_when() -> None:
    waiting = [kind for kind in TREE if issubclass(kind, errors.Unavailable)]

    assert all(kind.retry_after_seconds for kind in waiting)
    assert errors.InvalidInput.retry_after_seconds is None


@pytest.mark.parametrize("stop", [errors.Cancelled, errors.Interrupted, errors.TimedOut])
def test_a_library_that_catches_exceptions_cannot_swallow_a_stop(stop: type[errors.Stop]) -> None:
    assert not issubclass(stop, Exception)
