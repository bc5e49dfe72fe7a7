"""Music that is put behind a sound: where, what an engine hears, how it is judged and told of.

Knows clips, takes and reports; what else was asked for in the job it does not know.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.engines.catalog import ENGINES
from server.engines.protocols import Continuation
from server.kinds import insertions, passages
from server.kinds.players import Takes
from server.media import codec, window
from server.media.clip import Clip
from server.media.window import Window, cut

if TYPE_CHECKING:
    from server.media.endings import Fault
    from server.media.extending import Ground, Join
    from server.media.fold import Timing

MEASURED_SECONDS = 8.0
"""How much on either side of a join is measured: two bars at 60 BPM, four at 120."""

LARGEST_LAG_MS = 15.0
"""Above that a listener hears the beat stumble, and the new music is moved."""

BEATS_COMPARED = 8
"""Attacks of the new music that one on its first beat is compared with."""

MIXED_DOWN = "The source is mono, so what is new is mixed down to mono."
LOSSY = "This format changes every sample a little, what was kept as well."
SHORT_PROMPT = "The sound is shorter than the prompt asked for; all of it was heard."
NO_BEAT = "There is no clear beat, so the join is where the sound ends."
MOVED = "The new music came {lag:.0f} ms {early_or_late} and was moved by {moved:.0f} ms."


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where music goes on.

    Attributes:
        ground: the source, what is kept of it and what an engine hears.
        beats: of what is kept, in seconds; None where none are heard.
        bpm: of them.
        moved_seconds: by how much the join was moved back to a beat.
        notices: what the musician should know of all that.
    """

    ground: "Ground"
    beats: tuple[float, ...] | None
    bpm: float | None
    moved_seconds: float = 0.0
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Extended:
    """A sound with new music behind it.

    Attributes:
        clip: all of it.
        join: how it was put there.
        before: how late it was as it came.
        after: how late it is now.
    """

    clip: Clip
    join: "Join"
    before: "Timing"
    after: "Timing"

    @property
    def notices(self) -> tuple[str, ...]:
        """What the musician should know of the join."""
        moved, lag = self.join.moved_seconds, self.before.lag_ms
        if not moved or lag is None:
            return ()
        words = "late" if lag > 0 else "early"
        said = MOVED.format(lag=abs(lag), early_or_late=words, moved=1000.0 * abs(moved))
        return (said,)


def place(
    source: Clip,
    *,
    end_seconds: float,
    heard_seconds: float,
    on_beat: bool = False,
    bpm: float | None = None,
) -> Place:
    """Return where music goes on: at `end_seconds` or at the last beat before it.

    An engine hears `heard_seconds` before that, or what there is.
    """
    # the web process imports this module for the kinds' Specs alone; scipy stays out of it
    from server.media.extending import Ground  # noqa: PLC0415

    source, notices = insertions.prepared(source)
    rate = source.sample_rate
    asked = min(round(end_seconds * rate), source.length)
    beats, tempo = _heard(source, asked, bpm)
    end = asked
    if on_beat and beats and tempo:
        end = _last(beats, 60.0 / tempo, asked, rate)
    elif on_beat:
        notices = (*notices, NO_BEAT)
    heard = min(round(heard_seconds * rate), end)
    if heard < round(heard_seconds * rate):
        notices = (*notices, SHORT_PROMPT)
    ground = Ground(source, end, heard)
    return Place(ground, beats, tempo, (asked - end) / rate, notices)


def _heard(
    source: Clip, end: int, bpm: float | None
) -> tuple[tuple[float, ...] | None, float | None]:
    """Return beats and tempo of the last seconds before an end; None where there are none."""
    from server.media import extending, grid  # noqa: PLC0415 - as above

    start = max(0, end - round(extending.HEARD_SECONDS * source.sample_rate))
    found = grid.listen(cut(source, Window(start, end)), bpm=bpm)
    if found is None:
        return None, None
    return tuple(beat + start / source.sample_rate for beat in found.beats), found.bpm


def _last(beats: Sequence[float], period: float, end: int, sample_rate: int) -> int:
    """Return the last beat up to an end; the end itself where the next one would be there."""
    from server.media import extending  # noqa: PLC0415 - as above

    if abs(beats[-1] + period - end / sample_rate) <= extending.ON_BEAT_SECONDS:
        return end
    return min(max(1, round(beats[-1] * sample_rate)), end)


def judged(ground: "Ground", played: Continuation, length: int) -> "Sequence[Fault]":
    """Return where new music stops that should have `length` samples of the source."""
    from server.media import endings  # noqa: PLC0415 - as above

    clip = ground.in_its_terms(played.clip)
    new = cut(clip, Window(min(ground.heard, clip.length), clip.length))
    return endings.faults(new, length=length, before=ground.prompt)


