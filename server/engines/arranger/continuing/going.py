"""Going on where a clip ends: listens to its end, writes what follows, plays it at its level.

Puts `horizon`, `ensemble`, `motifs`, `drumming` and `texture` in order. Same clip, words and seed:
the same samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from server import errors
from server.engines.arranger import blend, orchestrate
from server.engines.arranger.continuing import drumming, ensemble, horizon, motifs, texture
from server.engines.arranger.continuing.horizon import Horizon
from server.engines.arranger.inpainting import compose, paint, parts, sections
from server.engines.arranger.inpainting.context import IN_THREE, METER, Context
from server.engines.arranger.inpainting.sections import Section
from server.engines.arranger.listening.transcribe import Transcriber
from server.engines.arranger.prompt import Reading
from server.engines.arranger.render import Orchestra
from server.engines.arranger.score import DrumHit, Heard, Note, Score
from server.engines.arranger.spans import Span
from server.engines.arranger.stages import STEPS, share
from server.engines.protocols import Brief, OnStep
from server.media import loudness, resample
from server.media.clip import Clip, Samples
from server.media.window import Window, cut, fit_length

RATE = 44100
"""The rate everything is played at."""

LONGEST_SECONDS = 600.0

MARGIN_SECONDS = 0.1
"""How much is played over the end of the clip, for joining."""

RING_SECONDS = 1.5
"""How long the last bar rings out beyond its end."""

CEILING_DB = -1.1
"""Peaks stay a little below -1 dBTP: a crossfade may add to them."""

_LISTENED, _CHOSEN, _RENDERED = 400, 500, 970
_BAR_END_SECONDS = 0.06
"""What is asked for ends with a bar if it ends this close to one."""

_LEVEL_SECONDS = 6.0
_QUIETEST_LUFS = -60.0
_RINGS_BEATS = 1.0
_SILENT = 1e-4
_SHORTEST_SECONDS = 0.1

NO_PULSE = "No steady beat was heard; the last seconds go on as a texture, without new notes."
NOTHING = "Neither notes nor drums were heard; the last seconds go on as a texture."
NO_PITCH = "No pitched material was heard; only drums go on."
NO_LOOP = "The chords do not repeat; the last bars' are said again."
BENT = "The tempo changes; the last one is kept."
NEAREST = "No instruments were named; those that sound most like the clip play on."


@dataclass(frozen=True, slots=True, eq=False)
class Going:
    """A clip and what follows it.

    Attributes:
        clip: rate and channels of the source, at most two; the source itself but for the last
            tenth of a second, where what follows begins to sound.
        heard: JSON-able facts about the end of the source.
        made: JSON-able facts of how it was made.
        notices: what the musician should know.
    """

    clip: Clip
    heard: dict[str, Any]
    made: dict[str, Any]
    notices: tuple[str, ...]


def check(clip: Clip, seconds: float) -> None:
    """Refuse what cannot be continued.

    Raises:
        errors.InvalidInput: it would be too long, names `seconds`.
        errors.EngineFailed: there is nothing to go on with.
    """
    if seconds > LONGEST_SECONDS:
        message = f"At most {LONGEST_SECONDS:.0f} s can be added at once."
        raise errors.InvalidInput(message, field="seconds")
    peak = float(np.abs(clip.samples).max(initial=0.0))
    if clip.seconds < _SHORTEST_SECONDS or peak < _SILENT:
        raise errors.EngineFailed(
            "The clip is silent or too short; there is nothing to go on with."
        )


def go_on(
    clip: Clip,
    brief: Brief,
    reading: Reading,
    *,
    seconds: float,
    transcriber: Transcriber,
    orchestra: Orchestra,
    on_step: OnStep,
    earlier: Clip | None = None,
) -> Going:
    """Return the clip and at least `seconds` more; `earlier`, what came before, is heard as well.

    Where the reading is a guess, the voices play that sound most like the clip.

    Raises:
        errors.InvalidInput: it would be too long, names `seconds`.
        errors.EngineFailed: the clip is silent.
    """
    check(clip, seconds)
    on_step(0, STEPS)
    heard, start = _with_earlier(clip, earlier)
    ahead = horizon.listen(
        heard,
        seconds=seconds,
        transcriber=transcriber,
        bpm=brief.bpm,
        on_step=share(on_step, 0, _LISTENED),
    )
    if ahead.has_music:
        going = _played(heard, ahead, brief.seed, reading, orchestra, seconds, on_step)
    else:
        going = _spun(heard, ahead, brief.seed, seconds, on_step)
    return replace(going, clip=cut(going.clip, Window(start, going.clip.length)))


def _with_earlier(clip: Clip, earlier: Clip | None) -> tuple[Clip, int]:
    """Return a clip with what came before it, and where it begins in that, in samples."""
    if earlier is None:
        return clip, 0
    samples = np.concatenate([earlier.samples, clip.samples], axis=1)
    return clip.with_samples(samples), earlier.length


# A texture


def _spun(clip: Clip, ahead: Horizon, seed: int, seconds: float, on_step: OnStep) -> Going:
    source = clip if clip.channels == 1 else clip.as_stereo()
    lead = texture.lead_in(source)
    new = texture.spun(
        source,
        round(seconds * source.sample_rate),
        seed=seed,
        on_step=share(on_step, _LISTENED, STEPS),
    )
    if new is None:
        raise errors.EngineFailed("The end of the clip is silent; there is nothing to go on with.")
    kept = source.samples[:, : source.length - lead]
    notice = NO_PULSE if ahead.context.is_pitched else NOTHING
    return Going(
        clip=_limited(source, np.concatenate([kept, new], axis=1), source.length - lead),
        heard=paint.heard_facts(ahead.context),
        made={"way": "texture", "material_seconds": texture.MATERIAL_SECONDS},
        notices=(notice,),
    )


def _limited(source: Clip, samples: Samples, first: int) -> Clip:
    """Return the samples with no overs from `first` on; what is before stays as it is."""
    new = loudness.limit(Clip(samples[:, first:].copy(), source.sample_rate), ceiling_db=CEILING_DB)
    return source.with_samples(np.concatenate([samples[:, :first], new.samples], axis=1))


# Music


@dataclass(frozen=True, slots=True, eq=False)
class _Writing:
    """What is written: as heard, as a score, where it begins and ends in the context's time."""

    heard: Heard
    score: Score
    section: Section
    end_seconds: float


