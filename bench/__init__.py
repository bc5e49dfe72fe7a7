"""Measurements and training: one file a question. Nothing here is part of the server."""
