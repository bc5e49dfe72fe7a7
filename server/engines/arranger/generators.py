"""What a zone of a sound bank may set: the generators of SoundFont 2.04, section 8, and defaults.

Knows numbers and their names. Neither reads files nor makes sound.
"""

from enum import IntEnum


class Generator(IntEnum):
    """What a zone may set (specification, section 8.1.2)."""

    START_OFFSET = 0
    END_OFFSET = 1
    LOOP_START_OFFSET = 2
    LOOP_END_OFFSET = 3
    START_OFFSET_COARSE = 4
    FILTER_CUTOFF = 8
    FILTER_RESONANCE = 9
    MOD_ENV_TO_FILTER = 11
    END_OFFSET_COARSE = 12
    PAN = 17
    MOD_DELAY = 25
    MOD_ATTACK = 26
    MOD_HOLD = 27
    MOD_DECAY = 28
    MOD_SUSTAIN = 29
    MOD_RELEASE = 30
    KEY_TO_MOD_HOLD = 31
    KEY_TO_MOD_DECAY = 32
    DELAY = 33
    ATTACK = 34
    HOLD = 35
    DECAY = 36
    SUSTAIN = 37
    RELEASE = 38
    KEY_TO_HOLD = 39
    KEY_TO_DECAY = 40
    INSTRUMENT = 41
    KEY_RANGE = 43
    VELOCITY_RANGE = 44
    LOOP_START_OFFSET_COARSE = 45
    FIXED_KEY = 46
    FIXED_VELOCITY = 47
    ATTENUATION = 48
    LOOP_END_OFFSET_COARSE = 50
    COARSE_TUNE = 51
    FINE_TUNE = 52
    SAMPLE = 53
    SAMPLE_MODES = 54
    SCALE_TUNING = 56
    ROOT_KEY = 58


_NEVER = -12000
"""Timecents of a stage without length."""

DEFAULTS: dict[int, int] = {
    **dict.fromkeys(Generator, 0),
    **dict.fromkeys(
        (
            Generator.MOD_DELAY,
            Generator.MOD_ATTACK,
            Generator.MOD_HOLD,
            Generator.MOD_DECAY,
            Generator.MOD_RELEASE,
            Generator.DELAY,
            Generator.ATTACK,
            Generator.HOLD,
            Generator.DECAY,
            Generator.RELEASE,
        ),
        _NEVER,
    ),
    **dict.fromkeys((Generator.FIXED_KEY, Generator.FIXED_VELOCITY, Generator.ROOT_KEY), -1),
    Generator.FILTER_CUTOFF: 13500,
    Generator.SCALE_TUNING: 100,
}

ONLY_IN_INSTRUMENTS = frozenset(
    {
        Generator.START_OFFSET,
        Generator.END_OFFSET,
        Generator.LOOP_START_OFFSET,
        Generator.LOOP_END_OFFSET,
        Generator.START_OFFSET_COARSE,
        Generator.END_OFFSET_COARSE,
        Generator.LOOP_START_OFFSET_COARSE,
        Generator.LOOP_END_OFFSET_COARSE,
        Generator.FIXED_KEY,
        Generator.FIXED_VELOCITY,
        Generator.SAMPLE_MODES,
        Generator.ROOT_KEY,
    }
)
NEVER_ADDED = frozenset({Generator.INSTRUMENT, Generator.KEY_RANGE, Generator.VELOCITY_RANGE})
