"""Frames that are kept stay, and the others are painted to fit them."""

from itertools import pairwise

import pytest
import torch
from audiocraft.models import MelodyFlow
from audiocraft.models.inpainting import Kept, held, kept_share
from audiocraft.models.melodyflow import Editing
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.models.conftest import noise

FRAMES = 60
EULER = Editing(solver="euler", steps=6)
MIDPOINT = Editing(solver="midpoint", steps=6)
PIVOT = Editing(solver="euler", steps=6, target_flowstep=0.3)


def _known(name: str = "known") -> Tensor:
    return noise(name, 1, 16, FRAMES)


def _share(start: int = 20, end: int = 40) -> Tensor:
    share = torch.ones(FRAMES)
    share[start:end] = 0.0
    return share


def _painted(
    model: MelodyFlow, editing: Editing, *, known: Tensor, share: Tensor | None = None
) -> Tensor:
    kept = Kept(latent=known, share=_share() if share is None else share)
    return model.render(noise("start", 2, 16, FRAMES), ["a choir", "drums"], editing, kept=kept)


@pytest.mark.parametrize("editing", [EULER, MIDPOINT, PIVOT])
def test_kept_frames_end_at_the_known_latent_with_every_solver(
    model: MelodyFlow, editing: Editing
) -> None:
    known = _known()

    result = _painted(model, editing, known=known)

    kept = _share().bool()
    expected = known.expand(2, -1, -1)[..., kept]
    torch.testing.assert_close(result[..., kept], expected, atol=1e-5, rtol=1e-5)
    assert float((result[..., ~kept] - known[..., ~kept]).abs().mean()) > 0.1


def test_what_is_painted_fits_what_is_kept(model: MelodyFlow) -> None:
    """Another known latent around it paints something else; another one beneath it does not."""
    known, inside = _known(), ~_share().bool()
    beneath = torch.where(inside, noise("other", 1, 16, FRAMES), known)

    first, same, other = (
        _painted(model, EULER, known=each)[..., inside]
        for each in (known, beneath, _known("another song"))
    )

    torch.testing.assert_close(first, same, atol=0, rtol=0)
    assert float((first - other).abs().max()) > 1e-3


def test_the_model_sees_kept_frames_renoised_to_each_flow_step() -> None:
    known, start = _known(), noise("start", 1, 16, FRAMES)
    kept = Kept(latent=known, share=torch.ones(FRAMES))
    grid = torch.tensor([0.2, 0.25, 0.5, 0.9, 1.0])
    velocity = held(lambda z, _t: 100 * z, kept, start=start, flowstep=0.2)

    z = start
    for now, then in pairwise(grid):
        progress = (now - 0.2) / 0.8
        torch.testing.assert_close(z, (1 - progress) * start + progress * known)
        z = z + (then - now) * velocity(z, now)
    torch.testing.assert_close(z, known)


def test_keeping_nothing_is_the_plain_solve(model: MelodyFlow) -> None:
    plain = model.render(noise("start", 2, 16, FRAMES), ["a choir", "drums"], EULER)

    painted = _painted(model, EULER, known=_known(), share=torch.zeros(FRAMES))

    assert torch.equal(plain, painted)


def test_rows_one_by_one_are_the_rows_together(model: MelodyFlow) -> None:
    kept = Kept(latent=_known(), share=_share())
    start, words = noise("start", 3, 16, FRAMES), ["a choir", "drums", "a cello"]

    together, apart = (
        model.render(start, words, EULER, kept=kept, rows=rows) for rows in (None, 1)
    )

    torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-4)


@given(
    st.integers(1, 400),
    st.floats(0, 20, allow_nan=False),
    st.floats(0, 5, allow_nan=False),
    st.integers(0, 9),
)
def test_frames_that_heard_a_span_are_painted_and_no_others(
    frames: int, first: float, seconds: float, reach: int
) -> None:
    last, rate = first + seconds, 25.0

    share = kept_share(frames, [(first, last)], frame_rate=rate, reach_frames=reach)

    for frame in range(frames):
        # from its first to its last sample, and as far as it hears beyond them
        hears = (frame - reach) / rate < last and (frame + 1 + reach) / rate > first
        if hears:
            assert 0.0 == share[frame]
        elif not seconds:
            continue
        else:
            assert 1.0 == share[frame]


def test_a_frame_beyond_the_reach_of_the_codec_does_not_hear_a_change(model: MelodyFlow) -> None:
    """Negative control: the frames next to it do."""
    codec = model.compression_model
    hop, reach = codec.hop_length, codec.reach_frames
    sound = noise("sound", 1, codec.channels, 60 * hop)
    changed = sound.clone()
    changed[..., 30 * hop : 33 * hop] = 0.0

    difference = (codec.encode(sound)[0] - codec.encode(changed)[0]).abs().amax(dim=(0, 1))

    assert float(difference[30:33].min()) > 1e-4
    assert float(difference[: 30 - reach].max()) < 1e-6 * float(difference.max())
