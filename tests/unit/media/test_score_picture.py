"""The roll shows the notes that are there, where they sound, and nothing that was not heard."""

import io
from dataclasses import replace
from functools import lru_cache
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from numpy.typing import NDArray

from server.media import analysis, score_picture
from server.media.key import Key
from server.media.sheet import Sheet, SheetNote, Track
from tests import music

ROLL = slice(195, 830)
DRUMS = slice(762, 835)
NUMBERS = slice(146, 162)
CHORDS = slice(164, 190)
LEGEND = slice(872, 897)
FIGURES = slice(915, 1000)
LEFT, RIGHT = 80, 1526
BLUE = (0.12, 0.44, 0.71)

SONG = music.band(120.0, 9, 4.0, drums=False)
NOTES = tuple(
    SheetNote(note.start_seconds, note.seconds, note.pitch, note.velocity) for note in SONG.notes
)
SHEET = Sheet(
    seconds=4.0,
    beats=tuple(float(beat) for beat in SONG.beats),
    downbeat=0,
    meter=(4, 4),
    beats_per_bar=4,
    key=Key(9, "minor"),
    chords=((0.0, "Am"), (2.0, "F")),
    tracks=(Track("keys", 0, NOTES),),
)
QUIET = music.silence(4.0)


def drawn(sheet: Sheet, **report: Any) -> NDArray[np.float32]:
    """Return the picture of a sheet over silence, `[height, width, 3 or 4]` in [0, 1]."""
    png = score_picture.report_picture(QUIET, QUIET, sheet, report)
    return np.asarray(matplotlib.image.imread(io.BytesIO(png)), dtype=np.float32)


@lru_cache(maxsize=1)
def empty() -> NDArray[np.float32]:
    """Return the picture of a sheet without notes, chords or beats."""
    return drawn(replace(SHEET, tracks=(), chords=(), beats=(), key=None))


def ink(image: NDArray[np.float32]) -> float:
    """Return the mean distance from white."""
    return float(1.0 - image[..., :3].mean())


