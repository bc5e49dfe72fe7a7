"""Who is calling. Set at the doors, `server.web.keys` and `server.web.sockets`; asked everywhere.

Where keys are asked for and nobody was let in, asking fails: forgetting a door locks it.
"""

from dataclasses import dataclass

from flask import g, has_app_context

from server import errors

_NAME = "melodyflow_caller"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody who was let in. `id` is their key's, None where keys are not asked for."""

    id: str | None = None
    is_admin: bool = False
    requests_per_minute: int | None = None
    jobs_at_once: int | None = None

    def may_see(self, owner: str | None) -> bool:
        """Whether what belongs to that owner exists for them."""
        return self.id is None or self.is_admin or owner == self.id


EVERYBODY = Caller()
"""Whoever calls a server that asks for no keys."""

NOBODY = Caller(id="")
"""Whoever came without a key through an open door: nothing is theirs."""


def current() -> Caller:
    """Return who sent the present request or event.

    Raises:
        errors.Unauthorized: nobody was let in.
    """
    if not has_app_context():
        return EVERYBODY
    caller: Caller | None = g.get(_NAME)
    if caller is None:
        raise errors.Unauthorized
    return caller


def let_in(caller: Caller) -> None:
    """Have this be who sent the present request or event."""
    setattr(g, _NAME, caller)


def require_admin(*, always: bool = False) -> None:
    """Refuse those without an admin's key; with `always` also where no keys are asked for.

    Raises:
        errors.Unauthorized: it is somebody else.
    """
    caller = current()
    if not caller.is_admin and (always or caller.id is not None):
        raise errors.Unauthorized("An admin's API key is needed.")
