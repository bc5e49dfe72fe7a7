"""Reading official files executes nothing and believes nothing."""

import pickle
import sys
import types
from pathlib import Path

import pytest
import torch
from audiocraft.models import checkpoints
from audiocraft.models.checkpoints import InvalidCheckpoint
from safetensors.torch import save_file

TREE = {"a": {"rate": "${base.rate}", "list": ["${base.rate}", 2]}, "base": {"rate": 8000}}


def test_interpolations_are_resolved_where_they_are_read() -> None:
    checkpoint = checkpoints.Checkpoint(state={}, config=TREE | {"bad": "${oc.env:USER}"})

    assert {"rate": 8000, "list": [8000, 2]} == checkpoint.section("a")


@pytest.mark.parametrize("value", ["${nowhere}", "${a.rate}"])
def test_an_interpolation_that_leads_nowhere_is_refused(value: str) -> None:
    checkpoint = checkpoints.Checkpoint(state={}, config={"a": {"rate": value}})

    with pytest.raises(InvalidCheckpoint, match="resolve"):
        checkpoint.section("a")


class Harmful:
    """Runs something when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("executed",)


def test_a_crafted_pickle_is_refused_and_not_executed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"best_state": {}, "xp.cfg": Harmful()}, tmp_path / "x.bin")

    with pytest.raises(InvalidCheckpoint):
        checkpoints.read(tmp_path / "x.bin")

    assert "" == capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", pickle.dumps([1])])
@pytest.mark.parametrize("name", ["x.bin", "x.safetensors"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InvalidCheckpoint, match=name):
        checkpoints.read(tmp_path / name)


class HarmfulTensors:
    """Is harmful where tensors should be, in the older and the newer container."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("print('executed')",)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("where", ["best_state", "xp.cfg", "version", "pretrained"])
def test_a_crafted_pickle_is_refused_wherever_it_hides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], where: str, *, zipped: bool
) -> None:
    package: dict[str, object] = {"best_state": {}, "xp.cfg": "{}", where: HarmfulTensors()}
    torch.save(package, tmp_path / "x.bin", _use_new_zipfile_serialization=zipped)

    with pytest.raises(InvalidCheckpoint, match=r"x\.bin cannot be read"):
        checkpoints.read(tmp_path / "x.bin")

    assert "" == capsys.readouterr().out


@pytest.mark.parametrize(
    "package",
    [
        {"best_state": [1]},
        {"best_state": {"a": 1}},
        {"best_state": {}, "xp.cfg": "a: ["},
        {"best_state": {}, "xp.cfg": "just words"},
        {"other": 1},
    ],
    ids=str,
)
def test_contents_of_another_kind_are_refused(tmp_path: Path, package: dict[str, object]) -> None:
    torch.save(package, tmp_path / "x.bin")

    with pytest.raises(InvalidCheckpoint, match=r"x\.bin"):
        checkpoints.read(tmp_path / "x.bin")


@pytest.mark.parametrize("config", [None, "{", "[1]"])
def test_safetensors_without_a_readable_configuration_are_refused(
    tmp_path: Path, config: str | None
) -> None:
    metadata = None if config is None else {"config": config}
    save_file({"a": torch.ones(1)}, tmp_path / "x.safetensors", metadata)

    with pytest.raises(InvalidCheckpoint, match=r"x\.safetensors"):
        checkpoints.read(tmp_path / "x.safetensors")


def test_safetensors_that_were_cut_short_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.ones(100)}, tmp_path / "x.safetensors", {"config": "{}"})
    content = (tmp_path / "x.safetensors").read_bytes()
    (tmp_path / "x.safetensors").write_bytes(content[:-1])

    with pytest.raises(InvalidCheckpoint, match="cannot be read"):
        checkpoints.read(tmp_path / "x.safetensors")


def test_a_pickled_omegaconf_tree_is_read_as_plain_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "omegaconf", types.ModuleType("omegaconf"))

    def kind(module: str, name: str) -> type:
        made = type(name, (), {"__module__": module, "__qualname__": name})
        holder = sys.modules.get(module) or types.ModuleType(module)
        setattr(holder, name, made)
        monkeypatch.setitem(sys.modules, module, holder)
        return made

    def node(made: type, **state: object) -> object:
        value = made()
        value.__dict__.update(state)
        return value

    mapping = kind("omegaconf.dictconfig", "DictConfig")
    sequence = kind("omegaconf.listconfig", "ListConfig")
    leaf = kind("omegaconf.nodes", "AnyNode")
    ratios = node(sequence, _content=[node(leaf, _val=8), node(leaf, _val=5)])
    tree = node(mapping, _content={"seanet": node(mapping, _content={"ratios": ratios})})
    torch.save({"best_state": {}, "xp.cfg": tree}, tmp_path / "x.bin")

    config = checkpoints.read(tmp_path / "x.bin").config

    assert {"seanet": {"ratios": [8, 5]}} == config
