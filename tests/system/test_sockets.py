"""Websocket clients of a real server, in both ways to run sockets: the same stories, to the end."""

import json
from collections.abc import Iterator
from importlib.util import find_spec

import pybase64
import pytest

from server.media import codec
from tests.http import sounds
from tests.http.legacy.listener import Listener
from tests.http.legacy.stage import check_message
from tests.system import site as sites
from tests.system.site import Site

ENDING = ["audio_transformed", "transform_complete", "job_complete"]

WITHOUT_EVENTLET = pytest.mark.skipif(find_spec("eventlet") is None, reason="no extra `eventlet`")


@pytest.fixture(
    scope="module", params=["threading", pytest.param("eventlet", marks=WITHOUT_EVENTLET)]
)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, valkey: str
) -> Iterator[Site]:
    """Run one server a way, for all stories."""
    folder = tmp_path_factory.mktemp(request.param)
    with sites.opened(folder, valkey, mode=request.param) as opened:
        yield opened
        for listener in opened.listeners:
            for name, payload in listener.heard:
                check_message(name, payload)


def _done(listener: Listener) -> str:
    session_id: str = listener.awaited("job_complete")["session_id"]
    return session_id


def test_a_transform_is_told_from_request_to_result(site: Site) -> None:
    """Confirmed, queued, progress from 0 to 100, the result and its older names: in this order."""
    caller = site.connect()
    caller.order(sounds.base64_wav())
    session_id = _done(caller)
    percents = [each["progress"] for each in caller.all_of("progress_update")]
    result = codec.decode(pybase64.b64decode(caller.awaited("audio_transformed")["audio_data"]))

    assert ["transform_audio_received", "queue_status"] == caller.names[:2]
    assert ENDING == caller.names[-3:]
    assert [0, 100] == [percents[0], percents[-1]]
    assert sorted(set(percents)) == percents
    assert {session_id} == {payload["session_id"] for _, payload in caller.heard}
    assert codec.decode(sounds.wav()).length == result.length


def test_two_sessions_never_hear_of_each_other(site: Site) -> None:
    """Nor does a bystander hear anything."""
    bystander, callers = site.connect(), [site.connect() for _ in range(2)]
    for caller in callers:
        caller.order(sounds.base64_wav())
    sessions = [_done(caller) for caller in callers]
    bystander.say("begin_restore_audio", {})

    assert ["ready_for_chunks"] == bystander.names
    for caller, session_id in zip(callers, sessions, strict=True):
        assert {session_id} == {payload["session_id"] for _, payload in caller.heard}


def test_who_waits_hears_that_it_moved_up(site: Site) -> None:
    """The second in the queue becomes the first when the first begins, and the first runs."""
    site.hold()
    site.submit(session_id="ahead")
    waiting = site.connect()
    waiting.order(sounds.base64_wav())
    waiting.awaited("queue_status")
    site.release()
    _done(waiting)
    statuses = [each["status"] for each in waiting.all_of("queue_status")]

    assert ["queued", "processing"] == [statuses[0], statuses[-1]]
    assert statuses == sorted(statuses, key=["queued", "warming", "processing"].index)


def test_a_client_that_came_back_hears_the_rest(site: Site) -> None:
    """Its first connection broke in the middle of a job."""
    site.hold()
    lost = site.connect()
    lost.order(sounds.base64_wav())
    session_id = lost.awaited("transform_audio_received")["session_id"]
    lost.close()
    back = site.connect()
    back.say("verify_session", {"session_id": session_id})
    at_once = list(back.names)
    site.release()
    _done(back)

    assert {"queue_status", "progress_update"} <= set(at_once)
    assert 1 == back.names.count("audio_transformed")


def test_a_missed_result_is_sent_once(site: Site) -> None:
    """Nobody was there when it came; whoever asks first gets it."""
    session_id = site.submit()
    polled = site.completed(session_id)
    back, later = site.connect(), site.connect()
    for each in (back, later):
        each.say("verify_session", {"session_id": session_id})

    assert polled["audio_data"] == back.awaited("audio_transformed")["audio_data"]
    assert [] == later.all_of("audio_transformed")


