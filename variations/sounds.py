"""The names a preset may use for synthesized voices, drum kits and effects.

A vocabulary only: what they sound like is the business of whoever plays a preset, and a test holds
the two together.
"""

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

EFFECTS = frozenset(
    {
        "chorus",
        "compress",
        "crush",
        "delay",
        "duck",
        "gate",
        "highpass",
        "lowpass",
        "reverb",
        "saturate",
        "shelf",
        "stutter",
        "tremolo",
        "vinyl",
        "width",
        "wow",
    }
)
