"""A client of a running server: REST to submit and fetch, Socket.IO to follow."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests
import socketio
from socketio.exceptions import SocketIOError
from socketio.exceptions import TimeoutError as NoNews

Facts = Mapping[str, Any]

_PATIENCE_SECONDS = 30
_FINAL = ("finished", "failed", "cancelled")


class ServerSaidNo(Exception):
    """The server refused or did not answer; the message is for people."""


class Client:
    """One server."""

    def __init__(self, url: str, *, api_key: str | None = None) -> None:
        """Take where it listens, such as `http://127.0.0.1:8002`, and a key if it asks for one."""
        self.url = url
        self._auth = {"api_key": api_key} if api_key else None
        self._http = requests.Session()
        if api_key:
            self._http.headers["Authorization"] = f"Bearer {api_key}"

    def is_ready(self) -> bool:
        """Whether it answers and a worker is there."""
        try:
            return self._http.get(f"{self.url}/health/ready", timeout=5).ok
        except requests.RequestException:
            return False

    def submit(self, audio: Path, **parameters: str | float) -> Facts:
        """Upload a file with a job's parameters and return the receipt.

        Raises:
            ServerSaidNo: it was refused.
        """
        return self.post("/jobs", audio, **parameters)

    def post(self, path: str, audio: Path, **parameters: str | float) -> Facts:
        """Upload a file with parameters to a route and return what it answers.

        Raises:
            ServerSaidNo: it was refused.
        """
        with audio.open("rb") as file:
            return self._json("POST", path, data=parameters, files={"audio": (audio.name, file)})

    def get(self, path: str) -> Facts:
        """Return what a route answers.

        Raises:
            ServerSaidNo: it was refused.
        """
        return self._json("GET", path)

    def job(self, job_id: str, *, wait_seconds: float = 0) -> Facts:
        """Return a job as it is, or as soon as it ended.

        Raises:
            ServerSaidNo: there is none.
        """
        return self._json("GET", f"/jobs/{job_id}", params={"wait": wait_seconds})

    def follow(self, job_id: str, *, on_news: Callable[[Facts], None]) -> Facts:
        """Call `on_news` with every change of a job until it ended, and return it as it is then.

        News may be lost, the record is not: silence makes it ask.

        Raises:
            ServerSaidNo: the server went away.
        """
        try:
            with socketio.SimpleClient() as socket:
                socket.connect(self.url, transports=["websocket"], auth=self._auth)
                socket.emit("follow", {"job_id": job_id})
                self._listen(socket, job_id, on_news)
        except SocketIOError:
            pass  # the socket is a convenience; the record below is the truth
        facts = self._ended(job_id)
        on_news(facts)
        return facts

    def download(self, path: str) -> bytes:
        """Return the bytes of an artifact.

        Raises:
            ServerSaidNo: it is not there.
        """
        return self._answer("GET", path).content

    def _listen(
        self, socket: socketio.SimpleClient, job_id: str, on_news: Callable[[Facts], None]
    ) -> None:
        while True:
            try:
                name, *payload = socket.receive(timeout=5)
            except NoNews:
                if self.job(job_id)["status"] in _FINAL:
                    return
                continue
            if name == "job" and payload and payload[0].get("id") == job_id:
                on_news(payload[0])
                if payload[0].get("status") in _FINAL:
                    return

    def _ended(self, job_id: str) -> Facts:
        while True:
            facts = self.job(job_id, wait_seconds=10)
            if facts["status"] in _FINAL:
                return facts

    def _json(self, method: str, path: str, **how: Any) -> Facts:
        facts: Facts = self._answer(method, path, **how).json()
        return facts

    def _answer(self, method: str, path: str, **how: Any) -> requests.Response:
        try:
            answer = self._http.request(method, self.url + path, timeout=_PATIENCE_SECONDS, **how)
        except requests.RequestException as error:
            raise ServerSaidNo("The server does not answer.") from error
        if not answer.ok:
            raise ServerSaidNo(_sentence(answer))
        return answer


def await_ready(client: Client, *, seconds: float, is_alive: Callable[[], bool]) -> bool:
    """Return whether the server became ready in time; give up at once when its process ended."""
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at and is_alive():
        if client.is_ready():
            return True
        time.sleep(0.1)
    return False


def _sentence(answer: requests.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"The server answered {answer.status_code}."
