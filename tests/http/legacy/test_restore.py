"""Phones bring their audio back: at once, or in pieces."""

import pybase64
import pytest

from server.media import codec
from server.web.plugin import chunks
from tests.http import sounds
from tests.http.legacy.conftest import MakeStage
from tests.http.legacy.stage import Caller, Stage


def cut(text: str, parts: int) -> list[str]:
    """Cut a text into pieces of a length that base64 does not care for."""
    size = -(-len(text) // parts)
    return [text[at : at + size] for at in range(0, len(text), size)]


def begun(caller: Caller) -> str:
    """Begin an upload and return its session."""
    caller.say("begin_restore_audio", {})
    ready = caller.last("ready_for_chunks")
    assert ready["chunk_size"] == 8_388_608
    session_id: str = ready["session_id"]
    return session_id


def send(caller: Caller, session_id: str, pieces: list[str], *indices: int) -> None:
    """Send some of the pieces; the one with the highest index is sent as the last."""
    for index in indices:
        caller.say(
            "audio_chunk",
            {
                "session_id": session_id,
                "chunk": pieces[index],
                "chunk_index": index,
                "total_chunks": len(pieces),
                "is_last": index == len(pieces) - 1,
                "model_name": "thepatch/vanya_ai_dnb_0.1",
                "prompt_duration": 6,
            },
        )


def transformed_length(stage: Stage, caller: Caller, session_id: str) -> int:
    """Transform what a session has and return the result's length."""
    caller.order(session_id=session_id, audio_data=None)
    stage.news.await_ending(session_id)
    return codec.decode(pybase64.b64decode(caller.last("audio_transformed")["audio_data"])).length


def test_audio_is_restored_at_once(stage: Stage) -> None:
    """It is what is transformed next."""
    caller = stage.caller()
    caller.say("restore_processed_audio", {"audio_data": sounds.base64_wav(0.25)})
    restored = caller.last("restore_complete")

    assert len(sounds.wav(0.25)) == restored["data_size"]
    assert sounds.RATE // 4 == transformed_length(stage, caller, restored["session_id"])


def test_audio_is_restored_in_pieces(stage: Stage) -> None:
    """Each piece is confirmed with how many there are; the last completes the audio."""
    caller = stage.caller()
    session_id = begun(caller)
    pieces = cut(sounds.base64_wav(), 5)
    send(caller, session_id, pieces, 0, 1, 2, 3, 4)
    received = caller.all_of("chunk_received")

    assert [1, 2, 3, 4, 5] == [each["received_chunks"] for each in received]
    assert {5} == {each["total_chunks"] for each in received}
    assert len(sounds.wav()) == caller.last("restore_complete")["data_size"]
    assert sounds.RATE // 2 == transformed_length(stage, caller, session_id)


def test_pieces_may_come_in_any_order_and_twice(stage: Stage) -> None:
    """Nothing is counted twice."""
    caller = stage.caller()
    session_id = begun(caller)
    send(caller, session_id, cut(sounds.base64_wav(), 4), 2, 0, 2, 1, 3)

    assert 4 == caller.last("chunk_received")["received_chunks"]
    assert 1 == len(caller.all_of("restore_complete"))


def test_missing_pieces_are_named_and_may_follow(stage: Stage) -> None:
    """The client sends just those again."""
    caller = stage.caller()
    session_id = begun(caller)
    pieces = cut(sounds.base64_wav(), 5)
    send(caller, session_id, pieces, 0, 2, 4)
    missing = caller.last("chunks_missing")
    send(caller, session_id, pieces, *missing["missing_chunks"])

    assert {"session_id": session_id, "missing_chunks": [1, 3]} == missing
    assert len(sounds.wav()) == caller.last("restore_complete")["data_size"]


def test_pieces_may_be_encoded_one_by_one(stage: Stage) -> None:
    """Then each has its own padding."""
    caller = stage.caller()
    session_id = begun(caller)
    sound = sounds.wav()
    pieces = [pybase64.b64encode(each).decode() for each in (sound[:1001], sound[1001:])]
    send(caller, session_id, pieces, 0, 1)

    assert len(sound) == caller.last("restore_complete")["data_size"]


def test_pieces_of_nonsense_are_refused_as_a_whole(stage: Stage) -> None:
    """The upload is over; another one may begin."""
    caller = stage.caller()
    session_id = begun(caller)
    send(caller, session_id, ["AAAA", "BBBB"], 0, 1)
    send(caller, session_id, ["AAAA", "BBBB"], 0)

    assert ["unreadable_audio", "no_such_session"] == [
        each["code"] for each in caller.all_of("error")
    ]
    assert "restore_complete" not in caller.names


def test_an_upload_has_to_begin(stage: Stage) -> None:
    """Pieces of an unknown upload are refused."""
    caller = stage.caller()
    send(caller, "daw", cut(sounds.base64_wav(), 2), 0)

    assert "Session not found" == caller.last("error")["message"]


def test_an_upload_is_no_larger_than_a_body(make_stage: MakeStage) -> None:
    """Too much ends it."""
    caller = make_stage(max_body_megabytes=1).caller()
    session_id = begun(caller)
    pieces = ["A" * 600_000] * 3
    send(caller, session_id, pieces, 0, 1)
    send(caller, session_id, pieces, 2)

    assert ["too_long", "no_such_session"] == [each["code"] for each in caller.all_of("error")]


def test_cleaning_up_ends_an_upload(stage: Stage) -> None:
    """Its pieces are gone."""
    caller = stage.caller()
    session_id = begun(caller)
    caller.say("cleanup_session_request", {"session_id": session_id})
    send(caller, session_id, cut(sounds.base64_wav(), 2), 0)

    assert "no_such_session" == caller.last("error")["code"]


def test_too_many_uploads_are_refused(stage: Stage) -> None:
    """Until one is complete."""
    caller = stage.caller()
    sessions = [begun(caller) for _ in range(chunks.MOST_UPLOADS)]
    caller.say("begin_restore_audio", {})
    send(caller, sessions[0], [sounds.base64_wav()], 0)
    caller.say("begin_restore_audio", {})

    assert ["at_capacity"] == [each["code"] for each in caller.all_of("error")]
    assert "ready_for_chunks" == caller.names[-1]


WRONG = {
    "no piece": {"chunk": None},
    "an empty piece": {"chunk": ""},
    "a piece of wrong type": {"chunk": 5},
    "a piece that is not ASCII": {"chunk": "é"},
    "no index": {"chunk_index": None},
    "a negative index": {"chunk_index": -1},
    "an index beyond": {"chunk_index": 3},
    "an index of text": {"chunk_index": "one"},
    "half an index": {"chunk_index": 0.5},
    "a true index": {"chunk_index": True},
    "no pieces at all": {"total_chunks": 0},
    "endless pieces": {"total_chunks": 10**9},
    "another total": {"total_chunks": 4},
}


@pytest.mark.parametrize("fields", WRONG.values(), ids=WRONG)
def test_a_wrong_piece_is_refused_and_the_upload_goes_on(
    stage: Stage, fields: dict[str, object]
) -> None:
    """With the field's name in the sentence or the code."""
    caller = stage.caller()
    session_id = begun(caller)
    pieces = cut(sounds.base64_wav(), 3)
    send(caller, session_id, pieces, 0)
    right = {"session_id": session_id, "chunk": "A", "chunk_index": 1, "total_chunks": 3}
    caller.say("audio_chunk", {**right, **fields})
    send(caller, session_id, pieces, 1, 2)

    assert "invalid_input" == caller.last("error")["code"]
    assert 1 == len(caller.all_of("restore_complete"))


def test_numbers_of_pieces_may_be_text(stage: Stage) -> None:
    """As everything is on some phones."""
    caller = stage.caller()
    piece = {"chunk": sounds.base64_wav(), "chunk_index": "0", "total_chunks": "1"}
    caller.say("audio_chunk", {"session_id": begun(caller), **piece})

    assert "restore_complete" == caller.names[-1]
