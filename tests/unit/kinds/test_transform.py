"""What a transform accepts, and what it stores."""

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import errors, kinds
from server.engines.catalog import ENGINES
from server.kinds import fields, transform

SOURCE = "a" * 32


def _spec(**parameters: Any) -> transform.Spec:
    given = {"source": SOURCE, "variation": "strings_quartet"} | parameters
    spec = kinds.parse(transform, given)
    assert isinstance(spec, transform.Spec)
    return spec


def _refused(**parameters: Any) -> errors.InvalidInput:
    with pytest.raises(errors.InvalidInput) as caught:
        _spec(**parameters)
    return caught.value


@pytest.mark.parametrize("flowstep", [0, -0.1, 1.001, math.nan, math.inf, "abc", True, [0.1]])
def test_a_flowstep_outside_its_range_is_refused_by_name(flowstep: object) -> None:
    assert "flowstep" == _refused(flowstep=flowstep).field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("solver", "EULER"),
        ("engine", "orchestra"),
        ("seed", "many"),
        ("seed", -2),
        ("strength", 1.5),
        ("bpm", 5),
        ("format", "midi"),
        ("colour", "blue"),
        ("custom_prompt", "x" * 2001),
    ],
)
def test_what_is_wrong_is_refused_with_the_fields_name(field: str, value: object) -> None:
    refusal = _refused(**{field: value})

    assert (field, 422) == (refusal.field, refusal.status)


def test_an_unknown_preset_has_its_own_error() -> None:
    refusal = _refused(variation="nose_flute")

    assert isinstance(refusal, errors.NoSuchVariation)
    assert "Unknown variation: nose_flute" == refusal.message


def test_a_custom_variation_needs_words() -> None:
    assert "custom_prompt" in _refused(variation="custom", custom_prompt="  ").message
    assert "a choir" == _spec(variation="custom", custom_prompt="a choir").custom_prompt


@pytest.mark.parametrize("seed", [None, -1, "-1", ""])
def test_no_seed_draws_one(seed: object) -> None:
    assert 0 <= _spec(seed=seed).seed <= fields.LARGEST_RANDOM_SEED


@given(st.integers(0, 2**63 - 1))
def test_a_given_seed_is_used(seed: int) -> None:
    assert seed == _spec(seed=seed).seed == _spec(seed=str(seed)).seed


@given(st.dictionaries(st.text(max_size=12), st.none() | st.booleans() | st.floats() | st.text()))
def test_any_parameters_are_a_spec_or_a_refusal_without_their_values(
    parameters: dict[str, Any],
) -> None:
    with contextlib.suppress(errors.InvalidInput):
        assert isinstance(kinds.parse(transform, parameters), transform.Spec)


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(errors.InvalidInput, match="transform") as caught:
        kinds.kind_named("karaoke")

    assert "kind" == caught.value.field


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"flowstep": 2}, "flowstep must be less than or equal to 1."),
        ({"colour": "blue"}, "There is no field colour."),
        (
            {"engine": "orchestra"},
            f"engine: there is no engine of that name; known: {', '.join(('auto', *ENGINES))}.",
        ),
        ({"source": None}, "source must be a valid string."),
    ],
)
def test_a_refusal_is_a_sentence(parameters: dict[str, Any], sentence: str) -> None:
    assert sentence == _refused(**parameters).message


def test_what_is_missing_is_said_to_be_missing() -> None:
    with pytest.raises(errors.InvalidInput, match=r"^source is missing\.$"):
        kinds.parse(transform, {"variation": "chiptune"})
