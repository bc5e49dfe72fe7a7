"""The harmony's course: which chord the music would have had on the beats that were not heard.

A loop of chords goes on through the gap in its phase. Without one the bars before are repeated and
lead into the chord that follows. Knows chords a beat; nothing of sound.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from server.engines.arranger.listening.chords import scale_of
from server.engines.arranger.score import QUALITIES, Chord, Note
from server.media.key import Key

MOST_BARS = 16
"""The longest loop that is looked for."""

_ALIKE = 0.8
_DOUBT = 0.4
"""What one pair of beats alone may be wrong by; many pairs are surer than few."""

_NEARLY_AS_GOOD = 0.04
_PHRASE_BARS = 4
_RELATED_SHARE = 0.5
_OTHER_THIRD = 0.7
_BASS_PITCH = 55
_NEAR_SECONDS = 0.08

Beat = Chord | None
"""The chord of a beat; None where the beat was not heard."""


@dataclass(frozen=True, slots=True)
class Loop:
    """Chords that come back.

    Attributes:
        beats: after how many.
        agreement: how alike beats that far apart are, in [0, 1].
    """

    beats: int
    agreement: float


def likeness(one: Chord, other: Chord) -> float:
    """Return how alike two chords are, in [0, 1]: the root counts, then the third."""
    if one.root is None or other.root is None:
        return float(one.root == other.root)
    mine, theirs = set(one.pitch_classes), set(other.pitch_classes)
    if one.root == other.root:
        thirds = {(one.root + 3) % 12, (one.root + 4) % 12}
        return _OTHER_THIRD if thirds <= mine | theirs and len(mine & theirs & thirds) < 1 else 1.0
    return _RELATED_SHARE * len(mine & theirs) / len(mine | theirs)


def find_loops(beats: Sequence[Beat], meter: int) -> tuple[Loop, ...]:
    """Return the loops of whole bars that explain the heard beats, the one to believe first.

    That is the shortest of those that are nearly as sure as the surest. Beats on both sides of a
    gap are compared with each other too: a loop of eight bars shows there when neither side is as
    long as two.
    """
    found = [_compared(beats, lag) for lag in range(meter, MOST_BARS * meter + 1, meter)]
    sure = {
        Loop(lag, agreement): agreement - _DOUBT / math.sqrt(pairs)
        for lag, agreement, pairs in found
        if pairs >= meter and agreement >= _ALIKE
    }
    enough = max(sure.values(), default=0.0) - _NEARLY_AS_GOOD
    return tuple(sorted(sure, key=lambda loop: (-min(sure[loop], enough), -(sure[loop] >= enough))))


def _compared(beats: Sequence[Beat], lag: int) -> tuple[int, float, int]:
    """Return a lag, how alike beats that far apart are, and how many could be compared."""
    pairs = zip(beats[:-lag] if lag < len(beats) else (), beats[lag:], strict=False)
    found = [likeness(one, other) for one, other in pairs if one and other]
    return lag, sum(found) / max(len(found), 1), len(found)


def completed(
    beats: Sequence[Beat], *, meter: int, downbeat: int, key: Key | None
) -> tuple[tuple[Chord, ...], Loop | None]:
    """Return a chord for every beat, the heard ones as they are, and the loop they follow.

    Beats without a heard chord have the times of nothing: the caller lays them on its grid.
    """
    loops = find_loops(beats, meter)
    filled = list(beats)
    for loop in loops:
        # A long loop may have nothing to say on a place that a less sure one reaches.
        filled = [chord or _voted(beats, number, loop.beats) for number, chord in enumerate(filled)]
    if any(chord is None for chord in filled):
        filled = _phrased(filled, meter, downbeat, key)
    silent = Chord(0.0, 0.0, None, "", None, 0.0)
    return tuple(chord or silent for chord in filled), loops[0] if loops else None


def _voted(beats: Sequence[Beat], number: int, lag: int) -> Beat:
    """Return the chord most heard at a beat's place in the loop; near ones count more."""
    votes: dict[tuple[int | None, str], float] = defaultdict(float)
    nearest: dict[tuple[int | None, str], Chord] = {}
    places = [at for at in range(number % lag, len(beats), lag) if beats[at]]
    for at in sorted(places, key=lambda place: abs(place - number)):
        chord = beats[at]
        if chord is not None and chord.root is not None:
            votes[chord.root, chord.quality] += lag / abs(at - number)
            nearest.setdefault((chord.root, chord.quality), chord)
    return nearest[max(votes, key=lambda name: votes[name])] if votes else None


