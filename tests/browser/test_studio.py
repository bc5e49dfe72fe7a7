"""The page, in a browser, on a server that asks for keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from server.__main__ import main
from tests.browser import chromium
from tests.browser.chromium import Page
from tests.http import sounds
from tests.system import site as sites
from tests.system.site import Site

pytestmark = pytest.mark.skipif(chromium.program() is None, reason="Chromium is not installed")

HEARD = "document.querySelector('#result audio') && document.querySelector('#result audio')"


@pytest.fixture(name="shut")
def _shut(tmp_path: Path, valkey_url: str) -> Iterator[Site]:
    """Run a server that asks for keys."""
    with sites.opened(tmp_path, valkey_url, MELODYFLOW_KEYS="on") as opened:
        yield opened


def _await_door(page: Page, *, is_shut: bool) -> None:
    page.await_that(f"document.getElementById('door')?.hidden === {str(not is_shut).lower()}")


def _give(page: Page, key: str) -> None:
    page.value(f"document.getElementById('key').value = '{key}'")
    page.value("document.getElementById('door').requestSubmit()")


def test_the_page_asks_for_a_key_and_keeps_it(
    shut: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong one is refused with a sentence; a good one lets a sound be made, heard and seen."""
    assert main(["keys", "add", "Ann", "--data-dir", str(shut.yard.data)]) == 0
    key, file = capsys.readouterr().out.strip(), tmp_path / "riff.wav"
    file.write_bytes(sounds.wav())
    with chromium.opened(f"{shut.url}/", tmp_path / "browser") as page:
        _await_door(page, is_shut=True)
        _give(page, "mf_nonsense")
        page.await_that("document.getElementById('door-said').textContent.includes('not valid')")
        _give(page, key)
        _await_door(page, is_shut=False)
        page.choose_file("#file", file)
        page.value("document.getElementById('go').click()")
        page.await_that(f"{HEARD}.readyState >= 1")  # it was loaded without a header
        assert "signature=" in str(page.value(f"{HEARD}.src"))
        saved = str(page.value("document.querySelector('#result [data-format=mp3]').href"))
        assert saved.count("?") == 1
        page.await_that("document.querySelector('#result .picture img')?.naturalWidth === 1600")
        page.value("location.reload()")
        page.await_that("document.readyState === 'complete'")
        assert page.value("localStorage.getItem('melodyflow.key')") == key
        _await_door(page, is_shut=False)
