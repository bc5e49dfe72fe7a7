"""Stored audio as every client reads it."""

import io
from typing import Literal

import numpy as np
import pytest
import soundfile

from server import errors
from server.media import codec
from server.media.clip import Clip
from server.web.plugin import sound

WAVE = (np.arange(4000) % 50 / 100).astype(np.float32).reshape(2, 2000)
CLIP = Clip(WAVE, 44_100)


def written(subtype: str, *, container: str = "WAV") -> bytes:
    """Return the clip as a WAV file of another coding."""
    file = io.BytesIO()
    soundfile.write(file, CLIP.samples.T, CLIP.sample_rate, format=container, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"])
@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
def test_what_clients_read_stays_as_it_is(subtype: str, container: str) -> None:
    """Byte for byte."""
    data = written(subtype, container=container)

    assert data == sound.as_wav(data)


@pytest.mark.parametrize("subtype", ["DOUBLE", "ULAW", "MS_ADPCM"])
def test_other_codings_become_whole_numbers(subtype: str) -> None:
    """JUCE would drop them."""
    data = sound.as_wav(written(subtype))

    assert "PCM_16" == soundfile.info(io.BytesIO(data)).subtype
    assert CLIP.sample_rate == soundfile.info(io.BytesIO(data)).samplerate


@pytest.mark.parametrize("fmt", ["flac", "mp3", "ogg"])
def test_other_files_become_wav(fmt: Literal["flac", "mp3", "ogg"]) -> None:
    """With the same number of samples."""
    encoded = codec.encode(CLIP, fmt)
    data = sound.as_wav(encoded)

    assert "WAV" == soundfile.info(io.BytesIO(data)).format
    assert codec.decode(encoded).length == soundfile.info(io.BytesIO(data)).frames


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x00"])
def test_a_header_that_lies_is_written_anew(length: bytes) -> None:
    """Recorders that stream do not know how long it will be."""
    data = written("PCM_16")
    lying = data[:4] + length + data[8:]

    assert codec.decode(data).length == soundfile.info(io.BytesIO(sound.as_wav(lying))).frames
    assert lying != sound.as_wav(lying)


def test_a_wav_that_is_none_is_refused() -> None:
    """As everything that is no audio."""
    broken = b"RIFF" + (12).to_bytes(4, "little") + b"WAVE" + b"fmt \x00\x00\x00\x00"
    with pytest.raises(errors.InvalidInput):
        sound.as_wav(broken)
