"""Encoded files as the world sends them: made by FFmpeg and libsndfile, not by our own writer."""

import io
import struct

import av
import numpy as np
import soundfile
from av.audio.stream import AudioStream

from server.media.clip import Clip

CONTAINERS = {
    "m4a": ("ipod", "aac"),
    "mp4": ("mp4", "aac"),
    "aac": ("adts", "aac"),
    "webm": ("webm", "libopus"),
    "mp3": ("mp3", "libmp3lame"),
    "opus": ("ogg", "libopus"),
    "flac": ("flac", "flac"),
}


def by_ffmpeg(clip: Clip, name: str) -> bytes:
    """Encode in a container of the table above; Opus ones need 48 kHz."""
    container_name, codec_name = CONTAINERS[name]
    layout = "stereo" if clip.channels == 2 else "mono"
    file = io.BytesIO()
    with av.open(file, "w", format=container_name) as container:
        stream = container.add_stream(codec_name, rate=clip.sample_rate)
        assert isinstance(stream, AudioStream)
        stream.layout = layout
        samples = np.ascontiguousarray(clip.samples)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate, frame.pts = clip.sample_rate, 0
        converter = av.AudioResampler(stream.format, layout=layout, rate=clip.sample_rate)
        for converted in converter.resample(frame):
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return file.getvalue()


def by_libsndfile(clip: Clip, format_: str, subtype: str) -> bytes:
    """Encode with libsndfile's names for both."""
    file = io.BytesIO()
    soundfile.write(file, clip.samples.T, clip.sample_rate, format=format_, subtype=subtype)
    return file.getvalue()


def with_claimed_size(wav: bytes, size: int) -> bytes:
    """Return a plain WAV whose data chunk claims another size."""
    place = wav.index(b"data") + 4
    return wav[:place] + struct.pack("<I", size) + wav[place + 4 :]


def silent_film() -> bytes:
    """Return an MP4 of a few black pictures and no sound."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(5):
            picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return file.getvalue()
