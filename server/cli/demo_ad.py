"""`demo-ad`: an advertisement put into a song, through a server of its own."""

import argparse
import time
from pathlib import Path
from typing import Any

from server.cli import client, console, demo, options

NAME = "demo-ad"
HELP = "put an advertisement into a bundled song where it fits, and draw it"

PROMPT = "Upbeat coffee shop promo with acoustic guitar"
_SEED = 7
_TAKES = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--prompt", default=PROMPT, help="what the advertisement sounds like")
    parser.add_argument("--seconds", type=float, default=8.0, help="about how long it is")
    parser.add_argument("--output-dir", type=Path, default=Path("demo"), help="where results go")


def run(args: argparse.Namespace) -> int:
    """Ask where it fits, have it painted there, and write sound and picture."""
    from server.cli import song  # noqa: PLC0415 - numpy, which other commands do without
    from server.media import codec  # noqa: PLC0415

    settings = options.settings_of(args)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    log, source = args.output_dir / "server-ad.log", args.output_dir / "ad-source.wav"
    source.write_bytes(codec.encode(song.compose(), "wav"))
    began = time.monotonic()
    try:
        with demo.running(settings, log) as (server, end):
            place = _place(server, source, args.seconds)
            console.say(_why(place))
            facts, data = _painted(server, source, place, args.prompt)
            end()
    except client.ServerSaidNo as error:
        return console.complain(f"{error} What it wrote is in {log}.")
    stem = args.output_dir / "ad-coffee-shop"
    _write(stem, source, data, facts)
    console.say(f"Listen:  {stem}.mp3\nLook:    {stem}.png\nSource:  {source}, our own")
    console.say(f"Done in {time.monotonic() - began:.1f} s; everything started is stopped.")
    return 0


def _place(server: client.Client, source: Path, seconds: float) -> client.Facts:
    answer = server.post("/inpaint/suggest", source, seconds=seconds, count=3)
    if "suggestions" not in answer:  # it took longer than an answer waits: this is the receipt
        answer = server.follow(answer["id"], on_news=lambda _: None)["report"] or {}
    found = answer.get("suggestions")
    if not found:
        raise client.ServerSaidNo("There is no place for it in this song.")
    place: client.Facts = found[0]
    return place


def _why(place: client.Facts) -> str:
    span = f"{place['start_seconds']:.2f} to {place['end_seconds']:.2f} s"
    return f"It goes from {span}. {' '.join(place['reasons'])}"


def _painted(
    server: client.Client, source: Path, place: client.Facts, prompt: str
) -> tuple[client.Facts, bytes]:
    receipt = server.post(
        "/inpaint",
        source,
        windows=f"{place['start_seconds']}-{place['end_seconds']}",
        prompt=prompt,
        takes=_TAKES,
        seed=_SEED,
        format="mp3",
    )
    bar = console.Bar()
    try:
        facts = server.follow(
            receipt["id"], on_news=lambda news: bar.show(news["progress"], news["stage"])
        )
    finally:
        bar.close()
    if facts["status"] != "finished":
        raise client.ServerSaidNo((facts["error"] or {}).get("message", "It did not finish."))
    return facts, server.download(facts["artifacts"][0]["url"])


def _write(stem: Path, source: Path, data: bytes, facts: client.Facts) -> None:
    from server.media import codec, picture  # noqa: PLC0415 - seconds of imports

    inserts: list[dict[str, Any]] = facts["report"]["windows"]
    stem.with_suffix(".mp3").write_bytes(data)
    drawn = picture.comparison_picture(
        codec.decode(source),
        codec.decode(data),
        titles=("The song", "With the advertisement"),
        inserts=inserts,
    )
    stem.with_suffix(".png").write_bytes(drawn)
