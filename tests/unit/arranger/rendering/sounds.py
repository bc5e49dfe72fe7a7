"""What the rendering tests are made of: a SoundFont writer, small scores, and measures of sound."""

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from server.engines.arranger.assets import find_sound_bank
from server.engines.arranger.filters import RATE
from server.engines.arranger.generators import Generator
from server.engines.arranger.score import (
    FRAME_RATE,
    Chord,
    Heard,
    Note,
    Part,
    Score,
)
from server.media.clip import Samples
from server.media.key import Key
from variations.schema import Voice

Generators = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Recorded:
    """A sample to write: a wave, its loop, its pitch."""

    wave: NDArray[np.float64]
    loop: tuple[int, int]
    rate: int = RATE
    root: int = 69
    is_vorbis: bool = False


@dataclass(frozen=True)
class Written:
    """An instrument to write, played by a preset of its own."""

    bank: int
    program: int
    zones: Sequence[tuple[Recorded, Generators]]
    shared: Generators = ()
    preset: Generators = ()
    preset_shared: Generators = ()
    name: str = "tone"


def looped_sine(*, cycles: int = 441, root: int = 69, rate: int = RATE) -> Recorded:
    """Return a sine at 441 Hz (for A = 440, 3.93 cents sharp), a hundred samples a cycle."""
    t = np.arange(cycles * 100)
    return Recorded(0.5 * np.sin(2 * np.pi * t / 100), (1000, cycles * 100), rate, root)


def looped_saw() -> Recorded:
    """Return a saw of twenty harmonics with a loop of one cycle."""
    t = np.arange(5000)
    wave = sum(np.sin(2 * np.pi * k * t / 100) / k for k in range(1, 21))
    return Recorded(0.3 * np.asarray(wave), (4000, 4100))


@dataclass
class _Tables:
    phdr: bytes = b""
    pbag: bytes = b""
    pgen: bytes = b""
    inst: bytes = b""
    ibag: bytes = b""
    igen: bytes = b""
    shdr: bytes = b""
    smpl: bytes = b""
    samples: dict[int, int] = field(default_factory=dict)


def _generators(items: Generators) -> bytes:
    return b"".join(struct.pack("<HH", kind, amount & 0xFFFF) for kind, amount in items)


def _store(tables: _Tables, sound: Recorded) -> int:
    """Write a sample once and return its index."""
    if id(sound) in tables.samples:
        return tables.samples[id(sound)]
    if sound.is_vorbis:
        packed = io.BytesIO()
        soundfile.write(packed, sound.wave, sound.rate, format="OGG", subtype="VORBIS")
        raw, start = packed.getvalue(), len(tables.smpl)
        end, origin = start + len(raw), 0
    else:
        raw = (np.clip(sound.wave, -1, 1) * 32767).astype("<i2").tobytes() + bytes(92)
        start = len(tables.smpl) // 2
        end, origin = start + len(sound.wave), start
    tables.smpl += raw
    first, last = (origin + place for place in sound.loop)
    tables.shdr += struct.pack(
        "<20sIIIIIBbHH",
        b"s",
        start,
        end,
        first,
        last,
        sound.rate,
        sound.root,
        0,
        0,
        17 if sound.is_vorbis else 1,
    )
    tables.samples[id(sound)] = len(tables.samples)
    return tables.samples[id(sound)]


