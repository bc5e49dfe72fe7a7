"""Who may call: keys in every place they may be in, and what everybody else is told."""

import logging
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from werkzeug.routing import Rule

from server.jobs import keys
from server.jobs.record import now
from server.web.downloads import Downloads
from tests.http import sounds
from tests.http.conftest import MakeWorld
from tests.http.doors import Person, person
from tests.http.world import World

OPEN = ("/", "/health", "/health/live", "/health/ready", "/openapi.json", "/static/studio.js")
REQUEST = {"variation": "celtic", "audio_data": sounds.base64_wav(), "audio": sounds.base64_wav()}
FAMILIES = {"/jobs": dict, "/transform": str, "/api/juce/transform_audio": str}
"""What `error` is in each family of routes: an object, or a sentence."""


@pytest.fixture(name="shut")
def _shut(make_world: MakeWorld) -> World:
    """Start a world that asks for keys."""
    return make_world(keys="on")


@pytest.fixture(name="ann")
def _ann(shut: World) -> Person:
    return person(shut, "Ann")


@pytest.fixture(name="ben")
def _ben(shut: World) -> Person:
    return person(shut, "Ben")


@pytest.mark.parametrize("path", OPEN)
def test_some_things_are_open(shut: World, path: str) -> None:
    """How the server is, the page and the document need no key."""
    with shut.client.get(path) as answer:
        assert answer.status_code in (200, 503)


def test_a_key_may_be_in_three_places(shut: World, ann: Person) -> None:
    """As a Bearer token, in X-API-Key, or in the URL."""
    given: tuple[dict[str, str], ...]
    given = ({"Authorization": f"Bearer {ann.text}"}, {"X-API-Key": ann.text}, {})
    paths = ("/variations", "/variations", f"/variations?api_key={ann.text}")

    for headers, path in zip(given, paths, strict=True):
        assert shut.client.get(path, headers=headers).status_code == 200


@pytest.mark.parametrize("text", [None, "", "mf_1_2", "mf_" + "0" * 12 + "_" + "0" * 48, "é"])
def test_what_is_no_key_is_refused(shut: World, text: str | None) -> None:
    """With a challenge that says how it is asked for."""
    headers = {} if text is None else {"Authorization": f"Bearer {text}"}
    answer = shut.client.get("/variations", headers=headers)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.get_json()["error"]["code"] == "unauthorized"


def test_a_key_with_another_secret_is_refused(shut: World, ann: Person) -> None:
    """The id alone opens nothing."""
    last = "0" if ann.text[-1] != "0" else "1"
    answer = shut.client.get("/variations", headers={"X-API-Key": ann.text[:-1] + last})
    assert answer.status_code == 401


def test_a_revoked_key_is_refused_at_once(shut: World, ann: Person) -> None:
    """Nothing remembers that it was good."""
    assert ann.ask("GET", "/variations").status_code == 200
    shut.services.keys.revoke(ann.id, now())
    assert ann.ask("GET", "/variations").status_code == 401


@pytest.mark.parametrize("path", FAMILIES)
def test_each_family_refuses_in_its_own_shape(shut: World, path: str) -> None:
    """Older clients read a sentence, native ones an object."""
    answer = shut.client.post(path, json=REQUEST)

    assert answer.status_code == 401
    assert isinstance(answer.get_json()["error"], FAMILIES[path])


