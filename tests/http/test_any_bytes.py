"""Whatever bytes come in: sound is taken, all else is refused in a sentence."""

import io
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pybase64
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.media import codec
from server.media.clip import Clip
from tests import music
from tests.http import sounds
from tests.http.conftest import stores
from tests.http.world import World, world
from tests.unit.media import encoded

TONE = music.sine(440, 0.25, sample_rate=48_000, channels=2)
FILES: Mapping[str, bytes] = {
    **{name: encoded.by_ffmpeg(TONE, name) for name in encoded.CONTAINERS},
    "wav": encoded.by_libsndfile(TONE, "WAV", "PCM_16"),
    "adpcm": encoded.by_libsndfile(TONE, "WAV", "IMA_ADPCM"),
    "float": encoded.by_libsndfile(TONE, "WAV", "FLOAT"),
    "wavex": encoded.by_libsndfile(TONE, "WAVEX", "PCM_24"),
    "aiff": encoded.by_libsndfile(TONE, "AIFF", "PCM_16"),
    "ogg": encoded.by_libsndfile(TONE, "OGG", "VORBIS"),
}
TAKEN, REFUSED = 201, (413, 415, 422)
LONGEST_SECONDS = 20.0
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF)


@pytest.fixture(name="here", scope="module")
def _here(tmp_path_factory: pytest.TempPathFactory, empty_record: Path) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("any-bytes")
    with ExitStack() as stack:
        opened = stack.enter_context(stores(folder, empty_record))
        yield stack.enter_context(world(folder, opened, max_source_seconds=LONGEST_SECONDS))


def check(here: World, data: bytes) -> int:
    """Upload bytes, look at the answer, and return its status."""
    answer = here.client.post("/artifacts", data=data, content_type="application/octet-stream")
    said: dict[str, Any] = answer.get_json()
    if answer.status_code == TAKEN:
        assert 0 < said["seconds"] <= LONGEST_SECONDS
    else:
        assert answer.status_code in REFUSED, said
        assert "audio" == said["error"]["field"]
        assert said["error"]["message"].endswith(".")
    return answer.status_code


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_negative_control_is_taken(here: World, name: str) -> None:
    """What is damaged below was sound before."""
    assert TAKEN == check(here, FILES[name])


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([b"", *(data[:12] for data in FILES.values()), b"ID3", b"\xff\xfb"]),
    st.binary(max_size=2000),
)
def test_any_bytes_are_answered(here: World, head: bytes, tail: bytes) -> None:
    """With and without the first bytes of something known; none at all are no sound."""
    if head + tail:
        check(here, head + tail)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw a file with bits turned over, bytes replaced, parts cut out, doubled or cut off."""
    data = bytearray(FILES[draw(st.sampled_from(sorted(FILES)))])
    for _ in range(draw(st.integers(1, 6))):
        # headers are where lies have consequences
        most = draw(st.sampled_from([64, 512, len(data)]))
        place = draw(st.integers(0, max(0, min(len(data), most) - 1)))
        match draw(st.sampled_from(["flip", "set", "wide", "cut", "double", "end"])):
            case "flip":
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "set":
                data[place] = draw(st.sampled_from(EXTREMES))
            case "wide":
                wide = draw(st.sampled_from([b"\xff" * 4, b"\x7f\xff\xff\xff", bytes(4)]))
                data[place : place + 4] = wide
            case "cut":
                del data[place : place + draw(st.integers(1, 64))]
            case "double":
                data[place:place] = data[place : place + 64]
            case _:
                del data[max(place, 16) :]
        if len(data) < 16:
            break
    return bytes(data) or b"\0"


@settings(max_examples=80, deadline=None)
@given(damaged())
def test_damage_of_any_kind_is_answered(here: World, data: bytes) -> None:
    """As far as there is sound it is taken, and else refused."""
    check(here, data)


def _float_wav(value: float) -> bytes:
    samples = TONE.samples.copy()
    samples[0, 7000] = value
    return encoded.by_libsndfile(TONE.with_samples(samples), "WAV", "FLOAT")


def _aiff_of(samples: int) -> bytes:
    """Return an AIFF whose header counts so many samples."""
    data = FILES["aiff"]
    place = data.index(b"COMM") + 10
    return data[:place] + struct.pack(">I", samples) + data[place + 4 :]


def _as_json(data: bytes) -> dict[str, Any]:
    audio = pybase64.b64encode(data).decode()
    return {"json": {"audio": audio, "variation": "celtic", "session_id": "any-bytes"}}


def _as_form(data: bytes) -> dict[str, Any]:
    form = {"audio": (io.BytesIO(data), "a.wav"), "variation": "celtic"}
    return {"data": form, "content_type": "multipart/form-data"}


NO_SOUND: Mapping[str, bytes] = {
    "not a number": _float_wav(np.nan),
    "infinite": _float_wav(np.inf),
    "no samples": sounds.empty_wav(),
    "a header alone": FILES["wav"][:44],
    "half a header": FILES["wav"][:30],
    "a text": b"once upon a time there was a sound\n" * 9,
    "nothing but zeros": bytes(5000),
}


@pytest.mark.parametrize("name", sorted(NO_SOUND))
@pytest.mark.parametrize("form", [_as_json, _as_form])
def test_no_sound_is_no_job(
    here: World, name: str, form: Callable[[bytes], dict[str, Any]]
) -> None:
    """The field is named, at the native door and at that of older clients."""
    native = here.client.post("/jobs", **form(NO_SOUND[name]))
    older = here.client.post("/transform", **form(NO_SOUND[name]))

    assert native.status_code in REFUSED
    assert ("audio", 400) == (native.get_json()["error"]["field"], older.status_code)


def test_an_aiff_that_counts_too_much_is_taken_for_what_it_holds(here: World) -> None:
    """Or refused; never as long as it says."""
    check(here, _aiff_of(2**31 - 1))


@pytest.mark.parametrize(
    "clip",
    [
        music.silence(1.0),
        music.silence(0.02),
        music.sine(440, 0.02),
        Clip(np.full((1, 1), 0.5, np.float32), 8000),
    ],
    ids=["silence", "20 ms of silence", "20 ms", "one sample"],
)
def test_short_and_silent_sounds_are_jobs_that_end_well(here: World, clip: Clip) -> None:
    """With a result of finite samples, as long as the source."""
    job = here.json(here.client.post("/jobs", **_as_json(codec.encode(clip, "wav"))), status=202)
    done = here.finished(job["id"])
    assert "finished" == done["status"], done
    result = codec.decode(here.client.get(done["artifacts"][0]["url"]).get_data())

    assert clip.length == result.length
    assert np.isfinite(result.samples).all()