def _bag(bags: bytes, generators: bytes) -> bytes:
    return bags + struct.pack("<HH", len(generators) // 4, 0)


def _write_instrument(tables: _Tables, number: int, written: Written) -> None:
    tables.inst += struct.pack("<20sH", b"i", len(tables.ibag) // 4)
    if written.shared:
        tables.ibag = _bag(tables.ibag, tables.igen)
        tables.igen += _generators(written.shared)
    for sound, generators in written.zones:
        tables.ibag = _bag(tables.ibag, tables.igen)
        target = (int(Generator.SAMPLE), _store(tables, sound))
        tables.igen += _generators([*generators, target])
    tables.phdr += struct.pack(
        "<20sHHHIII",
        written.name.encode(),
        written.program,
        written.bank,
        len(tables.pbag) // 4,
        0,
        0,
        0,
    )
    if written.preset_shared:
        tables.pbag = _bag(tables.pbag, tables.pgen)
        tables.pgen += _generators(written.preset_shared)
    tables.pbag = _bag(tables.pbag, tables.pgen)
    tables.pgen += _generators([*written.preset, (int(Generator.INSTRUMENT), number)])


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def soundfont_bytes(instruments: Sequence[Written]) -> bytes:
    """Return a SoundFont file."""
    tables = _Tables()
    for number, written in enumerate(instruments):
        _write_instrument(tables, number, written)
    tables.phdr += struct.pack("<20sHHHIII", b"EOP", 0, 0, len(tables.pbag) // 4, 0, 0, 0)
    tables.pbag, tables.ibag = _bag(tables.pbag, tables.pgen), _bag(tables.ibag, tables.igen)
    tables.inst += struct.pack("<20sH", b"EOI", len(tables.ibag) // 4 - 1)
    tables.pgen, tables.igen = tables.pgen + bytes(4), tables.igen + bytes(4)
    tables.shdr += bytes(46)
    names = ("phdr", "pbag", "pgen", "inst", "ibag", "igen", "shdr")
    rows = b"".join(_chunk(n.encode(), getattr(tables, n)) for n in names)
    body = b"sfbk" + _chunk(b"LIST", b"INFO" + _chunk(b"ifil", struct.pack("<HH", 2, 4)))
    body += _chunk(b"LIST", b"sdta" + _chunk(b"smpl", tables.smpl))
    body += _chunk(b"LIST", b"pdta" + rows)
    return _chunk(b"RIFF", body)


def written_to(folder: Path, *instruments: Written) -> Path:
    """Write a SoundFont file and return its path."""
    path = folder / "tiny.sf2"
    path.write_bytes(soundfont_bytes(instruments))
    return path


def sine_bank(folder: Path) -> Path:
    """Write a bank with a sine as piano, a saw as violin (slow attack) and a kit."""
    slow = [(Generator.ATTACK, -2400), (Generator.SAMPLE_MODES, 1)]
    return written_to(
        folder,
        Written(0, 0, [(looped_sine(), [(Generator.SAMPLE_MODES, 1)])]),
        Written(0, 40, [(looped_saw(), slow)]),
        Written(128, 0, [(looped_saw(), [])]),
    )


def real_bank() -> Path:
    """Return the sound bank of this machine, or skip the test."""
    found = find_sound_bank(Path("data"), None).path
    if found is None:
        pytest.skip("no General MIDI sound bank on this machine; `make assets` fetches one")
    return found


def frequency(samples: Samples, *, near: float) -> float:
    """Return the frequency of the strongest partial within a semitone of `near`, in Hz."""
    size = 2**19
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), size))
    low, high = (int(near * ratio * size / RATE) for ratio in (0.944, 1.06))
    peak = low + int(np.argmax(spectrum[low:high]))
    left, middle, right = np.log(spectrum[peak - 1 : peak + 2])
    return float((peak + (left - right) / (2 * (left - 2 * middle + right))) * RATE / size)


def cents_between(one: float, other: float) -> float:
    """Return the interval between two frequencies in cents."""
    return float(1200 * np.log2(one / other))


def onset_seconds(samples: Samples) -> float:
    """Return when sound begins: the first sample above 5 % of the peak of its first 0.3 s."""
    loudness = np.abs(np.atleast_2d(samples)).max(axis=0)
    first = int(np.argmax(loudness > 0))
    head = loudness[: first + round(0.3 * RATE)]
    return float(np.argmax(loudness > 0.05 * head.max()) / RATE)


def rms(samples: Samples) -> float:
    """Return the level."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def heard_for(seconds: float, *, bpm: float = 120.0, pitch: int | None = None) -> Heard:
    """Return what a listener would report of a clip with at most one sounding semitone."""
    sustain = np.zeros((round(seconds * FRAME_RATE) + 1, 88), dtype=np.float32)
    if pitch is not None:
        sustain[:, pitch - 21] = 1.0
    return Heard(
        seconds=seconds,
        bpm=bpm,
        tempo_confidence=3.0,
        is_steady=True,
        beats=np.arange(0, seconds, 60 / bpm),
        downbeat=0,
        notes=(),
        chords=(Chord(0.0, seconds, 9, "m", 9, 1.0),),
        key=Key(9, "minor"),
        tuning_cents=0.0,
        drums=(),
        pitchedness=1.0,
        sustain=sustain,
        percussive=np.zeros(1, dtype=np.float32),
        percussive_gain=0.0,
    )


def voice(**changes: object) -> Voice:
    """Return a voice: a piano over the whole keyboard unless told otherwise."""
    fields: dict[str, object] = {"name": "player", "role": "riff", "range": (0, 127)}
    if "synth" not in changes:
        fields["program"] = 0
    return Voice.model_validate(fields | changes)


def one_note_score(player: Voice, *, start: float = 0.5, seconds: float = 2.0) -> Score:
    """Return a score with one note of half a second on A4."""
    return Score(seconds, (Part(player, (Note(start, 0.5, 69, 0.8),)),))


def ignore_steps(_done: int, _total: int) -> None:
    """Take no notice."""