def coloured(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where the roll has colour, `[rows, columns]`: spectrogram and lines are grey."""
    part = image[ROLL, LEFT:RIGHT, :3]
    return np.asarray(part.max(axis=2) - part.min(axis=2) > 0.25)


def with_notes(*notes: SheetNote, is_drums: bool = False) -> Sheet:
    """Return a sheet of one part."""
    return replace(SHEET, chords=(), beats=(), tracks=(Track("it", 0, notes, is_drums=is_drums),))


def test_a_note_lies_at_its_time_and_pitch() -> None:
    """A5 from the first to the second second of four: a quarter of the width, above the middle."""
    shown = coloured(drawn(with_notes(SheetNote(1.0, 1.0, 81, 1.0))))
    rows, columns = np.nonzero(shown)
    width = RIGHT - LEFT
    octaves = score_picture.HIGHEST - score_picture.LOWEST + 1
    height = (score_picture.HIGHEST + 0.5 - 81) / octaves * shown.shape[0]

    assert pytest.approx(width * 0.25, abs=4) == columns.min()
    assert pytest.approx(width * 0.5, abs=4) == columns.max()
    assert pytest.approx(height, abs=12) == rows.mean()


def test_a_note_lies_on_the_partial_it_sounds_as() -> None:
    """The spectrogram of the tone is darkest in the row in which its note is drawn."""
    tone = music.sine(440.0, 4.0)
    bare = replace(SHEET, tracks=(), chords=(), beats=())
    images = [
        np.asarray(
            matplotlib.image.imread(io.BytesIO(score_picture.report_picture(tone, tone, sheet, {})))
        )
        for sheet in (bare, with_notes(SheetNote(0.0, 4.0, 69, 1.0)))
    ]
    darkness = 1.0 - images[0][ROLL, LEFT + 300 : RIGHT - 300, :3].mean(axis=(1, 2))
    rows, _ = np.nonzero(coloured(images[1]))

    assert abs(float(rows.mean()) - int(darkness.argmax())) < 3


def test_a_bent_note_follows_its_bend() -> None:
    """A slide over two semitones covers more rows than the note without it, and ends higher."""
    slide = ((0.0, 0.0), (1.5, 0.0), (3.0, 200.0))
    straight, bent = (
        coloured(drawn(with_notes(SheetNote(0.5, 3.0, 60, 0.8, bend)))) for bend in ((), slide)
    )
    tops = [int(np.nonzero(each)[0].min()) for each in (straight, bent)]

    assert 10 < tops[0] - tops[1] < 20
    assert abs(int(np.nonzero(straight)[0].max()) - int(np.nonzero(bent)[0].max())) <= 1


def test_parts_have_colours_and_a_legend() -> None:
    """Another part, another colour; the line below says whose it is."""
    one = SheetNote(0.5, 1.0, 60, 0.9)
    two = replace(
        SHEET, tracks=(Track("low", 0, (one,)), Track("high", 0, (replace(one, pitch=72),)))
    )
    image = drawn(two)
    seen = {tuple(np.round(each, 1)) for each in image[ROLL, LEFT:RIGHT, :3][coloured(image)]}

    assert len(seen) >= 2
    assert ink(image[LEGEND]) > 0.0
    assert ink(empty()[LEGEND]) == 0.0


def test_drums_have_a_row_each_below_the_roll() -> None:
    """Strokes at their times; a sheet without drums has no such rows."""
    strokes = [SheetNote(at, 0.1, key, 0.9) for key in (36, 38, 42) for at in (1.0, 2.0, 3.0)]
    drums = drawn(with_notes(*strokes, is_drums=True))[DRUMS, LEFT:RIGHT]
    columns = 1.0 - drums[:, 5:-5, :3].mean(axis=(0, 2))
    places = np.flatnonzero(columns > 0.2) + 5

    assert {1, 2, 3} == {round(4 * place / (RIGHT - LEFT)) for place in places}
    assert max(abs(4 * place / (RIGHT - LEFT) % 1 - 0.5) for place in places) > 0.49


def test_nothing_is_shown_that_was_not_heard() -> None:
    """No chords, no beats and no figures where the report has none; and they are told apart."""
    heard = {"bpm": None, "key": None, "beats": [0.5, 1.0, 1.5], "chords": []}
    lost = drawn(replace(SHEET, tracks=()), heard=heard)
    found = drawn(replace(SHEET, tracks=()))

    assert ink(lost[CHORDS, LEFT:RIGHT]) == 0.0 < ink(found[CHORDS, LEFT:RIGHT])
    assert ink(lost[ROLL]) < ink(found[ROLL])
    assert ink(lost[FIGURES]) == 0.0


def test_a_bar_that_begins_a_hair_early_is_the_first_one() -> None:
    """Beats are found to some milliseconds; the first bar keeps its number at the left edge."""
    early = drawn(SHEET, heard={"bpm": 120.0, "beats": [], "downbeats": [-0.0003, 2.0]})

    assert ink(early[NUMBERS, LEFT - 10 : LEFT + 10]) > 0.0
    assert ink(empty()[NUMBERS]) == 0.0


def test_the_verdicts_stand_below() -> None:
    """In words and colours, as below a comparison."""
    kept = analysis.compare(SONG.clip, SONG.clip).as_dict()

    assert ink(drawn(SHEET, kept=kept)[FIGURES]) > 0.01


@pytest.mark.parametrize(
    "sheet",
    [
        replace(SHEET, seconds=0.0, tracks=(), beats=(), chords=()),
        replace(SHEET, beats=(1.0,), chords=((0.0, "N"),)),
        with_notes(SheetNote(0.0, 0.0, 0, 0.01), SheetNote(3.9, 9.0, 127, 1.0)),
        replace(SHEET, tracks=tuple(Track(f"a long name {n}", 0, NOTES[:2]) for n in range(24))),
        with_notes(SheetNote(0.0, 0.1, 3, 0.5), is_drums=True),
    ],
)
def test_any_sheet_can_be_drawn(sheet: Sheet) -> None:
    """Empty ones, notes beyond the roll, more parts than there are colours, unknown drums."""
    nothing = music.silence(0.0)

    assert score_picture.report_picture(nothing, nothing, sheet, {}).startswith(b"\x89PNG")


def test_the_same_report_is_the_same_picture() -> None:
    """To the pixel."""
    again = drawn(replace(SHEET, tracks=(), chords=(), beats=(), key=None))

    assert np.array_equal(empty(), again)
