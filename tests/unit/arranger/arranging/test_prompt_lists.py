"""How many prompts are understood as a musician means them; the prompts are in `prompts.toml`.

`faults` is the one judge. It must refuse what the reader makes of other prompts.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import variations
from server.engines.arranger.prompt import Reading, read

Case = Mapping[str, Any]

TABLE = tomllib.loads(Path(__file__).with_name("prompts.toml").read_text(encoding="utf-8"))
PROMPTS: list[Case] = TABLE["prompt"]
UNSEEN: list[Case] = TABLE["unseen"]
FLOOR = 20


def sounds(reading: Reading) -> set[int | str]:
    """Return the programs and synths that play."""
    voices = reading.arrangement.voices
    return {voice.synth or voice.program or 0 for voice in voices}


def faults(case: Case, reading: Reading) -> set[str]:
    """Return what of a case a reading does not fulfil, by the case's keys."""
    arrangement, playing = reading.arrangement, sounds(reading)
    effects = {effect.kind for effect in arrangement.effects}
    named = {sound for some in case.get("plays", []) for sound in some}
    kept = {
        "plays": all(playing & set(some) for some in case.get("plays", [])),
        "absent": playing.isdisjoint(case.get("absent", [])),
        "only": not case.get("only", False) or playing <= named,
        "no_roles": {v.role for v in arrangement.voices}.isdisjoint(case.get("no_roles", [])),
        "drums": case.get("drums") in (None, arrangement.drums is not None),
        "kits": "kits" not in case
        or (arrangement.drums is not None and arrangement.drums.kit in case["kits"]),
        "effects": set(case.get("effects", [])) <= effects,
        "understood": set(case.get("understood", [])) <= set(reading.understood),
        "ignored": set(case.get("ignored", [])) <= set(reading.ignored),
        "base": "base" not in case or reading.base in case["base"],
        "guess": (reading.guessed is not None) == case.get("guess", False),
        "keep_drums": case.get("keep_drums") in (None, reading.keep_drums),
        "layers": dict(case.get("layers", {})).items() <= dict(reading.layers).items(),
    }
    return {name for name, is_kept in kept.items() if not is_kept}


def passed(cases: Sequence[Case]) -> list[str]:
    """Return the prompts that are understood as they are meant."""
    return [case["words"] for case in cases if not faults(case, read(case["words"]))]


@pytest.mark.parametrize("case", PROMPTS, ids=[case["words"] for case in PROMPTS])
def test_what_people_type_is_understood_as_a_musician_means_it(case: Case) -> None:
    assert set() == faults(case, read(case["words"]))


def test_prompts_the_reader_never_met_are_understood_too() -> None:
    """Measured when the list was first read: 20 of 20. Its author also wrote the lexicon."""
    assert len(passed(UNSEEN)) >= FLOOR


@pytest.mark.parametrize("shift", [1, 7])
def test_the_judge_refuses_what_was_made_of_other_prompts(shift: int) -> None:
    cases = [*PROMPTS, *UNSEEN]
    others = [*cases[shift:], *cases[:shift]]
    fooled = [
        case["words"]
        for case, other in zip(cases, others, strict=True)
        if not faults(case, read(other["words"]))
    ]

    assert len(fooled) <= len(cases) // 20


@pytest.mark.parametrize("name", variations.load())
def test_a_presets_own_prompt_means_music_like_the_preset(name: str) -> None:
    """Plugins send it as if it were the musician's words."""
    preset = variations.load()[name]

    assert preset.arrangement == read(preset.prompt).arrangement


def alike(name: str, other: str) -> bool:
    """Return whether a preset's prompt, a few words longer, names some of another one's players."""
    reading = read(f"{variations.load()[name].prompt} Thanks, mate")
    own = variations.load()[other].arrangement.voices
    return bool(sounds(reading) & {voice.synth or voice.program or 0 for voice in own})


def test_presets_prompts_said_otherwise_still_name_their_players() -> None:
    """Nobody wrote them for the reader; those of other presets name others."""
    names = list(variations.load())
    met = [name for name in names if alike(name, name)]
    mixed = [
        name for name, other in zip(names, names[5:] + names[:5], strict=True) if alike(name, other)
    ]

    assert len(met) >= 0.95 * len(names)
    assert len(mixed) <= 0.6 * len(names)
