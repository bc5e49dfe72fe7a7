"""Which audio files there are: their names, media types and first bytes.

The one table that reading, writing, HTTP answers and the documentation share. Opens nothing.
"""

import re
from dataclasses import dataclass

from server import errors


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of audio file.

    Attributes:
        name: what requests and file names call it.
        media_type: for `Content-Type`.
        title: what a musician calls it.
        writable: whether results can be had in it.
    """

    name: str
    media_type: str
    title: str
    writable: bool = False

    @property
    def extension(self) -> str:
        """File name ending, with its dot."""
        return f".{self.name}"


FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        Format("wav", "audio/wav", "WAV", writable=True),
        Format("flac", "audio/flac", "FLAC", writable=True),
        Format("mp3", "audio/mpeg", "MP3", writable=True),
        Format("ogg", "audio/ogg", "Ogg Vorbis", writable=True),
        Format("opus", "audio/ogg; codecs=opus", "Ogg Opus"),
        Format("m4a", "audio/mp4", "M4A/MP4"),
        Format("aac", "audio/aac", "AAC"),
        Format("webm", "audio/webm", "WebM"),
        Format("aiff", "audio/aiff", "AIFF"),
    )
}
"""Every readable format by name."""

MIDI_TYPE = "audio/midi"
"""Media type of notes: no format of these, since there is no sound in them."""

SNIFFED_BYTES = 512
"""How much of a file `sniff` wants to see."""

_MAGIC = (
    (re.compile(rb"(RIFF|RIFX|RF64)....WAVE", re.DOTALL), "wav"),
    (re.compile(rb"fLaC"), "flac"),
    (re.compile(rb"OggS.{24,300}OpusHead", re.DOTALL), "opus"),
    (re.compile(rb"OggS"), "ogg"),
    (re.compile(rb"....ftyp", re.DOTALL), "m4a"),
    (re.compile(rb"\x1aE\xdf\xa3"), "webm"),
    (re.compile(rb"FORM....AIF[FC]", re.DOTALL), "aiff"),
    (re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"), "aac"),
    (re.compile(rb"ID3|\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]"), "mp3"),
)

_NOT_AUDIO = re.compile(
    rb"MThd|\x89PNG|\xff\xd8\xff|GIF8|RIFF....(WEBP|AVI )|%PDF|PK\x03\x04|Rar!|7z\xbc\xaf|\x1f\x8b"
    rb"|[\t\n\r\x20-\x7e]{16,512}\Z",
    re.DOTALL,
)
"""MIDI, pictures, films without a supported sound track, documents, archives, plain text."""


def is_sound(media_type: str) -> bool:
    """Whether a stored file of that type is one to listen to, and neither notes nor a picture."""
    return media_type != MIDI_TYPE and not media_type.startswith("image/")


def sniff(head: bytes) -> Format:
    """Tell a file's format from its first bytes, whatever its name claims.

    Raises:
        errors.UnsupportedMedia: it is certainly something else, such as MIDI, a picture or text.
        errors.UnreadableAudio: it is nothing known.
    """
    head = head[:SNIFFED_BYTES]
    if _NOT_AUDIO.match(head):
        raise errors.UnsupportedMedia(f"This kind of file is not supported. {supported()}")
    for pattern, name in _MAGIC:
        if pattern.match(head):
            return FORMATS[name]
    raise errors.UnreadableAudio(f"This is not an audio file we know. {supported()}")


def supported() -> str:
    """Return the sentence that lists what can be read."""
    return f"Supported are {', '.join(each.title for each in FORMATS.values())}."
