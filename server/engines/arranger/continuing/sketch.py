"""Music from words alone: tempo, key, chords and groove by the words or the style, then written.

What a continuation hears at the end of a clip is here made up from words and the seed; the writing
and playing are the same. Nothing of it claims to be more than a sketch.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from server import errors
from server.engines.arranger import blend, orchestrate
from server.engines.arranger.continuing import drumming, ensemble, going, styles
from server.engines.arranger.continuing.going import RATE, RING_SECONDS, Going
from server.engines.arranger.continuing.styles import Asked, Style
from server.engines.arranger.inpainting import compose, course, sections, tune
from server.engines.arranger.inpainting.context import METER, Context
from server.engines.arranger.inpainting.groove import STEPS as STEPS_A_BAR
from server.engines.arranger.inpainting.groove import Bars, Groove
from server.engines.arranger.inpainting.pulse import Pulse
from server.engines.arranger.inpainting.sections import Random, Section
from server.engines.arranger.listening.tempo import Beats
from server.engines.arranger.prompt import Reading
from server.engines.arranger.render import Orchestra
from server.engines.arranger.score import Chord, DrumHit, DrumKind, Heard, Note
from server.engines.arranger.spans import Span
from server.engines.arranger.stages import STEPS
from server.engines.protocols import Brief, OnStep
from server.media import loudness
from server.media.clip import Clip
from server.media.key import Key
from variations.schema import STEP_LEVELS, Arrangement, Drums

LEVEL_LUFS = -16.0

SKETCH = (
    "This is a sketch: the arranger wrote chords, groove and tune from the words and plays them "
    "with instruments of its own."
)

_TONICS = (0, 2, 4, 5, 7, 9)
_INTRO_BARS, _SHORTEST_FORM_BARS = 2, 8
_PHRASE_BARS = 4
_RESTING_PHRASE = 2
"""Of every four phrases the tune rests in this one (counted from 0)."""

_ROLLS = {"r": 0.6, "t": 0.6}
_NOW_AND_THEN = 0.45
_LEVELLED = 3
_SHORTEST_BARS = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What is decided before anything is written."""

    style: Style
    bpm: float
    key: Key
    numerals: tuple[str, ...]

    @property
    def bar_seconds(self) -> float:
        """Length of a bar."""
        return 60.0 * METER / self.bpm


def plan(asked: Asked, base: str | None, brief: Brief) -> Plan:
    """Return tempo, key and chords: those that were asked for, else the style's, by the seed.

    A tempo that the DAW knows counts where the words name none.
    """
    style, random = styles.style_of(base), np.random.default_rng([brief.seed, 11])
    slow, fast = style.bpm
    usual = float(random.integers(slow, fast + 1)) * (asked.pace or 1.0)
    bpm = asked.bpm or brief.bpm or float(round(usual))
    mode = asked.mode or style.mode
    tonic = _TONICS[int(random.integers(len(_TONICS)))]
    key = asked.key or Key(tonic, mode)
    loops = style.loops[key.mode]
    loop = loops[int(random.integers(len(loops)))]
    return Plan(
        style,
        float(np.clip(bpm, styles.SLOWEST_BPM, styles.FASTEST_BPM)),
        key,
        tuple(loop.split()),
    )


def read(brief: Brief, reading: Reading) -> tuple[Reading, Asked, str | None]:
    """Return the reading with tempo and key marks understood, what they say, and the base."""
    asked = styles.asked(brief.prompt) if brief.is_custom or brief.variation is None else Asked()
    said = {word for phrase in asked.phrases for word in (phrase, *phrase.split())}
    understood = tuple(dict.fromkeys((*reading.understood, *asked.phrases)))
    ignored = tuple(word for word in reading.ignored if word not in said)
    is_preset = brief.variation is not None and (
        not brief.is_custom or brief.variation.arrangement == reading.arrangement
    )
    base = brief.variation.name if is_preset and brief.variation else styles.base_of(reading)
    return replace(reading, understood=understood, ignored=ignored), asked, base


def sketch(
    brief: Brief, reading: Reading, orchestra: Orchestra, *, seconds: float, on_step: OnStep
) -> tuple[Going, Reading]:
    """Return at least `seconds` of music, in stereo, and the reading that says what was understood.

    Raises:
        errors.InvalidInput: it would be too long, names `seconds`.
    """
    if seconds > going.LONGEST_SECONDS:
        message = f"At most {going.LONGEST_SECONDS:.0f} s can be made at once."
        raise errors.InvalidInput(message, field="seconds")
    on_step(0, STEPS)
    reading, asked, base = read(brief, reading)
    planned = plan(asked, base, brief)
    bars = max(_SHORTEST_BARS, int(np.ceil(seconds / planned.bar_seconds - 1e-6)))
    section = _section(planned, reading.arrangement, bars)
    notes, hits = _written(section, bars, brief.seed)
    heard = going.as_heard(section, notes, hits)
    score = orchestrate.arrange(heard, _following(reading), strength=1.0, seed=brief.seed)
    score = replace(score, parts=ensemble.apart(score.parts))

    def told(done: int, total: int) -> None:
        on_step(round(0.95 * STEPS * done / max(total, 1)), STEPS)

    rendering = orchestra.render(score, heard, seed=brief.seed, on_step=told)
    clip = levelled(going.faded(blend.without_offset(Clip(rendering.mix, RATE))))
    on_step(STEPS, STEPS)
    made = {**_facts(planned, section, bars), **going.parts_facts(score)}
    return Going(clip, heard={}, made=made, notices=(SKETCH,)), reading


