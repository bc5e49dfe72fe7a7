"""What General MIDI agrees on: channels, controls, and how keys and chords are written.

Names and numbers alone; nothing of files.
"""

from server.media.key import Key

Signature = tuple[int, int]
"""Beats a bar and the note value that is one of them, as they are printed."""

DRUM_CHANNEL = 9
"""Where drums are, counted from 0."""

CHANNELS = tuple(channel for channel in range(16) if channel != DRUM_CHANNEL)
"""Where everything else is."""

VOLUME, PAN, DATA_ENTRY = 7, 10, 6
"""Numbers of controls."""

ORDINARY_VOLUME = 100
"""Volume of a part at 0 dB; as synthesizers agree, volumes count in 40 log10 decibels."""

BEND_CENTRE = 8192
"""How far the pitch wheel goes to either side."""

NO_CHORD = "N.C."

_MAJOR = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_MINOR = ("Cm", "C#m", "Dm", "Ebm", "Em", "Fm", "F#m", "Gm", "G#m", "Am", "Bbm", "Bm")

KEYS = {
    **{Key(tonic, "major"): name for tonic, name in enumerate(_MAJOR)},
    **{Key(tonic, "minor"): name for tonic, name in enumerate(_MINOR)},
}
"""How key signatures call keys: with the fewer accidentals."""


def is_compound(signature: Signature) -> bool:
    """Return whether a beat is three of the printed note values, as in 6/8."""
    number, value = signature
    return value == 8 and number % 3 == 0
