"""Sound banks: reads SoundFont 2 files, with raw samples (SF2) or Vorbis ones (SF3), by memory map.

Knows the RIFF chunks, tables and zones of the SoundFont 2.04 specification and decodes one sample
at a time. Knows nothing of playing: what a generator sounds like is the sampler's. Of the
specification it leaves out modulators and the low bytes of 24-bit samples. A damaged file is an
`errors.EngineFailed` with a sentence, when it is opened or when its broken sample is asked for.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from server import errors
from server.engines.arranger.generators import (
    DEFAULTS,
    NEVER_ADDED,
    ONLY_IN_INSTRUMENTS,
    Generator,
)
from server.media.clip import Samples

Bytes = NDArray[np.uint8]
Table = NDArray[np.void]
Chunks = dict[str, tuple[int, int]]
"""Where the contents of each chunk begin and end, by name."""


_BAG = [("generator", "<u2"), ("modulator", "<u2")]
_GENERATOR = [("kind", "<u2"), ("amount", "<i2")]
_LAYOUTS: dict[str, np.dtype[np.void]] = {
    "phdr": np.dtype(
        [("name", "S20"), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("rest", "<u4", 3)]
    ),
    "pbag": np.dtype(_BAG),
    "pgen": np.dtype(_GENERATOR),
    "inst": np.dtype([("name", "S20"), ("bag", "<u2")]),
    "ibag": np.dtype(_BAG),
    "igen": np.dtype(_GENERATOR),
    "shdr": np.dtype(
        [
            ("name", "S20"),
            ("start", "<u4"),
            ("end", "<u4"),
            ("loop_start", "<u4"),
            ("loop_end", "<u4"),
            ("rate", "<u4"),
            ("pitch", "u1"),
            ("correction", "i1"),
            ("link", "<u2"),
            ("type", "<u2"),
        ]
    ),
}
"""The tables of section 7; every one ends with a terminal record."""

_VORBIS = 0x10
_ROM = 0x8000
_UNPITCHED = 255
_DEFAULT_ROOT = 60
_PERCUSSION_BANK = 128


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One recording.

    Attributes:
        wave: `[N]` float32 within [-1, 1].
        loop: first sample of the loop and the one after its last; equal where there is no loop.
        sample_rate: in Hz.
        root: MIDI pitch of the recording.
        correction_cents: to add when it is played.
    """

    wave: Samples
    loop: tuple[int, int]
    sample_rate: int
    root: int
    correction_cents: int


@dataclass(frozen=True, slots=True, eq=False)
class Zone:
    """Generators for a range of pitches and velocities, and the instrument or sample below."""

    target: int
    generators: Mapping[int, int]

    def holds(self, pitch: int, velocity: int) -> bool:
        """Tell whether it sounds for this key."""
        return _within(self.generators.get(Generator.KEY_RANGE), pitch) and _within(
            self.generators.get(Generator.VELOCITY_RANGE), velocity
        )


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """One sample to play and every generator for it, defaults and preset offsets included."""

    sample: int
    generators: Mapping[int, int]

    def __getitem__(self, generator: Generator) -> int:
        return self.generators[generator]


