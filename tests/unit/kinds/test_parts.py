"""What an order may say of parts, layers and keys, and what it is told of the rest."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import variations
import variations.parts
from server import errors, kinds
from server.engines.protocols import PartChoice
from server.kinds import parts, transform
from server.media.key import Key

SOURCE = "a" * 32


def _spec(**parameters: Any) -> transform.Spec:
    spec = kinds.parse(transform, {"source": SOURCE, "variation": "strings_quartet"} | parameters)
    assert isinstance(spec, transform.Spec)
    return spec


def _refused(**parameters: Any) -> errors.InvalidInput:
    with pytest.raises(errors.InvalidInput) as caught:
        _spec(**parameters)
    return caught.value


def _brief(**parameters: Any) -> Any:
    spec = _spec(**parameters)
    return spec.brief(spec.choices[0])


@pytest.mark.parametrize("preset", list(variations.load()))
def test_every_part_of_every_preset_can_be_named(preset: str) -> None:
    names = variations.parts.names(variations.load()[preset].arrangement)

    assert set(names) == set(_spec(variation=preset, parts={name: {} for name in names}).parts)


def test_parts_reach_the_engine() -> None:
    wanted = _brief(parts={"violin 1": {"mute": True}, "cello, kick": {"seed": 5, "gain_db": -3}})

    assert {
        "violin 1": PartChoice(mute=True),
        "cello, kick": PartChoice(seed=5, gain_db=-3.0),
    } == wanted.parts


def test_layers_key_drums_and_stems_reach_the_engine() -> None:
    wanted = _brief(layers={"drums": 0, "pitched": "0.5"}, key="f#m", keep_drums=True, stems=True)

    assert {"drums": 0.0, "pitched": 0.5} == wanted.layers
    assert (Key(6, "minor"), True, True) == (wanted.key, wanted.keep_drums, wanted.wants_stems)


def test_a_form_sends_objects_as_json() -> None:
    """And leaves fields blank."""
    wanted = _brief(layers='{"vocals": 1}', parts='{"viola": {"gain_db": 2}}', key="")

    assert {"vocals": 1.0} == wanted.layers
    assert {"viola": PartChoice(gain_db=2.0)} == wanted.parts
    assert wanted.key is None
    assert {} == _brief(layers="", parts=" ").layers


def test_an_order_without_any_of_it_is_as_it_always_was() -> None:
    """Old records have none of these fields."""
    wanted = _brief()

    assert ({}, {}, None, None, False) == (
        wanted.layers,
        wanted.parts,
        wanted.key,
        wanted.keep_drums,
        wanted.wants_stems,
    )


@pytest.mark.parametrize(
    ("field", "parameters"),
    [
        ("key", {"key": "H"}),
        ("key", {"key": 3}),
        ("keep_drums", {"keep_drums": "maybe"}),
        ("layers", {"layers": {"pitch": 1}}),
        ("layers", {"layers": "{"}),
        ("layers", {"layers": [1]}),
        ("layers.pitched", {"layers": {"pitched": 1.1}}),
        ("layers.drums", {"layers": {"drums": True}}),
        ("layers.vocals", {"layers": {"vocals": float("nan")}}),
        ("parts", {"parts": {"tuba": {}}}),
        ("parts", {"parts": {"x" * 65: {}}}),
        ("parts", {"parts": {str(number): {} for number in range(33)}}),
        ("parts.viola", {"parts": {"viola": 3}}),
        ("parts.viola.mute", {"parts": {"viola": {"mute": "yes"}}}),
        ("parts.viola.seed", {"parts": {"viola": {"seed": -1}}}),
        ("parts.viola.gain_db", {"parts": {"viola": {"gain_db": 25}}}),
        ("parts.viola.loud", {"parts": {"viola": {"loud": 1}}}),
        ("stems", {"stems": "all"}),
        ("midi", {"midi": "full"}),
        ("compare", {"compare": 2}),
    ],
)
def test_what_is_wrong_is_refused_with_the_fields_name(
    field: str, parameters: dict[str, Any]
) -> None:
    refusal = _refused(**parameters)

    assert (field, 422) == (refusal.field, refusal.status)


def test_a_refusal_says_what_would_be_right() -> None:
    """The nearest first."""
    assert "did you mean violin 1?" in _refused(parts={"violin1": {}}).message
    assert "violin 2, snare; violin 1, hat; halo" in _refused(parts={"tuba": {}}).message
    assert "did you mean pitched?" in _refused(layers={"pitch": 1}).message
    assert "key: write it as A minor, Am, F#m, Bb major or C." == _refused(key="H").message


def test_of_free_words_any_part_may_be_named() -> None:
    """What they mean is not known before they are read."""
    wanted = _brief(variation="custom", custom_prompt="a tuba", parts={"tuba": {"mute": True}})

    assert {"tuba": PartChoice(mute=True)} == wanted.parts


def test_each_variation_gets_the_parts_it_has() -> None:
    """A part has to be in one of them."""
    both = {"variation": "custom", "variations": ["strings_quartet", "music_box"]}
    spec = _spec(**both, parts={"comb": {"mute": True}})
    first, second = (spec.brief(choice) for choice in spec.choices)

    assert ({}, {"comb": PartChoice(mute=True)}) == (first.parts, second.parts)
    assert "comb" in _refused(**both, parts={"tuba": {}}).message


def test_stems_of_a_long_piece_in_many_variations_are_refused_in_a_sentence() -> None:
    """Before anything is computed; the same without stems is taken."""
    many = {"variation": "custom", "variations": ["strings_quartet", "music_box", "celtic"]}

    _spec(**many).check_source(290.0)
    _spec(variation="music_box", stems=True).check_source(290.0)
    with pytest.raises(errors.TooLong, match="up to 30 are made") as caught:
        _spec(**many, stems=True).check_source(290.0)
    assert "stems" == caught.value.field


@given(
    st.dictionaries(
        st.text(max_size=70),
        st.dictionaries(st.sampled_from(["mute", "seed", "gain_db"]), st.none() | st.booleans()),
        max_size=40,
    )
)
def test_any_parts_are_a_spec_or_a_refusal(wanted: dict[str, Any]) -> None:
    with contextlib.suppress(errors.InvalidInput):
        spec = _spec(variation="custom", custom_prompt="a choir", parts=wanted)
        assert set(wanted) == set(spec.parts)


def test_what_means_nothing_to_an_engine_is_said_in_one_sentence() -> None:
    """Only what was asked for."""
    asked = _spec(key="C", keep_drums=False, stems=True).asked

    assert ["key, keep_drums, stems mean nothing to melodyflow."] == parts.unheeded(
        asked, "melodyflow"
    )
    assert ["midi means nothing to melodyflow."] == parts.unheeded(
        _spec(midi=True).asked, "melodyflow"
    )
    assert [] == parts.unheeded(_spec(midi=False).asked, "melodyflow")
    assert [] == parts.unheeded(asked, "arranger")
