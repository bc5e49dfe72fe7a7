"""A page in a headless Chromium, driven over its debugging protocol."""

import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import requests
import websocket

from tests.system.processes import PATIENCE_SECONDS, until

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def program() -> str | None:
    """Return where a browser is, None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Page:
    """One page."""

    def __init__(self, connection: websocket.WebSocket) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": parameters}
        self._connection.send(json.dumps(command))
        while (reply := json.loads(self._connection.recv())).get("id") != number:
            continue  # events of no interest here
        assert "error" not in reply, reply["error"]
        result: dict[str, Any] = reply["result"]
        return result

    def value(self, expression: str) -> Any:
        """Return what a JavaScript expression is worth."""
        told = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def await_that(self, expression: str) -> None:
        """Return as soon as an expression is true."""
        until(lambda: self.value(expression), every=0.05)

    def choose_file(self, selector: str, file: Path) -> None:
        """Put a file into an input."""
        root = self.ask("DOM.getDocument")["root"]["nodeId"]
        node = self.ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.ask("DOM.setFileInputFiles", nodeId=node, files=[str(file)])


@contextmanager
def opened(url: str, folder: Path) -> Iterator[Page]:
    """Open a page in a browser with a profile of its own, and close both."""
    profile = folder / "profile"
    command = [
        str(program()),
        "--headless=new",
        "--no-sandbox",  # tests may run as root, whom Chromium's own sandbox refuses
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--remote-debugging-port=0",
        "--remote-allow-origins=*",
        f"--user-data-dir={profile}",
        "about:blank",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            file = profile / "DevToolsActivePort"
            port = until(lambda: file.read_text().split() if file.exists() else [])[0]
            tab = requests.put(f"http://127.0.0.1:{port}/json/new?{url}", timeout=PATIENCE_SECONDS)
            address = tab.json()["webSocketDebuggerUrl"]
            connected = websocket.create_connection(address, timeout=PATIENCE_SECONDS)
            with closing(connected) as connection:
                yield Page(connection)
        finally:
            process.terminate()
