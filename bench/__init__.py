"""Measurements: one module a question, each with a `TITLE`, a `HEAD` and `rows()`."""