def _phrased(beats: Sequence[Beat], meter: int, downbeat: int, key: Key | None) -> list[Beat]:
    """Return the beats with gaps filled by the bars before them, or after where none are.

    The last half bar leads into the chord that follows.
    """
    result = list(beats)
    for first, last in _gaps(beats):
        before, after = result[:first], list(beats[last:])
        source, origin = _last_bars(before, meter), first
        if not source:
            source, origin = _first_bars(after, meter), last
        for number in range(first, last):
            if source:
                result[number] = source[(number - origin) % len(source)]
        follows = next((chord for chord in after if chord is not None), None)
        leads = max(meter // 2, 1)
        reaches_a_bar = last - first > meter and (last - downbeat) % meter == 0
        if before and reaches_a_bar and follows is not None:
            result[last - leads : last] = [_leading(result[last - 1], follows, key)] * leads
    return result


def _gaps(beats: Sequence[Beat]) -> list[tuple[int, int]]:
    """Return first and one past last of each run of beats without a chord."""
    gaps: list[tuple[int, int]] = []
    for number, chord in enumerate(beats):
        if chord is None and gaps and gaps[-1][1] == number:
            gaps[-1] = (gaps[-1][0], number + 1)
        elif chord is None:
            gaps.append((number, number + 1))
    return gaps


def _last_bars(side: Sequence[Beat], meter: int) -> list[Beat]:
    """Return up to four whole bars at the end, or what there is of one."""
    known = [chord for chord in side if chord is not None]
    bars = min(len(known) // meter, _PHRASE_BARS)
    return list(known[-bars * meter :] if bars else known)


def _first_bars(side: Sequence[Beat], meter: int) -> list[Beat]:
    """Return up to four whole bars at the beginning, or what there is of one."""
    known = [chord for chord in side if chord is not None]
    bars = min(len(known) // meter, _PHRASE_BARS)
    return list(known[: bars * meter] if bars else known)


def _leading(last: Beat, follows: Chord, key: Key | None) -> Beat:
    """Return the dominant of what follows if the key has it, else what was there."""
    if last is None or follows.root is None or last.root == follows.root or key is None:
        return last
    root = (follows.root + 7) % 12
    if {(root + interval) % 12 for interval in QUALITIES[""]} <= scale_of(key):
        return Chord(0.0, 0.0, root, "", root, 0.5)
    return last


def find_downbeat(beats: Sequence[Beat], times: Sequence[float], notes: Sequence[Note]) -> int:
    """Return which of the first four beats starts a bar: chords change and basses fall there.

    `times` are those of the beats. Only neighbours that were both heard can show a change.
    """
    votes = [0.0] * 4
    for number, chord in enumerate(beats):
        before = beats[number - 1] if number else None
        if chord is not None and before is not None and chord.name != before.name:
            votes[number % 4] += 1.0
    low = [note for note in notes if note.pitch < _BASS_PITCH]
    for number, (chord, time) in enumerate(zip(beats, times, strict=True)):
        if chord is not None:
            near = (note for note in low if abs(note.start_seconds - time) < _NEAR_SECONDS)
            votes[number % 4] += 0.5 * sum(note.velocity for note in near)
    return votes.index(max(votes))
