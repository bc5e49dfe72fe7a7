"""What a transform shall sound like: a preset, the musician's words, or several of them at once.

One choice is one result. Knows presets and prompts; nothing of sound.
"""

import difflib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

import variations
from server import errors
from variations import Variation

CUSTOM = "custom"
MOST_CHOICES = 16
LONGEST_PROMPT = 2000

Prompt = Annotated[str, Field(max_length=LONGEST_PROMPT)]


class Choice(BaseModel):
    """A preset, words that replace its prompt, or words alone (`custom`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    variation: str = Field(CUSTOM, description="A preset's name, or custom with custom_prompt.")
    custom_prompt: Prompt | None = Field(
        None, description="Free words; they replace the preset's prompt."
    )

    @property
    def words(self) -> str:
        """What the musician wrote, or nothing."""
        return (self.custom_prompt or "").strip()

    @cached_property
    def preset(self) -> Variation | None:
        """The preset, None for words alone; the same one however its file changes meanwhile.

        Raises:
            errors.NoSuchVariation: it has gone since this choice was checked.
        """
        if self.variation == CUSTOM:
            return None
        preset = variations.load().get(self.variation)
        if preset is None:
            raise errors.NoSuchVariation(unknown(self.variation))
        return preset

    @property
    def prompt(self) -> str:
        """The words to follow: the musician's, or else the preset's."""
        return self.words or (self.preset.prompt if self.preset else "")


Choices = Annotated[
    tuple[Choice, ...],
    Field(min_length=1, max_length=MOST_CHOICES),
    WithJsonSchema(
        {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST_CHOICES,
            "items": {"anyOf": [{"type": "string"}, Choice.model_json_schema()]},
        }
    ),
]
"""Several choices of one job; an item may be a preset's bare name."""


def listed(value: Any) -> Any:
    """Return a list of choices as objects; forms send it as JSON or as names with commas between.

    Raises:
        ValueError: an item is neither a name nor an object, or the text is not JSON.
    """
    if isinstance(value, str):
        value = _of_text(value) if value.strip() else None
    if not isinstance(value, list | tuple):
        return value
    return [_object(item) for item in value]


def _of_text(text: str) -> Any:
    if not text.lstrip().startswith("["):
        return [name.strip() for name in text.split(",")]
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("this is not a list in JSON") from error


def _object(item: Any) -> Any:
    if isinstance(item, str):
        return {"variation": item}
    if not isinstance(item, dict | Choice):
        raise ValueError("each is a preset's name or an object with variation and custom_prompt")  # noqa: TRY004 - pydantic's kind
    return item


def worded(
    stored: Mapping[str, Any], prompt: str, *, field: str = "custom_prompt"
) -> dict[str, Any]:
    """Return variation and words of a stored choice such that it follows that prompt.

    Where its preset still says the same, that is the preset. The words stand in `field`.
    """
    name, words = stored.get("variation", CUSTOM), stored.get(field)
    preset = variations.load().get(name)
    if preset is None:
        return {"variation": CUSTOM, field: words or prompt}
    is_as_then = bool(words) or preset.prompt == prompt
    return {"variation": name, field: words if is_as_then else prompt}


def no_such_preset(name: str) -> str:
    """Return a sentence for somebody who misspelt a preset's name."""
    near = difflib.get_close_matches(name[:64], variations.load(), n=1)
    hint = f"did you mean {near[0]}?" if near else "`python -m server presets` lists them."
    return f"There is no preset {name[:64]}; {hint}"


def unknown(name: str) -> str:
    """Return the sentence for a variation that does not exist; clients know it word by word."""
    return f"Unknown variation: {name[:64]}"


def check_name(name: str, *, field: str) -> None:
    """Refuse a variation that does not exist.

    Raises:
        errors.NoSuchVariation: there is no preset of that name.
    """
    if name != CUSTOM and name not in variations.load():
        raise errors.NoSuchVariation(unknown(name), field=field)


def _known_name(name: str) -> str:
    check_name(name, field="variation")
    return name


VariationName = Annotated[str, AfterValidator(_known_name)]
"""A preset's name, or custom."""


def check_words(choice: Choice, *, field: str = "custom_prompt") -> None:
    """Refuse `custom` without words; `field` is where in the request they belong.

    Raises:
        errors.InvalidInput: it needs a prompt.
    """
    if choice.variation == CUSTOM and not choice.words:
        words = f"The variation custom needs a {field.rpartition('.')[2]}."
        raise errors.InvalidInput(words, field=field)


def check_list(choices: tuple[Choice, ...]) -> None:
    """Refuse a list in which a choice is missing its words, unknown, or there twice.

    One seed goes for the whole job, so twice the same choice would be twice the same sound.

    Raises:
        errors.InvalidInput: with the place in the list as its field.
    """
    for number, choice in enumerate(choices):
        place = f"variations.{number}"
        check_name(choice.variation, field=f"{place}.variation")
        check_words(choice, field=f"{place}.custom_prompt")
        if choice in choices[:number]:
            raise errors.InvalidInput(
                "The same choice stands in variations twice; it would sound the same.", field=place
            )
