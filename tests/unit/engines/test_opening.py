"""Whether melodyflow would work here, and what opening it meets."""

import subprocess
import sys
from pathlib import Path

import pytest
from audiocraft.modules.conditioners import T5_WIDTHS

from server import errors
from server.config import Settings
from server.engines.hardware import device
from server.engines.melodyflow import opening
from server.engines.protocols import Brief, tell_nobody
from tests import music
from tests.models import formula


@pytest.fixture(name="weights")
def _weights(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    formula.write_checkpoint(folder)
    formula.write_text_encoder(folder / "t5")
    return folder


def _settings(weights: Path, *, place: str = "cpu") -> Settings:
    return Settings(data_dir=weights.parent / "data", device=place, melodyflow_model=str(weights))


def test_with_weights_and_a_device_it_is_available(weights: Path) -> None:
    assert opening.availability(_settings(weights)).available


def test_without_weights_it_says_how_to_get_them(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, device="cpu")

    offer = opening.availability(settings)

    assert not offer.available
    assert "not on this machine" in offer.reason
    assert "models pull" in offer.advice
    assert "CC-BY-NC" in offer.advice
    with pytest.raises(errors.EngineUnavailable, match="not on this machine"):
        opening.open_engine(settings)


@pytest.mark.skipif(bool(device.see_cards()), reason="this machine has a card")
def test_the_processor_is_never_taken_unasked(weights: Path) -> None:
    offer = opening.availability(_settings(weights, place="auto"))

    assert (False, device.NO_CARD) == (offer.available, offer.reason)
    assert "MELODYFLOW_DEVICE=cpu" in offer.advice


def test_a_load_tells_its_steps_and_who_plays(weights: Path) -> None:
    told: list[int] = []

    engine = opening.open_engine(_settings(weights), on_step=lambda done, total: told.append(done))

    clip = music.riff(seconds=1.0).clip
    brief = Brief(variation=None, prompt="a choir", steps=2)
    [result] = engine.transform(clip, [brief], on_step=tell_nobody)
    assert [1, 2, 3, 4, 5] == told
    assert ("tiny", "float32") == (result.model["name"], result.model["precision"])
    assert 64 == len(result.model["checksum"])
    engine.close()


@pytest.mark.parametrize("name", ["state_dict.bin", "compression_state_dict.bin"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "replaced"])
def test_damaged_weights_are_refused_with_a_sentence_and_no_path(
    weights: Path, name: str, damage: str
) -> None:
    file = weights / name
    data = file.read_bytes()
    file.write_bytes(
        {
            "cut": data[: len(data) // 2],
            "flipped": bytes(255 - byte for byte in data[:4096]) + data[4096:],
            "replaced": b"<html>404</html>",
        }[damage]
    )

    with pytest.raises(errors.EngineUnavailable) as refused:
        opening.open_engine(_settings(weights))

    assert str(weights.parent) not in refused.value.message
    assert "weights" in refused.value.message


def test_a_text_encoder_of_another_width_is_refused(weights: Path) -> None:
    other = formula.changed(formula.FLOW, "conditioners.description.t5.name", "t5-base")
    shapes = dict(formula.flow_tensors(other))
    projection = "condition_provider.conditioners.description.output_proj.weight"
    shapes[projection] = (formula.FLOW["transformer_lm"]["dim"], T5_WIDTHS["t5-base"])
    formula.save(weights / "state_dict.bin", shapes, other)

    with pytest.raises(errors.EngineUnavailable, match="not a t5-base"):
        opening.open_engine(_settings(weights))


def test_a_stopped_load_leaves_nothing_behind(weights: Path) -> None:
    def stop(done: int, total: int) -> None:
        del total
        if done == 3:
            raise errors.Cancelled

    with pytest.raises(errors.Cancelled):
        opening.open_engine(_settings(weights), on_step=stop)
    opening.open_engine(_settings(weights)).close()


def test_asking_loads_no_network_library(weights: Path) -> None:
    program = (
        "import sys; from server.config import Settings;"
        "from server.engines.melodyflow import opening;"
        f"opening.availability(Settings(device='cpu', melodyflow_model={str(weights)!r}));"
        "print([name for name in ('torch', 'transformers', 'audiocraft') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "[]" == done.stdout.strip()
