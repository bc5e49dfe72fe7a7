"""One result of a transform: what it is called, what is said of it, how it is written.

Knows reports, names and files; what else was asked for in the same job it does not know, nor the
files beside a result (`companions`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from server.engines.protocols import Transformation
from server.jobs.context import Context
from server.jobs.ports import Artifact
from server.jobs.record import Role
from server.kinds import passages, signing
from server.kinds.choices import Choice
from server.kinds.fields import Format
from server.kinds.passages import Passage, Placed
from server.kinds.signing import Level, Maker
from server.media import codec, formats, riff
from server.media.clip import Clip

if TYPE_CHECKING:
    from server.media.analysis import Comparison, Original

LOSSY = "This format changes every sample a little, outside the passage as well."


@dataclass(frozen=True, eq=False)
class Take:
    """One choice, and what an engine made of it.

    Attributes:
        choice: what was asked for.
        made: what the engine returned, for the excerpt it was given.
        placed: the whole result.
        where: the passage that changed.
    """

    choice: Choice
    made: Transformation
    placed: Placed
    where: Passage

    @cached_property
    def heard(self) -> dict[str, Any]:
        """What was heard, its times counted from the source's start."""
        where = self.where
        return passages.moved(self.made.heard, where.heard.start / where.source.sample_rate)

    @cached_property
    def music(self) -> riff.Music:
        """The same for sequencers; nothing that was not heard."""
        return signing.music_of(self.heard)

    def compared(self, original: "Original") -> "Comparison":
        """Return what was kept of the part of the source that changed."""
        changed = self.where.changed(self.placed.clip)
        return original.compare(changed, beats=_beats(self.heard, self.where))

    def level(self, kept: "Comparison") -> Level:
        """Return how loud the whole result is, which was measured already if all of it changed."""
        if self.where.is_everything:
            return Level(kept.result.loudness_lufs, kept.result.true_peak_db)
        # scipy stays out of the process that only checks parameters
        from server.media import loudness  # noqa: PLC0415

        clip = self.placed.clip
        return Level(loudness.integrated_loudness(clip), loudness.true_peak_db(clip))


def labels(choices: Sequence[Choice], *, is_list: bool) -> list[str]:
    """Return what tells the files of several choices apart: `-2-lofi_chill`; one needs nothing."""
    if not is_list:
        return [""]
    return [f"-{number}-{choice.variation}" for number, choice in enumerate(choices, start=1)]


def write(take: Take, fmt: Format, maker: Maker, level: Level) -> bytes:
    """Return a take as a file; where only a passage changed, the rest of it loses nothing."""
    where, music = take.where, take.music
    return signing.encoded(
        take.placed.clip,
        fmt,
        maker.tags(take.choice.variation, music),
        music,
        made_on=maker.made_on,
        subtype="PCM_16" if where.is_everything else subtype_for(where.source, fmt),
        level=level,
    )


def subtype_for(source: Clip, fmt: Format) -> codec.Subtype:
    """Return the shortest coding that loses nothing of a source, as far as the format has one."""
    exact = codec.exact_subtype(source)
    return "PCM_24" if exact == "FLOAT" and fmt == "flac" else exact


def report(take: Take, kept: "Comparison", data: bytes, maker: Maker) -> dict[str, Any]:
    """Return all there is to say of a take; `data` is the file it was written to."""
    made, placed, where = take.made, take.placed, take.where
    facts: dict[str, Any] = {
        "variation": take.choice.variation,
        "custom_prompt": take.choice.custom_prompt,
        "engine": maker.engine,
        "licence": maker.licence,
        "heard": take.heard,
        "kept": kept.as_dict(),
        "understood": list(made.understood),
        "ignored": list(made.ignored),
        "guessed": made.guessed,
        "notices": [*where.notices, *placed.notices, *made.notices],
        "made": dict(made.made),
    }
    if not where.is_everything:
        facts["passage"] = passages.report(placed, codec.decode(data), where)
        if not facts["passage"]["outside"]["identical"]:
            facts["notices"].append(LOSSY)
    return facts


def _beats(heard: Mapping[str, Any], where: Passage) -> list[float] | None:
    """Return the beats within the part that changed, in seconds from its start."""
    if not heard.get("beats"):
        return None
    start, end = where.start_seconds, where.end_seconds
    return [beat - start for beat in heard["beats"] if start < beat < end]


def store(
    clip: Clip, data: bytes, ctx: Context, *, name: str, fmt: Format, role: Role = Role.RESULT
) -> Artifact:
    """Store a file of the job."""
    return ctx.save(
        data,
        name=name,
        media_type=formats.FORMATS[fmt].media_type,
        role=role,
        seconds=clip.seconds,
        sample_rate=clip.sample_rate,
        channels=clip.channels,
    )
