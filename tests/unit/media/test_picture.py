"""The picture shows what is there, on equal scales, and draws for any clip."""

import io
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest
from numpy.typing import NDArray

from server.media import analysis, insert, picture
from server.media.clip import Clip
from server.media.window import Window
from tests import music


def pixels(png: bytes) -> NDArray[np.float32]:
    """Return the picture as `[height, width, 3 or 4]` in [0, 1]."""
    return np.asarray(matplotlib.image.imread(io.BytesIO(png)), dtype=np.float32)


def darkness(image: NDArray[np.float32]) -> float:
    """Return the mean distance from white."""
    return float(1.0 - image[..., :3].mean())


def test_source_and_result_stand_side_by_side() -> None:
    """A riff on the left, silence on the right: only the left spectrogram shines."""
    riff = music.riff(seconds=3).clip
    silent = riff.with_samples(np.zeros_like(riff.samples))

    image = pixels(picture.comparison_picture(riff, silent, titles=("riff", "nothing")))

    assert (1000, 1600) == image.shape[:2]
    spectra = image[300:550, :, 0]
    assert spectra[:, 150:750].mean() > 5 * spectra[:, 900:1550].mean()


def test_both_sides_share_their_scales() -> None:
    """The same music 20 dB lower is drawn smaller and darker, not normalised."""
    riff = music.riff(seconds=3).clip
    quiet = riff.with_samples(riff.samples * np.float32(0.1))

    image = pixels(picture.comparison_picture(riff, quiet, titles=("loud", "quiet")))

    waves, spectra = image[50:200], image[300:550, :, 0]
    assert darkness(waves[:, 150:750]) > 2 * darkness(waves[:, 900:1550])
    assert spectra[:, 150:750].mean() > 1.3 * spectra[:, 900:1550].mean()


def test_the_key_figures_stand_below_only_with_a_comparison() -> None:
    """Verdicts in words and colours at the foot of the picture."""
    riff = music.riff(seconds=3).clip
    report = analysis.compare(riff, riff)

    plain = picture.comparison_picture(riff, riff, titles=("a", "b"))
    told = picture.comparison_picture(riff, riff, titles=("a", "b"), kept=report.as_dict())

    assert 0.0 == darkness(pixels(plain)[910:])
    assert 0.01 < darkness(pixels(told)[910:])


@pytest.mark.parametrize(
    "clip", [music.silence(0.0), music.silence(1.0), music.sine(440, 0.02, sample_rate=8000)]
)
def test_any_clip_can_be_drawn(clip: Clip) -> None:
    """Nothing, silence and a blip, with their undetermined reports."""
    report = analysis.compare(clip, music.riff(seconds=1).clip)

    png = picture.comparison_picture(
        clip, music.riff(seconds=1).clip, titles=("clip", "riff"), kept=report.as_dict()
    )

    assert png.startswith(b"\x89PNG")


def test_importing_the_picture_does_not_import_matplotlib() -> None:
    """And drawing never touches its global interface."""
    program = (
        "import sys; from server.media import picture, score_picture; from tests import music; "
        "print('matplotlib' in sys.modules); "
        "picture.comparison_picture(music.silence(.1), music.silence(.1), titles=('', '')); "
        "print('matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert ["False", "True", "False"] == done.stdout.split()


def test_the_window_of_an_insert_is_marked_and_judged() -> None:
    """Shaded on both sides, with the verdicts of its seams at the foot."""
    song = music.riff(seconds=4).clip
    part = Window(song.sample_rate, 2 * song.sample_rate)
    fits = insert.measure(song, song, part, overlap=1323, beats=None).as_dict()
    told = {"start_seconds": 1.0, "end_seconds": 2.0, **fits}

    plain = pixels(picture.comparison_picture(song, song, titles=("a", "b")))
    marked = pixels(picture.comparison_picture(song, song, titles=("a", "b"), inserts=[told]))

    assert 0.01 < darkness(marked[910:])
    changed = np.abs(plain - marked)[50:200, :, :3].max(axis=(0, 2)) > 0.02
    for left, right in ((88, 812), (845, 1590)):
        width = right - left
        assert changed[left + width * 3 // 10 : left + width * 45 // 100].all()
        assert not changed[left + width * 6 // 10 : right].any()
