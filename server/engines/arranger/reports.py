"""What a transform tells of itself: what was heard, what plays it, which parameters had a say.

Plain JSON values; knows nothing of jobs or of how anything was played. What was not heard is null
or empty, and whoever arranges says so in a sentence; nothing is told of a grid that nobody heard.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from server.engines.arranger import harmony, strengths
from server.engines.arranger.score import AUDIBLE_PULSE, Heard, Part, Score
from server.engines.protocols import Brief
from variations.parts import DRUMS, HALO

_BEATS_OF_A_TEMPO = 8
"""The tempo of a moment is that of so many beats around it; a single one is a player's touch."""


def facts(heard: Heard, score: Score) -> dict[str, Any]:
    """Return what was heard, and what it is played by, as plain JSON values."""
    return {
        **_time(heard),
        **_pitch(heard),
        "notes_per_part": {part.voice.name: len(part.notes) for part in score.parts},
        "parts": [_part(part, score) for part in score.parts],
        "kit": _kit(score),
        "halo": _wanted(HALO, score) if score.halo is not None else None,
        "notes": len(heard.notes),
        "drums": len(heard.drums),
        "drum_strokes": dict(sorted(Counter(hit.kind for hit in heard.drums).items())),
        "added_strokes": dict(sorted(Counter(hit.kind for hit in score.hits).items())),
        "voice": _voice(heard),
    }


def settings(brief: Brief, strength: float) -> dict[str, Any]:
    """Return the strength that was used, and the parameters that mean nothing to this engine."""
    return {
        "strength": round(strength, 4),
        "without_effect": {"solver": brief.solver, "steps": brief.steps},
    }


def layers(brief: Brief, strength: float, heard: Heard) -> dict[str, Any]:
    """Return how far each layer of the source was replaced, 0 to 1; null for what is not in it.

    A voice at 0 stays as it is, at 1 instruments play its notes.
    """
    wanted, _ = strengths.settled(brief, strength, heard)
    return {
        "layers": {
            "pitched": round(wanted.pitched, 4) if heard.is_pitched else None,
            "drums": round(wanted.drums, 4) if heard.drums else None,
            "vocals": round(wanted.vocals, 4) if heard.singing is not None else None,
        }
    }


def hints(brief: Brief, heard: Heard) -> dict[str, Any]:
    """Return what became of the tempo and the key that a DAW knew; empty where it said neither."""
    said: dict[str, Any] = {}
    if brief.bpm is not None:
        said["bpm"] = {
            "given": brief.bpm,
            # of a pulse that is merely told nothing was heard
            "heard": _bpm(heard) if heard.tempo_confidence >= AUDIBLE_PULSE else None,
            "followed": heard.follows_hint,
        }
    if brief.key is not None:
        name = _key(heard)
        given = brief.key.name
        said["key"] = {"given": given, "heard": name, "followed": name == given}
    return {"hints": said} if said else {}


# Time


def _time(heard: Heard) -> dict[str, Any]:
    is_there = heard.has_pulse
    beats = heard.beats if is_there else np.zeros(0)
    return {
        "bpm": _bpm(heard),
        "bpm_range": _bpm_range(heard) if is_there and not heard.is_steady else None,
        "tempo_confidence": round(heard.tempo_confidence, 2),
        "steady": heard.is_steady,
        "meter": heard.meter.name if is_there else None,
        "meter_confidence": round(heard.meter_confidence, 2) if is_there else None,
        "beats_per_bar": heard.meter.beats if is_there else None,
        "swing": round(heard.swing, 3) if is_there else None,
        "beats": _seconds(beats),
        "downbeats": _seconds(beats[heard.downbeat :: heard.meter.beats]),
    }


def _bpm(heard: Heard) -> float | None:
    return round(heard.bpm, 2) if heard.has_pulse else None


def _bpm_range(heard: Heard) -> list[float]:
    """Return the slowest and the fastest tempo, each over some beats."""
    width = min(_BEATS_OF_A_TEMPO, len(heard.beats) - 1)
    if width < 1:
        return [round(heard.bpm, 1)] * 2
    tempi = 60.0 * width / (heard.beats[width:] - heard.beats[:-width])
    return [round(float(tempi.min()), 1), round(float(tempi.max()), 1)]


def _seconds(times: Any) -> list[float]:
    return [round(float(time), 4) for time in times]


# Pitch


def _pitch(heard: Heard) -> dict[str, Any]:
    """Return key and chords; `chords` is the progression that is played.

    `chords_per_beat` has a name for every beat, as it was heard; "N" where there was no chord.
    """
    return {
        "key": _key(heard),
        "chords": [
            {"start_seconds": round(chord.start_seconds, 3), "name": chord.name}
            for chord in harmony.progression(heard)
        ],
        "chords_per_beat": _chords_per_beat(heard),
        "tuning_cents": round(heard.tuning_cents, 1) if heard.is_pitched else None,
    }


def _key(heard: Heard) -> str | None:
    return heard.key.name if heard.key is not None and heard.is_pitched else None


def _chords_per_beat(heard: Heard) -> list[str]:
    if not (heard.is_pitched and heard.has_pulse):
        return []
    found = (harmony.chord_at(heard.chords, float(beat)) for beat in heard.beats)
    return [chord.name if chord is not None else "N" for chord in found]


# Parts


def _part(part: Part, score: Score) -> dict[str, Any]:
    """Return one player: what it sounds like, which part it takes, what was wanted of it."""
    voice = part.voice
    return {
        "name": voice.name,
        "role": voice.role,
        "program": voice.program,
        "synth": voice.synth,
        "notes": len(part.notes),
        "heard_notes": sum(note.origin == "heard" for note in part.notes),
        "pitches": _range(part),
        **_wanted(voice.name, score),
    }


def _kit(score: Score) -> dict[str, Any] | None:
    """Return what the drums are played on; None where nobody plays drums."""
    if score.drums is None:
        return None
    return {"kit": score.drums.kit, "strokes": len(score.hits), **_wanted(DRUMS, score)}


def _wanted(name: str, score: Score) -> dict[str, Any]:
    choice = score.choices.of(name)
    return {"muted": choice.mute, "seed": choice.seed, "gain_db": choice.gain_db}


def _range(part: Part) -> list[int] | None:
    pitches = [note.pitch for note in part.notes]
    return [min(pitches), max(pitches)] if pitches else None


def _voice(heard: Heard) -> Mapping[str, Any] | None:
    """Return how sure it is that somebody sings, and how much of the pitched sound that is."""
    if heard.singing is None:
        return None
    return {
        "confidence": round(heard.singing.confidence, 2),
        "share": round(heard.singing.share, 2),
    }
