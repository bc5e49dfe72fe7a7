"""What a file of a job says of itself: who made it from what chance, its music, how loud it is.

Knows reports and files; what a job made, and why, it does not know.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from server.engines.catalog import ENGINES
from server.engines.protocols import Rendition
from server.jobs.context import Context
from server.media import codec, key, riff, tags
from server.media.clip import Clip

_OF_BANK, _USUAL_BANK, _NO_BANK = "sound bank", "FluidR3Mono", "synthesized"


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Who made a sound, from which seed, on which day.

    Attributes:
        model: its name, if it has one.
        sound_bank: what it played with, if it did: `FluidR3Mono`, `synthesized`, or another one.
    """

    engine: str
    made_on: date
    seed: int | None = None
    model: str | None = None
    sound_bank: str | None = None

    @property
    def licence(self) -> str:
        """What the sound stands under; of somebody's own sound bank that is not known here."""
        engines = ENGINES[self.engine].licence
        if self.sound_bank in (None, _USUAL_BANK):
            return engines
        terms = [each for each in engines.split("; ") if not each.startswith(_OF_BANK)]
        own = [] if self.sound_bank == _NO_BANK else [f"{_OF_BANK} under its own licence"]
        return "; ".join([*terms, *own])

    def tags(self, title: str, music: riff.Music) -> Mapping[str, str]:
        """Return the tags of a sound it made."""
        return tags.of(
            title=title,
            engine=self.engine,
            licence=self.licence,
            model=self.model,
            sound_bank=self.sound_bank,
            seed=self.seed,
            bpm=music.bpm,
            key=music.key,
        )


def maker(ctx: Context, played: Rendition, *, seed: int) -> Maker:
    """Return who made what a job's engine played."""
    return Maker(
        engine=str(ctx.job.engine),
        made_on=ctx.job.created_at.date(),
        seed=seed,
        model=played.model.get("name"),
        sound_bank=played.model.get("sound_bank"),
    )


@dataclass(frozen=True, slots=True)
class Level:
    """How loud a sound is; None where nothing is to be measured, or nothing was."""

    loudness_lufs: float | None = None
    true_peak_db: float | None = None


UNKNOWN = Level()


def music_of(heard: Mapping[str, Any], *, has_chords: bool = True) -> riff.Music:
    """Return what a report says of the music, for sequencers; nothing that was not heard.

    Chords become markers, unless they are of a part of the sound alone.
    """
    return riff.Music(
        bpm=heard.get("bpm") or None,
        is_steady=bool(heard.get("steady", True)),
        meter=_meter(heard.get("meter") or 4),
        key=key.named(heard["key"]) if heard.get("key") else None,
        markers=tuple(_markers(heard.get("chords") or ())) if has_chords else (),
    )


def _meter(told: str | int) -> tuple[int, int]:
    """Return a signature as it is printed; some reports have the beats of a bar alone."""
    beats, _, value = str(told).partition("/")
    return int(beats), int(value or 4)


def _markers(chords: Sequence[Mapping[str, Any]]) -> Iterator[tuple[float, str]]:
    for chord in chords:
        name = str(chord["name"])
        yield float(chord["start_seconds"]), riff.NO_CHORD if name == "N" else name


def encoded(
    clip: Clip,
    fmt: codec.Writable,
    said: Mapping[str, str],
    music: riff.Music,
    *,
    made_on: date,
    subtype: codec.Subtype = "PCM_16",
    level: Level = UNKNOWN,
) -> bytes:
    """Return a sound as a file that says what it is; `said` are its tags."""
    broadcast = tags.broadcast(
        clip,
        subtype,
        said,
        made_on=made_on,
        loudness_lufs=level.loudness_lufs,
        true_peak_db=level.true_peak_db,
    )
    return tags.encode(clip, fmt, subtype=subtype, tags=said, music=music, broadcast=broadcast)
