"""The Dockerfile and the compose file: parsed, and their commands really run."""

import json
import os
import shlex
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.__main__ import _parser
from server.cli.client import Client, await_ready
from server.config import Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
OURS = {name: each for name, each in COMPOSE["services"].items() if "build" in each}
OF_LIBRARIES = {
    "HF_HOME",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
}
"""What the libraries of the image read."""


def instructions() -> Iterator[tuple[str, str]]:
    """Yield each instruction of the Dockerfile with its argument, continued lines joined."""
    text = (ROOT / "Dockerfile.melodyflow").read_text("utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            word, _, argument = line.partition(" ")
            yield word, argument.strip()


def arguments(name: str) -> list[str]:
    """Return the arguments of every instruction of a name."""
    return [argument for word, argument in instructions() if word == name]


def test_the_image_begins_with_a_base_and_ends_with_our_command() -> None:
    """And it does not run as root, and says how it is."""
    names = [word for word, _ in instructions()]

    assert ("FROM", "CMD") == (names[0], names[-1])
    assert ["8002"] == arguments("EXPOSE")
    assert ["melodyflow"] == arguments("USER")
    assert "/health/live" in arguments("HEALTHCHECK")[0]


def test_everything_the_image_copies_exists_and_is_let_through() -> None:
    """`.dockerignore` begins by leaving everything out."""
    let_through = (ROOT / ".dockerignore").read_text("utf-8").split()
    copied = [each.lstrip("./") for line in arguments("COPY") for each in line.split()[:-1]]

    built = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    packages = {each.split("/")[0] for each in built["targets"]["wheel"]["packages"]}
    assert {"pyproject.toml", "constraints.txt"} | packages <= set(copied)
    assert [] == [each for each in copied if not (ROOT / each).exists()]
    assert [] == [each for each in copied if f"!{each}" not in let_through]


def test_the_image_and_the_makefile_install_the_same_network() -> None:
    """One version of what hears notes."""
    wanted = "basic-pitch==0.4.0"

    assert any(wanted in line and "--no-deps" in line for line in arguments("RUN"))
    assert wanted in (ROOT / "Makefile").read_text("utf-8")


@pytest.mark.parametrize(
    "command", [json.loads(arguments("CMD")[0]), *(each["command"] for each in OURS.values())]
)
def test_every_command_is_one_of_ours(command: list[str]) -> None:
    """The parser of `python -m server` takes it."""
    assert ["python", "-m", "server"] == command[:3]
    assert callable(_parser(command[3:]).parse_args(command[3:]).run)


def test_every_variable_of_the_containers_is_a_setting() -> None:
    """A misspelt one would be ignored silently."""
    known = {"REDIS_URL", "DATABASE_URL"}
    known |= {f"MELODYFLOW_{name.upper()}" for name in Settings.model_fields}
    given = {name for each in OURS.values() for name in each["environment"]}
    given |= {pair.partition("=")[0] for line in arguments("ENV") for pair in shlex.split(line)}

    assert {"MELODYFLOW_DATA_DIR", "REDIS_URL"} <= given
    others = {name for name in given if not name.startswith(("PIP_", "PYTHON"))}
    assert others - known == OF_LIBRARIES


def test_the_broker_is_reached_by_nobody_else_and_forgets_nothing() -> None:
    """Whoever reaches it can order work."""
    valkey = COMPOSE["services"]["valkey"]

    assert "ports" not in valkey
    assert ["--appendonly", "yes"] == valkey["command"][1:3]
    assert "pubsub" in valkey["command"][-1]


def test_web_and_worker_share_what_they_must() -> None:
    """The record, the sound, the folder of named files; both come back when they end."""
    web, worker, on_card = (OURS[name] for name in ("melodyflow", "worker", "worker-gpu"))
    device = {"MELODYFLOW_DEVICE": "${MELODYFLOW_DEVICE:-cuda}"}

    assert web["volumes"] == worker["volumes"] == on_card["volumes"]
    assert web["environment"] == worker["environment"]
    assert {**worker["environment"], **device} == on_card["environment"]
    assert {"unless-stopped"} == {each["restart"] for each in OURS.values()}
    assert {each.partition(":")[0] for each in web["volumes"]} <= set(COMPOSE["volumes"])


def test_cards_are_asked_for_by_name_and_by_nobody_else() -> None:
    """Without the profile nothing of it is started, built or reserved."""
    on_card = OURS["worker-gpu"]
    (devices,) = on_card["deploy"]["resources"]["reservations"]["devices"]

    assert {"worker-gpu": ["gpu"], "worker-host": ["host"]} == {
        name: each["profiles"] for name, each in OURS.items() if "profiles" in each
    }
    assert {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]} == devices
    assert "deploy" not in OURS["worker"]
    assert on_card["image"] != OURS["worker"]["image"]
    assert on_card["command"] == OURS["worker"]["command"]
    assert on_card["healthcheck"] == OURS["worker"]["healthcheck"] == {"disable": True}


