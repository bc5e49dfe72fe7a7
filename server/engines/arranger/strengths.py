"""How far each layer of a source is replaced: what a brief asks for, and what that comes to.

Knows briefs and what was heard; nothing of sound.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from server.engines.arranger.score import FRAME_RATE, LOWEST_PITCH, Heard, Note
from server.engines.protocols import Brief, Layer

NO_DRUMS_TO_KEEP = "No drums were heard, so there are none to keep."
NO_DRUMS_TO_REPLACE = "No drums were heard, so there are none to replace."
NO_VOICE = "No voice was heard, so its strength has no effect."
VOICE_STAYS = "A voice was heard; it stays as it is."
VOICE_IS_PLAYED = "A voice was heard; it is turned into notes, as it was asked for."

_STROKES_STAY = 2.5
"""Strokes that follow the common strength fade with this power of it: they are last to go."""


@dataclass(frozen=True, slots=True)
class Strengths:
    """How far each layer is replaced, 0 to 1.

    Attributes:
        pitched: what is neither strokes nor voice.
        drums: a drummer's strokes; of the kit that plays instead, how loud it is.
        vocals: a voice.
        strokes_last: the strokes go later than the rest, as the groove is what holds a blend.
    """

    pitched: float
    drums: float
    vocals: float = 0.0
    strokes_last: bool = True

    @property
    def of_notes(self) -> float:
        """How far notes are played by others, whoever played or sang them."""
        return max(self.pitched, self.vocals)

    @property
    def is_identity(self) -> bool:
        """Whether nothing is to be changed at all."""
        return max(self.pitched, self.drums, self.vocals) <= 0.0

    @property
    def kept(self) -> Mapping[Layer, float]:
        """Gain of each layer of the source."""
        drums = self.drums**_STROKES_STAY if self.strokes_last else self.drums
        return {
            "pitched": _falling(self.pitched),
            "drums": _falling(drums),
            "vocals": _falling(self.vocals),
        }

    @property
    def played(self) -> float:
        """Gain of what is played; single players are balanced within it."""
        return _rising(max(self.pitched, self.drums, self.vocals))

    @property
    def balance(self) -> Mapping[Layer, float]:
        """Gain, within what is played, of the players that stand in for each layer."""
        return {
            "pitched": self._balanced(self.pitched),
            "drums": self._balanced(self.drums),
            "vocals": self._balanced(self.vocals),
        }

    def _balanced(self, strength: float) -> float:
        return _rising(strength) / self.played if self.played else 0.0


def _rising(strength: float) -> float:
    return math.sin(strength * math.pi / 2)


def _falling(strength: float) -> float:
    # Not the cosine of pi / 2, which is not zero.
    return math.cos(strength * math.pi / 2) if strength < 1.0 else 0.0


def asked(brief: Brief, strength: float) -> Strengths:
    """Return what a brief wants of each layer; what it does not name follows `strength`.

    Drums that are kept are not replaced at all, and those that are not kept wholly, unless the
    brief gives them a strength. A voice stays unless the brief gives it one.
    """
    of_drums = {None: strength, True: 0.0, False: 1.0 if strength > 0.0 else 0.0}
    drums = brief.layers.get("drums", of_drums[brief.keep_drums])
    return Strengths(
        pitched=brief.layers.get("pitched", strength),
        drums=drums,
        vocals=brief.layers.get("vocals", 0.0),
        strokes_last="drums" not in brief.layers and brief.keep_drums is None,
    )


def settled(brief: Brief, strength: float, heard: Heard) -> tuple[Strengths, tuple[str, ...]]:
    """Return what a brief comes to where this was heard, and what the musician should know of it.

    What was not heard can neither stay nor go: what is said of it has no effect.
    """
    notices = []
    if not heard.drums and brief.keep_drums is not None:
        notices.append(NO_DRUMS_TO_KEEP if brief.keep_drums else NO_DRUMS_TO_REPLACE)
        brief = replace(brief, keep_drums=None)
    wanted = asked(brief, strength)
    if heard.singing is not None:
        notices.append(VOICE_IS_PLAYED if wanted.vocals > 0.0 else VOICE_STAYS)
    elif "vocals" in brief.layers:
        notices.append(NO_VOICE)
        wanted = replace(wanted, vocals=0.0)
    return wanted, tuple(notices)


def for_players(heard: Heard, wanted: Strengths) -> Heard:
    """Return what players are given to play: a voice's notes only where the voice is replaced.

    Where nothing but the voice is replaced they are given its notes alone.
    """
    if heard.singing is None or min(wanted.pitched, wanted.vocals) > 0.0:
        return heard
    sung = frozenset(heard.singing.notes)
    plays_voice = wanted.vocals > 0.0
    played = tuple(note for note in heard.notes if (note in sung) == plays_voice)
    silent = [note for note in heard.notes if (note in sung) != plays_voice]
    return replace(
        heard,
        notes=played,
        pitchedness=sum(n.seconds * n.velocity for n in played) / max(heard.seconds, 0.1),
        sustain=_silenced(heard.sustain, silent),
    )


def _silenced(sustain: NDArray[np.float32], notes: Sequence[Note]) -> NDArray[np.float32]:
    """Return sustained levels without those of some notes, and of a semitone around them."""
    levels = sustain.copy()
    for note in notes:
        start, end = (round(t * FRAME_RATE) for t in (note.start_seconds, note.end_seconds))
        column = note.pitch - LOWEST_PITCH
        levels[start : end + 1, max(0, column - 1) : column + 2] = 0.0
    return levels
