"""One small model for all tests of the package."""

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from audiocraft.models import MelodyFlow
from torch import Tensor

from tests.models import formula


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Work on one thread: tensors this small only wait for a second one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", name="checkpoint")
def _checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return formula.write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="session", name="text_encoder")
def _text_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return formula.write_text_encoder(tmp_path_factory.mktemp("t5"))


@pytest.fixture(name="model")
def _model(checkpoint: Path, text_encoder: Path) -> MelodyFlow:
    return MelodyFlow.get_pretrained(checkpoint, text_encoder=text_encoder)


def noise(name: str, *shape: int) -> Tensor:
    """Return the same normal numbers for the same name, everywhere."""
    z = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    return torch.from_numpy(z.astype(np.float32))


def replay(seed: str) -> Callable[[Tensor], Tensor]:
    """Return a source of noise that draws the same sequence every time it is made."""
    drawn = iter(range(10**6))
    return lambda like: noise(f"{seed}/{next(drawn)}", *like.shape)