def test_progress_can_be_asked_for(site: Site) -> None:
    """Of a job that runs, by a client that heard nothing for a while."""
    site.hold()
    session_id = site.submit()
    asking = site.connect()
    asking.say("request_progress_status", {"session_id": session_id, "last_progress": 0})
    site.release()
    site.completed(session_id)

    assert 0 <= asking.awaited("progress_update")["progress"] < 100


def test_a_second_transform_of_a_session_is_refused(site: Site) -> None:
    """In words."""
    site.hold()
    caller = site.connect()
    caller.order(sounds.base64_wav())
    caller.order(sounds.base64_wav())
    site.release()
    _done(caller)

    assert "Transform already in progress" == caller.awaited("error")["message"]


def test_payloads_may_be_text(site: Site) -> None:
    """As phones send them."""
    caller = site.connect()
    fields = {"session_id": "phone", "audio_data": sounds.base64_wav(), "variation": "celtic"}
    caller.say("transform_audio_request", json.dumps(fields))

    assert "phone" == _done(caller)


@pytest.mark.parametrize("event", ["transform_audio_request", "undo_transform_request"])
def test_a_refusal_has_a_sentence(site: Site, event: str) -> None:
    """And the connection lives on."""
    caller = site.connect()
    acknowledged = caller.say(event, {"audio_data": "!!!", "variation": 5})

    assert caller.awaited("error")["message"] == acknowledged["error"]["message"]
    assert caller.say("begin_restore_audio", {}) is None


def test_undo_crop_and_clean_up_are_answered(site: Site) -> None:
    """The same bytes come back, others take their place, and all is forgotten."""
    caller = site.connect()
    caller.order(sounds.base64_wav())
    here = {"session_id": _done(caller)}
    caller.say("undo_transform_request", here)
    caller.say("update_cropped_audio", {**here, "audio_data": sounds.base64_wav(0.25)})
    caller.say("cleanup_session_request", here)
    caller.say("verify_session", here)

    assert sounds.base64_wav() == caller.awaited("transform_undone")["audio_data"]
    assert caller.awaited("update_cropped_audio_complete")["auto_created"] is False
    assert "cleanup_complete" in caller.names
    assert "Session not found" == caller.awaited("error")["message"]


def test_half_a_minute_of_stereo_goes_both_ways(site: Site) -> None:
    """Seven million characters each way, where the library's default ends the connection."""
    sound = pybase64.b64encode(sounds.wav(30, rate=44_100, channels=2)).decode()
    caller = site.connect()
    caller.order(sound)
    _done(caller)
    result = pybase64.b64decode(caller.awaited("audio_transformed")["audio_data"])

    assert len(sound) > 7_000_000
    assert codec.decode(pybase64.b64decode(sound)).length == codec.decode(result).length


def test_audio_comes_in_pieces(site: Site) -> None:
    """In any order."""
    caller, text = site.connect(), sounds.base64_wav()
    caller.say("begin_restore_audio", {})
    session_id = caller.awaited("ready_for_chunks")["session_id"]
    for index, piece in ((1, text[1000:]), (0, text[:1000])):
        piece_of = {"chunk": piece, "chunk_index": index, "total_chunks": 2}
        caller.say("audio_chunk", {"session_id": session_id, **piece_of})

    assert len(sounds.wav()) == caller.awaited("restore_complete")["data_size"]


def test_a_job_can_be_followed(site: Site) -> None:
    """From any connection, by its id."""
    site.hold()
    audio = {"audio": sounds.base64_wav(), "variation": "celtic"}
    job_id = site.post("/jobs", **audio)["id"]
    follower = site.connect()
    seen = follower.say("follow", {"job_id": job_id})
    site.release()
    follower.await_that(lambda: [each for each in follower.all_of("job") if each["artifacts"]])

    assert seen["id"] == job_id
    follower.await_that(lambda: follower.all_of("job")[-1]["status"] == "finished")
