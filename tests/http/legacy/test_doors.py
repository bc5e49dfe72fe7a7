"""Keys on connections: who gets in, what strangers hear, and what too much of anything costs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from socket import SO_SNDBUF, SOL_SOCKET
from threading import Thread
from time import monotonic, sleep
from typing import Any

import pytest
from werkzeug.serving import make_server

from server.jobs.record import now
from server.web import lines, rooms
from server.web.plugin import acts
from tests.http import sounds
from tests.http.doors import person
from tests.http.legacy.conftest import MakeStage
from tests.http.legacy.listener import Listener
from tests.http.legacy.raw import PATIENCE_SECONDS, RawClient
from tests.http.legacy.stage import Caller, Stage

OTHERS = 50


@pytest.fixture(name="shut")
def _shut(make_stage: MakeStage) -> Stage:
    """Start a stage that asks for keys."""
    return make_stage(keys="on")


@contextmanager
def _served(stage: Stage) -> Iterator[str]:
    """Serve a stage on a port whose connections hold back little themselves."""
    server = make_server("127.0.0.1", 0, stage.world.client.application, threaded=True)
    server.socket.setsockopt(SOL_SOCKET, SO_SNDBUF, 4096)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _eio(stage: Stage) -> Any:
    return stage.world.client.application.extensions["socketio"].server.eio


def _await_that(is_so: Callable[[], object]) -> None:
    give_up_at = monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert monotonic() < give_up_at
        sleep(0.02)


def test_a_connection_needs_a_key(shut: Stage) -> None:
    """In its payload; without a good one it is refused."""
    ann = person(shut.world)

    assert shut.caller(key=ann.text).is_in
    assert not shut.caller().is_in
    assert not shut.caller(key="mf_nonsense").is_in


def test_a_key_in_the_url_will_do(shut: Stage) -> None:
    """For plugins that can be given nothing else."""
    ann = person(shut.world)
    with _served(shut) as url:
        with closing(RawClient(url, query=f"&api_key={ann.text}")) as client:
            client.greet()
        with closing(RawClient(url)) as stranger:
            stranger.send("40")
            assert b"unauthorized" in stranger.read_until(b"}")


def _answers(caller: Caller, name: str, fields: dict[str, Any]) -> tuple[Any, Any]:
    before = len(caller.heard)
    return caller.say(name, fields), caller.heard[before:]


def test_strangers_hear_what_there_is_of_an_unknown_session(shut: Stage) -> None:
    """Whatever they say to it; its owner hears of nothing, and loses nothing."""
    ann, ben = person(shut.world), person(shut.world)
    owner, stranger = shut.caller(key=ann.text), shut.caller(key=ben.text)
    owner.order(session_id="anns")
    shut.news.await_ending("anns")
    job = shut.world.services.jobs.newest_in_session("anns")
    assert job is not None
    heard = len(owner.heard)
    events: dict[str, dict[str, Any]] = {
        "undo_transform_request": {},
        "verify_session": {},
        "request_progress_status": {},
        "cleanup_session_request": {},
        "audio_chunk": {"chunk": "AAAA", "chunk_index": 0, "total_chunks": 1},
    }
    for name, fields in events.items():
        told = [
            str(_answers(stranger, name, {**fields, "session_id": each})).replace("nobodys", "anns")
            for each in ("anns", "nobodys")
        ]
        assert told[0] == told[1], name
    followed = [stranger.say("follow", {"job_id": each}) for each in (job.id, "0" * 32)]

    assert followed[0] == followed[1]
    assert followed[0]["error"]["code"] == "no_such_job"
    assert len(owner.heard) == heard
    assert owner.say("verify_session", {"session_id": "anns"}) == {"session_id": "anns"}


@pytest.mark.parametrize(
    "name",
    [
        *(act.request for act in acts.ACTS),
        "update_cropped_audio",
        "restore_processed_audio",
    ],
)
def test_strangers_take_no_session(shut: Stage, name: str) -> None:
    """Its owner would hear of a stranger's job, and the stranger of the owner's."""
    ann, ben = person(shut.world), person(shut.world)
    shut.caller(key=ann.text).order(session_id="anns")
    shut.news.await_ending("anns")
    stranger = shut.caller(key=ben.text)
    sent = {"session_id": "anns", "variation": "celtic", "audio_data": sounds.base64_wav()}

    assert stranger.say(name, sent)["error"]["code"] == "no_such_session"
    assert stranger.names == ["error"]


@pytest.mark.parametrize("route", [act.name for act in acts.ACTS])
def test_strangers_take_no_session_by_a_route_either(shut: Stage, route: str) -> None:
    """To them it is a session that nobody knows, also where they want another try."""
    ann, ben = person(shut.world), person(shut.world)
    sent = {"variation": "celtic", "audio_data": sounds.base64_wav()}
    taken = ann.ask("POST", "/api/juce/transform_audio", json={**sent, "session_id": "anns"})
    shut.news.await_ending("anns")
    told = ben.ask("POST", f"/api/juce/{route}", json={**sent, "session_id": "anns"})

    assert [200, 404] == [taken.status_code, told.status_code]
    assert "Session not found" == told.get_json()["error"]


def test_uploads_of_a_name_are_each_owners_own(shut: Stage) -> None:
    """A stranger who begins one of the same name ends nobody's."""
    ann, ben = person(shut.world), person(shut.world)
    owner, stranger = shut.caller(key=ann.text), shut.caller(key=ben.text)
    for each in (owner, stranger):
        each.say("begin_restore_audio", {"session_id": "anns"})
    piece = {"session_id": "anns", "chunk_index": 0, "total_chunks": 2}
    owner.say("audio_chunk", {**piece, "chunk": sounds.base64_wav()[:8]})
    stranger.say("begin_restore_audio", {"session_id": "anns"})
    owner.say("audio_chunk", {**piece, "chunk": sounds.base64_wav()[8:], "chunk_index": 1})

    assert owner.last("restore_complete")["session_id"] == "anns"


