"""The names a preset may use for synthesized voices, drum kits and effects.

A vocabulary only: what they sound like is the business of whoever plays a preset, and a test holds
the two together.
"""

SYNTHS = frozenset(
    {
        "pad_saw",
        "super_saw",
        "lead_square",
        "arp_pluck",
        "synth_bass",
        "bass_808",
        "nes_pulse",
        "nes_pulse_thin",
        "nes_triangle",
        "fm_epiano",
    }
)

KITS = frozenset({"808", "linn", "nes", "lofi"})

EFFECTS = frozenset(
    {
        "chorus",
        "compress",
        "crush",
        "delay",
        "duck",
        "lowpass",
        "reverb",
        "saturate",
        "shelf",
        "vinyl",
        "wow",
    }
)
