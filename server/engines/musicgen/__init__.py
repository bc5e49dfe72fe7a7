"""The engine that plays with MusicGen: music from words, and music that goes on."""
