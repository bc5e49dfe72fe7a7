"""Reads the preset tables. Placeholder order and content live in the TOML files beside this module."""

from collections.abc import Mapping

from variations.schema import Variation


def load() -> Mapping[str, Variation]:
    """Return every preset by name, in the order clients know."""
    return {}
