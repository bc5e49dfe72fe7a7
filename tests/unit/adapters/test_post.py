"""Webhooks are posted to addresses that were checked, to whom they are meant for, in time."""

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from server import errors
from server.adapters import courier
from server.adapters.courier import Answer, Post
from server.jobs.record import now
from tests.receiver import receiving

HERE = ("127.0.0.1",)


def test_a_name_is_resolved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name whose answer changes in between is connected where it was checked."""
    asked: list[str] = []
    connected: list[tuple[str, int]] = []

    def turncoat(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["93.184.216.34"] if len(asked) == 1 else ["127.0.0.1"]

    def connect(address: tuple[str, int], **_: Any) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(ConnectionRefusedError):
        Post(resolve=turncoat)("http://rebinding.example.org/", b"{}", {})

    assert ["rebinding.example.org"] == asked
    assert [("93.184.216.34", 80)] == connected


def test_a_name_that_turns_private_is_refused() -> None:
    """It was public when the job was submitted."""
    with pytest.raises(errors.InvalidInput):
        Post(resolve=lambda *_: ["127.0.0.1"])("http://example.org/", b"{}", {})


def test_the_receiver_is_called_by_its_name() -> None:
    """The address is for connecting alone."""
    post = Post(allowed=["hooks.example.org"], resolve=lambda *_: ["127.0.0.1"])
    with receiving() as receiver:
        answer = post(f"http://hooks.example.org:{receiver.port}/", b"{}", {})

    assert Answer(204) == answer
    assert f"hooks.example.org:{receiver.port}" == receiver.received[0].headers["host"]


def test_the_next_address_is_tried_where_one_does_not_take_it() -> None:
    post = Post(allowed=["example.org"], resolve=lambda *_: ["::1", "127.0.0.1"])
    with receiving() as receiver:
        assert Answer(204) == post(f"http://example.org:{receiver.port}/", b"{}", {})


@pytest.fixture(scope="module", name="certificate")
def _certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a certificate of hooks.example.org."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("certificate")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *(program, "req", "-x509", "-nodes", "-days", "2"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-subj", "/CN=hooks.example.org"),
            *("-addext", "subjectAltName=DNS:hooks.example.org"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


@pytest.mark.parametrize(
    ("name", "is_trusted", "is_told"),
    [
        ("hooks.example.org", True, True),
        ("other.example.org", True, False),
        ("hooks.example.org", False, False),
    ],
)
def test_a_receiver_behind_tls_has_to_be_who_it_says(
    certificate: tuple[Path, Path], name: str, *, is_trusted: bool, is_told: bool
) -> None:
    """The name is judged, not the address that was connected to."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(*certificate)
    trusted = courier.trusting_the_public()
    if is_trusted:
        trusted.load_verify_locations(certificate[0])
    post = Post(allowed=[name], resolve=lambda *_: ["127.0.0.1"], trusted=trusted)

    with receiving(tls=serving) as receiver:
        url = f"https://{name}:{receiver.port}/"
        if is_told:
            assert Answer(204) == post(url, b"{}", {})
        else:
            with pytest.raises(ssl.SSLCertVerificationError):
                post(url, b"{}", {})

    assert is_told == bool(receiver.received)


@pytest.mark.parametrize("line", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"", b"H"])
def test_no_dripping_answer_moves_the_deadline(line: bytes) -> None:
    """Each byte comes long before any single wait would be over."""
    over = threading.Event()

    def drip(listener: socket.socket) -> None:
        taken, _ = listener.accept()
        with taken:
            try:
                taken.sendall(line)
                while not over.wait(0.02):
                    taken.sendall(b"x")
            except OSError:
                return

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        dripping = threading.Thread(target=drip, args=(listener,))
        dripping.start()
        with pytest.raises(TimeoutError):
            Post(allowed=HERE, seconds=0.3)(f"http://127.0.0.1:{port}/", b"{}", {})
        over.set()
        dripping.join()


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        ("120", 120, 120),
        (timedelta(hours=1), 2000, 3600),
        (timedelta(days=-1), 0, 0),
        ("soon", 0, 0),
        ("-5", 0, 0),
    ],
)
def test_what_a_receiver_asks_for_is_seconds_or_a_date(
    said: str | timedelta, least: int, most: int
) -> None:
    """A date is written here, not where the cases are collected."""
    text = said if isinstance(said, str) else format_datetime(now() + said, usegmt=True)
    with receiving(lambda _: (503, {"Retry-After": text})) as receiver:
        answer = Post(allowed=HERE)(receiver.url, b"{}", {})

    assert 503 == answer.status
    assert least <= answer.retry_after_seconds <= most
