"""The engine's memory: real codec and solve work, done in smaller ways where it does not fit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from audiocraft.models import MelodyFlow
from audiocraft.models.encodec import EncodecModel
from torch import Tensor

from server import errors
from server.engines.hardware.device import Held, Place
from server.engines.melodyflow.memory import Memory, on_cpu
from tests.models import formula
from tests.models.conftest import noise


class TightCodec(EncodecModel):
    """The real codec on a device where tiles or precisions above a limit do not fit."""

    largest_tile = 10**9
    needs_half = False

    def encode(self, x: Tensor, **options: Any) -> tuple[Tensor, None]:
        """Encode if that fits."""
        self._check(**options)
        return super().encode(x, **options)

    def decode(self, codes: Tensor, scale: Tensor | None = None, **options: Any) -> Tensor:
        """Decode if that fits."""
        self._check(**options)
        return super().decode(codes, scale, **options)

    def _check(self, *, tile_frames: int, precision: torch.dtype | None = None) -> None:
        if tile_frames > self.largest_tile or (self.needs_half and precision is None):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB.")


@pytest.fixture(name="model")
def _model(tmp_path: Path) -> MelodyFlow:
    formula.write_checkpoint(tmp_path)
    model = MelodyFlow.get_pretrained(
        tmp_path, "cpu", text_encoder=formula.write_text_encoder(tmp_path / "t5")
    )
    model.compression_model.__class__ = TightCodec
    return model


def tight(model: MelodyFlow, *, tile: int = 10**9, needs_half: bool = False) -> MelodyFlow:
    """Return the model with that limit."""
    codec = model.compression_model
    assert isinstance(codec, TightCodec)
    codec.largest_tile, codec.needs_half = tile, needs_half
    return model


def share(expected: Tensor, found: Tensor) -> float:
    """Return the largest difference as a share of the largest value."""
    return float((expected - found).abs().max() / expected.abs().max())


def both(memory: Memory, model: MelodyFlow) -> tuple[Tensor, Tensor]:
    """Encode and decode something longer than a small tile."""
    with memory.minded(), torch.inference_mode():
        encoded = memory.encode(model, noise("audio", 1, 2, 8000))
        return encoded, memory.decode(model, noise("latent", 1, 16, 200))


def test_where_there_is_room_nothing_is_done_otherwise(model: MelodyFlow) -> None:
    memory = Memory()

    encoded, decoded = both(memory, model)

    assert [] == memory.rungs()
    assert share(model.compression_model.encoder.model(noise("audio", 1, 2, 8000)), encoded) < 1e-5
    assert (1, 2, 8000) == decoded.shape


def test_tiles_sound_the_same(model: MelodyFlow) -> None:
    whole = both(Memory(), model)
    memory = Memory()

    tiled = both(memory, tight(model, tile=64))

    assert ["encode: tiled", "decode: tiled"] == memory.rungs()
    assert max(map(share, whole, tiled)) < 1e-5


def test_half_precision_sounds_nearly_the_same(model: MelodyFlow) -> None:
    whole = both(Memory(), model)
    memory = Memory()

    halved = both(memory, tight(model, tile=64, needs_half=True))

    assert ["encode: half", "decode: half"] == memory.rungs()
    assert 1e-4 < max(map(share, whole, halved)) < 0.1


def test_what_does_not_fit_in_any_way_says_so(model: MelodyFlow) -> None:
    with pytest.raises(errors.OutOfMemory, match="3072 MB needed, .* MB free"):
        both(Memory(), tight(model, tile=1))


def test_a_job_reports_its_own_rungs_only(model: MelodyFlow) -> None:
    memory = Memory()
    both(memory, tight(model, tile=64))

    with memory.minded():
        assert [] == memory.rungs()


def test_a_solve_is_done_row_by_row_where_the_batch_does_not_fit() -> None:
    memory = Memory()
    asked = []

    def work(rows: int | None) -> str:
        asked.append(rows)
        if rows is None:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return "solved"

    assert ("solved", "solved") == (memory.solve(work), memory.solve(work))
    assert [None, 1, 1] == asked
    assert ["solve: rows"] == memory.rungs()


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (RuntimeError("CUDA error: an illegal memory access was encountered"), errors.DeviceLost),
        (RuntimeError("a shape is wrong"), RuntimeError),
        (errors.Cancelled(), errors.Cancelled),
    ],
)
def test_an_error_that_poisons_the_device_is_told_as_such(
    raised: BaseException, expected: type[BaseException]
) -> None:
    with pytest.raises(expected), Memory().minded():
        raise raised


def test_a_codec_on_the_processor_is_a_copy_with_the_same_sound(model: MelodyFlow) -> None:
    codec = tight(model).compression_model
    copied = on_cpu(codec)
    latent = noise("latent", 1, 16, 5)

    assert torch.equal(codec.decode(latent, tile_frames=9), copied.decode(latent, tile_frames=9))
    assert isinstance(copied, TightCodec)


def test_closing_gives_the_place_up() -> None:
    class Lock:
        is_held = True

        def release(self) -> None:
            self.is_held = False

    lock: Any = Lock()
    memory = Memory(Held(place=Place(name="cpu", title="the processor"), lock=lock))

    memory.close()

    assert not lock.is_held
