"""Where seconds are in bars and beats: the tempo map of a piece that was heard, not written.

Sample 0 of the sound is tick 0. Beats are where they were heard, so the tempo changes from beat to
beat unless the pulse is steady, and a piece that begins before its first bar begins with a shorter
bar of its own. Nothing is moved: whatever the map is, a time is a tick and a tick is that time.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from server.media.general_midi import Signature
from server.media.sheet import Sheet

QUARTER = 3840
"""Ticks of a quarter note; even at 15 beats a minute half a tick is less than a millisecond."""

Place = tuple[int, float]
"""A tick and its moment in seconds."""

_SIXTEENTH = QUARTER // 4
_WITHOUT_PULSE = 500_000
_SLOWEST = 2**24 - 1
"""Microseconds a quarter that fit into a file."""

_MERGED_SHARE = 1 / 8
"""A beat that comes later than at 0 by less than this share of it is still the first one."""

_STEADY_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Tempo:
    """A tempo from one moment on: microseconds a quarter, a whole number as files have it."""

    tick: int
    seconds: float
    quarter: int

    def tick_of(self, seconds: float) -> float:
        """Return the tick of a later moment at this tempo."""
        return self.tick + (seconds - self.seconds) * 1e6 * QUARTER / self.quarter


@dataclass(frozen=True, slots=True)
class Barlines:
    """A piece's tempos and time signatures, both by tick.

    Attributes:
        tempos: the first one at tick 0.
        signatures: where each begins; two where the first bar is short, none without a pulse.
    """

    tempos: tuple[Tempo, ...]
    signatures: tuple[tuple[int, Signature], ...]

    @property
    def has_pulse(self) -> bool:
        """Whether there are beats at all; without, the tempo means nothing."""
        return bool(self.signatures)

    def tick_of(self, seconds: float) -> int:
        """Return the tick nearest to a moment."""
        after = bisect_right(self.tempos, seconds, key=lambda tempo: tempo.seconds)
        return max(0, round(self.tempos[max(0, after - 1)].tick_of(seconds)))


def of(sheet: Sheet) -> Barlines:
    """Return the tempo map of a sheet: beat for beat, or one tempo where the pulse is steady."""
    beats, downbeat = _from_the_start(sheet)
    if len(beats) < 2:
        return Barlines((Tempo(0, 0.0, _WITHOUT_PULSE),), ())
    number, value = sheet.meter
    beat = 4 * QUARTER * number / value / sheet.beats_per_bar
    pickup = _pickup(beats, downbeat, beat)
    ticks = [round(pickup + (index - downbeat) * beat) for index in range(len(beats))]
    places = [place for place in zip(ticks, beats, strict=True) if place[0] > 0]
    return Barlines(
        _tempos(_straight(places) if _is_steady(beats) else places),
        _signatures(sheet.meter, pickup),
    )


def _signatures(meter: Signature, pickup: int) -> tuple[tuple[int, Signature], ...]:
    first = _printed(pickup)
    if pickup == 0 or first == meter:
        return ((0, meter),)
    return ((0, first), (pickup, meter))


def _straight(places: list[Place]) -> list[Place]:
    """Return the ends of a straight line of places; its last one if it begins at 0."""
    (first_tick, first), (last_tick, last) = places[0], places[-1]
    begins_at_zero = abs(first - last * first_tick / last_tick) < _STEADY_SECONDS
    return places[-1:] if begins_at_zero or first_tick == last_tick else [places[0], places[-1]]


def _from_the_start(sheet: Sheet) -> tuple[list[float], int]:
    """Return the beats from the first one of the clip on, and which of the first bar is its first.

    Beats before a late start are those that would have been there.
    """
    beats, downbeat = list(sheet.beats), sheet.downbeat
    while beats and beats[0] < 0.0:
        beats, downbeat = beats[1:], downbeat - 1
    if len(beats) > 1:
        period = beats[1] - beats[0]
        missing = int(beats[0] / period + 1e-6)
        beats = [beats[0] - number * period for number in range(missing, 0, -1)] + beats
        beats[0] = max(0.0, beats[0])
        downbeat += missing
    return beats, downbeat % sheet.beats_per_bar


def _pickup(beats: Sequence[float], downbeat: int, beat: float) -> int:
    """Return the ticks before the first whole bar: what is printable and nearest to what it is."""
    share = beats[0] / (beats[1] - beats[0])
    before = 0 if share < _MERGED_SHARE else max(1, round(share * beat / _SIXTEENTH))
    # Rounded up, so that no beat of the pickup comes before the start.
    return before * _SIXTEENTH + -(-round(downbeat * beat) // _SIXTEENTH) * _SIXTEENTH


def _printed(ticks: int) -> Signature:
    """Return the signature of a bar of so many ticks, in the longest note values down to quarters.

    A bar of a sixteenth is as good as any.
    """
    number, value = ticks // _SIXTEENTH, 16
    while number % 2 == 0 and value > 4:
        number, value = number // 2, value // 2
    return number, value


def _is_steady(beats: Sequence[float]) -> bool:
    period = (beats[-1] - beats[0]) / (len(beats) - 1)
    return all(
        abs(beat - beats[0] - index * period) < _STEADY_SECONDS for index, beat in enumerate(beats)
    )


def _tempos(places: Sequence[Place]) -> tuple[Tempo, ...]:
    """Return the tempos that lead from one place to the next.

    Tempos are whole microseconds; what one leaves undone the next one makes up for.
    """
    tempos: list[Tempo] = []
    tick, seconds = 0, 0.0
    for next_tick, next_seconds in places:
        exact = (next_seconds - seconds) * 1e6 * QUARTER / (next_tick - tick)
        quarter = min(max(1, round(exact)), _SLOWEST)
        if not tempos or tempos[-1].quarter != quarter:
            tempos.append(Tempo(tick, seconds, quarter))
        seconds += (next_tick - tick) * quarter / 1e6 / QUARTER
        tick = next_tick
    return tuple(tempos)
