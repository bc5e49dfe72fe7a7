"""Two worker hosts share nothing but addresses: PostgreSQL, a broker, a bucket of an S3 server."""

import io
import signal
import wave
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from numpy.typing import NDArray

from tests.http import sounds
from tests.system import works
from tests.system.processes import Running, Yard, free_port, until

LEASE_SECONDS = 2
BUCKET = "melodyflow"
TIMEOUT = 30


@dataclass(frozen=True)
class Cluster:
    """A web process and what it takes to add hosts; each has a disk of its own."""

    yard: Yard
    environment: dict[str, str]
    web: Running
    port: int

    @property
    def url(self) -> str:
        """Where the web process answers."""
        return f"http://127.0.0.1:{self.port}"

    def host(self, name: str) -> Running:
        """Add a worker on a disk of its own; what it plays is held half way."""
        disk = self.disk(name)
        disk.mkdir()
        (disk / "held").touch()
        return self.yard.start(
            "-m",
            "tests.system.scripted_worker",
            **{**self.environment, "MELODYFLOW_DATA_DIR": str(disk)},
        )

    def release(self, name: str) -> None:
        """Let a host's jobs go on."""
        (self.disk(name) / "held").unlink()

    def disk(self, name: str) -> Path:
        """Where a host keeps its files."""
        return self.yard.directory / name

    def submit(self) -> str:
        """Submit a transform and return the job's id."""
        order = {"audio": sounds.base64_wav(), "variation": "celtic"}
        answer = requests.post(f"{self.url}/jobs", json=order, timeout=TIMEOUT)
        return str(answer.json()["id"])

    def job(self, job_id: str, *, wait: int = 0) -> dict[str, Any]:
        """Return a job, as soon as it ended where that is soon."""
        answer = requests.get(f"{self.url}/jobs/{job_id}?wait={wait}", timeout=2 * TIMEOUT)
        found: dict[str, Any] = answer.json()
        return found

    def half_way(self, job_ids: list[str]) -> Callable[[], bool]:
        """Return whether all of these jobs are held."""
        return lambda: all(self.job(each)["stage"] == "transforming" for each in job_ids)


@pytest.fixture(name="cluster")
def _cluster(tmp_path: Path, postgres_url: str, valkey_url: str) -> Iterator[Cluster]:
    """Start the shared services and a web process."""
    with ExitStack() as ended:
        yard, port = Yard(tmp_path, ended), free_port()
        environment = {
            "DATABASE_URL": works.emptied(postgres_url),
            "REDIS_URL": valkey_url,
            "MELODYFLOW_LEASE_SECONDS": str(LEASE_SECONDS),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **_bucket(yard),
        }
        (disk := tmp_path / "web").mkdir()
        given = {**environment, "MELODYFLOW_DATA_DIR": str(disk)}
        web = yard.start("-m", "server", "web", "--port", port, **given)
        cluster = Cluster(yard, environment, web, port)
        until(lambda: _answers(f"{cluster.url}/health/live"))
        yield cluster


def _bucket(yard: Yard) -> dict[str, str]:
    """Start an S3 server with an empty bucket and return what its clients have to know."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    yard.start("-m", "moto.server", "-H", "127.0.0.1", "-p", port)
    until(lambda: _answers(f"{endpoint}/moto-api/"))
    assert requests.put(f"{endpoint}/{BUCKET}", timeout=TIMEOUT).ok
    return {
        "MELODYFLOW_ARTIFACTS_URL": f"s3://{BUCKET}/sounds",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "tester",
    }


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=TIMEOUT).ok
    except requests.ConnectionError:
        return False


def _samples(data: bytes) -> NDArray[np.int16]:
    with wave.open(io.BytesIO(data)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")


def test_two_hosts_work_side_by_side_and_one_of_them_may_die(cluster: Cluster) -> None:
    """Both have a job at the same time; the dead one's is done by the other, once; no disk is used.

    The results come from the bucket, through the web process.
    """
    first, _second = cluster.host("one"), cluster.host("two")
    jobs = [cluster.submit() for _ in range(2)]
    until(cluster.half_way(jobs), every=0.1)
    first.end(signal.SIGKILL)
    cluster.release("two")
    done = [_ended(cluster, each) for each in jobs]
    heard = [
        requests.get(cluster.url + each["artifacts"][0]["url"], timeout=TIMEOUT).content
        for each in done
    ]
    source = _samples(sounds.wav()).astype(float)

    assert ["finished"] * 2 == [each["status"] for each in done]
    assert [1, 2] == sorted(each["attempt"] for each in done)
    assert [1, 1] == [len(each["artifacts"]) for each in done]
    for data in heard:
        assert np.abs(_samples(data) - source / 2).max() <= 1
    for host in ("web", "one", "two"):
        assert not any((cluster.disk(host) / "artifacts").glob("*"))


def _ended(cluster: Cluster, job_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        job = cluster.job(job_id, wait=10)
        return job if job["status"] in ("finished", "failed", "cancelled") else None

    return until(look)
