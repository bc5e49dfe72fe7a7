"""Reading official files executes nothing and believes nothing."""

import pickle
import sys
import types
from pathlib import Path

import pytest
import torch
from audiocraft.models import checkpoints
from audiocraft.models.checkpoints import InvalidCheckpoint

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
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.bin").write_bytes(content)

    with pytest.raises(InvalidCheckpoint, match="x.bin"):
        checkpoints.read(tmp_path / "x.bin")


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
