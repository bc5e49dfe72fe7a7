"""A drummer who goes on: the pattern as it was, a ghost stroke now and then, fills that lead over.

A short fill ends every fourth bar, a longer one every eighth. Knows the groove's strokes and the
steps; nothing of kits or sounds.
"""

import numpy as np

from server.engines.arranger.inpainting import compose
from server.engines.arranger.inpainting.groove import STEPS, STEPS_A_BEAT, Groove
from server.engines.arranger.inpainting.sections import Random, Section, Step
from server.engines.arranger.score import DrumHit, DrumKind

SHORT_FILL_BARS, LONG_FILL_BARS = 4, 8

_HANDS: tuple[DrumKind, ...] = ("snare", "perc", "clap", "hat", "open_hat", "kick")
"""What a fill is played on: the first of these that the drummer uses."""

_KEPT_IN_FILLS: frozenset[DrumKind] = frozenset({"kick"})
_FILL_SHARE = 0.8
_GHOST_SHARE, _GHOST_VELOCITY = 0.25, 0.25
_GHOST_STEPS = (7, 9, 11, 15)


def strokes(section: Section, seed: int, *, first_bar: int) -> tuple[DrumHit, ...]:
    """Return what the drummer plays in a section; phrases are counted from `first_bar`."""
    usual = compose.strokes(section, seed)
    hand = _hand(section.groove)
    if hand is None:
        return usual
    random = np.random.default_rng([seed, 6])
    fills = _fills(section, random, first_bar)
    replaced = {step for steps in fills for step in steps}
    kept = [hit for hit in usual if not _falls_on(hit, replaced)]
    added = [hit for steps in fills for hit in _filled(steps, hand, random)]
    ghosts = _ghosts(section, hand, random, replaced)
    return tuple(sorted([*kept, *added, *ghosts], key=lambda hit: (hit.start_seconds, hit.kind)))


def _hand(groove: Groove) -> DrumKind | None:
    return next((kind for kind in _HANDS if kind in groove.strokes), None)


def _fills(section: Section, random: Random, first_bar: int) -> list[list[Step]]:
    """Return the steps of each fill: the last beat of a phrase, the last two of a double one."""
    found = []
    for bar in sorted({step.bar for step in section.steps}):
        number = bar - first_bar + 1
        plays = float(random.random()) < _FILL_SHARE
        if number % SHORT_FILL_BARS or not plays:
            continue
        beats = 2 if number % LONG_FILL_BARS == 0 else 1
        first = STEPS - beats * STEPS_A_BEAT
        steps = [step for step in section.steps if step.bar == bar and step.index >= first]
        if len(steps) == STEPS - first:
            found.append(steps)
    return found


def _falls_on(hit: DrumHit, steps: set[Step]) -> bool:
    if hit.kind in _KEPT_IN_FILLS:
        return False
    return any(abs(step.seconds - hit.start_seconds) < step.length_seconds / 2 for step in steps)


def _filled(steps: list[Step], hand: DrumKind, random: Random) -> list[DrumHit]:
    """Return a roll towards the next bar: louder and louder, with a gap or two drawn by chance."""
    rising = np.linspace(0.45, 0.9, len(steps)).tolist()
    gaps = random.random(len(steps)) < 0.25
    gaps[0] = gaps[-1] = False
    return [
        DrumHit(step.seconds, hand, velocity)
        for step, velocity, is_gap in zip(steps, rising, gaps.tolist(), strict=True)
        if not is_gap
    ]


def _ghosts(section: Section, hand: DrumKind, random: Random, replaced: set[Step]) -> list[DrumHit]:
    """Return a soft stroke in some of the bars, where nothing of that drum falls."""
    shares, _ = section.groove.strokes[hand]
    places = [index for index in _GHOST_STEPS if shares[index] < 0.1]
    found = []
    for bar in sorted({step.bar for step in section.steps}):
        plays, which = random.random(2).tolist()
        if not places or plays >= _GHOST_SHARE:
            continue
        index = places[int(which * len(places))]
        found += [
            DrumHit(step.seconds, hand, _GHOST_VELOCITY)
            for step in section.steps
            if step.bar == bar and step.index == index and step not in replaced
        ]
    return found
