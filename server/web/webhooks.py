"""Webhooks as clients name them and see them. Nothing is sent from here: couriers do that."""

from server.jobs.record import Job
from server.web import parsing, views
from server.web.services import current


def address(value: object) -> str | None:
    """Return the URL that a client wants told, None where it names none.

    Raises:
        errors.InvalidInput: it is no URL of a public host.
    """
    if value is None or value == "":  # a form's blank field
        return None
    url = parsing.word(value, field="webhook")
    current().webhooks.check(url)
    return url


def shown(job: Job) -> views.WebhookView | None:
    """Return how far the telling of a job's ending is, None where nobody is told."""
    if job.webhook is None:
        return None
    return views.WebhookView.of(job, current().webhooks.of_job(job.id))
