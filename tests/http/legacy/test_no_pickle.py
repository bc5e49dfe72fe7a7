"""No pickle anywhere: what somebody wrote at the broker is read as text, or thrown away."""

import ast
import pickle
from pathlib import Path

import pytest
import redis
import requests
import socketio

from server.web.hearing import CHANNEL
from tests.http.legacy.test_broker import Site, site

__all__ = ["site"]

ROOT = Path(__file__).parents[3]
LOADERS = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}


def _imported(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {each.name for each in node.names}
            found |= {node.module.partition(".")[0]} if names != {"UnpicklingError"} else set()
    return found


def _trusting_calls(file: Path) -> list[str]:
    """Return the calls that would unpickle, or that let a library choose to."""
    found = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            told = {each.arg: ast.unparse(each.value) for each in node.keywords if each.arg}
            name = ast.unparse(node.func)
            is_open = name == "torch.load" and told.get("weights_only") != "True"
            is_rq = name in {"Queue", "rq.Queue"} and "serializer" not in told
            if is_open or is_rq or told.get("allow_pickle") == "True":
                found.append(name)
    return found


@pytest.mark.parametrize("package", ["server", "variations", "vendor"])
def test_no_module_names_what_unpickles(package: str) -> None:
    """Neither pickle nor a library that is one by another name."""
    files = sorted((ROOT / package).rglob("*.py"))
    guilty = {file.name for file in files if _imported(file) & LOADERS}
    assert guilty == set()


@pytest.mark.parametrize("package", ["server", "vendor"])
def test_no_call_leaves_it_to_a_library(package: str) -> None:
    """Weights are read as weights only, queues have a serializer that writes text."""
    files = sorted((ROOT / package).rglob("*.py"))
    assert {file.name: found for file in files if (found := _trusting_calls(file))} == {}


def test_a_trusting_call_would_be_seen(tmp_path: Path) -> None:
    """Of each kind."""
    calls = ("torch.load(x)", "np.load(x, allow_pickle=True)", "rq.Queue('audio')")
    for call in calls:
        file = tmp_path / "x.py"
        file.write_text(call, "utf-8")
        assert len(_trusting_calls(file)) == 1


def test_an_import_of_it_would_be_seen() -> None:
    """This very file is guilty."""
    assert "pickle" in _imported(Path(__file__))


class Spell:
    """What does something as it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.mark,))


def test_the_spell_works(tmp_path: Path) -> None:
    """Whoever unpickles it leaves a mark, so no mark means that nobody did."""
    pickle.loads(pickle.dumps(Spell(tmp_path / "mark")))  # noqa: S301 - our own
    assert (tmp_path / "mark").exists()


def test_a_pickle_among_the_news_is_not_read(site: Site, tmp_path: Path) -> None:
    """The web process hears it, and goes on to hear what is said properly."""
    mark = tmp_path / "mark"
    listener = site.connect()
    job = site.world.submit()
    listener.say("follow", {"job_id": job["id"]})
    url = str(site.world.services.message_queue)
    with redis.Redis.from_url(url) as broker:
        assert broker.publish(CHANNEL, pickle.dumps(Spell(mark))) >= 1
    news = socketio.RedisManager(url, channel=CHANNEL, write_only=True)
    news.emit("preview", {"after": "the pickle"}, room=f"job:{job['id']}")

    assert listener.awaited("preview") == {"after": "the pickle"}
    assert not mark.exists()
    assert requests.get(f"{site.url}/health/live", timeout=5).ok
