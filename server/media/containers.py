"""MP4, WebM and raw AAC through FFmpeg's libraries. Import it only when such a file has come.

FFmpeg is handed an open file and the container's name: it does not guess, so no playlist or network
address inside a file is ever followed. Everything of it is imported at once: PyAV would import a
part when a film has subtitles, and a reader may open no file by then.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import av
import av.subtitles.stream
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer

from server import errors
from server.media.sources import Block, Source

_DEMUXERS = {"m4a": "mov", "webm": "matroska", "aac": "aac"}
_OPTIONS = {"protocol_whitelist": "file,pipe"}


@contextmanager
def opened(file: io.BufferedIOBase, name: str) -> Iterator[Source]:
    """Open the first sound track of a container named as in `formats.FORMATS`.

    Raises:
        errors.UnreadableAudio: it cannot be opened, has no sound track, or turns out damaged while
        its
            blocks are read.
    """
    try:
        with av.open(
            file, "r", format=_DEMUXERS[name], options=_OPTIONS, metadata_errors="ignore"
        ) as container:
            yield _source(container, _first_track(container))
    except (av.FFmpegError, EOFError) as damage:
        raise errors.UnreadableAudio("The audio file is damaged or incomplete.") from damage


def _first_track(container: InputContainer) -> AudioStream:
    if not container.streams.audio:
        raise errors.UnreadableAudio("There is no sound in this file.")
    track = container.streams.audio[0]
    if track.codec_context is None:
        raise errors.UnreadableAudio("The sound in this file has a coding that we do not know.")
    track.codec_context.thread_count = 1
    return track


def _source(container: InputContainer, track: AudioStream) -> Source:
    length, is_exact = None, False
    if container.format.name.startswith("mov") and track.duration and track.time_base:
        exact = track.duration * track.time_base * track.rate
        length, is_exact = round(exact), exact.denominator == 1
    elif container.duration:
        length = round(container.duration / av.time_base * track.rate)
    return Source(track.channels, track.rate, length, is_exact, _blocks(container, track))


def _blocks(container: InputContainer, track: AudioStream) -> Iterator[Block]:
    """Decode to interleaved float32, in the layout and at the rate that the track begins with."""
    converter = av.AudioResampler(format="flt", layout=track.layout, rate=track.rate)
    for frame in container.decode(track):
        for converted in converter.resample(frame):
            block = converted.to_ndarray().reshape(-1, track.channels)
            yield np.asarray(block, dtype=np.float32)
