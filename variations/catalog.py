"""Which presets there are: the tables beside this module, and those of a folder of one's own.

Knows order and names; how a file is read is the business of `tables`, and when one is read again
that of `folder`.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from variations.folder import PresetFolder, Shelf
from variations.schema import Variation
from variations.tables import PresetError, Problem, read

MENU = (
    "accordion_folk",
    "banjo_bluegrass",
    "piano_classical",
    "celtic",
    "strings_quartet",
    "synth_retro",
    "synth_modern",
    "synth_edm",
    "lofi_chill",
    "synth_bass",
    "rock_band",
    "cinematic_epic",
    "retro_rpg",
    "chiptune",
    "steel_drums",
    "gamelan_fusion",
    "music_box",
    "trap_808",
    "lo_fi_drums",
    "boom_bap",
    "percussion_ensemble",
    "future_bass",
    "synthwave_retro",
    "melodic_techno",
    "dubstep_wobble",
    "glitch_hop",
    "digital_disruption",
    "circuit_bent",
    "orchestral_glitch",
    "vapor_drums",
    "industrial_textures",
    "jungle_breaks",
    "synth_ambient",
    "jazz_trio",
    "gospel_organ",
    "solo_cello",
    "nylon_guitar",
    "brass_section",
    "marimba_mallets",
    "choir",
    "drum_and_bass",
    "phonk",
    "shoegaze",
    "acid_303",
    "bossa_nova",
    "reggae_dub",
    "flamenco",
    "big_band",
    "ambient_piano",
    "funk_band",
    "house_piano",
)
"""The order clients number presets in. It never changes; a preset that is not named here comes
after these, in the order of file names and then of tables."""


RESERVED = frozenset({"custom"})
"""Names that mean something else where a preset's could stand."""


class _Catalog:
    """Where presets come from: this package, and a folder if one is named."""

    def __init__(self) -> None:
        self._folder: PresetFolder | None = None
        self._joined: tuple[Mapping[str, Variation] | None, Mapping[str, Variation]] = (None, {})

    def use(self, path: Path | None) -> None:
        if path is None:
            self._folder = None
        elif self._folder is None or self._folder.path != path:
            self._folder = PresetFolder(path, taken=RESERVED | built_in().keys())

    def shelf(self) -> Shelf:
        return self._folder.shelf() if self._folder is not None else Shelf()

    def load(self) -> Mapping[str, Variation]:
        own = self.shelf().presets
        if not own:
            return built_in()
        known, joined = self._joined
        if known is not own:
            joined = MappingProxyType({**built_in(), **own})
            self._joined = (own, joined)  # one assignment: threads see the pair or the one before
        return joined


_CATALOG = _Catalog()


def use_folder(path: Path | None) -> None:
    """Take presets from a folder too, from now on and in this process; None from none."""
    _CATALOG.use(path)


def load() -> Mapping[str, Variation]:
    """Return every preset by name: those of the package in the order clients know, then others.

    The very same object while nothing has changed; presets of a folder come and go.
    """
    return _CATALOG.load()


def problems() -> tuple[Problem, ...]:
    """Return what is wrong with the presets of the folder."""
    return _CATALOG.shelf().problems


@lru_cache(maxsize=1)
def built_in() -> Mapping[str, Variation]:
    """Return the presets of the package by name, in the order clients know. They never change."""
    return load_from(Path(__file__).parent)


def load_from(folder: Path) -> Mapping[str, Variation]:
    """Return the presets of every `*.toml` in a folder, those of `MENU` first.

    Raises:
        PresetError: a file is not TOML, a table is not a valid preset, or two have the same name.
    """
    found: dict[str, Variation] = {}
    for path in sorted(folder.glob("*.toml")):
        for name, variation in read(path).items():
            if name in found:
                raise PresetError(path.name, "it is defined twice", preset=name)
            found[name] = variation
    order = [name for name in MENU if name in found]
    order += [name for name in found if name not in MENU]
    return MappingProxyType({name: found[name] for name in order})
