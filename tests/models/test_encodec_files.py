"""Files of codecs with codebooks: every spelling opens, a damaged one is a sentence."""

import contextlib
import functools
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from audiocraft.models import loaders
from audiocraft.models.checkpoints import Checkpoint, InvalidCheckpoint
from audiocraft.models.encodec import CompressionModel, EncodecModel
from huggingface_hub import constants
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.local_hub import Hub, ask, serving
from tests.models import codecs, formula, recorded, shapes
from tests.models.conftest import noise

SMALL = shapes.TOKENS | {
    "seanet": shapes.TOKENS["seanet"]
    | {"dimension": 4, "n_filters": 2, "ratios": [2], "lstm": 2, "encoder": {"dimension": 4}},
    "rvq": {"n_q": 2, "bins": 4},
}
"""As small as a codec can be, for thousands of damaged ones."""

Official = tuple[Path, bytes, tuple[int, int]]
"""A codec's file, its bytes, and where in them the pickle begins and ends."""


def checkpoint_of(config: Mapping[str, Any]) -> Checkpoint:
    shapes = codecs.tokens_tensors(config)
    return Checkpoint({name: recorded.fill(name, shapes[name]) for name in shapes}, config)


@pytest.fixture(name="hub")
def _hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.delenv("AUDIOCRAFT_CACHE_DIR", raising=False)
    folders = {f"tiny/{name}": tmp_path / name for name in ("original", "library", "empty")}
    for folder in folders.values():
        folder.mkdir()
    codecs.write_tokens(folders["tiny/original"])
    codecs.write_transformers(folders["tiny/library"])
    with serving(Hub(folders=folders)) as hub:
        ask(hub.url, monkeypatch)
        yield hub


@pytest.mark.parametrize("spelling", ["{}", "//pretrained/{}"])
@pytest.mark.parametrize(("name", "bins"), [("tiny/library", 2048), ("tiny/original", 64)])
def test_a_pointer_is_followed_to_either_layout(
    hub: Hub, tmp_path: Path, spelling: str, name: str, bins: int
) -> None:
    place = codecs.write_pointer(tmp_path, spelling.format(name))

    codec = loaders.load_compression_model(place, cache_dir=tmp_path / "cache")

    assert bins == codec.cardinality
    assert hub.served


@pytest.mark.parametrize(("name", "bins"), [("tiny/library", 2048), ("tiny/original", 64)])
def test_a_hub_id_may_be_of_either_layout(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, bins: int
) -> None:
    monkeypatch.setenv("AUDIOCRAFT_CACHE_DIR", str(tmp_path / "cache"))

    codec = CompressionModel.get_pretrained(name)

    assert isinstance(codec, EncodecModel)
    assert bins == codec.cardinality
    assert (tmp_path / "cache" / f"models--{name.replace('/', '--')}").is_dir()
    assert hub.served


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("name", ["tiny/empty", "tiny/absent"])
def test_a_repository_without_a_codec_is_a_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidCheckpoint, match=r"compression_state_dict\.bin"):
        loaders.load_compression_model(name, cache_dir=tmp_path)
    with pytest.raises(InvalidCheckpoint, match="cannot be fetched"):
        loaders.load_compression_model(codecs.write_pointer(tmp_path, name), cache_dir=tmp_path)


@pytest.mark.parametrize(
    "target", ["//pretrained/../up", "//pretrained//etc/passwd", "//a/b", None]
)
def test_a_pointer_to_no_hub_id_is_refused(tmp_path: Path, target: object) -> None:
    place = codecs.write_pointer(tmp_path, target or 5)

    with pytest.raises(InvalidCheckpoint, match="no hub id"):
        loaders.load_compression_model(place)


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("place", ["tiny/library", "{here}", "{here}/absent", "no"])
def test_a_file_that_was_named_is_no_other(tmp_path: Path, place: str) -> None:
    codecs.write_transformers(tmp_path)

    with pytest.raises(InvalidCheckpoint, match=r"mine\.bin"):
        loaders.load_compression_model(place.format(here=tmp_path), filename="mine.bin")


@pytest.mark.parametrize("place", ["/absent/folder", "no", "a/b/c", Path("tiny/library")])
def test_a_place_that_is_none_is_a_sentence(place: str | Path) -> None:
    with pytest.raises(InvalidCheckpoint, match="at the given place"):
        loaders.load_compression_model(place)


