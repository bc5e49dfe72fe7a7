"""Tells webhooks: takes what is due from the outbox and posts it, again and again for a while.

Runs beside the jobs of a worker in threads of its own; a receiver that hangs costs one of them for
some seconds, never a job and never an answer of the server. HTTP and TLS are the standard
library's; what is ours is that it connects to an address that was checked, and a deadline that no
slow sender of single bytes can move.
"""

import http.client
import logging
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import parsedate_to_datetime

import certifi

from server import errors
from server.adapters import logs, outbound, webhook_signature
from server.adapters.deliveries import SqlDeliveries
from server.adapters.secret_store import SqlSecrets
from server.jobs.record import now
from server.jobs.webhooks import Delivery

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Webhooks that one worker tells at the same time."""

ANSWER_SECONDS = 10.0
"""How long one attempt may take."""

USER_AGENT = "MelodyFlow"

GONE = 410

NOT_ALLOWED = "not allowed"

FORGET_SECONDS = 300.0
"""How often old deliveries are looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often and when a webhook is tried.

    Attributes:
        tries: in all; with these delays the last one is 18 minutes after the first.
        first_seconds: before the second; each further delay is twice the one before.
        most_seconds: longest delay of our own.
        most_asked_seconds: longest delay that a receiver may ask for.
        spread: how much a delay differs by chance, as a share of it.
        lease: how long an attempt is nobody else's.
        keep: how long an ended delivery can be looked at.
    """

    tries: int = 12
    first_seconds: float = 1.0
    most_seconds: float = 300.0
    most_asked_seconds: float = 3600.0
    spread: float = 0.2
    lease: timedelta = timedelta(seconds=60)
    keep: timedelta = timedelta(days=7)

    def delay(self, attempts: int, *, asked_seconds: float = 0.0) -> timedelta:
        """Return the time to the next attempt after so many."""
        doubled = min(self.first_seconds * 2.0 ** (attempts - 1), self.most_seconds)
        spread = doubled * random.uniform(1 - self.spread, 1 + self.spread)  # noqa: S311 - no secret
        return timedelta(seconds=max(spread, min(asked_seconds, self.most_asked_seconds)))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said: its status and for how long it wants to be left alone."""

    status: int
    retry_after_seconds: float = 0.0


def trusting_the_public() -> ssl.SSLContext:
    """Return what certificates are judged by: this machine's authorities and the public ones."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


@dataclass(frozen=True, kw_only=True)
class Post:
    """Posts to addresses that were checked, and follows nobody anywhere else."""

    allowed: Collection[str] = ()
    seconds: float = ANSWER_SECONDS
    resolve: outbound.Resolve = outbound.addresses_of
    trusted: ssl.SSLContext = field(default_factory=trusting_the_public)

    def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post JSON and return the answer; what comes after its head is not read.

        Raises:
            errors.InvalidInput: nothing may be sent there.
            OSError: it cannot be reached, in time or at all, or is not who it says it is.
            http.client.HTTPException: it does not speak HTTP.
        """
        give_up_at = time.monotonic() + self.seconds
        target = outbound.parse(url)
        addresses = outbound.checked_addresses(target, allowed=self.allowed, resolve=self.resolve)
        with (
            closing(_connected(addresses, target.port, give_up_at)) as raw,
            raw.dup() as line,
            _Deadline(line, give_up_at),
        ):
            return self._asked(target, raw, body, headers)

    def _asked(
        self,
        target: outbound.Target,
        raw: socket.socket,
        body: bytes,
        headers: Mapping[str, str],
    ) -> Answer:
        with closing(http.client.HTTPConnection(target.host, target.port)) as connection:
            connection.sock = self._secured(target, raw)
            connection.request("POST", target.path, body, _headers(target, headers))
            with connection.getresponse() as answer:
                return Answer(answer.status, _seconds(answer.getheader("Retry-After")))

    def _secured(self, target: outbound.Target, raw: socket.socket) -> socket.socket:
        if target.scheme == "http":
            return raw
        return self.trusted.wrap_socket(raw, server_hostname=target.host)


