"""A hub of our own: repositories, commits and files over real HTTP, with troubles on demand."""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

COMMIT = "a" * 40


@dataclass
class Hub:
    """What the server has, what it does wrong, and what it has served.

    Attributes:
        folders: by repository.
        commits: by repository and branch.
        breaks: bytes after which the next answer for a file of this name breaks off, in order.
        spoiled: names of files whose first byte is served wrong.
        served: bytes that went out, by file name.
        starts: where each answer for a file began, by file name.
    """

    folders: dict[str, Path]
    commits: dict[tuple[str, str], str] = field(default_factory=dict)
    breaks: dict[str, list[int]] = field(default_factory=dict)
    spoiled: set[str] = field(default_factory=set)
    ignores_ranges: bool = False
    served: Counter[str] = field(default_factory=Counter)
    starts: dict[str, list[int]] = field(default_factory=dict)
    url: str = ""

    def info(self, repository: str, revision: str) -> dict[str, Any] | None:
        """Return what the hub says of a repository, or None where it has no such thing."""
        folder = self.folders.get(repository)
        commit = self.commits.get((repository, revision), COMMIT)
        if folder is None or revision == "nowhere":
            return None
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        siblings = [_described(path, str(path.relative_to(folder))) for path in files]
        return {"id": repository, "modelId": repository, "sha": commit, "siblings": siblings}


def _described(path: Path, name: str) -> dict[str, Any]:
    content = path.read_bytes()
    git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    large = {
        "lfs": {
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "pointerSize": 134,
        }
    }
    is_large = path.suffix in (".bin", ".safetensors")
    return {"rfilename": name, "size": len(content), "blobId": git} | (large if is_large else {})


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer the two requests there are: what is there, and a file."""
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            self._tell("/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main")
        elif parts[2:3] == ["resolve"]:
            self._send("/".join(parts[:2]), "/".join(parts[4:]))
        else:
            self._answer(404, b"", {})

    def do_HEAD(self) -> None:
        """Say of a file what the hub's library wants to know before it fetches it."""
        parts = self.path.partition("?")[0].strip("/").split("/")
        path = self.hub.folders.get("/".join(parts[:2]), Path()) / "/".join(parts[4:])
        if not path.is_file():
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        self.send_response(200)
        self.send_header("Content-Length", str(path.stat().st_size))
        self.send_header("ETag", f'"{hashlib.sha256(path.read_bytes()).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()

    def _tell(self, repository: str, revision: str) -> None:
        info = self.hub.info(repository, revision)
        if info is None:
            code = "RevisionNotFound" if repository in self.hub.folders else "RepoNotFound"
            self._answer(404, b"{}", {"X-Error-Code": code})
        else:
            self._answer(200, json.dumps(info).encode(), {"Content-Type": "application/json"})

    def _send(self, repository: str, name: str) -> None:
        content = (self.hub.folders[repository] / name).read_bytes()
        if name in self.hub.spoiled:
            content = bytes([content[0] ^ 1]) + content[1:]
        asked = "" if self.hub.ignores_ranges else self.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").removesuffix("-") or 0)
        self.hub.starts.setdefault(name, []).append(start)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        breaks = self.hub.breaks.get(name)
        body = content[start : start + breaks.pop(0)] if breaks else content[start:]
        self.wfile.write(body)
        self.hub.served[name] += len(body)
        self.close_connection = True

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def ask(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the hub's library in this process ask the hub at an address."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve a hub at `hub.url`."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield hub
        server.shutdown()
        thread.join()