def test_a_pointer_never_means_a_folder_of_either_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    (tmp_path / "own" / "codec").mkdir(parents=True)
    codecs.write_transformers(tmp_path / "own" / "codec")

    with pytest.raises(InvalidCheckpoint, match="cannot be fetched"):
        loaders.load_compression_model(
            codecs.write_pointer(tmp_path, "own/codec"), cache_dir=tmp_path / "cache"
        )


def test_both_spellings_of_weight_norm_are_the_same_codec() -> None:
    older = checkpoint_of(SMALL)
    newer = {
        name.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"
        ): value
        for name, value in older.state.items()
    }

    one = loaders.codec_from(older).state_dict()
    other = loaders.codec_from(Checkpoint(newer, SMALL)).state_dict()

    assert all(torch.equal(one[name], value) for name, value in other.items())


@pytest.mark.parametrize("inputs", [1, 3])
def test_folding_transposed_weights_is_what_torch_computes(inputs: int) -> None:
    """Their gain belongs to the inputs, which come first."""
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.ConvTranspose1d(inputs, 5, 4))
    with torch.no_grad():
        layer.parametrizations.weight.original0.mul_(torch.arange(1.0, inputs + 1)[:, None, None])

    state = {f"a.convtr.convtr.{name}": value for name, value in layer.state_dict().items()}

    torch.testing.assert_close(
        loaders.fold_weight_norm(state)["a.convtr.weight"], layer.weight.detach()
    )


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("encodec.quantizer", "vq", "rvq are supported"),
        ("encodec.renormalize", True, "renormalising"),
        ("encodec.causal", None, "causal"),
        ("rvq", None, "no section rvq"),
        ("rvq.n_q", 0, "n_q cannot be 0"),
        ("rvq.n_q", 3, "layers.2._codebook"),
        ("rvq.bins", 8, "do not fit"),
        ("rvq.commitment", 1, "unknown field: commitment"),
        ("seanet.encoder.dimension", 8, "different dimensions"),
        ("seanet.activation", "snake", "do not fit"),
        ("seanet.ratios", [2, 0], "ratios"),
        ("seanet.lstm", True, "lstm cannot be True"),
        ("seanet.compress", 3, "compress"),
        ("seanet.activation_params", {"alpha": -1}, "activation_params"),
        ("seanet.pad_mode", "circular", "pad mode 'circular'"),
        ("sample_rate", float("inf"), "sample_rate"),
    ],
)
def test_a_codec_that_is_not_supported_is_refused_by_name(
    path: str, value: object, named: str
) -> None:
    config = formula.changed(SMALL, path, value)

    with pytest.raises(InvalidCheckpoint, match=named):
        loaders.codec_from(Checkpoint(checkpoint_of(SMALL).state, config))


@pytest.mark.parametrize(
    "config",
    [
        {"interleave_stereo_codebooks": {"use": True}, "channels": 2},
        {"compression_model_n_q": 5},
        {"compression_model_n_q": "all"},
        {"compression_model_n_q": 0},
        {"interleave_stereo_codebooks": {"use": "${nowhere}"}},
        {"transformer_lm": {"n_q": 4, "card": 4}},
        {"transformer_lm": {"n_q": 2, "card": 8}},
        {"transformer_lm": {"n_q": 2}},
        {"transformer_lm": {"n_q": 1, "card": 4}, "channels": 2},
    ],
    ids=str,
)
def test_a_language_model_that_does_not_fit_its_codec_is_a_sentence(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    """Those that name channels are of a codec with two of them, and no codebooks."""
    stereo = loaders.load_compression_model(formula.write_checkpoint(tmp_path))
    mono = loaders.codec_from(checkpoint_of(SMALL))

    with pytest.raises(InvalidCheckpoint):
        loaders.get_wrapped_compression_model(
            stereo if "channels" in config else mono, Checkpoint({}, config)
        )


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from(["snake", "no_quant", "${a}", "${seanet.lstm}", "weight_norm", "reflect"]),
    st.lists(st.integers(-1, 9) | st.text(max_size=2), max_size=9),
    st.dictionaries(st.text(max_size=3) | st.integers(), st.integers(-1, 9), max_size=2),
)