def test_browsers_of_other_origins_may_ask_whether_they_may(shut: World) -> None:
    """A preflight has no key; the answer to it lets the header through."""
    asked = {
        "Origin": "https://elsewhere.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    answer = shut.client.options("/variations", headers=asked)

    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization"


def test_without_keys_everything_is_everybodys(here: World) -> None:
    """On one's own machine nothing changes, not even for somebody who sends a key."""
    job = here.submit()
    answer = here.client.get(f"/jobs/{job['id']}", headers={"X-API-Key": "mf_nonsense"})

    assert answer.status_code == 200
    assert here.jobs.get(job["id"]).owner is None


def test_an_open_server_still_wants_an_admin_for_admins_things(here: World) -> None:
    """`/admin` lists everybody's jobs: that needs an admin's key everywhere."""
    admin = person(here, is_admin=True)
    other = person(here)

    assert here.client.get("/admin/jobs").status_code == 401
    assert other.ask("GET", "/admin/jobs").status_code == 401
    assert admin.ask("GET", "/admin/jobs").status_code == 200


def test_nobody_sees_what_is_somebody_elses(ann: Person, ben: Person) -> None:
    """A job, its sounds and its session are there for their owner alone."""
    job = ann.finished(ann.submit(session_id="anns")["id"])
    artifact = job["artifacts"][0]["id"]

    for path in (f"/jobs/{job['id']}", f"/artifacts/{artifact}", "/api/juce/poll_status/anns"):
        assert ann.ask("GET", path).status_code == 200
        assert ben.ask("GET", path).status_code == 404


def test_an_admin_sees_everything(shut: World, ann: Person) -> None:
    """Whoever keeps the server has to."""
    admin = person(shut, is_admin=True)
    job = ann.finished(ann.submit()["id"])
    assert admin.ask("GET", f"/jobs/{job['id']}").status_code == 200
    assert admin.ask("GET", f"/artifacts/{job['artifacts'][0]['id']}").status_code == 200


def test_nobody_works_with_somebody_elses_sound(ann: Person, ben: Person) -> None:
    """A stranger's artifact is as unknown a source as one that never was."""
    upload = ann.ask("POST", "/artifacts", data=sounds.wav(), content_type="audio/wav").get_json()
    refused = [
        ben.ask("POST", "/jobs", json={"source": source, "variation": "celtic"}).get_json()
        for source in (upload["id"], "0" * 32)
    ]
    assert refused[0] == refused[1]


def test_nobody_takes_somebody_elses_session(ann: Person, ben: Person) -> None:
    """Not by a job, not by a crop, through no door: the owner would hear the stranger's music."""
    ann.finished(ann.submit(session_id="anns")["id"])
    wav = sounds.base64_wav()
    doors = (
        ("/jobs", {"audio": wav, "variation": "celtic", "session_id": "anns"}),
        ("/transform", {"audio": wav, "variation": "celtic", "session_id": "anns"}),
        ("/api/juce/transform_audio", {"audio_data": wav, "variation": "a", "session_id": "anns"}),
        ("/api/juce/update_cropped_audio", {"audio_data": wav, "session_id": "anns"}),
    )
    for path, body in doors:
        assert ben.ask("POST", path, json=body).status_code == 404, path


def test_what_expired_says_so_to_its_owner_alone(shut: World, ann: Person, ben: Person) -> None:
    """That something was here once is nobody else's business."""
    save = shut.services.artifacts.save
    old = save(
        b"x",
        name="x",
        media_type="audio/wav",
        owner=ann.id,
        expires_at=now() - timedelta(seconds=1),
    )
    assert ann.ask("GET", f"/artifacts/{old.id}").status_code == 410
    assert ben.ask("GET", f"/artifacts/{old.id}").status_code == 404


def _with_ids(shut: World) -> Iterator[tuple[Rule, str]]:
    for rule in shut.client.application.url_map.iter_rules():
        if rule.arguments and not rule.rule.startswith(("/docs", "/static")):
            for method in sorted(set(rule.methods or ()) - {"HEAD", "OPTIONS"}):
                yield rule, method


def test_strangers_get_the_answer_of_an_unknown_id_everywhere(
    shut: World, ann: Person, ben: Person, subtests: pytest.Subtests
) -> None:
    """On every route with an id in it, whatever route that is: to the letter, and to no effect."""
    job = ann.finished(ann.submit(session_id="anns-own-session")["id"])
    known = (job["id"], job["artifacts"][0]["id"], "anns-own-session")
    seen = 0
    for rule, method in _with_ids(shut):
        for each in known:
            with subtests.test(rule=rule.rule, method=method, id=each):
                answers = [
                    ben.ask(method, re.sub(r"<[^>]+>", name, rule.rule), json={})
                    for name in (each, "unknown-" + each)
                ]
                told = [
                    (answer.status_code, answer.get_data(as_text=True).replace("unknown-", ""))
                    for answer in answers
                ]
                assert told[0] == told[1]
                assert told[0][0] >= 400
                seen += 1
    assert seen > 20
    assert ann.ask("GET", f"/jobs/{job['id']}").get_json()["artifacts"] != []


def test_sounds_have_links_that_need_no_key(shut: World, ann: Person) -> None:
    """For an hour: players send no headers. It opens this one sound, to look at only."""
    job = ann.finished(ann.submit()["id"])
    url = job["artifacts"][0]["url"]

    assert shut.client.get(url).status_code == 200
    assert shut.client.get(f"{url}&format=mp3").status_code == 200
    assert shut.client.get(url, headers={"Range": "bytes=0-9"}).status_code == 206
    assert shut.client.delete(url).status_code == 401
    assert shut.client.get(url.partition("?")[0]).status_code == 401


def test_links_are_for_one_sound_and_one_hour(shut: World, ann: Person) -> None:
    """A changed one is unknown, an old one says that it was good."""
    job = ann.finished(ann.submit()["id"])
    artifact = shut.artifacts.get(job["artifacts"][0]["id"])
    secret = shut.services.downloads.secret
    old = Downloads(secret=secret, clock=lambda: 1e9).url(artifact)
    other = Downloads(secret=lambda: b"another").url(artifact)
    good = job["artifacts"][0]["url"]
    later = re.sub(r"expires=\d+", "expires=99999999999", good)

    assert shut.client.get(old).status_code == 410
    for wrong in (other, later, good.replace(artifact.id, "0" * 32), f"{good[:-64]}"):
        assert shut.client.get(wrong).status_code == 404, wrong


def test_a_key_may_only_ask_so_often(make_world: MakeWorld) -> None:
    """And is told when it may again; another key's requests are not counted."""
    shut = make_world(keys="on", requests_per_minute=5)
    hasty, other, trusted = person(shut), person(shut), person(shut, requests_per_minute=100)
    answers = [hasty.ask("GET", "/variations") for _ in range(6)]

    assert [200] * 5 + [429] == [answer.status_code for answer in answers]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert answers[-1].get_json()["error"]["code"] == "too_many_requests"
    assert other.ask("GET", "/variations").status_code == 200
    assert {trusted.ask("GET", "/variations").status_code for _ in range(9)} == {200}


def test_a_key_may_only_submit_so_often(make_world: MakeWorld) -> None:
    """Each family of routes says so in its own shape; nothing is stored for the refused ones."""
    shut = make_world(keys="on", jobs_per_minute=1)
    hasty = person(shut)
    hasty.submit()

    for path, shape in FAMILIES.items():
        answer = hasty.ask("POST", path, json=REQUEST | {"audio_data": None})
        assert answer.status_code in (400, 422, 429), path
        assert isinstance(answer.get_json()["error"], shape)
    body = {"audio": sounds.base64_wav(), "variation": "celtic"}
    for path in ("/jobs", "/transform"):
        answer = hasty.ask("POST", path, json=body)
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) >= 1


