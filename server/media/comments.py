"""More comments in a FLAC or Ogg Vorbis file than libsndfile has names for, such as BPM and KEY.

RFC 9639 (FLAC) and the Ogg and Vorbis I specifications. Only the comments change: samples and
packets stay as they are. Knows bytes; what a comment means it does not know.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_FLAC_COMMENTS = 4
_OGG_COMMENTS = b"\x03vorbis"
_OGG_HEADER = 27
_CHECKSUM_AT = 22
_MOST_SEGMENTS = 255
_POLYNOMIAL = 0x04C11DB7


def with_comments(data: bytes, comments: Mapping[str, str]) -> bytes:
    """Return a FLAC or Ogg Vorbis file with more comments.

    An Ogg file whose comments would need another page stays as it is, and so does a file without a
    place for comments.
    """
    added = [f"{name}={text}".encode() for name, text in comments.items() if text]
    if not added:
        return data
    return _in_flac(data, added) if data[:4] == b"fLaC" else _in_ogg(data, added)


def _extended(block: bytes, added: list[bytes]) -> bytes:
    """Return a block of comments, from the vendor's name to the last one, with more at its end."""
    count_at = 4 + int.from_bytes(block[:4], "little")
    count = int.from_bytes(block[count_at : count_at + 4], "little") + len(added)
    more = b"".join(len(each).to_bytes(4, "little") + each for each in added)
    return block[:count_at] + count.to_bytes(4, "little") + block[count_at + 4 :] + more


# FLAC


def _in_flac(data: bytes, added: list[bytes]) -> bytes:
    for kind, start, size in _flac_blocks(data):
        if kind == _FLAC_COMMENTS:
            block = _extended(data[start : start + size], added)
            head = data[: start - 3] + len(block).to_bytes(3, "big")
            return head + block + data[start + size :]
    return data


def _flac_blocks(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the kind of each block of metadata, where its content begins and its size."""
    place, is_last = 4, False
    while not is_last and place + 4 <= len(data):
        is_last, kind = bool(data[place] & 0x80), data[place] & 0x7F
        size = int.from_bytes(data[place + 1 : place + 4], "big")
        yield kind, place + 4, size
        place += 4 + size


# Ogg


@dataclass(frozen=True, slots=True)
class _Page:
    """A page of an Ogg file: where it begins, the sizes of its segments, where it ends."""

    start: int
    segments: bytes

    @property
    def body(self) -> int:
        """Where its segments begin."""
        return self.start + _OGG_HEADER + len(self.segments)

    @property
    def end(self) -> int:
        """Where the next page begins."""
        return self.body + sum(self.segments)


def _in_ogg(data: bytes, added: list[bytes]) -> bytes:
    """Rewrite the second page: it begins with the comments, the codebooks follow."""
    page = _page_at(data, _page_at(data, 0).end)
    packet_size = _first_packet_size(page)
    if packet_size is None or not data.startswith(_OGG_COMMENTS, page.body):
        return data
    packet = data[page.body : page.body + packet_size]
    block, framing = packet[len(_OGG_COMMENTS) : -1], packet[-1:]
    written = _OGG_COMMENTS + _extended(block, added) + framing
    segments = _laced(len(written)) + page.segments[packet_size // 255 + 1 :]
    if len(segments) > _MOST_SEGMENTS:
        return data
    head = data[page.start : page.start + _OGG_HEADER - 1] + bytes([len(segments)]) + segments
    body = written + data[page.body + packet_size : page.end]
    return data[: page.start] + _summed(head + body) + data[page.end :]


def _page_at(data: bytes, start: int) -> _Page:
    count = data[start + _OGG_HEADER - 1]
    return _Page(start, data[start + _OGG_HEADER : start + _OGG_HEADER + count])


def _first_packet_size(page: _Page) -> int | None:
    """Return the size of a page's first packet, None where it goes on in the next page."""
    size = 0
    for segment in page.segments:
        size += segment
        if segment < 255:
            return size
    return None


def _laced(size: int) -> bytes:
    """Return a packet's size as Ogg writes it: 255s and what is left, which may be nothing."""
    return b"\xff" * (size // 255) + bytes([size % 255])


def _summed(page: bytes) -> bytes:
    """Return a page with its checksum, which is counted with zeros in its own place."""
    blank = page[:_CHECKSUM_AT] + bytes(4) + page[_CHECKSUM_AT + 4 :]
    remainder = 0
    for byte in blank:
        remainder = (remainder << 8) & 0xFFFFFFFF ^ _REMAINDERS[(remainder >> 24) ^ byte]
    return page[:_CHECKSUM_AT] + remainder.to_bytes(4, "little") + page[_CHECKSUM_AT + 4 :]


def _remainder(byte: int) -> int:
    remainder = byte << 24
    for _ in range(8):
        carry = remainder & 0x80000000
        remainder = (remainder << 1) & 0xFFFFFFFF ^ (_POLYNOMIAL if carry else 0)
    return remainder


_REMAINDERS = tuple(_remainder(byte) for byte in range(256))