def _paths(tree: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for key, value in tree.items():
        yield before + key
        if isinstance(value, Mapping):
            yield from _paths(value, f"{before}{key}.")


def opens_or_is_invalid(checkpoint: Checkpoint) -> bool:
    """Return whether the codec opened, in which case it also computes."""
    try:
        codec = loaders.codec_from(checkpoint)
    except InvalidCheckpoint:
        return False
    if codec.channels < 3 and codec.sample_rate < 1e9:
        codec.decode(codec.encode(noise("wav", 1, codec.channels, 9))[0])
    return True


@settings(deadline=None, max_examples=100)
@given(path=st.sampled_from(sorted(_paths(SMALL))), value=anything)
def test_any_value_in_a_configuration_opens_or_is_invalid(path: str, value: object) -> None:
    config = formula.changed(SMALL, path, value)

    opens_or_is_invalid(Checkpoint(_states()[0], config))


@settings(deadline=None, max_examples=60)
@given(field=st.sampled_from(sorted(codecs.TRANSFORMERS)), value=anything)
def test_any_value_in_the_other_layout_opens_or_is_invalid(field: str, value: object) -> None:
    opens_or_is_invalid(Checkpoint(_states()[1], codecs.TRANSFORMERS | {field: value}))


@functools.cache
def _states() -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
    shapes = codecs.transformers_tensors(codecs.TRANSFORMERS)
    other = {name: torch.zeros(shape) for name, shape in shapes.items()}
    return checkpoint_of(SMALL).state, other


def test_what_is_not_damaged_opens() -> None:
    for state, config in zip(_states(), (SMALL, codecs.TRANSFORMERS), strict=True):
        assert opens_or_is_invalid(Checkpoint(state, config))


@settings(deadline=None, max_examples=40)
@given(
    name=st.sampled_from(sorted(codecs.tokens_tensors(SMALL))),
    other=st.sampled_from(
        [
            torch.ones(()),
            torch.ones(0),
            torch.ones(3),
            torch.ones(2, 2),
            torch.ones(4, 1, 1, 1),
            torch.ones(4, 4, dtype=torch.int64),
            None,
        ]
    ),
)
def test_any_other_tensor_opens_or_is_invalid(name: str, other: Tensor | None) -> None:
    state = {key: value for key, value in _states()[0].items() if key != name}

    opens_or_is_invalid(Checkpoint(state | ({} if other is None else {name: other}), SMALL))


@pytest.fixture(scope="module", name="official")
def _official(tmp_path_factory: pytest.TempPathFactory) -> Official:
    file = codecs.write_tokens(tmp_path_factory.mktemp("x"), SMALL) / "compression_state_dict.bin"
    with zipfile.ZipFile(file) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("data.pkl")]
        pickled = archive.read(name)
    content = file.read_bytes()
    start = content.index(pickled)
    return file, content, (start, start + len(pickled) - 1)


@settings(deadline=None, max_examples=80)
@given(data=st.data())
@pytest.mark.filterwarnings("ignore::UserWarning")  # some wrong bytes are other protocols
def test_wrong_bytes_open_or_are_invalid(official: Official, data: st.DataObject) -> None:
    """In the pickle rather than in the numbers, which are all as good as others."""
    file, content, pickled = official
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(*pickled))] = data.draw(st.integers(0, 255))
    length = data.draw(st.just(len(damaged)) | st.integers(0, len(damaged)))
    file.write_bytes(damaged[:length])

    with contextlib.suppress(InvalidCheckpoint):
        loaders.load_compression_model(file)


@pytest.mark.parametrize(
    "odd",
    [
        torch.ones(4, 1, 1, dtype=torch.complex64),
        torch.ones(4, 1, 1).to_sparse(),
        torch.ones(4, 1, 1, device="meta"),
        7,
    ],
    ids=repr,
)
def test_what_is_no_plain_tensor_is_refused(tmp_path: Path, odd: object) -> None:
    package = {"best_state": {"encoder.model.0.conv.conv.weight_g": odd}, "xp.cfg": "{}"}
    torch.save(package, tmp_path / "compression_state_dict.bin")

    with pytest.raises(InvalidCheckpoint, match="something else among its tensors"):
        loaders.load_compression_model(tmp_path)


@pytest.mark.parametrize(
    "text", ["&a {seanet: *a, encodec: *a, compression_model: encodec}", "a: 2001-99-99", "? [1]"]
)
def test_a_configuration_without_end_or_sense_is_refused(tmp_path: Path, text: str) -> None:
    package = {"best_state": {}, "xp.cfg": text}
    torch.save(package, tmp_path / "compression_state_dict.bin")

    with pytest.raises(InvalidCheckpoint):
        loaders.load_compression_model(tmp_path)
