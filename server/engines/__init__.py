"""Engines: who plays. The table of names is the only part the web process reads."""
