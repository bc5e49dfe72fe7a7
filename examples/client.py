"""Sends a file to a running server, shows its progress, and writes the result.

    python examples/client.py riff.flac quartet.wav --variation strings_quartet

Needs `requests` and `python-socketio[client]` and nothing of this project.
"""

import argparse
from pathlib import Path

import requests
import socketio

FINAL = ("finished", "failed", "cancelled")


def submit(server: str, audio: Path, variation: str) -> str:
    """Upload the file and return the id of its job."""
    with audio.open("rb") as file:
        answer = requests.post(
            f"{server}/jobs",
            files={"audio": (audio.name, file)},
            data={"variation": variation},
            timeout=60,
        )
    answer.raise_for_status()
    return str(answer.json()["id"])


def follow(server: str, job_id: str) -> dict[str, object]:
    """Print how far the job is until it has ended, and return it."""
    with socketio.SimpleClient() as socket:
        socket.connect(server, transports=["websocket"])
        job: dict[str, object] = socket.call("follow", {"job_id": job_id})
        while job["status"] not in FINAL:
            name, payload = socket.receive(timeout=60)
            if name == "job":
                job = payload
                print(f"{job['progress']:4.0%}  {job['stage']}")
    return job


def main() -> None:
    """Transform one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("audio", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--variation", default="strings_quartet")
    parser.add_argument("--server", default="http://localhost:8002")
    args = parser.parse_args()
    job_id = submit(args.server, args.audio, args.variation)
    follow(args.server, job_id)
    job = requests.get(f"{args.server}/jobs/{job_id}", timeout=10).json()
    if job["error"]:
        raise SystemExit(job["error"]["message"])
    sound = requests.get(args.server + job["artifacts"][0]["url"], timeout=60)
    args.output.write_bytes(sound.content)
    print(f"{args.output}: {job['engine']}, seed {job['seed']}")


if __name__ == "__main__":
    main()
