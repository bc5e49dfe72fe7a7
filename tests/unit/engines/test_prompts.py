"""What a model hears of a clip, and putting what it plays behind it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from server.engines.musicgen import prompts
from server.engines.musicgen.prompts import Hearing
from server.media.clip import Clip


def test_it_never_reaches_beyond_full_scale() -> None:
    loud = Clip(np.array([[0.5, -4.0, 2.0]], np.float32), 8000)

    assert [[0.125, -1.0, 0.5]] == prompts.within(loud).samples.tolist()
    quiet = Clip(np.array([[0.5, -1.0]], np.float32), 8000)
    assert quiet is prompts.within(quiet)


@given(
    length=st.integers(1, 20_000),
    rate=st.sampled_from([8000, 11025, 22050, 44100, 48000, 96000]),
    channels=st.integers(1, 6),
    model_channels=st.sampled_from([1, 2]),
    new_frames=st.integers(1, 400),
    seconds=st.floats(0.01, 2.0),
)
@settings(max_examples=60, deadline=None)
def test_whatever_is_given_comes_first_and_the_length_is_exact(
    length: int, rate: int, channels: int, model_channels: int, new_frames: int, seconds: float
) -> None:
    """What is heard are whole frames that fit the window, and they end where the clip ends.

    A model that gives them back unchanged changes the clip no more than two resamplings do.
    """
    hearing = Hearing(sample_rate=16000, channels=model_channels, hop=320, window=100)
    tone = 0.3 * np.sin(0.05 * np.arange(length) * 8000 / rate)
    clip = Clip(np.repeat(tone[None], channels, axis=0).astype(np.float32), rate)

    prompt = prompts.heard(clip, hearing, new_frames=new_frames)
    new = np.zeros((model_channels, round(16000 * seconds) + 640), np.float32)
    played = Clip(np.concatenate([prompt.samples, new], axis=1), 16000)
    found = prompts.joined(clip, played, prompt_samples=prompt.samples.shape[1], seconds=seconds)

    assert (model_channels, prompt.frames * 320) == prompt.samples.shape
    assert 1 <= prompt.frames <= max(100 - new_frames, 100 - hearing.stride)
    assert (min(channels, 2), rate) == (found.channels, found.sample_rate)
    assert length + prompts.samples_of(seconds, rate) == found.length
    seam = max(length - round(prompt.frames * 320 * rate / 16000), 0)
    edge = rate // 25  # where a filter meets the beginning or the end of what was played
    source = clip.in_channels(found.channels).samples
    for part in (slice(0, seam), slice(seam + edge, max(length - edge, 0))):
        np.testing.assert_allclose(source[:, part], found.samples[:, part], atol=0.1)
    assert np.array_equal(source[:, : max(seam - 1, 0)], found.samples[:, : max(seam - 1, 0)])
