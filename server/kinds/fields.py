"""Fields that several job kinds take, each with its check."""

import random
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from server.engines.catalog import ENGINES
from server.jobs.kind import Number

LARGEST_RANDOM_SEED = 99999

Format = Literal["wav", "flac", "mp3", "ogg"]

Seconds = Annotated[Number, Field(ge=0, allow_inf_nan=False)]


def random_seed() -> int:
    """Return a seed as the plugins draw them, from 0 to 99999."""
    return random.randint(0, LARGEST_RANDOM_SEED)  # noqa: S311 - no secret


def _drawn(seed: object) -> object:
    return random_seed() if seed in (None, -1, "", "-1") else seed


def _known(name: str) -> str:
    if name != "auto" and name not in ENGINES:
        known = ", ".join(("auto", *ENGINES))
        raise ValueError(f"there is no engine of that name; known: {known}")
    return name


Seed = Annotated[
    int,
    BeforeValidator(_drawn),
    Field(ge=0, le=2**63 - 1, description="Same seed, same result; -1 or none draws one."),
]

EngineName = Annotated[str, AfterValidator(_known), Field(description="auto, or an engine's name.")]

Tempo = Annotated[Number, Field(ge=20, le=400, allow_inf_nan=False)]
