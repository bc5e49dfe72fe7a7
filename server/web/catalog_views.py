"""What is said of presets; made from them by `of`, as all views are."""

from typing import Self

from pydantic import BaseModel, Field

from server.web.views import View
from variations import Problem, Variation


class VariationView(BaseModel):
    """A preset."""

    prompt: str
    flowstep: float
    steps: int
    example: str | None = Field(description="Where it can be heard, if it was rendered here.")

    @classmethod
    def of(cls, variation: Variation, *, example: str | None) -> Self:
        """Show a preset."""
        return cls(
            prompt=variation.prompt,
            flowstep=variation.flowstep,
            steps=variation.steps,
            example=example,
        )


class ProblemView(BaseModel):
    """What is wrong with a preset of the server's owner."""

    file: str = Field(description="Its name, without its folder.")
    preset: str | None
    key: str | None = Field(description="Where in the preset, with dots.")
    sentence: str

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """Show a problem."""
        return cls.model_validate(problem, from_attributes=True)


class VariationsView(View):
    """The presets, in the order clients number them in; those of the server's owner come last."""

    variations: dict[str, VariationView]
    problems: list[ProblemView] = Field(description="Presets that are not there, and why.")