def _played(
    clip: Clip,
    ahead: Horizon,
    seed: int,
    reading: Reading,
    orchestra: Orchestra,
    seconds: float,
    on_step: OnStep,
) -> Going:
    chosen, facts = _chosen(ahead, reading, orchestra, seed, share(on_step, _LISTENED, _CHOSEN))
    written = write(ahead, chosen, seconds, seed)
    rendering = orchestra.render(
        written.score, written.heard, seed=seed, on_step=share(on_step, _CHOSEN, _RENDERED)
    )
    result = _joined(clip, ahead, rendering.mix, written)
    on_step(STEPS, STEPS)
    return Going(
        clip=result,
        heard=paint.heard_facts(ahead.context),
        made={"way": "music", **facts, **_facts(ahead, written)},
        notices=_notices(ahead.context, is_nearest=reading.guessed is not None),
    )


def _chosen(
    ahead: Horizon, reading: Reading, orchestra: Orchestra, seed: int, on_step: OnStep
) -> tuple[Reading, dict[str, Any]]:
    """Return who plays: those the words name, or those who sound most like the clip.

    Words that name nobody may still say how: their effects are kept.
    """
    if reading.guessed is None:
        return reading, {}
    found = ensemble.nearest(ahead.recent, ahead.context, orchestra, seed=seed, on_step=on_step)
    arrangement = found.arrangement
    if reading.understood:
        arrangement = arrangement.model_copy(update={"effects": reading.arrangement.effects})
    return replace(reading, arrangement=arrangement, guessed=None), found.facts


def write(ahead: Horizon, reading: Reading, seconds: float, seed: int) -> _Writing:
    """Return what follows: written to the end of a bar, and a while to ring out."""
    context = ahead.context
    start, end = _bounds(ahead, seconds)
    section = sections.section_of(context, ahead.groove, Span(start, end), None)
    hits = drumming.strokes(section, seed, first_bar=_first_bar(ahead))
    notes: tuple[Note, ...] = ()
    if context.is_pitched:
        lead = partial(motifs.write, told=motifs.heard(_last_bars(ahead)))
        notes = ringing(compose.write(section, seed, lead=lead), section)
    heard = as_heard(section, notes, hits)
    arrangement = parts.drummed(reading, section)
    score = orchestrate.arrange(heard, arrangement, strength=1.0, seed=seed)
    score = replace(score, parts=ensemble.apart(score.parts))
    return _Writing(heard, score, section, end)


def _bounds(ahead: Horizon, seconds: float) -> tuple[float, float]:
    """Return the beat before the join, and the end of the bar in which the asked length ends."""
    context, join = ahead.context, ahead.recent.seconds
    times = context.beats.times
    before = times[times <= join - MARGIN_SECONDS]
    start = float(before[-1]) if before.size else max(0.0, join - MARGIN_SECONDS)
    ends = [at for at in horizon.bar_starts(context) if at >= join + seconds - _BAR_END_SECONDS]
    return start, ends[0] if ends else join + seconds


