"""How far each layer of a source is replaced: what a brief asks for, and what that comes to.

Knows briefs and what was heard; nothing of sound.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from server.engines.arranger.score import Heard
from server.engines.protocols import Brief, Layer

NO_DRUMS_TO_KEEP = "No drums were heard, so there are none to keep."
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


def settled(wanted: Strengths, brief: Brief, heard: Heard) -> tuple[Strengths, tuple[str, ...]]:
    """Return what a brief comes to where this was heard, and what the musician should know of it.

    What was not heard can neither stay nor go: its strength has no effect.
    """
    notices = []
    if heard.singing is None and "vocals" in brief.layers:
        notices.append(NO_VOICE)
        wanted = replace(wanted, vocals=0.0)
    elif heard.singing is not None:
        notices.append(VOICE_IS_PLAYED if wanted.vocals > 0.0 else VOICE_STAYS)
    if not heard.drums and brief.keep_drums:
        notices.append(NO_DRUMS_TO_KEEP)
        wanted = replace(wanted, drums=brief.layers.get("drums", wanted.pitched))
    return wanted, tuple(notices)