def test_no_log_and_no_answer_holds_a_key(
    shut: World, ann: Person, caplog: pytest.LogCaptureFixture
) -> None:
    """Through every route, in the header and in the URL, good and bad."""
    caplog.set_level(logging.DEBUG)
    bad = keys.made("nobody")[1]
    told = []
    for rule in shut.client.application.url_map.iter_rules():
        path = re.sub(r"<[^>]+>", "x", rule.rule)
        for text in (ann.text, bad):
            for method in sorted(set(rule.methods or ()) - {"HEAD", "OPTIONS"}):
                query = f"{path}?api_key={text}"
                told.append(shut.client.open(query, method=method, json={}))
                told.append(shut.client.open(path, method=method, headers={"X-API-Key": text}))
    said = caplog.text + "".join(
        f"{answer.headers}{answer.get_data(as_text=True)}" for answer in told
    )

    assert len(told) > 100
    for text in (ann.text, bad):
        assert text not in said
        assert text.rpartition("_")[2] not in said


def test_a_key_in_a_log_would_be_seen(
    shut: World, ann: Person, caplog: pytest.LogCaptureFixture
) -> None:
    """The check above looks where logs go."""
    logging.getLogger("server.web").warning("somebody came with %s", ann.text)
    assert ann.text in caplog.text
