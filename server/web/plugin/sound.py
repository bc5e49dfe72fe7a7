"""Stored audio as every client reads it: a WAV file of whole numbers or 32-bit floats, in base64.

Clients drop what they cannot read without saying so, hence no other coding gets out here.
"""

import io

import pybase64

from server.jobs.ports import ArtifactStore
from server.media import codec
from server.media.bounded import READERS

_READ_EVERYWHERE = frozenset({"PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"})
_HEADER_BYTES = 12


def base64_wav(artifacts: ArtifactStore, artifact_id: str) -> str:
    """Return an artifact as WAV in base64, on one line.

    Raises:
        errors.NotFound: there is no such artifact any more.
        errors.StorageFailed: the store does not answer.
    """
    return pybase64.b64encode(as_wav(artifacts.read(artifact_id))).decode("ascii")


def as_wav(data: bytes) -> bytes:
    """Return an audio file as WAV: unchanged where clients read it as it is, else in 16 bits.

    Raises:
        errors.InvalidInput: it is no audio.
    """
    return data if _is_read_everywhere(data) else codec.encode(READERS.decode(data), "wav")


def _is_read_everywhere(data: bytes) -> bool:
    if data[:4] != b"RIFF" or data[8:_HEADER_BYTES] != b"WAVE":
        return False
    # recorders that stream leave a length of nothing or everything in the header
    if int.from_bytes(data[4:8], "little") != len(data) - 8:
        return False
    import soundfile  # noqa: PLC0415 - megabytes that an idle process does without

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            return file.subtype in _READ_EVERYWHERE
    except soundfile.LibsndfileError:
        return False
