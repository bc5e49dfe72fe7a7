"""How a language model shall draw: the fields of every kind that may be played by one."""

from typing import Annotated

from pydantic import Field

from server.engines.protocols import Sampling
from server.jobs.kind import JobSpec, Number

MODEL_NAME = r"^[A-Za-z0-9._/-]*$"


class Sampled(JobSpec):
    """Parameters of a kind whose engine may be a language model; other engines ignore them."""

    model: Annotated[str, Field(max_length=200, pattern=MODEL_NAME)] = Field(
        "", description="Weights to play with, such as owner/name; empty: the engine's own choice."
    )
    top_k: Annotated[int, Field(ge=0, le=100_000)] = Field(
        250, description="Of a network: how many of the likeliest tokens are drawn from; 0 for all."
    )
    top_p: Annotated[Number, Field(ge=0, le=1, allow_inf_nan=False)] = Field(
        0.0, description="Of a network: share of probability drawn from; 0 leaves it to top_k."
    )
    temperature: Annotated[Number, Field(gt=0, le=10, allow_inf_nan=False)] = Field(
        1.0, description="Of a network: higher is wilder."
    )
    cfg_coef: Annotated[Number, Field(ge=0, le=100, allow_inf_nan=False)] = Field(
        3.0, description="Of a network: how strongly the words guide; 1 does not guide."
    )

    @property
    def sampling(self) -> Sampling:
        """These fields as an engine reads them."""
        return Sampling(
            model=self.model,
            top_k=self.top_k,
            top_p=self.top_p,
            temperature=self.temperature,
            cfg_coef=self.cfg_coef,
        )
