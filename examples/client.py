"""Sends a file to a running server, shows its progress, and writes what comes back.

    python examples/client.py riff.flac quartet.wav --variation strings_quartet
    python examples/client.py riff.flac out.wav --variation celtic,chiptune --part 4 8

Needs `requests` and `python-socketio[client]` and nothing of this project.
"""

import argparse
from pathlib import Path

import requests
import socketio

FINAL = ("finished", "failed", "cancelled")


def headers(args: argparse.Namespace) -> dict[str, str]:
    """Return what every request needs where the server asks for a key."""
    return {"Authorization": f"Bearer {args.key}"} if args.key else {}


def submit(args: argparse.Namespace) -> str:
    """Upload the file and return the id of its job."""
    order = {"variations": args.variation, "preview": "true"}
    if args.part:
        order["start_seconds"], order["end_seconds"] = args.part
    with args.audio.open("rb") as file:
        answer = requests.post(
            f"{args.server}/jobs",
            files={"audio": (args.audio.name, file)},
            data=order,
            headers=headers(args),
            timeout=60,
        )
    answer.raise_for_status()
    return str(answer.json()["id"])


def follow(server: str, job_id: str, *, key: str | None) -> None:
    """Print how far the job is until it has ended, and where its previews are."""
    with socketio.SimpleClient() as socket:
        socket.connect(server, transports=["websocket"], auth={"api_key": key} if key else None)
        job = socket.call("follow", {"job_id": job_id})
        while job["status"] not in FINAL:
            name, payload = socket.receive(timeout=60)
            if name == "job":
                job = payload
                print(f"{job['progress']:4.0%}  {job['stage']}")
            elif name == "preview":
                print(*(f"listen to {server}{each['url']}" for each in payload["artifacts"]))


def main() -> None:
    """Transform one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("audio", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--variation", default="strings_quartet", help="one, or some with commas")
    parser.add_argument("--part", nargs=2, metavar=("START", "END"), help="seconds that change")
    parser.add_argument("--server", default="http://localhost:8002")
    parser.add_argument("--key", help="an API key, where the server asks for one")
    args = parser.parse_args()
    job_id = submit(args)
    follow(args.server, job_id, key=args.key)
    job = requests.get(f"{args.server}/jobs/{job_id}", headers=headers(args), timeout=10).json()
    if job["error"]:
        raise SystemExit(job["error"]["message"])
    results = [each for each in job["artifacts"] if each["role"] == "result"]
    for result in results:
        # the link is signed where a key is asked for: whoever has it can listen for an hour
        sound = requests.get(args.server + result["url"], timeout=60).content
        output = args.output.with_name(result["name"]) if len(results) > 1 else args.output
        output.write_bytes(sound)
        print(f"{output}: {job['engine']}, seed {job['seed']}")


if __name__ == "__main__":
    main()