def test_a_worker_on_another_host_needs_addresses_and_nothing_else() -> None:
    """No service of this host, and no disk but for weights; the same variables lead everywhere."""
    there, web = OURS["worker-host"], OURS["melodyflow"]
    shared = {"DATABASE_URL", "REDIS_URL", "MELODYFLOW_ARTIFACTS_URL"}

    assert ([], ["models:/data/models"]) == (there["depends_on"], there["volumes"])
    assert web["environment"] == there["environment"]
    assert all(f"${{{name}:-" in there["environment"][name] for name in shared)
    assert OURS["worker"]["command"] == there["command"]


def test_both_images_are_made_of_extras_that_exist() -> None:
    """One file, two sets of libraries; without an argument there is no torch."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    known = extras["optional-dependencies"]
    (default,) = (each.partition("=")[2] for each in arguments("ARG"))
    for_cards = OURS["worker-gpu"]["build"]["args"]["EXTRAS"]

    assert ("postgres", {"gpu", "postgres"}) == (default, set(for_cards.split(",")))
    assert {default, *for_cards.split(",")} <= set(known)
    assert any(".[${EXTRAS}]" in line for line in arguments("RUN"))
    assert "args" not in OURS["worker"]["build"]


def test_weights_are_kept_where_the_program_looks_for_them() -> None:
    """A volume of their own, which the image's user may write to."""
    env = dict(pair.split("=", 1) for line in arguments("ENV") for pair in shlex.split(line))
    weights = Settings(data_dir=Path(env["MELODYFLOW_DATA_DIR"])).weights_dir

    assert f"models:{weights}" in OURS["worker-gpu"]["volumes"]
    assert any(f"mkdir -p {weights}" in line and "chown -R" in line for line in arguments("RUN"))
    assert env["HF_HOME"].startswith(env["MELODYFLOW_DATA_DIR"])


def documented() -> list[str]:
    """Return every command of ours that the two files and the README tell people to run."""
    files = ("Dockerfile.melodyflow", "docker-compose.yml", "README.md")
    found = [line for name in files for line in (ROOT / name).read_text("utf-8").splitlines()]
    inside = [line.partition("python -m server ")[2] for line in found if "docker " in line]
    return sorted({line.partition("  #")[0].strip() for line in inside if line})


@pytest.mark.parametrize("command", documented())
def test_every_documented_command_is_one_of_ours(command: str) -> None:
    """With its options."""
    words = shlex.split(command)

    assert callable(_parser(words).parse_args(words).run)


def test_commands_are_documented() -> None:
    """The test above has something to look at."""
    assert "models pull --yes" in documented()


def test_the_services_commands_make_a_service(valkey_url: str, tmp_path: Path) -> None:
    """Web and worker, started as compose starts them, find each other at a real Valkey."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    database = f"sqlite:///{tmp_path}/melodyflow.sqlite3"
    own = {
        "REDIS_URL": valkey_url,
        "DATABASE_URL": database,
        "MELODYFLOW_DATA_DIR": str(tmp_path),
    }
    changed = {"8002": port, "0.0.0.0": "127.0.0.1"}  # noqa: S104 - replaced
    with ExitStack() as running:
        for name in ("melodyflow", "worker"):
            words = [changed.get(word, word) for word in OURS[name]["command"]]
            process = subprocess.Popen([sys.executable, *words[1:]], env={**os.environ, **own})
            running.enter_context(process)
            running.callback(process.terminate)
        client = Client(f"http://127.0.0.1:{port}")

        assert await_ready(client, seconds=60, is_alive=lambda: process.poll() is None)
        assert 1 == client.get("/health")["workers"]