class SoundFont:
    """A sound bank that is open for reading.

    Raises:
        errors.EngineFailed: the file cannot be read, is no SoundFont, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._data: Bytes = np.memmap(path, dtype=np.uint8, mode="r")
        except (OSError, ValueError) as error:
            raise errors.EngineFailed("The sound bank cannot be read.") from error
        self._chunks = _chunks(self._data)
        self._tables = {name: self._table(name) for name in _LAYOUTS}
        self._check_links()
        self._zones: dict[tuple[str, int], tuple[Zone, ...]] = {}

    @cached_property
    def presets(self) -> Mapping[tuple[int, int], int]:
        """Index of each preset by (bank, program)."""
        heads = self._tables["phdr"][:-1]
        return {(int(h["bank"]), int(h["program"])): i for i, h in enumerate(heads)}

    def name(self, bank: int, program: int) -> str:
        """Return what the bank calls a preset."""
        raw: bytes = self._tables["phdr"][self._preset(bank, program)]["name"]
        return raw.split(b"\0")[0].decode("latin-1")

    def has(self, bank: int, program: int) -> bool:
        """Tell whether there is such a preset, without a stand-in."""
        return (bank, program) in self.presets

    def regions(self, bank: int, program: int, pitch: int, velocity: int) -> tuple[Region, ...]:
        """Return what sounds when a key is struck; pitch and velocity as MIDI numbers.

        A preset that is missing is replaced by the program of bank 0, else by the first one; a
        missing kit (bank 128) by the first kit.
        """
        found: list[Region] = []
        for outer in self._zones_of("p", self._preset(bank, program)):
            if outer.holds(pitch, velocity):
                inner_zones = self._zones_of("i", outer.target)
                found += [
                    Region(inner.target, _combined(outer.generators, inner.generators))
                    for inner in inner_zones
                    if inner.holds(pitch, velocity)
                ]
        return tuple(found)

    def sample(self, index: int) -> Sample:
        """Decode a sample. Nothing is kept: callers cache."""
        head = self._tables["shdr"][index]
        is_vorbis = bool(int(head["type"]) & _VORBIS)
        wave = self._vorbis(head) if is_vorbis else self._linear(head)
        origin = 0 if is_vorbis else int(head["start"])
        first, last = int(head["loop_start"]) - origin, int(head["loop_end"]) - origin
        last = min(last, len(wave))
        root = int(head["pitch"])
        return Sample(
            wave=wave,
            loop=(first, last) if 0 <= first < last else (0, 0),
            sample_rate=int(head["rate"]),
            root=_DEFAULT_ROOT if root == _UNPITCHED else root,
            correction_cents=int(head["correction"]),
        )

    def _vorbis(self, head: np.void) -> Samples:
        packed = self._sample_bytes(int(head["start"]), int(head["end"]))
        try:
            wave: Samples
            wave, _ = soundfile.read(io.BytesIO(packed), dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise _damaged("a sample cannot be decoded") from error
        return np.ascontiguousarray(wave[:, 0])

    def _linear(self, head: np.void) -> Samples:
        if int(head["type"]) & _ROM:
            raise _damaged("a sample lies in the memory of a sound card")
        packed = self._sample_bytes(2 * int(head["start"]), 2 * int(head["end"]))
        return np.frombuffer(packed, dtype="<i2").astype(np.float32) / np.float32(32768)

    def _sample_bytes(self, start: int, end: int) -> bytes:
        first, last = self._chunks["smpl"]
        if not start <= end <= last - first:
            raise _damaged("a sample lies outside the file")
        return self._data[first + start : first + end].tobytes()

    def _table(self, name: str) -> Table:
        layout = _LAYOUTS[name]
        start, end = self._chunks.get(name, (0, 0))
        if end - start < layout.itemsize or (end - start) % layout.itemsize:
            raise _damaged(f"its table {name!r} is missing or cut short")
        return np.frombuffer(self._data[start:end].tobytes(), dtype=layout)

    def _check_links(self) -> None:
        """Follow every index once, so that nothing can point outside a table later."""
        if "smpl" not in self._chunks:
            raise _damaged("it holds no samples")
        for heads, bags, generators in (("phdr", "pbag", "pgen"), ("inst", "ibag", "igen")):
            self._check_rising(self._tables[heads]["bag"], len(self._tables[bags]))
            self._check_rising(self._tables[bags]["generator"], len(self._tables[generators]))
        self._check_targets("pgen", Generator.INSTRUMENT, len(self._tables["inst"]) - 1)
        self._check_targets("igen", Generator.SAMPLE, len(self._tables["shdr"]) - 1)
        if len(self._tables["phdr"]) < 2:
            raise _damaged("it holds no presets")
        if np.any(self._tables["shdr"]["rate"][:-1] == 0):
            raise _damaged("a sample has no rate")

    @staticmethod
    def _check_rising(indices: NDArray[np.uint16], length: int) -> None:
        if np.any(np.diff(indices.astype(np.int64)) < 0) or int(indices[-1]) >= length:
            raise _damaged("its tables do not fit together")

    def _check_targets(self, name: str, kind: Generator, count: int) -> None:
        table = self._tables[name]
        targets = table["amount"][table["kind"] == kind].astype(np.uint16)
        if np.any(targets >= count):
            raise _damaged("it names an instrument or sample that is not there")

    def _preset(self, bank: int, program: int) -> int:
        last_resort = (_PERCUSSION_BANK, 0) if bank == _PERCUSSION_BANK else (0, 0)
        for key in ((bank, program), (0, program), last_resort):
            if key in self.presets and (bank != _PERCUSSION_BANK or key[0] == bank):
                return self.presets[key]
        return 0

    def _zones_of(self, level: str, index: int) -> tuple[Zone, ...]:
        """Return the zones of preset (`p`) or instrument (`i`) number `index`."""
        if (level, index) not in self._zones:
            heads = self._tables["phdr" if level == "p" else "inst"]["bag"]
            bags = range(int(heads[index]), int(heads[index + 1]))
            terminal = Generator.INSTRUMENT if level == "p" else Generator.SAMPLE
            lists = [self._generators(level, bag) for bag in bags]
            self._zones[level, index] = tuple(_zones(lists, terminal))
        return self._zones[level, index]

    def _generators(self, level: str, bag: int) -> dict[int, int]:
        edges = self._tables[level + "bag"]["generator"]
        rows = self._tables[level + "gen"][int(edges[bag]) : int(edges[bag + 1])]
        return dict(zip(rows["kind"].tolist(), rows["amount"].tolist(), strict=True))


def _zones(lists: list[dict[int, int]], terminal: Generator) -> Iterator[Zone]:
    """Turn generator lists into zones: a first one without target is global, later ones void."""
    shared: dict[int, int] = {}
    for position, generators in enumerate(lists):
        if terminal in generators:
            merged = shared | generators
            yield Zone(merged.pop(terminal) & 0xFFFF, merged)
        elif position == 0:
            shared = generators


def _combined(outer: Mapping[int, int], inner: Mapping[int, int]) -> dict[int, int]:
    """Lay an instrument's generators over the defaults, then add the preset's (section 9.4)."""
    generators = {**DEFAULTS, **inner}
    for kind, amount in outer.items():
        if kind not in ONLY_IN_INSTRUMENTS and kind not in NEVER_ADDED:
            generators[kind] = generators.get(kind, 0) + amount
    return generators


def _within(bounds: int | None, value: int) -> bool:
    if bounds is None:
        return True
    low, high = bounds & 0xFF, (bounds >> 8) & 0xFF
    return low <= value <= high


def _chunks(data: Bytes) -> Chunks:
    """Find every chunk inside the lists of a RIFF file of the form `sfbk` (section 4)."""
    if data[:4].tobytes() != b"RIFF" or data[8:12].tobytes() != b"sfbk":
        raise errors.EngineFailed("The sound bank is not a SoundFont file.")
    found: Chunks = {}
    for name, start, end in _walk(data, 12, len(data)):
        if name == "LIST":
            found |= {inner: (a, b) for inner, a, b in _walk(data, start + 4, end)}
    return found


def _walk(data: Bytes, position: int, stop: int) -> Iterator[tuple[str, int, int]]:
    """Yield name, start and end of the chunks between two positions.

    Chunks of odd length are followed by a zero byte, which some writers of SF3 leave out.
    """
    while position + 8 <= stop:
        name = data[position : position + 4].tobytes().decode("latin-1")
        start = position + 8
        end = start + int.from_bytes(data[position + 4 : start].tobytes(), "little")
        if end > stop:
            raise _damaged("it is cut short")
        yield name, start, end
        is_padded = (end - start) % 2 == 1 and end < stop and data[end] == 0
        position = end + is_padded


def _damaged(what: str) -> errors.EngineFailed:
    return errors.EngineFailed(f"The sound bank is damaged: {what}.")
