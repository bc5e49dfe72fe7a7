"""What asking is answered with before there is a job, and after it has expired."""

from typing import Any, Self

from pydantic import Field, RootModel

from server import errors
from server.jobs import record
from server.jobs.estimates import Forecast
from server.web.views import Receipt, RefusalFacts, View


class ForecastView(View):
    """What would become of a job that is right as it is."""

    valid: bool = Field(True, description="True: it would be taken.")
    estimated_seconds: float | None = Field(
        description="How long it would take, by what the last ones took; null without any."
    )
    estimated_wait_seconds: float | None = Field(description="Until it would begin.")
    engine: str | None = Field(description="Who would do it as workers are now.")

    @classmethod
    def of(cls, forecast: Forecast) -> Self:
        """Show a forecast."""
        return cls(
            estimated_seconds=forecast.seconds,
            estimated_wait_seconds=forecast.wait_seconds,
            engine=forecast.engine,
        )


class KnownOrForecast(RootModel[Receipt | ForecastView]):
    """A job that was taken before, or with `dry_run` what would become of one."""


class ExpiredJob(View):
    """A job that is known no longer but for its recipe."""

    error: RefusalFacts
    recipe: dict[str, Any] | None = Field(description="Everything needed to run it again.")

    @classmethod
    def of(cls, job: record.Job, message: str) -> Self:
        """Show what is left of a job."""
        facts = RefusalFacts(code=errors.Expired.code, message=message, field=None)
        return cls(error=facts, recipe=None if job.recipe is None else dict(job.recipe))
