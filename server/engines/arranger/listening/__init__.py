"""How the arranger listens: notes, beats, chords and drums out of sound, for `listen`."""
