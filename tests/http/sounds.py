"""Short sounds as files, made in code."""

import io
import wave
from functools import lru_cache

import numpy as np
import pybase64

from server.media import codec
from server.media.clip import Clip

RATE = 16_000


@lru_cache
def wav(seconds: float = 0.5, *, rate: int = RATE, channels: int = 1) -> bytes:
    """Return a decaying tone as a WAV file."""
    return codec.encode(tone(seconds, rate=rate, channels=channels), "wav")


@lru_cache
def flac(seconds: float = 0.5) -> bytes:
    """Return a decaying tone as a FLAC file."""
    return codec.encode(tone(seconds), "flac")


def tone(seconds: float, *, rate: int = RATE, channels: int = 1) -> Clip:
    """Return a tone struck four times a second."""
    at = np.arange(round(seconds * rate)) / rate
    sine = 0.4 * np.sin(2 * np.pi * 220 * at) * np.exp(-12 * (at % 0.25))
    return Clip(np.tile(sine.astype(np.float32), (channels, 1)), rate)


def base64_wav(seconds: float = 0.5, *, rate: int = RATE, channels: int = 1) -> str:
    """Return a decaying tone as a WAV file in base64."""
    return pybase64.b64encode(wav(seconds, rate=rate, channels=channels)).decode()


@lru_cache
def streamed_flac(seconds: float) -> bytes:
    """Return FLAC as encoders write it into a pipe: its header does not say how long it is."""
    data = bytearray(codec.encode(tone(seconds), "flac"))
    data[21] &= 0xF0  # the number of samples: 36 bits of STREAMINFO
    data[22:26] = bytes(4)
    return bytes(data)


def empty_wav() -> bytes:
    """Return a WAV file without a single sample."""
    file = io.BytesIO()
    with wave.open(file, "wb") as empty:
        empty.setparams((1, 2, RATE, 0, "NONE", ""))
    return file.getvalue()
