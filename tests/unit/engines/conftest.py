"""A small MusicGen for every test that plays it."""

from collections.abc import Iterator

import pytest
import torch

from server.config import Settings
from server.engines.checkpoints import convert, store
from server.engines.checkpoints.convert import Made
from server.engines.musicgen import opening
from server.engines.musicgen.engine import MusicGenEngine
from tests.models import formula
from tests.unit.engines.networks import CHANGES, STEREO


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Work on one thread: tensors this small only wait for a second one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", name="place")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A directory with official mono files, and a store with converted stereo ones."""
    folder = tmp_path_factory.mktemp("musicgen")
    official, stereo = folder / "tiny", folder / "official stereo"
    for each, is_stereo in ((official, False), (stereo, True)):
        each.mkdir()
        formula.write_musicgen_checkpoint(each, stereo=is_stereo, changes=CHANGES)
        formula.write_text_encoder(each / "t5")
    chosen = Settings(data_dir=folder / "data", device="cpu", musicgen_model=str(official))
    convert.convert(stereo, store.folder_of(chosen, STEREO), Made(name=STEREO))
    return chosen


@pytest.fixture(scope="module", name="engine")
def _engine(place: Settings) -> Iterator[MusicGenEngine]:
    engine = opening.open_engine(place)
    yield engine
    engine.close()
