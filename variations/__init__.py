"""The presets: one TOML table each, read once and checked strictly.

Knows nothing of the server or of audio; `load()` is the whole interface.
"""

from variations.catalog import load
from variations.schema import Variation

__all__ = ["Variation", "load"]
