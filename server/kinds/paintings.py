"""Takes of an inpainting: how they are joined, compared, written and told of.

Knows windows, files and reports; what else was asked for in the job it does not know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.engines.catalog import ENGINES
from server.engines.protocols import Inpainting
from server.jobs.context import Context
from server.jobs.record import Role
from server.kinds import insertions, passages, signing, takes
from server.kinds.fields import Format
from server.kinds.insertions import Excerpt, Times
from server.media import codec, window
from server.media.clip import Clip
from server.media.window import Window

if TYPE_CHECKING:
    from server.media.insert import Insert, Place
    from server.media.joining import Joint

LOSSY = "This format changes every sample a little, outside the windows as well."


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """What is painted on.

    Attributes:
        source: as it is, with two channels at most.
        asked: the windows asked for, in seconds.
        windows: those that are replaced, in samples.
        beats: of the source, in seconds; None where there is no pulse.
        notices: what the musician should know of all that.
    """

    source: Clip
    asked: tuple[Times, ...]
    windows: tuple[Window, ...]
    beats: Sequence[float] | None
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """One way to fill all windows.

    Attributes:
        seed: of it.
        clip: the whole result.
        inpaintings: what the engine made, one an excerpt.
        joints: how each window was joined, in order.
        inserts: how each of them fits, in order.
    """

    seed: int
    clip: Clip
    inpaintings: tuple[Inpainting, ...]
    joints: tuple["Joint", ...]
    inserts: tuple["Insert", ...]

    @property
    def score(self) -> float:
        """How much can be heard of the joining in all windows together; lower is better."""
        return sum(each.score for each in self.inserts)

    @property
    def model(self) -> Mapping[str, str]:
        """Which weights played."""
        return self.inpaintings[0].model


@dataclass(frozen=True, slots=True)
class Stored:
    """What was written.

    Attributes:
        artifact_id: of the best take.
        data: its file.
        names: of the files of all takes, in their order.
        engine: that made them.
    """

    artifact_id: str
    data: bytes
    names: tuple[str, ...]
    engine: str


def canvas(source: Clip, windows: Sequence[Times], *, in_bars: bool, bpm: float | None) -> Canvas:
    """Return what is painted on; `in_bars` moves the ends of windows to downbeats."""
    # the web process imports this module for the kind's Spec alone; scipy stays out of it
    from server.media import placement  # noqa: PLC0415

    source, notices = insertions.prepared(source)
    asked = tuple((float(start), float(end)) for start, end in windows)
    grid = placement.grid(source, bpm=bpm)
    times: Sequence[Times] = asked
    if in_bars:
        snapped = placement.snap(asked, grid)
        times, notices = snapped.windows, (*notices, *snapped.notices)
    return Canvas(
        source=source,
        asked=asked,
        windows=insertions.in_samples(source, times),
        beats=grid.beats if grid else None,
        notices=notices,
    )


def places(canvas: Canvas) -> list["Place"]:
    """Return the windows as places to measure in: what is around them is heard once for all."""
    from server.media.insert import Place  # noqa: PLC0415 - as above

    rate = canvas.source.sample_rate
    return [
        Place(canvas.source, part, overlap=window.overlap_of(part, rate), beats=canvas.beats)
        for part in canvas.windows
    ]


def take(
    seed: int,
    canvas: Canvas,
    groups: Sequence[Excerpt],
    inpaintings: Sequence[Inpainting],
    places: Sequence["Place"],
) -> Take:
    """Join what an engine made of each excerpt, and measure how it fits."""
    from server.media import joining  # noqa: PLC0415 - as above

    clip, joints = canvas.source, []
    for group, inpainting in zip(groups, inpaintings, strict=True):
        for part in group.windows:
            played = insertions.in_place(clip, group, inpainting.clip)
            clip, joint = joining.join(clip, played, part)
            joints.append(joint)
    inserts = tuple(place.measure(clip) for place in places)
    return Take(seed, clip, tuple(inpaintings), tuple(joints), inserts)


def best_of(made: Sequence[Take]) -> int:
    """Return the place of the take that joins best; the first of equals."""
    return min(range(len(made)), key=lambda place: made[place].score)


def store(
    canvas: Canvas, made: Sequence[Take], best: int, ctx: Context, *, fmt: Format, title: str
) -> Stored:
    """Store every take, the best one first."""
    engine = str(ctx.job.engine)
    names = tuple(
        f"{'inpainted' if place == best else f'take-{place + 1}'}.{fmt}"
        for place in range(len(made))
    )
    files: dict[int, tuple[bytes, str]] = {}
    for place in sorted(range(len(made)), key=lambda place: place != best):
        data = _file(canvas, made[place], fmt, title, ctx)
        artifact = takes.store(made[place].clip, data, ctx, name=names[place], fmt=fmt)
        files[place] = data, artifact.id
    data, artifact_id = files[best]
    return Stored(artifact_id, data, names, engine)


def _file(canvas: Canvas, take: Take, fmt: Format, title: str, ctx: Context) -> bytes:
    first = take.inpaintings[0]
    maker = signing.maker(ctx, first, seed=take.seed)
    # what was heard is of the music around the windows alone
    music = signing.music_of(first.heard, has_chords=False)
    return signing.encoded(
        take.clip,
        fmt,
        maker.tags(title, music),
        music,
        made_on=maker.made_on,
        subtype=takes.subtype_for(canvas.source, fmt),
    )


def draw(canvas: Canvas, chosen: Take, facts: Mapping[str, Any], ctx: Context) -> None:
    """Store a picture of the source and the take beside each other, the windows marked."""
    from server.media import picture  # noqa: PLC0415 - as above

    data = picture.comparison_picture(
        canvas.source, chosen.clip, titles=("Source", "Result"), inserts=facts["windows"]
    )
    ctx.save(data, name="report.png", media_type="image/png", role=Role.PICTURE)


def report(
    canvas: Canvas, made: Sequence[Take], best: int, stored: Stored, groups: Sequence[Excerpt]
) -> dict[str, Any]:
    """Return all there is to say of the takes, and of the best of them in detail."""
    chosen = made[best]
    first = chosen.inpaintings[0]
    outside = _outside(canvas, stored.data)
    notices = [*canvas.notices, *(said for each in chosen.inpaintings for said in each.notices)]
    if canvas.source.channels == 1 and any(each.clip.channels > 1 for each in chosen.inpaintings):
        notices.append(insertions.MIXED_DOWN)
    if not outside["identical"]:
        notices.append(LOSSY)
    rate = canvas.source.sample_rate
    return {
        "engine": stored.engine,
        "licence": ENGINES[stored.engine].licence,
        "windows": _windows(canvas, chosen),
        "outside": outside,
        "takes": [
            {
                "name": name,
                "seed": each.seed,
                "score": round(each.score, 3),
                "verdicts": [str(insert.verdict) for insert in each.inserts],
            }
            for name, each in zip(stored.names, made, strict=True)
        ],
        "best": best,
        "heard": passages.moved(first.heard, groups[0].seen.start / rate),
        "understood": list(first.understood),
        "ignored": list(first.ignored),
        "guessed": first.guessed,
        "notices": list(dict.fromkeys(notices)),
        "made": [dict(each.made) for each in chosen.inpaintings],
    }


def _windows(canvas: Canvas, chosen: Take) -> list[dict[str, Any]]:
    rate = canvas.source.sample_rate
    return [
        {
            "asked_seconds": list(asked),
            "start_seconds": part.start / rate,
            "end_seconds": part.end / rate,
            "joint": joint.as_dict(),
            **insert.as_dict(),
        }
        for asked, part, joint, insert in zip(
            canvas.asked, canvas.windows, chosen.joints, chosen.inserts, strict=True
        )
    ]


def _outside(canvas: Canvas, data: bytes) -> dict[str, Any]:
    """Compare what is outside the windows; what was written is what the promise is about."""
    kept, written = (
        window.outside_digest(clip, canvas.windows) for clip in (canvas.source, codec.decode(data))
    )
    return {"identical": kept == written, "sha256": kept}
