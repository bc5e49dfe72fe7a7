"""One result of a transform: what it is called, what is said of it, how it is written.

Knows reports, names and files; what else was asked for in the same job it does not know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.engines.catalog import ENGINES
from server.engines.protocols import Transformation
from server.jobs.context import Context
from server.jobs.ports import Artifact
from server.jobs.record import Role
from server.kinds import passages
from server.kinds.choices import Choice
from server.kinds.fields import Format
from server.kinds.passages import Passage, Placed
from server.media import codec, formats, tags
from server.media.clip import Clip

if TYPE_CHECKING:
    from server.media.analysis import Original

LOSSY = "This format changes every sample a little, outside the passage as well."


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """One choice, and what an engine made of it.

    Attributes:
        choice: what was asked for.
        made: what the engine returned, for the excerpt it was given.
        placed: the whole result.
    """

    choice: Choice
    made: Transformation
    placed: Placed


def labels(choices: Sequence[Choice], *, is_list: bool) -> list[str]:
    """Return what tells the files of several choices apart: `-2-lofi_chill`; one needs nothing."""
    if not is_list:
        return [""]
    return [f"-{number}-{choice.variation}" for number, choice in enumerate(choices, start=1)]


def write(take: Take, where: Passage, fmt: Format, *, engine: str, seed: int) -> bytes:
    """Return a take as a file; where only a passage changed, the rest of it loses nothing."""
    said = tags.of(
        title=take.choice.variation,
        engine=engine,
        licence=ENGINES[engine].licence,
        model=take.made.model.get("name"),
        seed=seed,
    )
    subtype = "PCM_16" if where.is_everything else subtype_for(where.source, fmt)
    return tags.encode(take.placed.clip, fmt, subtype=subtype, tags=said)


def subtype_for(source: Clip, fmt: Format) -> codec.Subtype:
    """Return the shortest coding that loses nothing of a source, as far as the format has one."""
    exact = codec.exact_subtype(source)
    return "PCM_24" if exact == "FLOAT" and fmt == "flac" else exact


def report(
    take: Take, where: Passage, *, original: "Original", data: bytes, engine: str
) -> dict[str, Any]:
    """Return all there is to say of a take; `data` is the file it was written to.

    `original` is the part of the source that changed.
    """
    made, placed = take.made, take.placed
    heard = passages.moved(made.heard, where.heard.start / where.source.sample_rate)
    kept = original.compare(where.changed(placed.clip), beats=_beats(heard, where))
    facts: dict[str, Any] = {
        "variation": take.choice.variation,
        "custom_prompt": take.choice.custom_prompt,
        "engine": engine,
        "licence": ENGINES[engine].licence,
        "heard": heard,
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
    if "beats" not in heard:
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
