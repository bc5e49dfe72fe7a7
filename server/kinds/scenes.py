"""What music from words shall be: one passage, or scenes that go on from each other.

Knows presets, prompts and lengths; nothing of sound.
"""

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from server.kinds import choices, limits
from server.kinds.choices import CUSTOM, Choice, Prompt

MOST_SCENES = 32


class Scene(BaseModel):
    """Words and how long they hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: limits.Length = Field(description="How long it lasts.")
    prompt: Prompt | None = Field(
        None, description="What shall be heard; replaces the preset's prompt."
    )
    variation: str = Field(CUSTOM, description="A preset's name, or custom with a prompt.")

    @property
    def choice(self) -> Choice:
        """What shall be heard."""
        return Choice(variation=self.variation, custom_prompt=self.prompt)

    @property
    def worded(self) -> "Scene":
        """The same with its words said, so that it stays as it is when presets get others."""
        return self.model_copy(update={"prompt": self.choice.prompt})


Scenes = Annotated[
    tuple[Scene, ...],
    Field(min_length=1, max_length=MOST_SCENES),
    WithJsonSchema(
        {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST_SCENES,
            "items": Scene.model_json_schema(),
        }
    ),
]


def listed(value: Any) -> Any:
    """Return scenes as objects; forms send them as JSON.

    Raises:
        ValueError: the text is not JSON.
    """
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ValueError("this is not a list in JSON") from error


def check(scenes: tuple[Scene, ...], *, field: str = "") -> None:
    """Refuse scenes that say nothing; `field` is what stands before the name of the wrong one.

    Raises:
        errors.InvalidInput: with the place in the list in its field, if there is a list.
    """
    for number, scene in enumerate(scenes):
        place = f"{field}.{number}." if field else ""
        choices.check_name(scene.variation, field=f"{place}variation")
        choices.check_words(scene.choice, field=f"{place}prompt")
