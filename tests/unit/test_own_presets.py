"""Presets of somebody's own folder: there within a second, and never in anybody's way."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import variations
from server.engines.arranger import effects
from variations import sounds
from variations.folder import LOOK_SECONDS, PresetFolder
from variations.schema import Effect, Variation

PRESET = """
[kazoo_choir]
prompt = "A small choir of kazoos hums along in a kitchen."

[kazoo_choir.arrangement]
voices = [{ name = "kazoo", role = "riff", program = 22, range = [48, 84] }]
"""
BROKEN = PRESET.replace("program", "progam")


class Kitchen:
    """A folder of presets, and a clock that a test can turn."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self._seconds = 0.0
        self._versions = 0
        self.folder = PresetFolder(
            folder, taken=variations.built_in().keys(), clock=lambda: self._seconds
        )

    def write(self, text: str, *, name: str = "kitchen.toml") -> None:
        """Write a file that is newer than the one before, however fast the test is."""
        self._versions += 1
        (self.path / name).write_text(text, encoding="utf-8")
        os.utime(self.path / name, ns=(0, self._versions * 10**9))

    def wait(self, seconds: float = LOOK_SECONDS) -> None:
        """Let time pass."""
        self._seconds += seconds

    @property
    def names(self) -> list[str]:
        """Which presets there are now."""
        return list(self.folder.shelf().presets)

    @property
    def problems(self) -> list[str]:
        """What is wrong now, in sentences."""
        return [problem.sentence for problem in self.folder.shelf().problems]


@pytest.fixture(name="kitchen")
def _kitchen(tmp_path: Path) -> Kitchen:
    return Kitchen(tmp_path)


@pytest.fixture(name="own")
def _own(tmp_path: Path) -> Iterator[Path]:
    """A folder that this process takes presets from, for as long as a test lasts."""
    variations.use_folder(tmp_path)
    yield tmp_path
    variations.use_folder(None)


def test_a_folder_that_is_not_there_has_no_presets_and_no_problems(tmp_path: Path) -> None:
    shelf = PresetFolder(tmp_path / "nowhere", taken=()).shelf()

    assert ({}, ()) == (dict(shelf.presets), shelf.problems)


def test_files_that_appear_change_and_go_are_noticed_within_a_second(kitchen: Kitchen) -> None:
    assert [] == kitchen.names
    kitchen.write(PRESET)
    kitchen.wait()
    assert ["kazoo_choir"] == kitchen.names

    kitchen.write(PRESET.replace("kazoo_choir", "comb_and_paper"))
    kitchen.wait()
    assert ["comb_and_paper"] == kitchen.names

    (kitchen.path / "kitchen.toml").unlink()
    kitchen.wait()
    assert [] == kitchen.names


def test_nothing_is_looked_at_twice_within_a_second(kitchen: Kitchen) -> None:
    before = kitchen.folder.shelf()
    kitchen.write(PRESET)
    kitchen.wait(0.9 * LOOK_SECONDS)

    assert before is kitchen.folder.shelf()


def test_unchanged_presets_are_the_same_objects(kitchen: Kitchen) -> None:
    kitchen.write(PRESET)
    before = kitchen.folder.shelf()
    kitchen.wait()

    assert before is kitchen.folder.shelf()


def test_a_file_that_breaks_keeps_its_last_good_presets(kitchen: Kitchen) -> None:
    kitchen.write(PRESET)
    good = kitchen.folder.shelf().presets["kazoo_choir"]
    kitchen.write(BROKEN)
    kitchen.wait()

    assert good is kitchen.folder.shelf().presets["kazoo_choir"]
    assert 1 == len(kitchen.problems)
    assert kitchen.problems[0] == (
        "kitchen.toml: preset 'kazoo_choir', key arrangement.voices.0.progam: there is no such key"
    )
    kitchen.write(PRESET.replace("hums", "drones"))
    kitchen.wait()
    assert [] == kitchen.problems
    assert "drones" in kitchen.folder.shelf().presets["kazoo_choir"].prompt


@pytest.mark.parametrize(
    "data",
    [b"[kazoo", b"\xff\xfe", b"flat = 1", b"x = " + b"[" * 5000, b"#" * (1 << 21), BROKEN.encode()],
)
def test_a_broken_file_takes_nothing_from_the_others(kitchen: Kitchen, data: bytes) -> None:
    """Whatever its bytes are; its folder is not told."""
    kitchen.write(PRESET)
    (kitchen.path / "attic.toml").write_bytes(data)

    assert ["kazoo_choir"] == kitchen.names
    assert ["attic.toml"] == [sentence.partition(":")[0] for sentence in kitchen.problems]
    assert str(kitchen.path) not in kitchen.problems[0]


def test_a_file_that_was_never_right_has_no_presets(kitchen: Kitchen) -> None:
    """A file is taken whole or not at all."""
    kitchen.write(PRESET + BROKEN.replace("kazoo_choir", "comb"))

    assert ([], 1) == (kitchen.names, len(kitchen.problems))


