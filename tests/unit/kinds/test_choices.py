"""Several variations of one job: which lists are taken, and what each item means."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import variations
from server import errors, kinds
from server.kinds import transform
from server.kinds.choices import MOST_CHOICES, Choice

SOURCE = "a" * 32
NAMES = sorted(variations.load())


def _spec(**parameters: Any) -> transform.Spec:
    spec = kinds.parse(transform, {"source": SOURCE, **parameters})
    assert isinstance(spec, transform.Spec)
    return spec


def _refused(**parameters: Any) -> errors.InvalidInput:
    with pytest.raises(errors.InvalidInput) as caught:
        _spec(**parameters)
    return caught.value


WORDS = {"custom_prompt": "a choir"}

LISTS: dict[str, tuple[Any, list[Choice]]] = {
    "names": (["celtic", "chiptune"], [Choice(variation="celtic"), Choice(variation="chiptune")]),
    "objects": ([{"variation": "celtic", **WORDS}], [Choice(variation="celtic", **WORDS)]),
    "words alone": ([WORDS], [Choice(**WORDS)]),
    "both": (["celtic", WORDS], [Choice(variation="celtic"), Choice(**WORDS)]),
    "a preset twice, once with words": (
        ["celtic", {"variation": "celtic", **WORDS}],
        [Choice(variation="celtic"), Choice(variation="celtic", **WORDS)],
    ),
    "names of a form": (
        "celtic, chiptune",
        [Choice(variation="celtic"), Choice(variation="chiptune")],
    ),
    "JSON of a form": (
        json.dumps(["celtic", WORDS]),
        [Choice(variation="celtic"), Choice(**WORDS)],
    ),
}


@pytest.mark.parametrize("case", LISTS)
def test_a_list_is_read_in_its_order(case: str) -> None:
    sent, choices = LISTS[case]

    assert choices == list(_spec(variations=sent).choices)


REFUSED: dict[str, tuple[Any, str]] = {
    "nothing": ([], "variations"),
    "too many": ([{"custom_prompt": str(n)} for n in range(MOST_CHOICES + 1)], "variations"),
    "a number": (5, "variations"),
    "a list of numbers": ([5], "variations"),
    "a list of nothing": ([None], "variations"),
    "a list in a list": ([["celtic"]], "variations"),
    "no JSON": ("[celtic", "variations"),
    "no name": ("celtic,", "variations.1.variation"),
    "an unknown preset": (["celtic", "nose_flute"], "variations.1.variation"),
    "custom without words": ([{"variation": "custom", "custom_prompt": " "}], "variations.0."),
    "words too long": ([{"custom_prompt": "x" * 2001}], "variations.0.custom_prompt"),
    "an unknown field": ([{"variation": "celtic", "seed": 3}], "variations.0.seed"),
    "twice the same": (["celtic", "chiptune", "celtic"], "variations.2"),
    "twice the same in other clothes": (["celtic", {"variation": "celtic"}], "variations.1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_list_is_refused_with_the_place_in_it(case: str) -> None:
    sent, field = REFUSED[case]
    refusal = _refused(variations=sent)

    assert refusal.status == 422
    assert (refusal.field or "").startswith(field)
    assert refusal.message


@pytest.mark.parametrize("nothing", [None, "", " "])
def test_an_empty_field_of_a_form_is_no_list(nothing: object) -> None:
    assert _spec(variation="celtic", variations=nothing).variations is None


@pytest.mark.parametrize("single", [{"variation": "celtic"}, WORDS])
def test_a_list_and_a_single_variation_exclude_each_other(single: dict[str, str]) -> None:
    assert "variations" == _refused(variations=["chiptune"], **single).field


def test_one_variation_is_a_list_of_one_without_a_label() -> None:
    assert [""] == _spec(variation="celtic").labels
    assert ["-1-celtic"] == _spec(variations=["celtic"]).labels


CHOICES = st.one_of(
    st.sampled_from(NAMES),
    st.builds(
        lambda name, words: {"variation": name, "custom_prompt": words},
        st.sampled_from([*NAMES, "custom"]),
        st.text(min_size=1, max_size=20).filter(str.strip),
    ),
)


@given(st.lists(CHOICES, min_size=1, max_size=MOST_CHOICES, unique_by=json.dumps))
def test_a_stored_order_is_the_same_order(sent: list[Any]) -> None:
    """By way of JSON, as the record and the recipe hold it."""
    spec = _spec(variations=sent, seed=7, start_seconds=1, end_seconds=2.5, preview=True)
    stored = json.loads(json.dumps(spec.model_dump(mode="json")))

    assert spec == kinds.parse(transform, stored)


@given(st.lists(CHOICES, min_size=1, max_size=MOST_CHOICES, unique_by=json.dumps))
def test_labels_are_safe_in_names_and_tell_files_apart(sent: list[Any]) -> None:
    """Whatever the words are, they are no part of a name."""
    labels = _spec(variations=sent).labels

    assert len(labels) == len(set(labels)) == len(sent)
    assert all(label.replace("-", "").replace("_", "").isalnum() for label in labels)


def test_older_clients_are_told_of_the_first() -> None:
    several = _spec(variations=["chiptune", "celtic"]).model_dump(mode="json")
    one = _spec(variation="celtic").model_dump(mode="json")

    assert "chiptune" == transform.first_variation(several)
    assert "celtic" == transform.first_variation(one)


def test_each_choice_has_its_own_brief() -> None:
    """Words win over the preset's prompt; everything else is shared."""
    spec = _spec(variations=["celtic", {"variation": "celtic", **WORDS}], seed=5, bpm=90)
    preset, worded = (spec.brief(choice) for choice in spec.choices)

    assert (variations.load()["celtic"].prompt, False) == (preset.prompt, preset.is_custom)
    assert ("a choir", True) == (worded.prompt, worded.is_custom)
    assert (5, 90) == (preset.seed, preset.bpm) == (worded.seed, worded.bpm)
