"""Nothing is sent but to the internet at large, whatever an address looks like."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import errors
from server.adapters import outbound

NOT_PUBLIC = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "017700000001",
    "0177.0.0.1",
    "0.0.0.0",  # noqa: S104 - is refused
    "0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "0xa9fea9fe",
    "192.0.2.1",
    "198.18.0.1",
    "192.88.99.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2001::1]",
    "[2001:db8::1]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "metadata.google.internal",
    "printer.local",
    "router",
]

PUBLIC = [
    "example.org",
    "EXAMPLE.org",
    "example.org.",
    "93.184.216.34",
    "[2606:2800:220:1::1]",
    "[::ffff:93.184.216.34]",
    "[64:ff9b::5db8:d822]",
    "[2002:5db8:d822::1]",
]


@pytest.mark.parametrize("host", NOT_PUBLIC)
def test_a_private_host_is_refused_by_its_looks(host: str) -> None:
    """In each form that a system would connect to."""
    with pytest.raises(errors.InvalidInput) as refusal:
        outbound.check_looks(f"http://{host}:8080/hook")

    assert refusal.value.field == "webhook"


@pytest.mark.parametrize("host", PUBLIC)
def test_a_public_host_is_taken(host: str) -> None:
    outbound.check_looks(f"https://{host}/hook?a=b")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org/hook",
        "//example.org/hook",
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "javascript:alert(1)",
        "http://",
        "http:///hook",
        "http://user@example.org/",
        "http://user:word@example.org/",
        "http://:@example.org/",
        "http://example.org:0/",
        "http://example.org:99999/",
        "http://example.org:port/",
        "http://exa mple.org/",
        "http://example.org/\r\nX-Header: 1",
        "http://example.org\\@127.0.0.1/",
        "http://ex\u00e4mple.org/",
        "http://127\u3002o\u3002o\u30021/",
        "http://[::1/",
        "http://[::g]/",
        "http://example.org/" + "a" * 2000,
    ],
)
def test_what_is_no_such_url_is_refused(url: str) -> None:
    """Naming the field."""
    with pytest.raises(errors.InvalidInput) as refusal:
        outbound.check_looks(url)

    assert refusal.value.field == "webhook"


def test_what_is_taken_apart_can_be_asked_for() -> None:
    """Host, port, path and query; the fragment stays here."""
    target = outbound.parse("HTTPS://Example.org:444/a%20b?c=d#e")

    assert outbound.Target("https", "example.org", 444, "/a%20b?c=d") == target
    assert target.host_header == "example.org:444"


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("http://example.org", "example.org"),
        ("https://example.org:443/", "example.org"),
        ("https://example.org:80/", "example.org:80"),
        ("http://[2606:2800::1]:81/", "[2606:2800::1]:81"),
    ],
)
def test_a_receiver_is_called_what_its_url_calls_it(url: str, header: str) -> None:
    assert header == outbound.parse(url).host_header


def test_a_name_is_refused_for_any_of_its_addresses() -> None:
    """One private address among public ones is enough."""
    target = outbound.parse("http://example.org/")

    with pytest.raises(errors.InvalidInput):
        outbound.checked_addresses(target, resolve=lambda *_: ["93.184.216.34", "10.0.0.1"])


def test_the_addresses_of_a_public_name_are_returned_once_each() -> None:
    target = outbound.parse("http://example.org/")
    found = outbound.checked_addresses(
        target, resolve=lambda *_: ["93.184.216.34", "93.184.216.34", "2606:2800::1"]
    )

    assert ["93.184.216.34", "2606:2800::1"] == found


def test_a_name_without_an_address_is_no_refusal() -> None:
    """It may have one later."""
    with pytest.raises(OSError, match="no address"):
        outbound.checked_addresses(outbound.parse("http://example.org/"), resolve=lambda *_: [])


def test_the_operator_may_allow_private_hosts() -> None:
    """By the very name, whatever its case."""
    allowed = ("Hooks.internal", "10.1.2.3")
    outbound.check_looks("http://hooks.INTERNAL:81/", allowed=allowed)
    outbound.check_looks("http://10.1.2.3/", allowed=allowed)

    with pytest.raises(errors.InvalidInput):
        outbound.check_looks("http://more.hooks.internal/", allowed=allowed)
    with pytest.raises(errors.InvalidInput):
        outbound.check_looks("http://10.1.2.4/", allowed=allowed)


@given(st.ip_addresses(v=4))
def test_wrapping_an_address_changes_nothing(address: IPv4Address) -> None:
    """An IPv6 address is as public as the IPv4 address in it."""
    wrapped = [
        IPv6Address(f"::ffff:{address}"),
        IPv6Address(f"64:ff9b::{address}"),
        IPv6Address((0x2002 << 112) | (int(address) << 80) | 1),
    ]

    assert {outbound.is_public(address)} == {outbound.is_public(each) for each in wrapped}


@given(st.ip_addresses())
def test_no_address_that_python_calls_private_is_public(
    address: IPv4Address | IPv6Address,
) -> None:
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert not outbound.is_public(ip_address(str(address)))
