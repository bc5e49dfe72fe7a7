"""`transform` with parts and layers, and the files beside its result."""

from pathlib import Path

import numpy as np
import pytest

from server.__main__ import main
from server.media import codec
from tests.unit.cli.transforming import refusal, riff_file


@pytest.fixture(name="source")
def _source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A short riff in a folder of its own, with nothing else set."""
    return riff_file(tmp_path, monkeypatch, seconds=1.2)


def test_everything_a_daw_wants_is_written_beside_the_result(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stems that together are the result, notes, and the source at its loudness.

    A muted part is in none of them.
    """
    folder, output = source.parent / "parts", source.with_name("box.wav")
    beside = ["--stems", str(folder), "--midi", str(source.with_name("box.mid"))]
    compared = ["--compare", str(source.with_name("before.wav"))]
    wanted = [*beside, *compared, "--key", "Em", "--variation", "music_box", "--mute", "low teeth"]

    assert 0 == main(["transform", str(source), "-o", str(output), *wanted])
    stems = [codec.decode(path) for path in sorted(folder.glob("stem-*.wav"))]
    result = codec.decode(output)
    assert np.abs(sum(each.samples for each in stems) - result.samples).max() < 2e-4
    assert ["stem-01-comb.wav", "stem-02-celesta.wav", "stem-03-source.wav"] == sorted(
        each.name for each in folder.iterdir()
    )
    assert b"MThd" == source.with_name("box.mid").read_bytes()[:4]
    assert result.length == codec.decode(source.with_name("before.wav")).length
    said = capsys.readouterr().out
    assert str(folder / "stem-01-comb.wav") in said
    assert "comparison" in said


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--mute", "violin1"], "did you mean violin 1?"),
        (["--reroll", "celo=4"], "did you mean cello?"),
        (["--reroll", "cello"], "--reroll takes a name and a number, such as 'violin 1=5'."),
        (["--reroll", "cello=loud"], "--reroll takes"),
        (["--gain", "cello=x"], "--gain takes"),
        (["--layer", "pitchd=0.5"], "did you mean pitched?"),
        (["--layer", "pitched=2"], "layers.pitched must be"),
        (["--layer", "pitched"], "--layer takes"),
        (["--key", "H"], "A minor, Am, F#m"),
        (["--midi", "x.wav"], "x.wav has to end in .mid."),
        (["--compare", "x.flac"], "x.flac has to end in .wav"),
        (["--stems", "no/where"], "There is no folder no."),
    ],
)
def test_a_slip_is_met_with_what_would_be_right(
    options: list[str], hint: str, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is computed."""
    said = refusal(capsys, str(source), "--variation", "strings_quartet", *options)

    assert hint in said
    assert [source] == list(source.parent.glob("*.wav"))


def test_several_variations_have_files_beside_each(source: Path) -> None:
    """Named as the results are."""
    output, midi = source.with_name("out.flac"), source.with_name("out.mid")
    wanted = ["--variation", "music_box,chiptune", "--midi", str(midi), "--no-keep-drums"]

    assert 0 == main(["transform", str(source), "-o", str(output), *wanted])
    assert {"out-1-music_box.mid", "out-2-chiptune.mid"} == {
        path.name for path in source.parent.glob("*.mid")
    }
