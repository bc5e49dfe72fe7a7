"""The report as a musician reads it."""

from typing import Any

from server.cli import report
from server.media import analysis
from tests import music


def facts(**changes: Any) -> dict[str, Any]:
    """Return what a finished job shows."""
    heard = {
        "bpm": 108.0,
        "steady": True,
        "key": "A minor",
        "chords": [{"start_seconds": 0.0, "name": name} for name in ("Am", "F", "C", "G")],
        "transcription": "spectral",
        "sound_bank": "synthesized",
    }
    clip = music.riff(seconds=4.0).clip
    said = {"heard": heard, "kept": analysis.compare(clip, clip).as_dict(), **changes}
    return {"engine": "arranger", "seed": 7, "report": said}


def row(text: str, title: str) -> str:
    """Return the line that begins with a title, whatever section it is in."""
    return next(line for line in text.splitlines() if title in line)


def test_it_says_what_was_heard() -> None:
    """Tempo, key and chords, the way they are written on paper."""
    text = report.describe(facts())

    assert row(text, "tempo").endswith("108.0 BPM")
    assert row(text, "key").endswith("A minor")
    assert row(text, "chords").endswith("Am F C G")


def test_it_says_meter_voice_and_what_became_of_hints() -> None:
    """A hint that was not followed stands beside what was heard instead."""
    hints = {"bpm": {"given": 97.0, "heard": 108.0, "followed": False}}
    heard = {"bpm": 108.0, "meter": "6/8", "swing": 0.2, "voice": {"confidence": 0.9}}
    text = report.describe(facts(heard={**heard, "hints": hints}))

    assert row(text, "meter").endswith("6/8, swung")
    assert row(text, "voice").endswith("90% sure")
    assert row(text, "hint: bpm").endswith("97.0, not followed, 108.0 heard")


def test_it_says_what_was_not_heard() -> None:
    """No tempo and no key are no silence about them."""
    text = report.describe(facts(heard={"bpm": None, "key": None, "meter": None, "chords": []}))

    assert row(text, "tempo").endswith("none")
    assert row(text, "key").endswith("none")
    assert "meter" not in text


def test_it_says_what_was_kept() -> None:
    """Every gate has its value and its verdict."""
    text = report.describe(facts())

    assert "+0 samples" in row(text, "length")
    assert row(text, "rotation").endswith("pass")
    assert all(report.title_of(name) in text for name in analysis.GATES)
    assert "LUFS" in row(text, "loudness")


def test_it_names_engine_seed_and_licence() -> None:
    """Who made it, how to make it again, and what may be done with it."""
    text = report.describe(facts())

    assert row(text, "engine").endswith("arranger")
    assert row(text, "seed").endswith("7")
    assert "MIT" in row(text, "licence")


def test_it_says_which_words_had_no_effect() -> None:
    """A musician should not wonder where the bagpipes are."""
    text = report.describe(facts(understood=["warm", "cello"], ignored=["purple"]))

    assert row(text, "understood").endswith("warm, cello")
    assert row(text, "ignored").endswith("purple")


def test_it_repeats_every_notice_and_guess() -> None:
    """What is missing or was guessed is said where the result is read."""
    text = report.describe(facts(notices=["The sound bank is missing."], guessed="lofi_chill"))

    assert "The sound bank is missing." in row(text, "notice")
    assert "lofi_chill" in row(text, "guessed")


def test_long_progressions_are_cut_short() -> None:
    """Thirty chords are no line any more."""
    chords = [{"start_seconds": float(beat), "name": "Am"} for beat in range(30)]

    assert report.describe(facts(heard={"chords": chords})).count("Am") < 30
    assert "…" in report.describe(facts(heard={"chords": chords}))


def test_a_clip_returned_as_it_was_has_a_report_too() -> None:
    """Nothing heard, nothing undetermined hidden."""
    unheard = report.describe(facts(heard={}))
    unmeasured = {"gates": {"drift": {"value": None, "verdict": "undetermined"}}}

    assert "BPM" not in unheard
    assert "undetermined" in row(report.describe(facts(kept=unmeasured)), "drift")
    assert "engine" in report.describe({"engine": "gone", "seed": None, "report": None})


def test_it_says_where_it_changed_and_how_the_seams_are() -> None:
    """And whether the rest is what it was."""
    gates = {"click": {"value": 1.0}, "flux": {"value": 0.125}, "loudness": {"value": 0.25}}
    passage = {
        "start_seconds": 1.0,
        "end_seconds": 2.5,
        "outside": {"identical": True},
        "seams": {"start": None, "end": {"verdict": "warn", "gates": gates}},
    }
    text = report.describe(facts(passage=passage))

    assert "1.000 to 2.500 s" in text
    assert "bit for bit" in text
    assert "seam at its start" not in text
    assert row(text, "seam at its end").endswith("warn")


def test_each_variation_has_its_table() -> None:
    """Under its name."""
    one = facts()
    several = [{**one["report"], "variation": name} for name in ("celtic", "chiptune")]
    text = report.describe({**one, "report": {**several[0], "variations": several}})

    assert 2 == text.count("108.0 BPM")
    assert text.index("celtic") < text.index("chiptune")
