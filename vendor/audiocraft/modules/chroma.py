"""Chroma: how strong every pitch class is, frame by frame, for models that follow a melody.

The filters are those of Ellis, "Chroma feature analysis and synthesis", 2007: a bump around every
pitch class, as wide as a frequency bin where bins are wider than pitches, weighted towards the
octaves melodies are in.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from audiocraft.data.audio_utils import convert_audio

_LOWEST_A = 27.5
"""Hz of the A from which octaves are counted."""

_CENTRE_OCTAVE, _OCTAVE_SPREAD = 5.0, 2.0
_EPSILON = 1e-6


def chroma_filters(sample_rate: int, n_fft: int, n_chroma: int = 12) -> Tensor:
    """Return the share `[n_chroma, n_fft // 2 + 1]` that frequency bins have in pitch classes.

    Pitch classes begin at C and are tuned to an A of 440 Hz.
    """
    pitches = _pitches_of_bins(sample_rate, n_fft, n_chroma)
    widths = np.maximum(np.diff(pitches), 1.0)
    pitches = pitches[:-1]
    half = round(n_chroma / 2)
    apart = (pitches - np.arange(n_chroma)[:, None] + half) % n_chroma - half  # [n_chroma, F]
    bumps = np.exp(-2.0 * (apart / widths) ** 2)
    bumps /= np.linalg.norm(bumps, axis=0)
    bumps *= np.exp(-0.5 * ((pitches / n_chroma - _CENTRE_OCTAVE) / _OCTAVE_SPREAD) ** 2)
    from_c = np.roll(bumps, -3 * (n_chroma // 12), axis=0)
    return torch.from_numpy(np.ascontiguousarray(from_c, dtype=np.float32))


def _pitches_of_bins(sample_rate: int, n_fft: int, n_chroma: int) -> NDArray[np.float64]:
    """Return the pitch of each frequency bin, in pitch classes above the lowest A, and of one more.

    The bin of 0 Hz has none; it is put one octave and a half below the next.
    """
    bins = np.arange(1, n_fft // 2 + 2)
    pitches = n_chroma * np.log2(bins * (sample_rate / n_fft) / _LOWEST_A)
    return np.concatenate(([pitches[0] - 1.5 * n_chroma], pitches))


class Spectrogram(nn.Module):
    """Power of `[*, N]` in frames `[*, n_fft // 2 + 1, 1 + N // hop]`, windows of unit energy."""

    window: Tensor

    def __init__(self, n_fft: int, win_length: int, hop_length: int) -> None:
        super().__init__()
        self.n_fft, self.win_length, self.hop_length = n_fft, win_length, hop_length
        self.register_buffer("window", torch.hann_window(win_length))

    def forward(self, wav: Tensor) -> Tensor:
        """Analyse; the ends are reflected, so `N` has to be more than half of `n_fft`."""
        rows = torch.stft(
            wav.reshape(-1, wav.shape[-1]),
            self.n_fft,
            self.hop_length,
            self.win_length,
            self.window,
            return_complex=True,
        )
        power = rows.abs().square() / self.window.square().sum()
        return power.view(*wav.shape[:-1], *power.shape[-2:])


class ChromaExtractor(nn.Module):
    """Chroma of a waveform; nothing of it is separated first.

    The original lets a source separation take drums and bass out of what a melody is read from.
    Here chroma is that of everything that sounds.

    Attributes:
        spec: the spectrogram, whose window is in checkpoints (`spec.window`).
        fbanks: the filters `[n_chroma, nfft // 2 + 1]`, which are not.
    """

    fbanks: Tensor

    def __init__(
        self,
        sample_rate: int,
        n_chroma: int = 12,
        radix2_exp: int = 12,
        *,
        nfft: int | None = None,
        winlen: int | None = None,
        winhop: int | None = None,
        argmax: bool = False,
        norm: float = math.inf,
    ) -> None:
        """Take the window's length as a power of two, or the lengths themselves, in samples.

        With `argmax` the strongest class of a frame is 1 and every other 0. `norm` is the exponent
        of the norm that frames otherwise have in common.
        """
        super().__init__()
        self.sample_rate, self.n_chroma = sample_rate, n_chroma
        self.argmax, self.norm = argmax, norm
        self.winlen = winlen or 2**radix2_exp
        self.nfft = nfft or self.winlen
        self.winhop = winhop or self.winlen // 4
        self.spec = Spectrogram(self.nfft, self.winlen, self.winhop)
        filters = chroma_filters(sample_rate, self.nfft, n_chroma)
        self.register_buffer("fbanks", filters, persistent=False)

    def forward(self, wav: Tensor, sample_rate: int | None = None) -> Tensor:
        """Return `[B, T, n_chroma]` of a waveform `[B, C, N]`, `T = 1 + max(N, nfft) // winhop`.

        Args:
            wav: waveforms; channels are averaged, and one too short has silence put around it.
            sample_rate: of the waveform in Hz, where it is not the extractor's own.
        """
        wav = convert_audio(wav, sample_rate or self.sample_rate, self.sample_rate, 1)
        short = max(0, self.nfft - wav.shape[-1])
        wav = functional.pad(wav, (short // 2, short - short // 2))
        power = self.spec(wav).squeeze(1)  # [B, F, T]
        # whoever fills a model from a file moves what is in the file, which these are not
        filters = self.fbanks.to(power)
        raw = torch.einsum("cf,bft->btc", filters, power)
        chroma = functional.normalize(raw, p=self.norm, dim=-1, eps=_EPSILON)
        if self.argmax:
            return functional.one_hot(chroma.argmax(-1), self.n_chroma).to(chroma)
        return chroma
