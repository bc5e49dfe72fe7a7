"""Posteriors of the network and of its stand-in."""

from pathlib import Path

import numpy as np
import pytest

from server import errors
from server.engines.arranger.listening.transcribe import (
    SpectralTranscriber,
    Transcriber,
    frame_count,
    open_transcriber,
)
from tests import music
from tests.unit.arranger.listening.scoring import network

_BOTH = pytest.mark.parametrize("transcriber", [network(), SpectralTranscriber()])


@_BOTH
@pytest.mark.parametrize("length", [1, 255, 256, 257, 22050, 36096, 36097, 80000])
def test_there_is_a_frame_every_256_samples(transcriber: Transcriber, length: int) -> None:
    samples = music.sine(440.0, 4.0, sample_rate=22050).mono()[:length]

    posteriors = transcriber.posteriors(samples)

    assert (frame_count(length), 88) == posteriors.onset.shape == posteriors.frame.shape
    assert 0.0 <= posteriors.frame.min() <= posteriors.frame.max() <= 1.0


@_BOTH
@pytest.mark.parametrize("pitch", [45, 57, 69, 81])
def test_a_tone_sounds_at_its_pitch_from_its_start(transcriber: Transcriber, pitch: int) -> None:
    samples = np.zeros(5 * 22050, np.float32)
    tone = sum(
        music.sine(n * music.hertz(pitch), 2.0, level=0.4 / n, sample_rate=22050).mono()
        for n in range(1, 5)
    )
    samples[44100:88200] = tone

    frame = transcriber.posteriors(samples).frame

    assert pitch - 21 == int(frame[190:330].mean(axis=0).argmax())
    assert frame[190:330, pitch - 21].mean() > 5 * frame[20:150, pitch - 21].mean()


def test_where_a_window_begins_does_not_matter() -> None:
    clip = music.riff(seconds=6.0, sample_rate=22050).clip.mono()
    later = np.concatenate([np.zeros(50 * 256, np.float32), clip])

    first = network().posteriors(clip).frame[60:400]
    second = network().posteriors(later).frame[110:450]

    assert float(np.abs(first - second).mean()) < 0.01


def test_silence_has_no_notes_without_the_network_either() -> None:
    posteriors = SpectralTranscriber().posteriors(np.zeros(22050, np.float32))

    assert 0.0 == posteriors.frame.max() == posteriors.onset.max()


def test_the_stand_in_is_known_as_such() -> None:
    assert not open_transcriber(None).is_network
    assert network().is_network


@pytest.mark.parametrize("content", [b"", b"not a network", None])
def test_a_file_that_is_no_network_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "wrong.onnx"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(errors.EngineUnavailable, match="cannot be read"):
        open_transcriber(path)
