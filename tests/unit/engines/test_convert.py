"""Conversion keeps every bit, or says which it gave up; and executes nothing."""

from pathlib import Path

import pytest
import torch
from audiocraft.models import checkpoints, loaders
from audiocraft.models.checkpoints import Checkpoint
from hypothesis import given
from hypothesis import strategies as st

from server import errors
from server.engines.checkpoints import cards, convert
from server.engines.checkpoints.convert import Made
from server.engines.checkpoints.manifest import Manifest, Print, sha256_of
from tests.models import formula

KINDS = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.uint8, torch.bool),
)


class Harmful:
    """Runs something when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("executed",)


@pytest.fixture(scope="module", name="official")
def _official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return formula.write_checkpoint(tmp_path_factory.mktemp("official"))


def test_nothing_changes_but_the_container(official: Path, tmp_path: Path) -> None:
    """Names, bits, types and configuration are those of the official files."""
    manifest = convert.convert(official, tmp_path, Made(name="tiny"))

    for source, name in (
        ("state_dict.bin", cards.FLOW),
        ("compression_state_dict.bin", cards.CODEC),
    ):
        one, other = checkpoints.read(official / source), checkpoints.read(tmp_path / name)
        assert dict(one.config) == dict(other.config)
        assert set(one.state) == set(other.state)
        assert all(torch.equal(one.state[key], other.state[key]) for key in one.state)
        path = tmp_path / name
        assert Print(size=path.stat().st_size, sha256=sha256_of(path)) == manifest.files[name]
    assert manifest == Manifest.read(tmp_path)
    assert [] == manifest.damaged(tmp_path)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_narrow_weights_are_smaller_and_keep_their_vectors(
    official: Path, tmp_path: Path, precision: str
) -> None:
    """Matrices of the flow model are rounded; norms, biases, statistics and the codec are not."""
    manifest = convert.convert(official, tmp_path, Made(name="tiny", precision=precision))
    plain = checkpoints.read(official / "state_dict.bin").state
    narrow = checkpoints.read(tmp_path / cards.FLOW).state
    loaded = loaders.load_dit_model_melodyflow(tmp_path).state_dict()

    assert precision == manifest.precision
    assert (tmp_path / cards.FLOW).stat().st_size < 0.6 * (
        official / "state_dict.bin"
    ).stat().st_size
    for name, tensor in plain.items():
        is_matrix = sum(length > 1 for length in tensor.shape) > 1
        kind = convert.PRECISIONS[precision] if is_matrix else torch.float32
        assert kind == narrow[name].dtype
        assert torch.equal(tensor.to(kind), narrow[name])
        assert torch.equal(tensor.to(kind).float(), loaded[name])
    codec = checkpoints.read(tmp_path / cards.CODEC).state
    assert {torch.float32} == {tensor.dtype for tensor in codec.values()}


def test_one_file_alone_joins_what_is_there(official: Path, tmp_path: Path) -> None:
    convert.convert(official / "state_dict.bin", tmp_path, Made(name="t", precision="float16"))
    manifest = convert.convert(official / "compression_state_dict.bin", tmp_path, Made(name="t"))

    assert {cards.FLOW, cards.CODEC} == set(manifest.files)
    assert "float16" == manifest.precision
    assert [] == manifest.damaged(tmp_path)


def test_a_crafted_file_is_refused_not_executed_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"best_state": {}, "xp.cfg": Harmful()}, tmp_path / "state_dict.bin")

    with pytest.raises(errors.InvalidInput, match="cannot be read"):
        convert.convert(tmp_path, tmp_path / "store", Made(name="x"))

    assert "" == capsys.readouterr().out
    assert not (tmp_path / "store").exists()


def test_a_codec_that_only_points_elsewhere_is_a_sentence(tmp_path: Path) -> None:
    torch.save({"pretrained": "facebook/encodec_32khz"}, tmp_path / "compression_state_dict.bin")

    with pytest.raises(errors.InvalidInput, match="only points"):
        convert.convert(tmp_path, tmp_path / "store", Made(name="x"))


def test_what_no_model_can_be_built_of_is_refused_before_it_is_written(tmp_path: Path) -> None:
    shapes = dict(formula.flow_tensors(formula.FLOW))
    del shapes["out_norm.bias"]
    formula.save(tmp_path / "state_dict.bin", shapes, formula.FLOW)

    with pytest.raises(errors.InvalidInput, match=r"out_norm\.bias is missing"):
        convert.convert(tmp_path, tmp_path / "store", Made(name="x"))

    assert not (tmp_path / "store").exists()


def test_a_place_that_cannot_be_written_is_a_sentence(official: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(errors.StorageFailed, match="could not be stored"):
        convert.convert(official, tmp_path / "file" / "store", Made(name="x"))


def test_a_result_that_differs_would_be_seen(tmp_path: Path) -> None:
    """The comparison after writing can fail."""
    one = Checkpoint(state={"a": torch.tensor([1.0, 2.0])}, config={})
    for other in (torch.tensor([1.0, 2.0000002]), torch.tensor([1, 2]), torch.ones(2, 1)):
        with pytest.raises(errors.StorageFailed, match="is the disk sound"):
            convert._compare(one, Checkpoint(state={"a": other}, config={}), convert._same)
    nan = torch.tensor([torch.nan])
    same = Checkpoint(state={"a": nan}, config={})
    convert._compare(same, Checkpoint(state={"a": nan.clone()}, config={}), convert._same)


_SHAPES = st.lists(st.integers(0, 5), max_size=3).map(tuple)
_STATES = st.dictionaries(
    st.text(min_size=1, max_size=8), st.tuples(_SHAPES, st.sampled_from(KINDS))
)


@given(_STATES.filter(lambda state: "__metadata__" not in state))
def test_any_tensors_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, shapes: dict[str, tuple[tuple[int, ...], torch.dtype]]
) -> None:
    """Any names, shapes and types, also those without elements and not lying in one piece."""
    state = {
        name: torch.arange(0, 2 * torch.Size(shape).numel(), 2).reshape(shape[::-1]).T.to(kind)
        if len(shape) == 2
        else torch.arange(torch.Size(shape).numel()).reshape(shape).to(kind)
        for name, (shape, kind) in shapes.items()
    }
    path = tmp_path_factory.mktemp("any") / "x.safetensors"

    found = convert.write_safetensors(path, Checkpoint(state=state, config={"é": [1]}))

    back = checkpoints.read(path)
    assert {"é": [1]} == back.config
    assert set(state) == set(back.state)
    assert all(torch.equal(state[name], back.state[name]) for name in state)
    assert all(state[name].dtype == back.state[name].dtype for name in state)
    assert Print(size=path.stat().st_size, sha256=sha256_of(path)) == found


def test_a_type_that_the_format_has_not_is_named(tmp_path: Path) -> None:
    checkpoint = Checkpoint(state={"odd": torch.ones(1, dtype=torch.complex64)}, config={})

    with pytest.raises(checkpoints.InvalidCheckpoint, match="odd"):
        convert.write_safetensors(tmp_path / "x.safetensors", checkpoint)