def extended(where: Place, played: Clip, length: int) -> Extended:
    """Put new music behind a sound; if its beat is late or early, move it as far as is possible."""
    from server.media import extending  # noqa: PLC0415 - as above

    ground = where.ground
    clip = ground.in_its_terms(played)
    whole, join = extending.extend(ground, clip, length=length)
    found = extending.timing(whole, ground.end, beats=where.beats)
    first = Extended(whole, join, found, found)
    if where.beats is None or found.lag_ms is None or abs(found.lag_ms) <= LARGEST_LAG_MS:
        return first
    most = 1000.0 * extending.MOST_LATE_SECONDS
    late = round(max(-most, min(found.lag_ms, most)) / 1000.0 * whole.sample_rate)
    whole, join = extending.extend(ground, clip, length=length, late_samples=late)
    after = extending.timing(whole, ground.end, beats=where.beats)
    if after.lag_ms is None or abs(after.lag_ms) >= abs(found.lag_ms):
        return first
    return Extended(whole, join, found, after)


# What is told


def fit(where: Place, made: Extended) -> dict[str, Any]:
    """Return how the beginning of the new music fits to the end of the old."""
    from server.media import insert  # noqa: PLC0415 - as above

    ground, rate = where.ground, made.clip.sample_rate
    reach = round(MEASURED_SECONDS * rate)
    start, end = max(0, ground.end - reach), min(made.clip.length, ground.end + reach)
    overlap = round(made.join.crossfade_seconds * rate)
    offset = start / rate
    measured = insert.measure(
        ground.without(start, end),
        cut(made.clip, Window(start, end)),
        Window(ground.end - start, end - start),
        overlap=overlap,
        beats=None if where.beats is None else [beat - offset for beat in where.beats],
    )
    return _with_attacks(measured.as_dict(), where, made, overlap)


def _with_attacks(
    facts: dict[str, Any], where: Place, made: Extended, overlap: int
) -> dict[str, Any]:
    """Blame no join on a beat for the attack there, if those of the next beats are as strong."""
    from server.media import analysis, extending, seams  # noqa: PLC0415 - as above

    rate, end = made.clip.sample_rate, where.ground.end
    beats = extending.beats_after(end / rate, where.beats or (), count=BEATS_COMPARED)
    new = cut(made.clip, Window(end, made.clip.length))
    places = [round(beat * rate) - end for beat in beats]
    places = [place for place in places if place + 2 * overlap < new.length]
    if not places:
        return facts
    for name, value in seams.usual(new, places, overlap=overlap).items():
        gate = facts["gates"][name]
        gate["next_beats"] = round(value, 3)
        gate["verdict"] = "pass" if gate["value"] <= value else gate["verdict"]
    return {**facts, "verdict": analysis.worst(gate["verdict"] for gate in facts["gates"].values())}


def report(
    where: Place, made: Extended, takes: Takes, data: bytes, *, engine: str
) -> dict[str, Any]:
    """Return all there is to say of a continuation; `data` is the file it was written to."""
    ground, played = where.ground, takes.chosen.played
    rate = made.clip.sample_rate
    kept = kept_of(ground, data)
    notices = [*where.notices, *played.notices, *made.notices, *takes.notices]
    if ground.source.channels == 1 and played.clip.channels > 1:
        notices.append(MIXED_DOWN)
    if not kept["identical"]:
        notices.append(LOSSY)
    return {
        "engine": engine,
        "licence": ENGINES[engine].licence,
        "kept_seconds": ground.end / rate,
        "appended_seconds": (made.clip.length - ground.end) / rate,
        "total_seconds": made.clip.seconds,
        "heard_seconds": [(ground.end - ground.heard) / rate, ground.end / rate],
        "kept": kept,
        "join": join_of(where, made),
        "fit": fit(where, made),
        "takes": [each.as_dict() for each in takes.made],
        "best": takes.best,
        "heard": passages.moved(played.heard, ground.listened_from / rate),
        "understood": list(played.understood),
        "ignored": list(played.ignored),
        "guessed": played.guessed,
        "notices": list(dict.fromkeys(notices)),
        "made": dict(played.made),
    }


def join_of(where: Place, made: Extended) -> dict[str, Any]:
    """Return where and how new music was joined, and how its beat lies."""
    return {
        **made.join.as_dict(),
        "moved_back_seconds": where.moved_seconds,
        "bpm": None if where.bpm is None else round(where.bpm, 2),
        "lag_ms": {"played": _rounded(made.before.lag_ms), "now": _rounded(made.after.lag_ms)},
    }


def kept_of(ground: "Ground", data: bytes) -> dict[str, Any]:
    """Compare what is kept; what was written is what the promise is about."""
    stored = codec.decode(data)
    digests = [
        window.outside_digest(clip, [Window(ground.end, clip.length)])
        for clip in (ground.source, stored)
    ]
    return {"identical": digests[0] == digests[1], "samples": ground.end, "sha256": digests[0]}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2) + 0.0
