"""Tempo and key stand in the comments of FLAC and Ogg, and nothing else in the file changes."""

import io
from collections.abc import Mapping
from functools import lru_cache

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.media import codec, comments, tags
from server.media.codec import Writable
from server.media.key import Key
from tests import music

FORMATS: tuple[Writable, ...] = ("flac", "ogg")
SAID = tags.of(title="riff", engine="arranger", licence="MIT", bpm=119.98, key=Key(6, "minor"))


def read_by_others(data: bytes) -> Mapping[str, str]:
    """Return the tags as FFmpeg's libraries read them."""
    with av.open(io.BytesIO(data), "r") as container:
        return {**container.metadata, **container.streams.audio[0].metadata}


def packets(data: bytes) -> list[bytes]:
    """Return the coded sound; FFmpeg checks the sum of every page on its way to it."""
    with av.open(io.BytesIO(data), "r", options={"err_detect": "crccheck+explode"}) as container:
        return [bytes(packet) for packet in container.demux(container.streams.audio[0])]


@lru_cache
def plain(fmt: Writable) -> bytes:
    """Return a short riff without comments of ours."""
    return codec.encode(music.riff(seconds=0.5).clip, fmt, tags={"title": "riff"})


@pytest.mark.parametrize("fmt", FORMATS)
def test_tempo_and_key_are_read_by_others(fmt: Writable) -> None:
    """Beside what was there."""
    found = read_by_others(tags.encode(music.riff(seconds=0.5).clip, fmt, tags=SAID))

    assert ("119.98", "F#m") == (found["BPM"], found["KEY"])
    assert tags.DISCLOSURE in {name.lower(): text for name, text in found.items()}["comment"]


def test_id3_has_a_whole_number_for_the_tempo() -> None:
    """In an MP3 and in a WAV file's own tag."""
    for fmt in ("mp3", "wav"):
        found = read_by_others(tags.encode(music.riff(seconds=0.5).clip, fmt, tags=SAID))
        assert ("120", "F#m") == (found["TBPM"], found["TKEY"])


@pytest.mark.parametrize("fmt", ["wav", *FORMATS, "mp3"])
def test_what_was_not_heard_is_not_said(fmt: Writable) -> None:
    """The negative control."""
    said = tags.of(title="riff", engine="arranger", licence="MIT")
    found = read_by_others(tags.encode(music.riff(seconds=0.5).clip, fmt, tags=said))

    assert {"BPM", "KEY", "TBPM", "TKEY"}.isdisjoint(found)


@pytest.mark.parametrize("fmt", FORMATS)
@given(texts=st.lists(st.text(max_size=700), max_size=4))
@settings(max_examples=15, deadline=None)
def test_any_comments_leave_the_sound_as_it_is(fmt: Writable, texts: list[str]) -> None:
    """Whatever their length: 255 bytes are the edge of a segment."""
    before = plain(fmt)
    added = {f"NOTE{number}": text for number, text in enumerate(texts)}
    after = comments.with_comments(before, added)

    assert packets(before) == packets(after)
    assert np.array_equal(codec.decode(before).samples, codec.decode(after).samples)
    assert len(after) >= len(before) + sum(len(text.encode()) for text in texts)


@pytest.mark.parametrize("length", [*range(80, 110), 1000])
def test_an_ogg_page_is_whole_at_every_length(length: int) -> None:
    """Also where the comments fill their last segment exactly."""
    after = comments.with_comments(plain("ogg"), {"X": "y" * length})

    assert "y" * length == read_by_others(after)["X"]


def test_a_wrong_sum_would_be_seen() -> None:
    """The negative control: one bit of the page's sum turned over."""
    after = bytearray(comments.with_comments(plain("ogg"), {"BPM": "120"}))
    after[58 + 22] ^= 1

    assert packets(plain("ogg")) != _packets_or_nothing(bytes(after))


def _packets_or_nothing(data: bytes) -> list[bytes]:
    try:
        return packets(data)
    except (av.FFmpegError, IndexError):
        return []


def test_comments_that_need_another_ogg_page_are_left_out() -> None:
    before = plain("ogg")

    assert before == comments.with_comments(before, {"X": "y" * 70_000})


@pytest.mark.parametrize("fmt", FORMATS)
def test_nothing_to_say_changes_nothing(fmt: Writable) -> None:
    before = plain(fmt)

    assert before == comments.with_comments(before, {"BPM": ""})


def test_a_flac_file_without_comments_stays_as_it_is() -> None:
    """Its first block is its last."""
    bare = b"fLaC" + bytes([0x80, 0, 0, 2]) + b"xxyy"

    assert bare == comments.with_comments(bare, {"BPM": "120"})
