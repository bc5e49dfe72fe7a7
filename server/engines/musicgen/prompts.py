"""What a language model of sound hears of a clip, and how what it plays is put behind that clip.

Lengths are frames of the model's codec or samples, as named; nothing of torch.
"""

import math
from dataclasses import dataclass

import numpy as np

from server.media import resample, window
from server.media.clip import Clip, Samples

STRIDE = 0.6
"""Of the window: how much later the next call of the model begins; the rest it hears again."""

_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """How a model hears: its rate in Hz, channels, samples a frame, and its window in frames."""

    sample_rate: int
    channels: int
    hop: int
    window: int

    @property
    def stride(self) -> int:
        """Frames from one call to the next in music that is longer than the window."""
        return max(int(STRIDE * self.window), 1)

    def frames_of(self, seconds: float) -> int:
        """Return the frames that so many seconds take, begun ones included."""
        return math.ceil(seconds * self.sample_rate / self.hop - _ROUNDING)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is heard: the clip's end as `[C, frames * hop]` at the model's rate."""

    samples: Samples
    frames: int


def heard(clip: Clip, hearing: Hearing, *, new_frames: int) -> Prompt:
    """Return the end of a clip as a model hears it, in whole frames.

    Where prompt and new music fit the window together all of it is heard; else what leaves room for
    the new in one window, and at least what every later window hears of the one before. A frame
    that is not whole is left out at the beginning: padded at the end, it would put a gap before
    what is new. Silence goes before a clip of less than a frame.
    """
    most = max(hearing.window - new_frames, hearing.window - hearing.stride, 1)
    needed = resample.resampled_length(
        (most + 1) * hearing.hop, hearing.sample_rate, clip.sample_rate
    )
    end = clip.with_samples(clip.samples[:, -needed:])
    converted = resample.resample(end.in_channels(hearing.channels), hearing.sample_rate)
    frames = min(max(converted.length // hearing.hop, 1), most)
    samples = converted.samples[:, -frames * hearing.hop :]
    missing = frames * hearing.hop - samples.shape[1]
    return Prompt(np.pad(samples, ((0, 0), (missing, 0))), frames)


def joined(clip: Clip, played: Clip, *, prompt_samples: int, seconds: float) -> Clip:
    """Return the clip with `seconds` of what was played behind it, at its rate.

    The first `prompt_samples` of what was played are the model's guess at the clip's end; where it
    did not hear the clip, the clip itself stands. One channel stays one, more become two.
    """
    rate = clip.sample_rate
    channels = min(clip.channels, 2)
    source = clip.in_channels(channels).samples
    again = resample.resample(within(played).in_channels(channels), rate).samples
    guessed = resample.resampled_length(prompt_samples, played.sample_rate, rate)
    shared = min(guessed, clip.length)
    samples = np.concatenate(
        [source[:, : clip.length - shared], again[:, guessed - shared :]], axis=1
    )
    return Clip(window.fit_length(samples, clip.length + samples_of(seconds, rate)), rate)


def samples_of(seconds: float, sample_rate: int) -> int:
    """Return the samples that so many seconds take."""
    return math.ceil(seconds * sample_rate - _ROUNDING)


def within(clip: Clip) -> Clip:
    """Return the clip, turned down where it would reach beyond full scale."""
    peak = float(np.abs(clip.samples).max(initial=0.0))
    return clip if peak <= 1.0 else clip.with_samples(clip.samples / np.float32(peak))
