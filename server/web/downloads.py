"""Links to sounds that need no key: signed, and good for an hour.

Audio elements and plugins that are handed a URL send no headers. What has no owner needs no key, so
its link is plain.
"""

import hashlib
import hmac
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from server import errors
from server.jobs.ports import Artifact

SECRET_NAME = "downloads"  # noqa: S105 - the name of one

GOOD_SECONDS = 3600
"""How long a link is good at least."""

STEP_SECONDS = 300
"""Links change this often, so that browsers keep a sound while its job is looked at again."""


@dataclass(frozen=True, kw_only=True)
class Downloads:
    """Makes links and checks them. `secret` returns the bytes that all processes sign with."""

    secret: Callable[[], bytes]
    clock: Callable[[], float] = field(default=time.time)

    def url(self, artifact: Artifact) -> str:
        """Return where a sound can be fetched."""
        plain = f"/artifacts/{artifact.id}"
        if artifact.owner is None:
            return plain
        expires = math.ceil((self.clock() + GOOD_SECONDS) / STEP_SECONDS) * STEP_SECONDS
        return f"{plain}?expires={expires}&signature={self._signature(artifact.id, expires)}"

    def check(self, artifact_id: str, *, expires: int | None, signature: str | None) -> None:
        """Refuse a link that is not ours, or not good any more.

        Raises:
            errors.NoSuchArtifact: nobody here signed it.
            errors.Expired: it was good once.
        """
        right = self._signature(artifact_id, expires or 0)
        if not hmac.compare_digest(right.encode(), (signature or "").encode()):
            raise errors.NoSuchArtifact
        if self.clock() > (expires or 0):
            raise errors.Expired("This link has expired; the job's view has a new one.")

    def _signature(self, artifact_id: str, expires: int) -> str:
        text = f"{artifact_id} {expires}".encode()
        return hmac.new(self.secret(), text, hashlib.sha256).hexdigest()
