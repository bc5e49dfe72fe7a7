"""Every bomb at the door of a real server: refused in a sentence, and the server stays small."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import psutil
import pytest
import requests

from tests.http import sounds
from tests.http.legacy.listener import PATIENCE_SECONDS
from tests.system import site
from tests.system.processes import until
from tests.system.site import Site
from tests.unit.media import bombs

FILES = {**bombs.TOO_LONG, **bombs.BOUNDED}
MORE_MEGABYTES = 80
"""The largest bomb is a file of 20 MB, which is received, and handed to a reader."""

READ = {
    "FLAC in blocks of nothing",
    "a WAV that claims 4 GB",
    "a WAV of eight channels at 768 kHz that claims 4 GB",
    "a WAV of 1024 channels",
    "an RF64 that claims exabytes",
    "a WAV with a billion cue points",
    "an MP4 that claims years",
    "a thousand Ogg streams one behind the other",
    "ten hours that claim to be a second",
}
"""These have sound in them, and no more of it than a job takes."""


# looked for, not imported: that would warn of every process that later tests start
WITHOUT_EVENTLET = pytest.mark.skipif(find_spec("eventlet") is None, reason="no extra `eventlet`")


@pytest.fixture(
    name="here",
    scope="module",
    params=["threading", pytest.param("eventlet", marks=WITHOUT_EVENTLET)],
)
def _here(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, valkey: str
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("bombs")
    with site.opened(folder, valkey, mode=str(request.param)) as opened:
        yield opened


def upload(here: Site, data: bytes) -> tuple[int, dict[str, Any]]:
    """Send a file as a body; return status and answer."""
    answer = requests.post(
        f"{here.url}/artifacts",
        data=data,
        headers={"Content-Type": "application/octet-stream"},
        timeout=PATIENCE_SECONDS,
    )
    return answer.status_code, answer.json()


def megabytes(process: psutil.Process) -> float:
    """Return what a process holds."""
    return float(process.memory_info().rss) / 2**20


def test_every_bomb_is_refused_and_the_next_sound_is_taken(here: Site) -> None:
    """With the field's name; a reader that a bomb takes along is not the web process."""
    assert upload(here, sounds.wav())[0] == 201
    server = here.server()
    before = megabytes(server)
    answers = {name: upload(here, make()) for name, make in FILES.items()}

    refused = {name: (status, said) for name, (status, said) in answers.items() if status != 201}
    assert READ == answers.keys() - refused.keys()
    assert {413, 415, 422} == {status for status, _ in refused.values()}
    assert {"audio"} == {said["error"]["field"] for _, said in refused.values()}
    assert upload(here, sounds.wav())[0] == 201
    assert server == here.server()
    assert megabytes(server) - before < MORE_MEGABYTES


def _is_dead(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_killed_reader_costs_nobody_an_upload(here: Site) -> None:
    """Whoever kills it: the kernel when memory is short, or an operator."""
    upload(here, sounds.wav())
    readers = here.readers()
    assert readers
    for each in readers:
        each.kill()
    until(lambda: all(_is_dead(each) for each in readers))

    assert upload(here, sounds.wav())[0] == 201


def test_readers_end_with_the_server(here: Site) -> None:
    """Even when it is killed and can tell nobody. Nothing comes after this test here."""
    upload(here, sounds.wav())
    readers = here.readers()
    assert readers
    here.server().kill()
    here.web.process.kill()
    here.web.process.wait()
    _, alive = psutil.wait_procs(readers, timeout=PATIENCE_SECONDS)

    assert [] == alive