def _following(reading: Reading) -> Arrangement:
    """Return the ensemble with a drummer who plays what is written, fills and all."""
    arrangement = reading.arrangement
    if arrangement.drums is None:
        return arrangement
    drums = arrangement.drums.model_copy(update={"source": "follow"})
    return arrangement.model_copy(update={"drums": drums})


# What would have been heard


def _section(planned: Plan, arrangement: Arrangement, bars: int) -> Section:
    beat = planned.bar_seconds / METER
    times = np.asarray(beat * np.arange(bars * METER), np.float64)
    chords = _chords(planned, bars)
    heard = Heard(
        seconds=bars * planned.bar_seconds,
        bpm=planned.bpm,
        tempo_confidence=1.0,
        is_steady=True,
        beats=times,
        downbeat=0,
        notes=(),
        chords=chords,
        key=planned.key,
        tuning_cents=0.0,
        drums=(),
        pitchedness=1.0,
        sustain=np.zeros((1, 88), np.float32),
        percussive=np.zeros(1, np.float32),
        percussive_gain=0.0,
        hinted_bpm=planned.bpm,
    )
    context = Context(
        heard=heard,
        heard_spans=(),
        pulse=Pulse(Beats(planned.bpm, 1.0, True, times), is_audible=True, bends=False),
        downbeat=0,
        chords=chords,
        known=(False,) * len(chords),
        loop=course.Loop(METER * len(planned.numerals), 1.0),
        notes=(),
        strokes=(),
    )
    span = Span(0.0, bars * planned.bar_seconds)
    return sections.section_of(context, _groove(planned.style, arrangement.drums), span, None)


def _chords(planned: Plan, bars: int) -> tuple[Chord, ...]:
    """Return the chord of each beat."""
    beat = planned.bar_seconds / METER
    chords = []
    for number in range(bars * METER):
        numeral = planned.numerals[(number // METER) % len(planned.numerals)]
        root, quality = styles.chord_of(numeral, planned.key)
        chords.append(Chord(number * beat, (number + 1) * beat, root, quality, root, 1.0))
    return tuple(chords)


def _groove(style: Style, drums: Drums | None) -> Groove:
    """Return a style's bar with the drummer's, late on every second sixteenth as he swings."""
    bass, upper = (_levels(row) for row in (style.bass, style.upper))
    accents = np.maximum(np.maximum(bass, upper), 0.5)
    offsets = np.zeros(STEPS_A_BAR)
    strokes: dict[DrumKind, tuple[Bars, Bars]] = {}
    if drums is not None:
        offsets[1::2] = drums.swing
        strokes = {kind: _strokes(rows) for kind, rows in drums.pattern.items()}
    return Groove(_shares(bass), _shares(upper), accents, offsets, strokes)


def _levels(row: str) -> Bars:
    return np.array([{**STEP_LEVELS, **_ROLLS}.get(sign, 0.0) for sign in row])


def _shares(levels: Bars) -> Bars:
    """Return how often something begins on each step: soft strokes only now and then."""
    return np.where(levels >= 1.0, 1.0, np.where(levels > 0, _NOW_AND_THEN, 0.0))


def _strokes(rows: str | list[str]) -> tuple[Bars, Bars]:
    """Return in what share of the bars a drum is struck on each step, and how hard."""
    bars = np.stack([_levels(row) for row in ([rows] if isinstance(rows, str) else rows)])
    struck = bars > 0
    hardness = bars.sum(axis=0) / np.maximum(struck.sum(axis=0), 1)
    return struck.mean(axis=0), np.where(hardness > 0, hardness, 0.5)


# What is written


def _written(
    section: Section, bars: int, seed: int
) -> tuple[tuple[Note, ...], tuple[DrumHit, ...]]:
    """Return notes and strokes: an introduction, then phrases in some of which the tune rests."""
    has_form = bars >= _SHORTEST_FORM_BARS
    first = _INTRO_BARS if has_form else 0
    begins = section.span.start + first * section.beat_seconds * METER

    def lead(written: Section, random: Random) -> list[Note]:
        notes = tune.write(written, random)
        return [note for note in notes if not has_form or _sings(written, note, begins)]

    notes = going.ringing(compose.write(section, seed, lead=lead), section)
    hits = drumming.strokes(section, seed, first_bar=first)
    early = [hit for hit in hits if hit.start_seconds >= begins - 0.01 or hit.kind == "hat"]
    return notes, tuple(early)


def _sings(section: Section, note: Note, begins: float) -> bool:
    bar = int((note.start_seconds - begins + 0.02) / (section.beat_seconds * METER))
    return note.start_seconds >= begins and bar // _PHRASE_BARS % 4 != _RESTING_PHRASE


def levelled(clip: Clip) -> Clip:
    """Return the clip at the level of a finished track, its peaks below -1 dBTP."""
    for _ in range(_LEVELLED):
        clip = loudness.match_loudness(clip, LEVEL_LUFS)
        clip = loudness.limit(clip, ceiling_db=going.CEILING_DB)
    return clip


def _facts(planned: Plan, section: Section, bars: int) -> dict[str, Any]:
    """Return what was decided as plain JSON values."""
    return {
        "way": "sketch",
        "style": planned.style.name,
        "bpm": planned.bpm,
        "key": planned.key.name,
        "bars": bars,
        "ring_seconds": RING_SECONDS,
        "loop": list(planned.numerals),
        "chords": [
            {"start_seconds": round(chord.start_seconds, 3), "name": chord.name}
            for chord in section.chords
        ],
        "groove": section.groove.as_dict(),
    }
