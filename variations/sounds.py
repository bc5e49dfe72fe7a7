"""The names a preset may use for synthesized voices, drum kits and effects.

A vocabulary only: what they sound like is the business of whoever plays a preset, and a test holds
the two together.
"""

from collections.abc import Mapping

SYNTHS = frozenset(
    {
        "acid_bass",
        "arp_pluck",
        "bass_808",
        "bowed_string",
        "brass",
        "choir_pad",
        "cowbell",
        "flute",
        "fm_epiano",
        "glitch_blip",
        "lead_square",
        "metallophone",
        "music_bell",
        "nes_pulse",
        "nes_pulse_thin",
        "nes_pulse_wide",
        "nes_triangle",
        "noise_drone",
        "organ",
        "pad_saw",
        "plucked_string",
        "reed",
        "reese_bass",
        "steel_pan",
        "struck_string",
        "super_saw",
        "synth_bass",
        "wobble_bass",
    }
)

KITS = frozenset(
    {
        "808",
        "909",
        "acoustic",
        "breaks",
        "brushes",
        "cajon",
        "glitch",
        "hand",
        "industrial",
        "latin",
        "linn",
        "lofi",
        "nes",
        "phonk",
    }
)

Reach = tuple[float, float] | frozenset[str]
"""Least and most of a number, or the words that may stand there."""

_SHARE = (0.0, 1.0)
_HERTZ = (20.0, 20000.0)
_BEATS = (0.0625, 16.0)

PARAMETERS: Mapping[str, Mapping[str, Reach]] = {
    "chorus": {"mix": _SHARE, "depth_ms": (0.0, 8.0), "hertz": (0.01, 12.0)},
    "compress": {"threshold_db": (-60.0, 0.0), "ratio": (1.0, 20.0)},
    "crush": {"bits": (1.0, 24.0), "hertz": (500.0, 44100.0)},
    "delay": {
        "beats": _BEATS,
        "feedback": (0.0, 0.95),
        "mix": _SHARE,
        "damping_hertz": (100.0, 20000.0),
    },
    "duck": {"depth": _SHARE, "release_seconds": (0.01, 2.0)},
    "gate": {"beats": _BEATS, "open_share": _SHARE, "depth": _SHARE},
    "highpass": {"hertz": _HERTZ},
    "lowpass": {"hertz": _HERTZ},
    "reverb": {"seconds": (0.05, 12.0), "mix": _SHARE, "damping_hertz": (100.0, 20000.0)},
    "saturate": {"drive": (0.05, 20.0)},
    "shelf": {"hertz": _HERTZ, "gain_db": (-36.0, 24.0), "side": frozenset({"low", "high"})},
    "stutter": {"beats": _BEATS, "share": _SHARE},
    "tremolo": {"hertz": (0.01, 30.0), "depth": _SHARE, "spread": _SHARE},
    "vinyl": {"level": (0.0, 0.5)},
    "width": {"amount": (0.0, 3.0)},
    "wow": {"depth_ms": (0.0, 0.95), "hertz": (0.01, 12.0)},
}
"""What can be set of each effect."""

NEEDED: Mapping[str, frozenset[str]] = {
    "highpass": frozenset({"hertz"}),
    "lowpass": frozenset({"hertz"}),
    "shelf": frozenset({"hertz", "gain_db"}),
}
"""Parameters without which an effect does not know what to do."""

EFFECTS = frozenset(PARAMETERS)
