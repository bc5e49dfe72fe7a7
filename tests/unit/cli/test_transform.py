"""`transform`: one file, without a server."""

from pathlib import Path

import numpy as np
import pytest

from server.__main__ import main
from server.media import codec
from tests.unit.cli.transforming import refusal, riff_file


@pytest.fixture(name="source")
def _source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A short riff in a folder of its own, with nothing else set."""
    return riff_file(tmp_path, monkeypatch, seconds=3.0)


def test_it_writes_as_many_samples_as_it_read(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ending of the name is the format, and the report is printed."""
    output = source.with_name("box.flac")

    assert 0 == main(["transform", str(source), "-o", str(output), "--variation", "music_box"])
    assert codec.decode(source).length == codec.decode(output).length
    assert "BPM" in capsys.readouterr().out


def test_without_a_name_the_result_lies_beside_the_source(source: Path) -> None:
    """The name says what was played."""
    assert 0 == main(["transform", str(source), "--prompt", "warm cello"])
    assert source.with_name("riff-custom.wav").is_file()


def test_the_same_seed_gives_the_same_file(source: Path) -> None:
    """A different strength does not."""
    common = ["transform", str(source), "--variation", "chiptune", "--seed", "3", "-o"]
    one, two, three = (source.with_name(f"{number}.wav") for number in (1, 2, 3))

    assert [0, 0, 0] == [
        main([*common, str(one)]),
        main([*common, str(two)]),
        main([*common, str(three), "--strength", "0.2"]),
    ]
    assert one.read_bytes() == two.read_bytes()
    assert not np.array_equal(codec.decode(one).samples, codec.decode(three).samples)


def test_several_variations_are_several_files(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside the one that is named, each with its report."""
    output = source.with_name("box.flac")

    assert 0 == main(
        ["transform", str(source), "-o", str(output), "--variation", "celtic,chiptune"]
    )
    said = capsys.readouterr().out
    assert {"box-1-celtic.flac", "box-2-chiptune.flac"} == {
        path.name for path in source.parent.glob("*.flac")
    }
    assert 2 == said.count("BPM")


def test_a_passage_alone_changes(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What precedes it is the source's, and the table says where it is."""
    output = source.with_name("out.wav")
    times = ["--start-seconds", "2", "--end-seconds", "2.5", "--variation", "music_box"]

    assert 0 == main(["transform", str(source), "-o", str(output), *times])
    before, after = (codec.decode(path).samples[:, : 2 * 44100] for path in (source, output))
    assert np.array_equal(before, after)
    assert "2.000 to 2.500 s" in capsys.readouterr().out


def test_a_missing_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, no trace."""
    assert "There is no file nothere.wav.\n" == refusal(capsys, "nothere.wav")


def test_a_misspelt_preset_is_met_with_the_nearest(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that nobody has to look it up."""
    said = refusal(capsys, str(source), "--variation", "string_quartet")

    assert "did you mean strings_quartet?" in said
    assert "presets" in refusal(capsys, str(source), "--variation", "xyzzy")


def test_an_ending_nobody_writes_is_refused(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is computed."""
    assert ".flac" in refusal(capsys, str(source), "-o", "riff.txt")
    assert "no folder" in refusal(capsys, str(source), "-o", "no/where/riff.wav")


def test_a_file_that_is_no_sound_is_refused(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the formats that are."""
    source.write_text("not a sound", encoding="utf-8")

    assert "WAV" in refusal(capsys, str(source))


@pytest.mark.parametrize(
    "option",
    [
        ("--flowstep", "3"),
        ("--strength", "-1"),
        ("--engine", "x"),
        ("--start-seconds", "-1"),
        ("--end-seconds", "99"),
    ],
)
def test_a_value_out_of_range_is_named(
    option: tuple[str, str], source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence begins with the option's name."""
    name = option[0].removeprefix("--").replace("-", "_")
    assert refusal(capsys, str(source), *option).startswith(name)


def test_a_result_that_cannot_be_written_is_said(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder exists, but the name is that of a folder."""
    taken = source.with_name("taken.wav")
    taken.mkdir()

    assert 2 == main(["transform", str(source), "-o", str(taken), "--variation", "music_box"])
    assert "cannot be written" in capsys.readouterr().err