def _first_bar(ahead: Horizon) -> int:
    """Return the bar that phrases are counted from: the source's first, or the first new one."""
    if ahead.is_whole:
        return 0
    times, join = ahead.context.beats.times, ahead.recent.seconds
    beat = int(np.searchsorted(times, join - _BAR_END_SECONDS))
    return -((ahead.context.downbeat - beat) // METER)


def _last_bars(ahead: Horizon) -> Context:
    """Return the context with the notes of its last bars alone."""
    reach = horizon.GROOVE_BARS * METER * ahead.context.heard.beat_seconds
    start = ahead.recent.seconds - reach
    notes = tuple(note for note in ahead.context.notes if note.start_seconds >= start)
    return replace(ahead.context, notes=notes)


def ringing(notes: tuple[Note, ...], section: Section) -> tuple[Note, ...]:
    """Let what sounds at the end ring out."""
    last = section.span.end - _RINGS_BEATS * section.beat_seconds
    return tuple(
        replace(note, seconds=note.seconds + 0.8 * RING_SECONDS)
        if note.end_seconds > last
        else note
        for note in notes
    )


def as_heard(section: Section, notes: tuple[Note, ...], hits: tuple[DrumHit, ...]) -> Heard:
    """Return the writing as what would have been heard, with room to ring but no beats in it."""
    span = Span(section.span.start, section.span.end + RING_SECONDS)
    chords = section.chords
    if chords:
        chords = (*chords[:-1], replace(chords[-1], end_seconds=span.end))
    heard = parts.as_heard(replace(section, span=span, chords=chords), notes, hits)
    return replace(heard, beats=heard.beats[heard.beats < section.span.seconds - 1e-3])


def _joined(clip: Clip, ahead: Horizon, mix: Samples, written: _Writing) -> Clip:
    """Return the clip with what was played from its end on, at the level it has there."""
    rate = clip.sample_rate
    source = clip if clip.channels == 1 else clip.as_stereo()
    played = resample.resample(blend.without_offset(Clip(mix, RATE)), rate)
    if source.channels == 1:
        played = played.in_channels(1)
    margin = min(round(MARGIN_SECONDS * rate), source.length)
    first = round((ahead.recent.seconds - written.section.span.start) * rate) - margin
    length = round((written.end_seconds + RING_SECONDS - ahead.recent.seconds) * rate) + margin
    new = fit_length(played.samples[:, max(first, 0) :], length)
    levelled = _levelled(faded(Clip(new, rate)), ahead.recent)
    kept = source.samples[:, : source.length - margin]
    return source.with_samples(np.concatenate([kept, levelled.samples], axis=1))


def faded(new: Clip) -> Clip:
    """Return the sound with its ring faded away, along a curve that a room would take."""
    ring = min(round(RING_SECONDS * new.sample_rate), new.length)
    gains = np.cos(0.5 * np.pi * (np.arange(ring) + 0.5) / ring) ** 2
    samples = new.samples.copy()
    samples[:, new.length - ring :] *= gains.astype(np.float32)
    return new.with_samples(samples)


def _levelled(new: Clip, recent: Clip) -> Clip:
    """Return the sound as loud as the last seconds of the clip, with no overs."""
    reach = round(_LEVEL_SECONDS * new.sample_rate)
    before = cut(recent, Window(max(0, recent.length - reach), recent.length))
    wanted = loudness.integrated_loudness(before)
    own = loudness.integrated_loudness(cut(new, Window(0, min(reach, new.length))))
    if wanted < _QUIETEST_LUFS or own == loudness.SILENCE:
        return loudness.limit(new, ceiling_db=CEILING_DB)
    gain = np.float32(10.0 ** ((wanted - own) / 20.0))
    return loudness.limit(new.with_samples(gain * new.samples), ceiling_db=CEILING_DB)


# What is said of it


def _notices(context: Context, *, is_nearest: bool) -> tuple[str, ...]:
    found: Mapping[str, bool] = {
        NO_PITCH: not context.is_pitched,
        BENT: context.pulse.bends,
        IN_THREE: context.is_in_three,
        NO_LOOP: context.is_pitched and context.loop is None,
        NEAREST: is_nearest and context.is_pitched,
    }
    return tuple(notice for notice, applies in found.items() if applies)


def _facts(ahead: Horizon, written: _Writing) -> dict[str, Any]:
    """Return what is played as plain JSON values, at the times of the clip's end."""
    join, section = ahead.recent.seconds, written.section
    return {
        "bars": len({step.bar for step in section.steps if step.seconds >= join}),
        "chords": [
            {"start_seconds": round(max(chord.start_seconds - join, 0.0), 3), "name": chord.name}
            for chord in section.chords
            if chord.end_seconds > join
        ],
        "beats": [
            round(float(beat) - join, 4)
            for beat in ahead.context.beats.times
            if join - 1e-3 <= beat < written.end_seconds - 1e-3
        ],
        "groove": ahead.groove.as_dict(),
        **parts_facts(written.score),
    }


def parts_facts(score: Score) -> dict[str, Any]:
    """Return how much each player has to play, as plain JSON values."""
    return {
        "notes_per_part": {part.voice.name: len(part.notes) for part in score.parts},
        "strokes": len(score.hits),
    }
