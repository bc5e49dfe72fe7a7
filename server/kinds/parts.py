"""What an order says of single parts and layers of an arrangement.

A part is muted, rolled again or made louder by its name; a layer of the source has a strength of
its own. Knows names and ranges; what becomes of them is the engine's.
"""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, WithJsonSchema

import variations.parts
from server import errors
from server.engines.catalog import ENGINES
from server.engines.protocols import Layer, PartChoice
from server.jobs.kind import Number
from server.kinds.choices import Choice
from server.media import key

MOST_PARTS = 32
LONGEST_NAME = 64

MOST_STEM_SECONDS = 1800.0
"""Of all stems of a job together: 635 MB in memory, 476 MB as files of 24 bit at 44.1 kHz."""

STEMS_OF_WORDS = 8
"""About how many parts an arrangement has that is made of free words."""

_LAYERS: tuple[Layer, ...] = ("pitched", "drums", "vocals")
_BESIDE_PARTS = 2
"""Stems that are no part's: what is left of the source, and what effects add."""


class Part(BaseModel):
    """What is wanted of one part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mute: Annotated[bool, Strict()] = Field(default=False, description="It is not heard.")
    seed: Annotated[int, Strict(), Field(ge=0, le=2**63 - 1)] | None = Field(
        None, description="Rolls it again; no other part changes."
    )
    gain_db: Annotated[Number, Field(ge=-60, le=24, allow_inf_nan=False)] = Field(
        0.0, description="Louder or softer than the arrangement has it."
    )


def _object(value: Any) -> Any:
    """Return an object; a form sends it as JSON."""
    if not isinstance(value, str):
        return {} if value is None else value
    try:
        return json.loads(value) if value.strip() else {}
    except (ValueError, RecursionError) as error:
        raise ValueError("this is not an object in JSON") from error


def _named_parts(value: Any) -> Any:
    value = _object(value)
    if isinstance(value, dict):
        if len(value) > MOST_PARTS:
            raise ValueError(f"at most {MOST_PARTS} parts can be named")
        if not all(isinstance(name, str) and 0 < len(name) <= LONGEST_NAME for name in value):
            raise ValueError(f"the name of a part has 1 to {LONGEST_NAME} characters")
    return value


def _named_layers(value: Any) -> Any:
    value = _object(value)
    if isinstance(value, dict):
        for name in value:
            if name not in _LAYERS:
                raise ValueError(f"there is no such layer{_known_ones(name, _LAYERS)}")
    return value


_PART_SCHEMA = Part.model_json_schema()

Parts = Annotated[
    dict[str, Part],
    BeforeValidator(_named_parts),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MOST_PARTS,
            "propertyNames": {"minLength": 1, "maxLength": LONGEST_NAME},
            "additionalProperties": _PART_SCHEMA,
        }
    ),
]
"""Choices by the name of a part."""

_STRENGTH_SCHEMA = {"type": "number", "minimum": 0, "maximum": 1}

Layers = Annotated[
    dict[Layer, Annotated[Number, Field(ge=0, le=1, allow_inf_nan=False)]],
    BeforeValidator(_named_layers),
    WithJsonSchema(
        {
            "type": "object",
            "properties": dict.fromkeys(_LAYERS, _STRENGTH_SCHEMA),
            "additionalProperties": False,
        }
    ),
]
"""Strengths by layer."""


def _key(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return key.named(value).name if value.strip() else None


KeyName = Annotated[Annotated[str, Field(max_length=32)] | None, BeforeValidator(_key)]
"""A key as musicians write it; what is kept is `A minor`."""


def check_known(wanted: Mapping[str, Part], choices: Sequence[Choice]) -> None:
    """Refuse parts that no choice has; of free words nobody knows before they are read.

    Raises:
        errors.InvalidInput: names `parts` and those there are.
    """
    if any(choice.words for choice in choices):
        return
    known = dict.fromkeys(name for choice in choices for name in names(choice))
    for name in wanted:
        if name not in known:
            presets = ", ".join(dict.fromkeys(choice.variation for choice in choices))
            said = f"There is no part {name!r} in {presets}{_known_ones(name, known)}."
            raise errors.InvalidInput(said, field="parts")


def names(choice: Choice) -> tuple[str, ...]:
    """Return the parts of a preset; none of free words, which are not read yet."""
    preset = None if choice.words else choice.preset
    return variations.parts.names(preset.arrangement) if preset is not None else ()


def of_choice(wanted: Mapping[str, Part], choice: Choice) -> dict[str, PartChoice]:
    """Return what is wanted of the parts of one choice; those of other presets are left out."""
    known = names(choice)
    return {
        name: PartChoice(mute=part.mute, seed=part.seed, gain_db=part.gain_db)
        for name, part in wanted.items()
        if choice.words or name in known
    }


def check_stems(choices: Sequence[Choice], seconds: float) -> None:
    """Refuse more sound in stems than a worker should hold.

    Raises:
        errors.TooLong: names `stems`.
    """
    count = sum(len(names(choice)) or STEMS_OF_WORDS for choice in choices)
    total = (count + _BESIDE_PARTS * len(choices)) * seconds
    if total > MOST_STEM_SECONDS:
        raise errors.TooLong(
            f"Stems of this would be about {total / 60:.0f} minutes of sound; up to"
            f" {MOST_STEM_SECONDS / 60:.0f} are made. Ask for fewer variations, or for a passage.",
            field="stems",
        )


def unheeded(asked: Mapping[str, bool], engine: str) -> list[str]:
    """Return the sentence that names what was asked for and means nothing to an engine, if any."""
    idle = [name for name, is_asked in asked.items() if is_asked]
    idle = [name for name in idle if name not in ENGINES[engine].heeds]
    verb = "means" if len(idle) == 1 else "mean"
    return [f"{', '.join(idle)} {verb} nothing to {engine}."] if idle else []


def _known_ones(name: object, known: Iterable[str]) -> str:
    """Return how a sentence about an unknown name goes on."""
    there = list(known)
    near = difflib.get_close_matches(str(name), there, n=1)
    hint = f"; did you mean {near[0]}? It" if near else "; it"
    return f"{hint} has to be one of: {'; '.join(there)}"
