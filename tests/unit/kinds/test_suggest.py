"""What may be asked about places in a sound."""

from typing import Any

import pytest

from server import errors, kinds
from server.kinds import suggest

SOURCE = "a" * 32


def _spec(**parameters: Any) -> suggest.Spec:
    spec = kinds.parse(suggest, {"source": SOURCE, **parameters})
    assert isinstance(spec, suggest.Spec)
    return spec


def test_five_windows_of_eight_seconds_unless_asked_otherwise() -> None:
    assert (8.0, 5) == (_spec().seconds, _spec().count)


@pytest.mark.parametrize(
    ("field", "value"),
    [("seconds", 0), ("seconds", 121), ("seconds", "nan"), ("count", 0), ("count", 21)],
)
def test_what_is_wrong_is_refused_with_the_fields_name(field: str, value: object) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        _spec(**{field: value})

    assert field == caught.value.field


def test_a_window_longer_than_the_sound_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match=r"4\.000 seconds long"):
        _spec(seconds=5).check_source(4.0)

    _spec(seconds=3).check_source(4.0)
