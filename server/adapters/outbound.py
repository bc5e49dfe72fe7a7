"""Where this server may send something on its own: nowhere but to public addresses.

Whoever names an address for a webhook makes the server call it, so an address is checked twice. At
submission by its looks, without asking any name server: nobody learns here which names exist. At
sending by what it resolves to: all of that must be public, and the connection is made to an address
that was checked, so that a name whose answer changes in between changes nothing.
"""

import socket
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from server import errors

LONGEST_URL = 2000

PORTS = {"http": 80, "https": 443}

Address = IPv4Address | IPv6Address

Resolve = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host. Raises `OSError` where there are none."""

_OWN_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home.arpa", "onion")
"""Last labels that mean this machine or this network, whatever a name server says."""

_WRAPPING = (
    # an IPv4 address stands this many bits from the right
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped
    (IPv6Network("2002::/16"), 80),  # 6to4
)

_UNICAST = IPv6Network("2000::/3")
"""The only part of IPv6 that was ever given out for the internet at large."""

_TUNNELS = (IPv6Network("2001::/32"), IPv4Network("192.88.99.0/24"))
"""Teredo, and the way into 6to4: they end who knows where."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart: where to connect, what to call it there, what to ask for."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        """What the receiver is called in the request."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == PORTS[self.scheme] else f"{name}:{self.port}"


def parse(url: str) -> Target:
    """Take a URL apart.

    Raises:
        errors.InvalidInput: it is no http or https URL with a host, or has a password in it.
    """
    if len(url) > LONGEST_URL or any(not "!" <= letter <= "~" for letter in url) or "\\" in url:
        raise _refused(f"A webhook is a URL of {LONGEST_URL} plain characters at most.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _refused("The webhook is not a URL.") from error
    scheme = parts.scheme.lower()
    if scheme not in PORTS or not host or port == 0:
        raise _refused("A webhook starts with http:// or https:// and has a host.")
    if "@" in parts.netloc:
        raise _refused("A webhook has no name and password in it.")
    return Target(scheme, host.rstrip("."), port or PORTS[scheme], _path(parts))


def check_looks(url: str, *, allowed: Collection[str] = ()) -> None:
    """Refuse a URL that can be seen to lead nowhere public; asks no name server.

    Raises:
        errors.InvalidInput: it is no URL, or its host is a private address or name.
    """
    target = parse(url)
    if is_allowed(target.host, allowed):
        return
    literal = _literal(target.host)
    if literal is None and _is_own_name(target.host):
        raise _refused("A webhook needs a public host name.")
    if literal is not None and not is_public(literal):
        raise _refused("A webhook needs a public address.")


def checked_addresses(
    target: Target, *, allowed: Collection[str] = (), resolve: Resolve | None = None
) -> Sequence[str]:
    """Resolve a host once and return its addresses, all of them good to connect to.

    Raises:
        errors.InvalidInput: one of them is not public, and the host is not among the allowed ones.
        OSError: the name has no address.
    """
    found = list(dict.fromkeys((resolve or addresses_of)(target.host, target.port)))
    if not found:
        raise OSError("the name has no address")
    if not is_allowed(target.host, allowed) and not all(map(_is_public_text, found)):
        raise _refused("The host has an address that is not public.")
    return found


def addresses_of(host: str, port: int) -> Sequence[str]:
    """Return what this machine resolves a host to. Raises `OSError`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is empty or too long
        raise OSError("the name is none") from error
    return [str(entry[4][0]) for entry in found]


def is_allowed(host: str, allowed: Collection[str]) -> bool:
    """Whether the operator named this very host."""
    return host.lower() in {each.lower().rstrip(".") for each in allowed}


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet at large, and so is one that it wraps."""
    if isinstance(address, IPv6Address):
        for network, shift in _WRAPPING:
            if address in network:
                return is_public(IPv4Address((int(address) >> shift) & 0xFFFFFFFF))
        if address not in _UNICAST:
            return False
    in_tunnel = any(address.version == each.version and address in each for each in _TUNNELS)
    return address.is_global and not address.is_multicast and not in_tunnel


def _is_public_text(text: str) -> bool:
    try:
        return is_public(ip_address(text.partition("%")[0]))
    except ValueError:
        return False


def _literal(host: str) -> Address | None:
    """Return the address that a host is written as, in any form the system would connect to."""
    if ":" in host:
        try:
            return ip_address(host.partition("%")[0])
        except ValueError as error:
            raise _refused("The webhook is not a URL.") from error
    try:
        return IPv4Address(socket.inet_aton(host))  # also 127.1, 0x7f000001, 017700000001
    except (OSError, UnicodeError):
        return None


def _is_own_name(host: str) -> bool:
    name = host.lower()
    return "." not in name or name.endswith(tuple(f".{each}" for each in _OWN_NAMES))


def _refused(message: str) -> errors.InvalidInput:
    return errors.InvalidInput(message, field="webhook")


def _path(parts: SplitResult) -> str:
    query = f"?{parts.query}" if parts.query else ""
    return (parts.path or "/") + query
