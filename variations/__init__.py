"""The presets: one TOML table each, checked strictly; our own, and those of a folder.

Knows nothing of the server or of audio. `load()` is the one way to get them.
"""

from variations.catalog import built_in, load, problems, use_folder
from variations.schema import Variation
from variations.tables import Problem

__all__ = ["Problem", "Variation", "built_in", "load", "problems", "use_folder"]
