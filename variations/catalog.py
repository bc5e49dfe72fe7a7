"""Reads the preset tables: every `*.toml` beside this module, one table a preset.

Knows files, order and error messages; what a table may say is `schema`'s business.
"""

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from variations.schema import Variation

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


class PresetError(ValueError):
    """A preset table is wrong; the message names file, preset and key."""


@lru_cache(maxsize=1)
def load() -> Mapping[str, Variation]:
    """Return every preset by name, in the order clients know."""
    return load_from(Path(__file__).parent)


def load_from(folder: Path) -> Mapping[str, Variation]:
    """Return the presets of every `*.toml` in a folder, those of `MENU` first.

    Raises:
        PresetError: a file is not TOML, a table is not a valid preset, or two have the same name.
    """
    found: dict[str, Variation] = {}
    for path in sorted(folder.glob("*.toml")):
        for name, table in _tables(path).items():
            if name in found:
                raise PresetError(f"{path.name}: preset {name!r} is defined twice")
            found[name] = _variation(path.name, name, table)
    order = [name for name in MENU if name in found]
    order += [name for name in found if name not in MENU]
    return MappingProxyType({name: found[name] for name in order})


def _tables(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise PresetError(f"{path.name}: not valid TOML: {error}") from error


def _variation(file: str, name: str, table: Any) -> Variation:
    if not isinstance(table, dict) or "name" in table:
        raise PresetError(f"{file}: {name!r} must be a table without a key 'name'")
    try:
        return Variation.model_validate({**table, "name": name})
    except ValidationError as error:
        wrong = error.errors()[0]
        key = ".".join(str(part) for part in wrong["loc"]) or "table"
        raise PresetError(f"{file}: preset {name!r}, key {key}: {wrong['msg']}") from error
