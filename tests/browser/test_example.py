"""The browser example works as it is, in a browser, against a server at another address."""

import shutil
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pybase64
import pytest

import variations
from server.media import codec
from tests.browser import chromium
from tests.browser.chromium import Page
from tests.http import sounds
from tests.system.site import Site

EXAMPLES = Path(__file__).parents[2] / "examples"
CLIENT = "https://cdn.socket.io/4.7.4/socket.io.min.js"

pytestmark = pytest.mark.skipif(chromium.program() is None, reason="Chromium is not installed")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(name="pages", scope="module")
def _pages(tmp_path_factory: pytest.TempPathFactory, node_modules: Path) -> Iterator[str]:
    """Serve the example with the client of the same version from here, not from the network."""
    folder = tmp_path_factory.mktemp("pages")
    page = (EXAMPLES / "browser.html").read_text("utf-8")
    assert CLIENT in page
    (folder / "browser.html").write_text(page.replace(CLIENT, "socket.io.min.js"), "utf-8")
    shutil.copy(EXAMPLES / "browser.js", folder)
    shutil.copy(node_modules / "socket.io-client" / "dist" / "socket.io.min.js", folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/browser.html"
        server.shutdown()
        thread.join()


@pytest.fixture(name="page", scope="module")
def _page(pages: str, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Open the example."""
    folder = tmp_path_factory.mktemp("browser")
    with chromium.opened(f"{pages}?server={site.url}", folder) as page:
        page.await_that("location.search && document.readyState === 'complete'")
        yield page


def _said(page: Page) -> str:
    return str(page.value("document.getElementById('status').textContent"))


def _await_status(page: Page, text: str) -> None:
    page.await_that(f"document.getElementById('status').textContent === '{text}'")


def _heard(page: Page) -> bytes:
    url = str(page.value("document.getElementById('result').src"))
    return pybase64.b64decode(url.partition("base64,")[2])


def test_a_file_is_transformed_and_undone(page: Page, tmp_path: Path) -> None:
    """Choose, press, hear; press again, and the file is back, byte by byte."""
    file = tmp_path / "riff.wav"
    file.write_bytes(sounds.wav())
    _await_status(page, "connected")
    page.choose_file("#file", file)
    page.value("document.getElementById('transform').click()")
    _await_status(page, "done")
    result = codec.decode(_heard(page))
    page.value("document.getElementById('undo').click()")
    _await_status(page, "undone")

    assert 100 == page.value("document.getElementById('progress').value")
    assert codec.decode(sounds.wav()).length == result.length
    assert sounds.wav() == _heard(page)


def test_it_offers_every_preset(page: Page) -> None:
    """In the order of their numbers, as the server lists them."""
    page.await_that("document.getElementById('variation').options.length")
    offered = page.value("[...document.getElementById('variation').options].map((o) => o.value)")

    assert list(variations.load()) == offered


def test_what_goes_wrong_is_shown(page: Page, tmp_path: Path) -> None:
    """A file that is no audio is refused in the server's words."""
    file = tmp_path / "letter.txt"
    file.write_text("This is no audio at all.")
    page.choose_file("#file", file)
    page.value("document.getElementById('transform').click()")
    page.await_that("document.getElementById('status').textContent.startsWith('error: ')")

    assert len(_said(page)) > len("error: ")