def test_a_built_in_preset_is_never_replaced(kitchen: Kitchen) -> None:
    """The file's other presets are there."""
    kitchen.write(PRESET + PRESET.replace("kazoo_choir", "celtic"))

    assert ["kazoo_choir"] == kitchen.names
    assert kitchen.problems[0].startswith("kitchen.toml: preset 'celtic': this name is taken")


def test_of_two_presets_of_one_name_the_first_file_has_it(kitchen: Kitchen) -> None:
    kitchen.write(PRESET.replace("hums", "drones"), name="b.toml")
    kitchen.write(PRESET, name="a.toml")

    assert "hums" in kitchen.folder.shelf().presets["kazoo_choir"].prompt
    assert ["b.toml"] == [problem.file for problem in kitchen.folder.shelf().problems]


def test_a_folder_that_cannot_be_read_keeps_what_was_there(kitchen: Kitchen) -> None:
    kitchen.write(PRESET)
    assert ["kazoo_choir"] == kitchen.names
    elsewhere = kitchen.path.with_name("elsewhere")
    kitchen.path.rename(elsewhere)
    kitchen.path.write_text("a file now")
    kitchen.wait()

    assert ["kazoo_choir"] == kitchen.names
    assert "the folder cannot be read" in kitchen.problems[0]


def test_other_files_and_folders_are_left_alone(kitchen: Kitchen) -> None:
    kitchen.write("no TOML", name="README.md")
    kitchen.write("no TOML", name=".kitchen.toml")
    (kitchen.path / "folder.toml").mkdir()

    assert ([], []) == (kitchen.names, kitchen.problems)


def test_own_presets_come_after_the_built_in_ones(own: Path) -> None:
    (own / "kitchen.toml").write_text(PRESET)

    assert [*variations.built_in(), "kazoo_choir"] == list(variations.load())
    assert variations.load() is variations.load()
    assert variations.built_in()["celtic"] is variations.load()["celtic"]


def test_a_preset_cannot_be_called_custom(own: Path) -> None:
    """That word asks for a musician's own words."""
    (own / "kitchen.toml").write_text(PRESET.replace("kazoo_choir", "custom"))

    assert variations.load() is variations.built_in()
    assert ["custom"] == [problem.preset for problem in variations.problems()]


def test_without_a_folder_there_are_the_built_in_presets_alone() -> None:
    assert variations.load() is variations.built_in()
    assert () == variations.problems()


# What a table may say of effects is what the effects can do


def _example(kind: str) -> dict[str, float | str]:
    """Return a value of each parameter of an effect, one end of what it may be."""
    return {
        name: min(reach) if isinstance(reach, frozenset) else reach[1]
        for name, reach in sounds.PARAMETERS[kind].items()
    }


@pytest.mark.parametrize("kind", sorted(sounds.EFFECTS))
def test_every_parameter_of_an_effect_that_a_preset_may_set_is_one(kind: str) -> None:
    needed = {name: _example(kind)[name] for name in sounds.NEEDED.get(kind, ())}

    effects.check(kind, _example(kind))
    effects.check(kind, needed)
    assert _example(kind) == Effect(kind=kind, parameters=_example(kind)).parameters


@pytest.mark.parametrize(
    ("effect", "message"),
    [
        ({"kind": "reverb", "parameters": {"secs": 2}}, "no parameter 'secs'"),
        ({"kind": "reverb", "parameters": {"seconds": 1e9}}, "a number from 0.05 to 12"),
        ({"kind": "reverb", "parameters": {"seconds": float("nan")}}, "a number from"),
        ({"kind": "gate", "parameters": {"beats": 0}}, "a number from"),
        ({"kind": "shelf", "parameters": {"hertz": 99, "gain_db": 3, "side": "left"}}, "high, low"),
        ({"kind": "lowpass"}, "needs hertz"),
    ],
)
def test_an_effect_that_could_not_be_played_is_refused_when_it_is_read(
    effect: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Effect.model_validate(effect)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('role = "riff"', 'role = "bass", rhythm = []'),
        ('name = "kazoo"', 'name = "drums"'),
        ('name = "kazoo"', 'name = "../kazoo"'),
        ("range = [48, 84]", "range = [48, 84], gain_db = nan"),
        (
            'voices = [{ name = "kazoo", role = "riff", program = 22, range = [48, 84] }]',
            "voices = []",
        ),
    ],
)
def test_what_no_player_could_play_is_refused_when_it_is_read(
    kitchen: Kitchen, right: str, wrong: str
) -> None:
    """Not when a job is half done."""
    kitchen.write(PRESET)
    kitchen.write(PRESET.replace(right, wrong), name="attic.toml")

    assert PRESET.replace(right, wrong) != PRESET
    assert ["attic.toml"] == [problem.file for problem in kitchen.folder.shelf().problems]
    assert isinstance(kitchen.folder.shelf().presets["kazoo_choir"], Variation)
