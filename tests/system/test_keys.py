"""A server that asks for keys, as processes: the first key, and what is left of one afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import socketio

from server.__main__ import main
from tests.http import sounds
from tests.system import site as sites
from tests.system.processes import until
from tests.system.site import Site


@pytest.fixture(name="shut")
def _shut(tmp_path: Path, valkey_url: str) -> Iterator[Site]:
    """Run a server that asks for keys; it has none yet."""
    with sites.opened(tmp_path, valkey_url, MELODYFLOW_KEYS="on") as opened:
        yield opened


def _key(site: Site, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["keys", "add", "Ann", "--data-dir", str(site.yard.data)]) == 0
    return capsys.readouterr().out.strip()


def _logs(site: Site) -> str:
    files = sorted((site.yard.data / "logs").glob("*"))
    return "".join(file.read_text("utf-8") for file in files)


def test_the_first_key_is_asked_for_and_works_at_once(
    shut: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server says how to make it; it opens routes, sockets and links, and is in no log."""
    assert requests.get(f"{shut.url}/variations", timeout=10).status_code == 401
    assert f"keys add NAME --admin --data-dir {shut.yard.data}" in until(lambda: _logs(shut))
    key = _key(shut, capsys)
    headers = {"Authorization": f"Bearer {key}"}
    order = {"audio": sounds.base64_wav(), "variation": "celtic"}
    job = requests.post(f"{shut.url}/jobs?api_key={key}", json=order, timeout=20).json()
    with socketio.SimpleClient() as client:
        client.connect(f"{shut.url}?api_key={key}", transports=["websocket"])
        view = client.call("follow", {"job_id": job["id"]})
        while view["status"] not in ("finished", "failed"):
            name, said = client.receive(timeout=20)
            view = said if name == "job" else view
    told = requests.get(f"{shut.url}/jobs/{job['id']}", headers=headers, timeout=10).json()

    assert view["status"] == told["status"] == "finished"
    for each in (view, told):  # the first was told by the worker, which listens nowhere
        link = each["artifacts"][0]["url"]
        assert "signature=" in link
        assert requests.get(shut.url + link, timeout=10).status_code == 200
    with pytest.raises(socketio.exceptions.ConnectionError), socketio.SimpleClient() as client:
        client.connect(shut.url, transports=["websocket"])
    assert key.rpartition("_")[2] not in _logs(shut)
