"""The smallest bank that plays every program: one looped tone behind 128 presets and a kit."""

import struct
from pathlib import Path

import numpy as np

_RATE = 22050
_PERIOD = 50
_LENGTH = 20 * _PERIOD


def write_tiny_bank(path: Path) -> Path:
    """Write the bank (SoundFont 2.04, section 7) and return its path."""
    info = _chunk("ifil", struct.pack("<HH", 2, 4)) + _chunk("INAM", b"tiny\0\0")
    body = b"sfbk" + _list("INFO", info) + _list("sdta", _chunk("smpl", _tone()))
    body += _list("pdta", _presets())
    path.write_bytes(_chunk("RIFF", body))
    return path


def _chunk(name: str, body: bytes) -> bytes:
    return name.encode() + struct.pack("<I", len(body)) + body


def _list(kind: str, body: bytes) -> bytes:
    return _chunk("LIST", kind.encode() + body)


def _tone() -> bytes:
    phase = 2 * np.pi * np.arange(_LENGTH) / _PERIOD
    wave = sum(np.sin(n * phase) / n for n in range(1, 6))
    samples = np.asarray(12000 * wave, "<i2")
    return bytes(samples.tobytes() + bytes(2 * 46))


def _presets() -> bytes:
    kinds = [(program, 0) for program in range(128)] + [(0, 128)]
    heads = b"".join(
        struct.pack("<20sHHHIII", b"tone", program, bank, index, 0, 0, 0)
        for index, (program, bank) in enumerate(kinds)
    )
    heads += struct.pack("<20sHHHIII", b"EOP", 0, 0, len(kinds), 0, 0, 0)
    bags = b"".join(struct.pack("<HH", index, 0) for index in range(len(kinds) + 1))
    to_instrument = struct.pack("<HH", 41, 0) * len(kinds) + bytes(4)
    return b"".join(
        [
            _chunk("phdr", heads),
            _chunk("pbag", bags),
            _chunk("pmod", bytes(10)),
            _chunk("pgen", to_instrument),
            _chunk("inst", struct.pack("<20sH20sH", b"tone", 0, b"EOI", 1)),
            _chunk("ibag", struct.pack("<HHHH", 0, 0, 2, 0)),
            _chunk("imod", bytes(10)),
            _chunk("igen", struct.pack("<HHHHHH", 54, 1, 53, 0, 0, 0)),
            _chunk("shdr", _sample_heads()),
        ]
    )


def _sample_heads() -> bytes:
    """Return the tone, which loops over its second half and sounds A4 at its own speed."""
    tone = (0, _LENGTH, _LENGTH // 2, _LENGTH - _PERIOD, _RATE, 69, 0, 0, 1)
    last = (0, 0, 0, 0, 0, 0, 0, 0, 0)
    return struct.pack("<20sIIIIIBbHH", b"tone", *tone) + struct.pack(
        "<20sIIIIIBbHH", b"EOS", *last
    )
