"""What a transform tells of itself: what was heard, and which parameters had a say.

Plain JSON values; knows nothing of jobs or of how anything was played.
"""

from typing import Any

from server.engines.arranger import harmony
from server.engines.arranger.score import Heard, Score
from server.engines.protocols import Brief


def facts(heard: Heard, score: Score) -> dict[str, Any]:
    """Return what was heard as plain JSON values."""
    return {
        "bpm": round(heard.bpm, 2),
        "tempo_confidence": round(heard.tempo_confidence, 2),
        "steady": heard.is_steady,
        "beats": [round(float(beat), 4) for beat in heard.beats],
        "key": heard.key.name if heard.key is not None else None,
        "chords": [
            {"start_seconds": round(chord.start_seconds, 3), "name": chord.name}
            for chord in harmony.progression(heard)
        ],
        "notes_per_part": {part.voice.name: len(part.notes) for part in score.parts},
        "notes": len(heard.notes),
        "drums": len(heard.drums),
        "tuning_cents": round(heard.tuning_cents, 1),
    }


def settings(brief: Brief, strength: float) -> dict[str, Any]:
    """Return the strength that was used, and the parameters that mean nothing to this engine."""
    return {
        "strength": round(strength, 4),
        "without_effect": {"solver": brief.solver, "steps": brief.steps},
    }
