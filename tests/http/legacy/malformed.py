"""What clients send by mistake or malice: tables and strategies for routes and events alike."""

from typing import Any

from hypothesis import strategies as st

from tests.http import sounds

SOUND = sounds.base64_wav(0.25)

TRANSFORMS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "no preset": {"audio_data": SOUND},
    "null preset": {"audio_data": SOUND, "variation": None},
    "unknown preset": {"audio_data": SOUND, "variation": "kazoo"},
    "preset of wrong type": {"audio_data": SOUND, "variation": ["celtic"]},
    "custom without words": {"audio_data": SOUND, "variation": "custom"},
    "words of wrong type": {"audio_data": SOUND, "custom_prompt": {"a": 1}},
    "endless words": {"audio_data": SOUND, "custom_prompt": "x" * 100_000},
    "no audio": {"variation": "celtic"},
    "audio of wrong type": {"audio_data": 5, "variation": "celtic"},
    "audio that is not base64": {"audio_data": "!!!", "variation": "celtic"},
    "audio that is text": {"audio_data": "aGVsbG8gd29ybGQsIGhlbGxv", "variation": "celtic"},
    "audio that is noise": {"audio_data": "AAAAAAAA", "variation": "celtic"},
    "seed of text": {"audio_data": SOUND, "variation": "celtic", "seed": "junk"},
    "negative seed": {"audio_data": SOUND, "variation": "celtic", "seed": -2},
    "seed of half": {"audio_data": SOUND, "variation": "celtic", "seed": 1.5},
    "endless seed": {"audio_data": SOUND, "variation": "celtic", "seed": 2**80},
    "seed as a list": {"audio_data": SOUND, "variation": "celtic", "seed": [1]},
    "flowstep of zero": {"audio_data": SOUND, "variation": "celtic", "flowstep": 0},
    "negative flowstep": {"audio_data": SOUND, "variation": "celtic", "flowstep": -0.1},
    "flowstep beyond": {"audio_data": SOUND, "variation": "celtic", "flowstep": 1.5},
    "flowstep nan": {"audio_data": SOUND, "variation": "celtic", "flowstep": "nan"},
    "flowstep of text": {"audio_data": SOUND, "variation": "celtic", "flowstep": "much"},
    "flowstep as a list": {"audio_data": SOUND, "variation": "celtic", "flowstep": [0.1]},
    "flowstep true": {"audio_data": SOUND, "variation": "celtic", "flowstep": True},
    "unknown solver": {"audio_data": SOUND, "variation": "celtic", "solver": "rk4"},
    "solver as a number": {"audio_data": SOUND, "variation": "celtic", "solver": 2},
    "session as a path": {"audio_data": SOUND, "variation": "celtic", "session_id": "../etc"},
    "session too long": {"audio_data": SOUND, "variation": "celtic", "session_id": "a" * 129},
    "session as a number": {"audio_data": SOUND, "variation": "celtic", "session_id": 5},
    "session as an object": {"audio_data": SOUND, "variation": "celtic", "session_id": {}},
}

_OTHER_FIELDS = {
    "nothing": "variation",
    "no preset": "variation",
    "null preset": "variation",
    "unknown preset": "variation",
    "preset of wrong type": "variation",
    "custom without words": "custom_prompt",
    "words of wrong type": "custom_prompt",
    "endless words": "custom_prompt",
    "no audio": "audio_data",
}


def field_of(name: str) -> str:
    """Return the field that is wrong in a transform of the table."""
    word = next(each for each in name.split() if each not in ("negative", "unknown", "endless"))
    last = {"audio": "audio_data", "session": "session_id"}
    return _OTHER_FIELDS.get(name) or last.get(word, word)


SESSIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "null": {"session_id": None},
    "empty": {"session_id": ""},
    "a path": {"session_id": "../../etc/passwd"},
    "a line break": {"session_id": "a\nb"},
    "too long": {"session_id": "a" * 1000},
    "a number": {"session_id": 7},
    "a list": {"session_id": ["a"]},
    "unknown": {"session_id": "nobody"},
}

NOT_OBJECTS: list[Any] = ["", "text", "{", "[]", '"twice"', "5", 5, 1.5, True, [], [{}], ["a"]]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
"""Any JSON."""

_NAMES = st.sampled_from(
    [
        "audio_data",
        "session_id",
        "variation",
        "custom_prompt",
        "flowstep",
        "solver",
        "seed",
        "model_name",
        "prompt_duration",
        "top_k",
        "description",
        "last_progress",
        "chunk",
        "chunk_index",
        "total_chunks",
        "is_last",
        "job_id",
    ]
)
_VALUES = st.sampled_from([SOUND, "celtic", "custom", "known", "AAAA", "0", "1", 0, 1, 2, -1, True])

PLAUSIBLE = st.dictionaries(_NAMES, _VALUES | JSON, max_size=8) | JSON
"""JSON with the right names and the wrong values, or anything else."""


def says_nothing_of(text: str, sent: dict[str, Any]) -> bool:
    """Whether an answer repeats none of the audio."""
    audio = sent.get("audio_data")
    return not isinstance(audio, str) or len(audio) < 5 or audio[:40] not in text
