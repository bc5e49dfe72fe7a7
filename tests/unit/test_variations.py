"""The preset tables: order, strictness, and that a preset is one table and nothing else."""

import re
from pathlib import Path

import pytest

import variations
from variations.catalog import MENU, load_from
from variations.tables import PresetError

PRESET = """
[kazoo_choir]
prompt = "A small choir of kazoos hums along in a kitchen."

[kazoo_choir.arrangement]
voices = [{ name = "kazoo", role = "riff", program = 22, range = [48, 84] }]
"""


def folder_with(tmp_path: Path, text: str, *, name: str = "kitchen.toml") -> Path:
    """Write one preset file into an empty folder."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_order_is_the_one_old_clients_number_presets_by() -> None:
    names = list(variations.load())

    assert ["accordion_folk", "banjo_bluegrass", "piano_classical"] == names[:3]
    assert ["industrial_textures", "jungle_breaks", "synth_ambient"] == names[30:33]
    assert ["jazz_trio", "gospel_organ", "solo_cello"] == names[33:36]
    assert list(MENU) == names


def lines_of_tables(text: str) -> dict[str, int]:
    """Return how many lines each preset's table has, from its header to the next preset's."""
    lines = text.rstrip().splitlines()
    heads = [number for number, line in enumerate(lines) if re.fullmatch(r"\[[a-z0-9_]+\]", line)]
    ends = [*heads[1:], len(lines)]
    return {
        lines[head].strip("[]"): len("\n".join(lines[head:end]).rstrip().splitlines())
        for head, end in zip(heads, ends, strict=True)
    }


def test_no_preset_takes_more_than_twenty_five_lines() -> None:
    folder = Path(variations.__file__).parent
    found: dict[str, int] = {}
    for path in folder.glob("*.toml"):
        found |= lines_of_tables(path.read_text(encoding="utf-8"))

    assert set(MENU) == set(found)
    assert 25 >= max(found.values())


def test_a_long_table_would_be_noticed() -> None:
    """Negative control of the count."""
    assert {"kazoo_choir": 5 + 21} == lines_of_tables(PRESET.strip() + "\n#" * 21)


def test_presets_are_read_once() -> None:
    assert variations.load() is variations.load()


def test_the_result_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        variations.load()["chiptune"] = variations.load()["celtic"]  # type: ignore[index]


@pytest.mark.parametrize("name", MENU)
def test_every_preset_has_a_prompt_of_its_own_and_voices(name: str) -> None:
    preset = variations.load()[name]
    others = {other.prompt for other in variations.load().values() if other.name != name}

    assert preset.prompt not in others
    assert preset.arrangement.voices
    assert (0.12, 25) == (preset.flowstep, preset.steps)


@pytest.mark.parametrize("name", MENU)
def test_every_preset_keeps_the_harmony_audible(name: str) -> None:
    """Also those whose point is the drums: something plays what was heard."""
    voices = variations.load()[name].arrangement.voices

    assert any(voice.role in ("line", "riff") for voice in voices)


def test_adding_a_preset_is_one_table(tmp_path: Path) -> None:
    preset = load_from(folder_with(tmp_path, PRESET))["kazoo_choir"]

    assert "A small choir of kazoos hums along in a kitchen." == preset.prompt
    assert [22] == [voice.program for voice in preset.arrangement.voices]
    assert 0.12 == preset.flowstep


def test_a_new_preset_comes_after_the_known_ones(tmp_path: Path) -> None:
    folder_with(tmp_path, PRESET, name="aaa.toml")
    folder_with(tmp_path, PRESET.replace("kazoo_choir", "synth_ambient"), name="zzz.toml")

    assert ["synth_ambient", "kazoo_choir"] == list(load_from(tmp_path))


@pytest.mark.parametrize(
    ("right", "wrong", "key"),
    [
        ("program = 22", "progam = 22", "arrangement.voices.0.progam"),
        ("program = 22", 'synth = "kazooo"', "arrangement.voices.0.synth"),
        ("program = 22", 'program = 22, synth = "pad_saw"', "arrangement.voices.0"),
        ("program = 22", 'program = 22, rhythm = "x..."', "arrangement.voices.0.rhythm"),
        ("[48, 84]", "[48, 50]", "arrangement.voices.0"),
        ('role = "riff"', 'role = "rif"', "arrangement.voices.0.role"),
        ("prompt =", "promt =", "prompt"),
        ("[kazoo_choir]", '[kazoo_choir]\nname = "other"', "'name'"),
        ("[kazoo_choir]", "[kazoo_choir]\nflowstep = 1.5", "flowstep"),
    ],
)
def test_a_mistake_names_file_preset_and_key(
    tmp_path: Path, right: str, wrong: str, key: str
) -> None:
    with pytest.raises(PresetError) as raised:
        load_from(folder_with(tmp_path, PRESET.replace(right, wrong)))

    assert "kitchen.toml" in str(raised.value)
    assert "kazoo_choir" in str(raised.value)
    assert key in str(raised.value)


@pytest.mark.parametrize(
    ("addition", "key"),
    [
        ('effects = [{ kind = "revreb" }]', "effects.0.kind"),
        ('drums = { kit = "tr909x" }', "drums.kit"),
        ('drums = { kit = "808", pattern = { kick = "x..x" } }', "drums.pattern.kick"),
        ('drums = { kit = "808", pattern = { cowbell = "x..............." } }', "pattern.cowbell"),
        ('drums = { kit = "808", pattern = { kick = "y..............." } }', "pattern.kick"),
        ('strokes = { kick = { part = "tuba" } }', "arrangement"),
    ],
)
def test_a_mistake_in_effects_drums_or_strokes_is_named(
    tmp_path: Path, addition: str, key: str
) -> None:
    with pytest.raises(PresetError) as raised:
        load_from(folder_with(tmp_path, PRESET + addition))

    assert key in str(raised.value)


def test_two_voices_of_one_name_are_a_mistake(tmp_path: Path) -> None:
    voice = PRESET[PRESET.index("{") : PRESET.index("}") + 1]

    with pytest.raises(PresetError, match="same name: kazoo, kazoo"):
        load_from(folder_with(tmp_path, PRESET.replace(voice, f"{voice}, {voice}")))


def test_a_preset_defined_twice_is_a_mistake(tmp_path: Path) -> None:
    folder_with(tmp_path, PRESET, name="a.toml")
    folder_with(tmp_path, PRESET, name="b.toml")

    with pytest.raises(PresetError, match=r"b\.toml: preset 'kazoo_choir': it is defined twice"):
        load_from(tmp_path)


@pytest.mark.parametrize("text", ["[broken", "flat = 1"])
def test_a_file_that_is_no_table_of_presets_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(PresetError, match=r"kitchen\.toml"):
        load_from(folder_with(tmp_path, text))
