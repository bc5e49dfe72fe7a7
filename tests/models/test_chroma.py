"""Chroma is what the established filters make of a spectrogram, frame by frame."""

import librosa
import numpy as np
import pytest
import torch
from audiocraft.modules.chroma import ChromaExtractor, chroma_filters
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.models.conftest import noise

RATE = 8000
GATE = 2e-5
A, C, E = 9, 0, 4


def tone(hertz: float, seconds: float = 1.0, rate: int = RATE) -> Tensor:
    return torch.sin(2 * torch.pi * hertz * torch.arange(int(seconds * rate)) / rate)[None, None]


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from([8000, 16000, 32000, 44100]),
    st.integers(100, 2100),
    st.sampled_from([5, 7, 12, 24, 36]),
)
def test_filters_are_the_established_ones(rate: int, n_fft: int, n_chroma: int) -> None:
    expected = librosa.filters.chroma(sr=rate, n_fft=n_fft, tuning=0, n_chroma=n_chroma)

    found = chroma_filters(rate, n_fft, n_chroma)

    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6, rtol=0)


def test_filters_of_another_tuning_are_others() -> None:
    other = librosa.filters.chroma(sr=RATE, n_fft=1024, tuning=0.3, n_chroma=12)

    assert float(np.abs(chroma_filters(RATE, 1024).numpy() - other).max()) > 0.1


def test_the_filters_of_the_melody_models_are_the_established_ones() -> None:
    expected = librosa.filters.chroma(sr=32000, n_fft=2**14, tuning=0, n_chroma=12)

    found = ChromaExtractor(32000, radix2_exp=14).fbanks

    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6, rtol=0)


def slowly(extractor: ChromaExtractor, row: Tensor) -> Tensor:
    """Return the chroma `[T, n_chroma]` of `[N]`: each frame by a Fourier sum of its own."""
    n_fft, hop = extractor.nfft, extractor.winhop
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    padded = np.pad(row.double().numpy(), n_fft // 2, mode="reflect")
    filters = extractor.fbanks.double().numpy()
    frames = []
    for start in range(0, len(padded) - n_fft + 1, hop):
        spectrum = np.fft.rfft(padded[start : start + n_fft] * window)
        chroma = filters @ (np.abs(spectrum) ** 2 / np.sum(window**2))
        frames.append(chroma / max(float(np.abs(chroma).max()), 1e-6))
    return torch.from_numpy(np.stack(frames))


@settings(deadline=None, max_examples=15)
@given(st.integers(256, 2000), st.integers(6, 8))
def test_chroma_is_that_of_every_frame_by_itself(samples: int, exponent: int) -> None:
    extractor = ChromaExtractor(RATE, radix2_exp=exponent)
    wav = noise("wav", 2, 1, samples)

    found = extractor(wav)

    assert (2, 1 + samples // (2**exponent // 4), 12) == found.shape
    for row in (0, 1):
        torch.testing.assert_close(
            found[row].double(), slowly(extractor, wav[row, 0]), atol=GATE, rtol=0
        )


@pytest.mark.parametrize("change", ["window", "fbanks"])
def test_another_window_or_other_filters_give_another_chroma(change: str) -> None:
    extractor, wav = ChromaExtractor(RATE, radix2_exp=8), noise("wav", 1, 1, 1000)
    expected = slowly(extractor, wav[0, 0])
    buffer = extractor.spec.window if change == "window" else extractor.fbanks

    buffer.copy_(buffer.roll(1, 0))

    assert float((extractor(wav)[0].double() - expected).abs().max()) > 100 * GATE


@pytest.mark.parametrize(
    ("hertz", "name"), [(440.0, A), (880.0, A), (261.63, C), (523.25, C), (329.63, E)]
)
def test_a_tone_is_its_pitch_class_in_every_octave(hertz: float, name: int) -> None:
    chroma = ChromaExtractor(RATE, radix2_exp=11, argmax=True)(tone(hertz))

    assert {0.0, 1.0} == set(chroma.unique().tolist())
    assert torch.equal(chroma.sum(-1), torch.ones(chroma.shape[:2]))
    assert [name] == chroma.argmax(-1).unique().tolist()


def test_the_strongest_class_of_a_frame_is_one_unless_asked_otherwise() -> None:
    wav = noise("wav", 1, 1, 3000)

    loudest = ChromaExtractor(RATE, radix2_exp=8)(wav).amax(-1)
    together = ChromaExtractor(RATE, radix2_exp=8, norm=1.0)(wav).sum(-1)

    torch.testing.assert_close(loudest, torch.ones_like(loudest))
    torch.testing.assert_close(together, torch.ones_like(together))


def test_silence_has_no_chroma_and_nothing_is_divided_by_it() -> None:
    extractor = ChromaExtractor(RATE, radix2_exp=8)

    assert torch.equal(torch.zeros(1, 8, 12), extractor(torch.zeros(1, 1, 500)))


@pytest.mark.parametrize("samples", [1, 2, 100, 255])
def test_a_sound_shorter_than_the_window_lies_in_its_middle(samples: int) -> None:
    extractor = ChromaExtractor(RATE, radix2_exp=8)
    short = noise("short", 1, 1, samples)
    before = (256 - samples) // 2
    padded = torch.zeros(1, 1, 256)
    padded[..., before : before + samples] = short

    assert torch.equal(extractor(padded), extractor(short))


def test_a_sound_of_another_rate_and_more_channels_is_converted() -> None:
    extractor = ChromaExtractor(RATE, radix2_exp=11, argmax=True)
    stereo = tone(440.0, rate=44100).repeat(1, 2, 1)

    chroma = extractor(stereo, 44100)

    assert extractor(tone(440.0)).shape == chroma.shape
    assert [A] == chroma.argmax(-1).unique().tolist()


def test_the_window_alone_is_in_checkpoints() -> None:
    extractor = ChromaExtractor(32000, radix2_exp=14)

    assert {"spec.window": (16384,)} == {
        name: tuple(value.shape) for name, value in extractor.state_dict().items()
    }


def test_filters_are_there_in_a_model_built_without_memory() -> None:
    with torch.device("meta"):
        extractor = ChromaExtractor(RATE, radix2_exp=8)
    window = torch.hann_window(256)

    extractor.load_state_dict({"spec.window": window}, assign=True)

    wav = noise("wav", 1, 1, 1000)
    assert torch.equal(ChromaExtractor(RATE, radix2_exp=8)(wav), extractor(wav))