class Courier:
    """Takes turns with the couriers of other workers."""

    def __init__(
        self,
        deliveries: SqlDeliveries,
        *,
        secrets: SqlSecrets,
        post: Callable[[str, bytes, Mapping[str, str]], Answer],
        patience: Patience | None = None,
    ) -> None:
        """Take the outbox, where the secret is that it signs with, and how to post."""
        self._deliveries = deliveries
        self._secrets = secrets
        self._post = post
        self._patience = patience or Patience()
        self._free = threading.Semaphore(AT_ONCE)
        self._forget_at = 0.0

    def round(self) -> None:
        """Begin to tell what is due, as far as threads are free; waits for nobody.

        Raises:
            errors.Unavailable: the database does not answer.
        """
        self._forget_old()
        while self._free.acquire(blocking=False):
            delivery = self._next()
            if delivery is None:
                self._free.release()
                return
            # a process that ends does not wait for these: an attempt that was cut off comes again
            threading.Thread(
                target=self._tell, args=(delivery,), name="courier", daemon=True
            ).start()

    def _next(self) -> Delivery | None:
        """Claim one. Frees the thread that it was meant for where that fails."""
        try:
            claimed = self._deliveries.claim(1, lease=self._patience.lease)
        except errors.MelodyflowError:
            self._free.release()
            raise
        return claimed[0] if claimed else None

    def _tell(self, delivery: Delivery) -> None:
        logs.beside_the_jobs()  # the job that is told of is not the one at hand
        try:
            outcome, delay = self._attempted(delivery)
            due_at = None if delay is None else now() + delay
            self._deliveries.settle(delivery, outcome, due_at=due_at)
            level = logging.INFO if outcome.startswith("2") else logging.WARNING
            log.log(level, "webhook: %s", outcome, extra={"job": delivery.job_id})
        except errors.MelodyflowError as error:
            log.warning("a webhook will be told again: %s", error.message)
        finally:
            self._free.release()

    def _attempted(self, delivery: Delivery) -> tuple[str, timedelta | None]:
        """Return how an attempt went, and the time to the next one if there is any."""
        body = delivery.body.encode()
        master = self._secrets.get(webhook_signature.SECRET_NAME)
        secret = webhook_signature.secret_of(delivery.owner, master=master)
        signed = webhook_signature.headers(
            secret, message_id=delivery.id, timestamp=int(time.time()), body=body
        )
        try:
            answer = self._post(delivery.url, body, signed)
        except errors.InvalidInput:
            return NOT_ALLOWED, None
        except (OSError, http.client.HTTPException) as error:
            return _trouble(error), self._later(delivery)
        if 200 <= answer.status < 300 or answer.status == GONE:
            return str(answer.status), None
        return str(answer.status), self._later(delivery, answer.retry_after_seconds)

    def _later(self, delivery: Delivery, asked_seconds: float = 0.0) -> timedelta | None:
        if delivery.attempts >= self._patience.tries:
            return None
        return self._patience.delay(delivery.attempts, asked_seconds=asked_seconds)

    def _forget_old(self) -> None:
        if time.monotonic() >= self._forget_at:
            self._forget_at = time.monotonic() + FORGET_SECONDS
            self._deliveries.forget_ended(now() - self._patience.keep)


class _Deadline:
    """Cuts a connection at a time, whatever is going on in it."""

    def __init__(self, line: socket.socket, at: float) -> None:
        self._timer = threading.Timer(max(at - time.monotonic(), 0), self._cut, (line,))
        self._timer.daemon = True
        self._has_passed = False

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._timer.cancel()
        if self._has_passed:  # what was cut off can look like an answer that ended
            raise TimeoutError from error

    def _cut(self, line: socket.socket) -> None:
        self._has_passed = True
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


def _connected(addresses: Sequence[str], port: int, give_up_at: float) -> socket.socket:
    """Connect to the first address that takes it. Raises `OSError`."""
    refusal: OSError = TimeoutError()
    for address in addresses:
        left = give_up_at - time.monotonic()
        if left <= 0:
            break
        try:
            return socket.create_connection((address, port), timeout=left)
        except OSError as error:
            refusal = error
    raise refusal


def _headers(target: outbound.Target, signed: Mapping[str, str]) -> dict[str, str]:
    return {
        "Host": target.host_header,
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "Connection": "close",
        **signed,
    }


def _seconds(retry_after: str | None) -> float:
    """Return how long a Retry-After asks for, as seconds or as a date; 0 where it asks nothing."""
    if retry_after is None or retry_after.isdecimal():
        return float(retry_after or 0)
    try:
        asked = parsedate_to_datetime(retry_after)
        return max((asked - now()).total_seconds(), 0.0)
    except (ValueError, TypeError):  # no date, or one without a zone
        return 0.0


def _trouble(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate not valid"
    if isinstance(error, socket.gaierror):
        return "no such host"
    return "no connection"
