"""Latents longer than the window."""

import pytest
import torch
from audiocraft.models import MelodyFlow
from audiocraft.models.melodyflow import Editing
from audiocraft.models.windows import cover, windowed
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.models.conftest import noise, replay

WINDOW = 800
"""Frames of the tiny model's window."""


def _never() -> None:
    """Be called between windows."""


@settings(deadline=None)
@given(st.integers(1, 2000), st.integers(20, 800), st.data())
def test_windows_cover_every_frame_and_share_as_much_as_asked(
    frames: int, length: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, length // 2))

    windows = cover(frames, length=length, overlap=overlap)

    ends = [start + windows.length for start in windows.starts]
    assert (0, frames) == (windows.starts[0], ends[-1])
    shared = [end - start for end, start in zip(ends, windows.starts[1:], strict=False)]
    assert all(share >= overlap for share in shared)
    torch.testing.assert_close(windows.shares().sum(0), torch.ones(frames))


@pytest.mark.parametrize(("frames", "length", "overlap"), [(0, 4, 1), (9, 4, 4), (9, 4, -1)])
def test_windows_that_cannot_be_are_refused(frames: int, length: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="cannot cover"):
        cover(frames, length=length, overlap=overlap)


def test_a_field_that_knows_no_neighbours_is_not_changed_by_windows() -> None:
    z, t = noise("z", 2, 3, 100), torch.tensor(0.5)

    def velocity(z: Tensor, flowstep: Tensor) -> Tensor:
        return z.square() * flowstep

    whole = windowed(velocity, cover(100, length=30, overlap=7), between=_never)

    torch.testing.assert_close(velocity(z, t), whole(z, t))


def test_a_short_clip_is_one_window_and_exactly_the_plain_edit(model: MelodyFlow) -> None:
    assert model.windows(WINDOW) is None
    assert model.windows(WINDOW + 1) is not None


def test_a_long_clip_keeps_its_frames_and_is_the_same_again(model: MelodyFlow) -> None:
    first, second = (_long_edit(model, WINDOW + 90) for _ in range(2))

    assert (1, 16, WINDOW + 90) == first.shape
    assert torch.equal(first, second)


def test_there_is_no_seam_where_windows_meet(model: MelodyFlow) -> None:
    """A smooth source bends at the ends and in the middle of an overlap as it does elsewhere.

    Measured 1 to 3 times the median there. Negative control: two windows edited apart and put
    side by side, 20 to 30 times.
    """
    frames = WINDOW * 3 // 2
    source, cut = _smooth(frames), frames // 2
    windows = model.windows(frames)
    assert windows is not None
    [start] = windows.starts[1:]

    fused = _bends(_smooth_edit(model, source))
    apart = _bends(torch.cat([_smooth_edit(model, half) for half in source.chunk(2, -1)], -1))

    for frame in (start, (start + windows.length) // 2, windows.length):
        assert float(fused[frame - 3 : frame + 2].max()) < 6 * float(fused.median())
    assert float(apart[cut - 3 : cut + 2].max()) > 6 * float(apart.median())


def test_one_can_stop_between_windows(model: MelodyFlow) -> None:
    calls = 0

    def stop(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        assert 0 == done  # the first evaluation is not over
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.invert(
            noise("long", 1, 16, WINDOW * 2),
            Editing(steps=2, target_flowstep=0.2),
            draw=replay("long"),
            on_step=stop,
        )
    assert 1 == calls


def _long_edit(model: MelodyFlow, frames: int) -> Tensor:
    source = noise("long", 1, 16, frames)
    model.set_editing_params(steps=2, target_flowstep=0.3, regularize_iters=2, keep_last_k_iters=1)
    _, latent = model.edit(source, ["a choir"], return_tokens=True, draw=replay("long"))
    return latent


def _smooth(frames: int) -> Tensor:
    """Return a latent without sudden steps, `[1, 16, frames]`."""
    kernel = torch.hann_window(41)[None, None, 1:-1]
    rough = noise("smooth", 16, 1, frames + kernel.shape[-1] - 1)
    latent = torch.nn.functional.conv1d(rough, kernel).transpose(0, 1)
    return latent / latent.std()


def _smooth_edit(model: MelodyFlow, source: Tensor) -> Tensor:
    model.set_editing_params(steps=4, target_flowstep=0.3, regularize=False)
    _, latent = model.edit(source, ["a choir"], return_tokens=True)
    return latent


def _bends(latent: Tensor) -> Tensor:
    return latent.diff(n=2, dim=-1).abs().mean(dim=(0, 1))
