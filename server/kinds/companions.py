"""Files beside a result: its notes, its parts as sounds, the source as loud as it is.

All of them begin where the source begins. Knows names and files; how parts are told apart is the
engine's.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from server.engines.catalog import ENGINES
from server.jobs.context import Context
from server.jobs.record import Role
from server.kinds import signing, takes
from server.kinds.fields import Format
from server.kinds.signing import Level, Maker
from server.kinds.takes import Take
from server.media import codec, formats, tags
from server.media.clip import Clip
from server.media.sheet import Sheet

SOURCE = "source"
"""The stem of what is left of the source."""

_LAYER_OF_SOURCE = "(source)"
"""How the names of stems end that are a layer of the source: its drums, its voice."""

NO_NOTES = "There is no MIDI file: nothing was played."
NO_STEMS = "There are no stems: nothing was played."
LOUD_STEM = "The stem {} alone is louder than full scale, so it is a WAV file of floats."
QUIETER = "The comparison is {:.1f} dB quieter than the result: louder, its peaks would clip."

_UNWANTED_IN_NAMES = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which files there shall be beside a result.

    Attributes:
        midi: None where there are notes.
        format: of the result; stems have none that loses anything.
    """

    midi: bool | None
    stems: bool
    comparison: bool
    format: Format


@dataclass(frozen=True, slots=True, eq=False)
class Companion:
    """One file beside a result.

    Attributes:
        clip: what is in it; None of notes.
        facts: what the report says of it, beside its name.
        notices: what the musician should know of it.
    """

    role: Role
    name: str
    data: bytes
    clip: Clip | None
    facts: Mapping[str, Any]
    notices: tuple[str, ...] = ()

    def save(self, ctx: Context) -> None:
        """Store it.

        Raises:
            errors.StorageFailed: there is no room.
        """
        if self.clip is None:
            ctx.save(self.data, name=self.name, media_type=formats.MIDI_TYPE, role=self.role)
            return
        fmt: Any = self.name.rpartition(".")[2]
        takes.store(self.clip, self.data, ctx, name=self.name, fmt=fmt, role=self.role)


def beside(take: Take, label: str, wanted: Wanted, maker: Maker) -> Iterator[Companion]:
    """Yield the files beside one take, each when it is wanted: they are large."""
    if wanted.midi is not False and take.made.sheet is not None:
        yield _midi(take, take.where.sheet(take.made.sheet), f"transformed{label}.mid")
    if wanted.stems:
        for number, (part, clip) in enumerate(stems(take), start=1):
            name = f"stem{label}-{number:02d}-{file_name(part)}"
            yield _stem(take, name, part, clip, wanted, maker)
    if wanted.comparison:
        yield _comparison(take, f"comparison{label}.{wanted.format}", wanted, maker)


def count(made: Sequence[Take], wanted: Wanted) -> int:
    """Return how many files there will be beside some takes."""
    notes = sum(take.made.sheet is not None for take in made) if wanted.midi is not False else 0
    parts = sum(len(_stem_names(take)) for take in made) if wanted.stems else 0
    return notes + parts + (len(made) if wanted.comparison else 0)


def missing(take: Take, wanted: Wanted, engine: str) -> list[str]:
    """Return sentences for what an engine would have given if it had played anything."""
    heeds, made = ENGINES[engine].heeds, take.made
    said = {
        NO_NOTES: wanted.midi and made.sheet is None and "midi" in heeds,
        NO_STEMS: wanted.stems and not made.stems and "stems" in heeds,
    }
    return [sentence for sentence, is_so in said.items() if is_so]


def report(role: Role, facts: dict[str, Any], told: Mapping[str, Any]) -> None:
    """Add what is told of a file to the facts of its take."""
    if role is Role.STEM:
        facts.setdefault("stems", []).append(told)
    else:
        facts[str(role)] = told


def _midi(take: Take, sheet: Sheet, name: str) -> Companion:
    # the process that only checks parameters writes no notes
    from server.media import midi  # noqa: PLC0415

    data = midi.encode(sheet, title=take.choice.variation)
    notes = sum(len(track.notes) for track in sheet.tracks)
    facts = {"tracks": len(sheet.tracks), "notes": notes}
    return Companion(Role.MIDI, name, data, None, facts)


def stems(take: Take) -> Iterator[tuple[str, Clip]]:
    """Yield the parts of a take by name: of the result's length, and together the result.

    Where only a passage changed, the rest of the source is with what is left of it there.
    """
    for name in _stem_names(take):
        played = take.made.stems.get(name)
        yield name, take.where.stem(played, take.placed, is_source=name == SOURCE)


def _stem_names(take: Take) -> list[str]:
    """Return the names of a take's stems, in the order of its arrangement; the source is last."""
    parts = take.made.stems
    has_source = SOURCE in parts or (bool(parts) and not take.where.is_everything)
    return [name for name in parts if name != SOURCE] + [SOURCE] * has_source


def _stem(take: Take, name: str, part: str, clip: Clip, wanted: Wanted, maker: Maker) -> Companion:
    is_loud = bool(np.abs(clip.samples).max(initial=0.0) > 1.0)
    fmt: Format = "wav" if is_loud or wanted.format == "wav" else "flac"
    subtype: codec.Subtype = "FLOAT" if is_loud else "PCM_24"
    title = f"{take.choice.variation}: {part}"
    is_of_source = part == SOURCE or part.endswith(_LAYER_OF_SOURCE)
    said = _of_source(take, title) if is_of_source else maker.tags(title, take.music)
    data = signing.encoded(clip, fmt, said, take.music, made_on=maker.made_on, subtype=subtype)
    notices = (LOUD_STEM.format(part),) if is_loud else ()
    return Companion(Role.STEM, f"{name}.{fmt}", data, clip, {"part": part}, notices)


def _comparison(take: Take, name: str, wanted: Wanted, maker: Maker) -> Companion:
    # scipy stays out of the process that only checks parameters
    from server.media import levelling  # noqa: PLC0415

    copy = levelling.levelled(take.where.source, take.placed.clip)
    said = _of_source(take, f"source, as loud as {take.choice.variation}")
    data = signing.encoded(
        copy.clip,
        wanted.format,
        said,
        take.music,
        made_on=maker.made_on,
        subtype="PCM_24",
        level=Level(copy.loudness_lufs, copy.true_peak_db),
    )
    loudness_lufs = None if copy.loudness_lufs is None else round(copy.loudness_lufs, 2)
    facts = {"gain_db": round(copy.gain_db, 2), "loudness_lufs": loudness_lufs}
    notices = (QUIETER.format(copy.missing_db),) if copy.missing_db >= 0.05 else ()
    return Companion(Role.COMPARISON, name, data, copy.clip, facts, notices)


def _of_source(take: Take, title: str) -> Mapping[str, str]:
    """Return the tags of what no engine made."""
    return tags.of_source(title=title, bpm=take.music.bpm, key=take.music.key)


def file_name(part: str) -> str:
    """Return a part's name as it stands in those of files."""
    return _UNWANTED_IN_NAMES.sub("-", part.lower()).strip("-") or "part"