def test_links_told_to_followers_are_signed(shut: Stage) -> None:
    """Players that are given one send no headers."""
    ann = person(shut.world)
    caller = shut.caller(key=ann.text)
    job = ann.finished(ann.submit()["id"])
    view = caller.say("follow", {"job_id": job["id"]})

    assert shut.world.client.get(view["artifacts"][0]["url"]).status_code == 200


def test_a_connection_is_in_so_many_rooms(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused with a sentence; leaving one makes room."""
    monkeypatch.setattr(rooms, "MOST", 2)
    caller = stage.caller()
    jobs = [stage.world.submit()["id"] for _ in range(3)]
    told = [caller.say("follow", {"job_id": each}) for each in jobs]

    assert told[2]["error"]["code"] == "too_many_requests"
    assert told[0]["id"] == caller.say("follow", {"job_id": jobs[0]})["id"]
    caller.say("unfollow", {"job_id": jobs[0]})
    assert caller.say("follow", {"job_id": jobs[2]})["id"] == jobs[2]


def test_a_flood_is_refused_once_and_then_cut(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is within the budget was answered; nobody else notices."""
    monkeypatch.setattr(lines, "MOST_MESSAGES", 20)
    monkeypatch.setattr(lines, "MESSAGES_A_SECOND", 0)
    monkeypatch.setattr(lines.Budget, "__init__", _small_budget)
    with _served(stage) as url, closing(Listener(url)) as other:
        flood = RawClient(url)
        flood.greet()
        flood_thread = Thread(target=_flood, args=(flood,))
        flood_thread.start()
        said = flood.read_to_the_end()
        flood_thread.join()
        flood.close()

        assert said.count(b"too_many_requests") == 1
        assert said.count(b"no_such_job") == 19  # the greeting was the twentieth
        assert other.say("unfollow", {"job_id": "x"}) == {"id": "x"}
        _await_that(lambda: len(_eio(stage).sockets) == 1)


def _small_budget(self: lines.Budget) -> None:
    self.clock = monotonic
    self.messages, self.bytes_, self.ignored = 20.0, 1e9, 0
    self.__post_init__()


def _flood(client: RawClient) -> None:
    try:
        for _ in range(2000):
            client.say("follow", {"job_id": "x"})
    except OSError:  # cut, as it should be
        return


def test_a_budget_fills_again() -> None:
    """Who sends slowly may send for ever; a message too large is too much however rarely."""
    time = [0.0]
    budget = lines.Budget(clock=lambda: time[0])
    for _ in range(10 * lines.MOST_MESSAGES):
        time[0] += 1 / lines.MESSAGES_A_SECOND
        assert budget.spend(10)
    assert not budget.spend(lines.MOST_BYTES + 1)
    assert budget.ignored == 1
    assert budget.spend(10)
    assert budget.ignored == 0


def test_who_says_nothing_is_cut(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that never says who it is holds a thread for a moment only."""
    monkeypatch.setattr(lines, "GREETING_SECONDS", 0.2)
    monkeypatch.setattr(lines, "SWEEP_SECONDS", 0.1)
    with _served(stage) as url, closing(Listener(url)) as other:
        with closing(RawClient(url)) as silent:
            silent.read_to_the_end()
        _await_that(lambda: len(_eio(stage).sockets) == 1)
        assert other.say("unfollow", {"job_id": "x"}) == {"id": "x"}


def test_connections_beyond_the_most_are_not_kept(make_stage: MakeStage) -> None:
    """Neither those that greet, nor those that do not: the rest of the server keeps its threads."""
    stage = make_stage(web_threads=80)
    with _served(stage) as url, ExitStack() as stack:
        most = 80 - 64 + lines.STRANGERS
        for _ in range(most):
            stack.enter_context(closing(RawClient(url)))
        with pytest.raises(AssertionError, match="at capacity"):
            RawClient(url)
        assert stage.world.client.get("/health").get_json()["connections"] <= most


def test_a_revoked_key_ends_its_connections(shut: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Soon, although nothing is said on them."""
    monkeypatch.setattr(lines, "SWEEP_SECONDS", 0.1)
    ann = person(shut.world)
    with _served(shut) as url, closing(RawClient(url)) as client:
        client.greet({"api_key": ann.text})
        shut.world.services.keys.revoke(ann.id, now())
        client.read_to_the_end()


def test_who_does_not_read_is_cut_and_nobody_else_waits(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty others hear every word; the deaf one comes back and is told what it missed."""
    monkeypatch.setattr(lines, "MOST_WAITING", 40)
    stage = make_stage(web_threads=200)
    job_id = stage.world.submit()["id"]
    stage.world.finished(job_id)
    with _served(stage) as url, ExitStack() as stack:
        others = [stack.enter_context(closing(Listener(url))) for _ in range(OTHERS)]
        deaf = stack.enter_context(closing(RawClient(url)))
        deaf.greet()
        for each in others:
            each.say("follow", {"job_id": job_id})
        deaf.say("follow", {"job_id": job_id})
        room = f"job:{job_id}"
        _await_that(lambda: len(_room(stage, room)) == OTHERS + 1)
        for number in range(100):
            stage.news.say("job", {"number": number, "padding": "x" * 2000}, room)
            if number % 10 == 9:  # the others have to keep up: they share this process
                for each in others:
                    _await_that(partial(_has_heard, each, number + 1))

        assert [each["number"] for each in others[0].all_of("job")] == list(range(100))
        _await_that(lambda: len(_eio(stage).sockets) == OTHERS)
        assert len(_room(stage, room)) == OTHERS
        back = stack.enter_context(closing(Listener(url)))
        assert back.say("follow", {"job_id": job_id})["status"] == "finished"


def test_an_ending_that_was_not_read_is_told_again(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What filled the line was the ending itself: it does not count as delivered."""
    monkeypatch.setattr(lines, "MOST_WAITING", 40)
    stage = make_stage()
    stage.world.queue.hold()
    session_id = stage.submit()
    with _served(stage) as url, ExitStack() as stack:
        deaf = stack.enter_context(closing(RawClient(url)))
        deaf.greet()
        deaf.say("verify_session", {"session_id": session_id})
        _await_that(lambda: len(_room(stage, session_id)) == 1)
        (connection,) = _eio(stage).sockets.values()
        _await_that(lambda: _filled(stage, connection, session_id))
        stage.world.queue.release()
        stage.news.await_ending(session_id)
        _await_that(lambda: not _eio(stage).sockets)
        back = stack.enter_context(closing(Listener(url)))
        back.say("verify_session", {"session_id": session_id})

        assert back.awaited("audio_transformed")["session_id"] == session_id


def _filled(stage: Stage, connection: Any, session_id: str) -> bool:
    told = {"progress": 0, "session_id": session_id}
    if connection.queue.qsize() < 39:
        stage.news.say("progress_update", {**told, "padding": "x" * 4000}, session_id)
        sleep(0.001)
    return bool(connection.queue.qsize() >= 39)


def _has_heard(listener: Listener, count: int) -> bool:
    return len(listener.all_of("job")) == count


def _room(stage: Stage, name: str) -> list[Any]:
    manager = stage.world.client.application.extensions["socketio"].server.manager
    return list(manager.rooms.get("/", {}).get(name, ()))
