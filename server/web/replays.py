"""Jobs done again by their recipes."""

from collections.abc import Mapping

from server import errors, kinds
from server.jobs.record import Job, Status
from server.kinds import recipe
from server.web.intake import Once, Order
from server.web.services import Services

NO_SOURCE = "The sound this job was made of has expired; its recipe is all that is left."


def order(job: Job, *, once: Once | None = None) -> Order:
    """Return what has to be ordered for the same result.

    Raises:
        errors.Conflict: the job is not finished.
    """
    if job.status is not Status.FINISHED or job.recipe is None:
        raise errors.Conflict("Only a finished job can be done again.")
    followed: Mapping[str, object] = recipe.again(job.recipe)
    kind = kinds.kind_named(str(job.recipe["kind"]))
    return Order(kind=kind, parameters=followed, once=once, replay_of=job.id)


def has_source(services: Services, order: Order) -> bool:
    """Whether the sound that an order names is still there."""
    source = order.parameters.get("source")
    try:
        return source is None or services.artifacts.get(str(source)) is not None
    except errors.NotFound:
        return False
