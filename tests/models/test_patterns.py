"""Patterns against recorded ones, and against building them token by token."""

import numpy as np
import pytest
import torch
from audiocraft.modules.codebooks_patterns import (
    CoarseFirstPattern,
    CodebooksPatternProvider,
    DelayedPatternProvider,
    LayoutCoord,
    MusicLMPattern,
    ParallelPatternProvider,
    Pattern,
    UnrolledPatternProvider,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.models import recorded

SPECIAL, MISSING = 64, -1
PROVIDERS = {
    "delay": DelayedPatternProvider(4, [0, 1, 2, 3]),
    "delay4": DelayedPatternProvider(4),
    "delay023": DelayedPatternProvider(3, [0, 2, 3]),
    "parallel": ParallelPatternProvider(2),
}


@pytest.fixture(scope="module", name="stored")
def _stored() -> dict[str, Tensor]:
    with np.load(recorded.DATA / "pattern.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.mark.parametrize("timesteps", [1, 6, 11])
@pytest.mark.parametrize("only_valid", [False, True])
@pytest.mark.parametrize("name", PROVIDERS)
def test_sequences_are_the_recorded_ones(
    stored: dict[str, Tensor], name: str, timesteps: int, *, only_valid: bool
) -> None:
    pattern = PROVIDERS[name].get_pattern(timesteps)
    case = f"{name}_T{timesteps}_"

    built, _, mask = pattern.build_pattern_sequence(
        stored[f"{case}codes"], SPECIAL, keep_only_valid_steps=only_valid
    )
    back, _, known = pattern.revert_pattern_sequence(
        built, MISSING, keep_only_valid_steps=only_valid
    )

    assert torch.equal(stored[f"{case}seq{only_valid:d}"], built)
    assert torch.equal(stored[f"{case}mask{only_valid:d}"], mask)
    assert torch.equal(stored[f"{case}rev{only_valid:d}"], back)
    assert torch.equal(stored[f"{case}revmask{only_valid:d}"], known)


@pytest.mark.parametrize("timesteps", [1, 6, 11])
@pytest.mark.parametrize("name", PROVIDERS)
def test_timesteps_begin_where_they_were_recorded(
    stored: dict[str, Tensor], name: str, timesteps: int
) -> None:
    pattern = PROVIDERS[name].get_pattern(timesteps)
    expected = stored[f"{name}_T{timesteps}_first"].tolist()

    assert expected == [pattern.get_first_step_with_timesteps(t) for t in range(timesteps)]


def delayed(n_q: int) -> st.SearchStrategy[CodebooksPatternProvider]:
    delays = st.lists(st.integers(0, 5), min_size=n_q, max_size=n_q).map(sorted)
    return st.builds(
        DelayedPatternProvider,
        st.just(n_q),
        delays,
        flatten_first=st.integers(0, 2),
        empty_initial=st.integers(0, 2),
    )


def providers(n_q: int) -> st.SearchStrategy[CodebooksPatternProvider]:
    flattening = st.lists(st.integers(0, 4), min_size=n_q, max_size=n_q, unique=True).map(sorted)
    delays = st.lists(st.integers(0, 3), min_size=n_q, max_size=n_q).map(sorted)
    return st.one_of(
        delayed(n_q),
        st.builds(ParallelPatternProvider, st.just(n_q)),
        st.builds(UnrolledPatternProvider, st.just(n_q), flattening, delays),
        st.builds(CoarseFirstPattern, st.just(n_q)),
        st.builds(MusicLMPattern, st.just(n_q), st.just(n_q // 2 if n_q == 4 else 1)),
    )


PATTERNS = st.integers(2, 4).flatmap(
    lambda n_q: st.builds(
        lambda provider, timesteps: provider.get_pattern(timesteps),
        providers(n_q),
        st.integers(1, 9),
    )
)


def codes_of(pattern: Pattern) -> Tensor:
    """Return codes of two samples whose tokens are all different."""
    count = 2 * pattern.n_q * pattern.timesteps
    return torch.arange(count).view(2, pattern.n_q, pattern.timesteps)


@settings(max_examples=40)
@given(PATTERNS)
def test_what_was_spelt_out_comes_back(pattern: Pattern) -> None:
    codes = codes_of(pattern)
    built, _, _ = pattern.build_pattern_sequence(codes, 999)

    back, _, mask = pattern.revert_pattern_sequence(built, MISSING)

    assert mask.all()
    assert torch.equal(codes, back)


@settings(max_examples=40)
@given(PATTERNS)
def test_a_shortened_sequence_brings_back_what_it_holds_and_nothing_else(pattern: Pattern) -> None:
    codes = codes_of(pattern)
    built, _, _ = pattern.build_pattern_sequence(codes, 999, keep_only_valid_steps=True)

    back, _, mask = pattern.revert_pattern_sequence(built, MISSING, keep_only_valid_steps=True)

    assert len(pattern.valid_layout) == built.shape[-1]
    assert torch.equal(codes[:, mask], back[:, mask])
    assert (back[:, ~mask] == MISSING).all()


@settings(max_examples=40)
@given(pattern=PATTERNS, only_valid=st.booleans())
def test_tokens_are_where_placing_them_one_by_one_puts_them(
    pattern: Pattern, *, only_valid: bool
) -> None:
    codes = codes_of(pattern)
    layout = pattern.valid_layout if only_valid else pattern.layout
    expected = torch.full((2, pattern.n_q, len(layout)), 999)
    for step, coords in enumerate(layout):
        for t, q in coords:
            if t < pattern.timesteps:
                expected[:, q, step] = codes[:, q, t]

    built, index, mask = pattern.build_pattern_sequence(
        codes, 999, keep_only_valid_steps=only_valid
    )

    assert torch.equal(expected, built)
    assert torch.equal(expected[0] != 999, mask)
    assert torch.equal(index[mask], codes[0].flatten()[index[mask]])


@settings(max_examples=40)
@given(PATTERNS)
def test_a_prediction_belongs_to_the_step_after_it(pattern: Pattern) -> None:
    codes = codes_of(pattern)
    built, _, _ = pattern.build_pattern_sequence(codes, 999)
    foretold = torch.roll(built, -1, dims=-1)[:, None].float()

    back, _, mask = pattern.revert_pattern_logits(foretold, float("nan"))

    assert mask.all()
    assert torch.equal(codes.float(), back[:, 0])


def test_a_delayed_pattern_looks_as_in_the_paper() -> None:
    pattern = DelayedPatternProvider(3).get_pattern(4)
    codes = torch.arange(1, 5).expand(1, 3, 4)

    built, _, _ = pattern.build_pattern_sequence(codes, 0, keep_only_valid_steps=True)

    assert [[0, 1, 2, 3, 4], [0, 0, 1, 2, 3], [0, 0, 0, 1, 2]] == built[0].tolist()


@pytest.mark.parametrize(
    ("provider", "steps"),
    [
        (UnrolledPatternProvider(3), [[], [(0, 0)], [(0, 1)], [(0, 2)], [(1, 0)], [(1, 1)]]),
        (UnrolledPatternProvider(3, [0, 1, 1]), [[], [(0, 0)], [(0, 1), (0, 2)], [(1, 0)]]),
        (UnrolledPatternProvider(2, [0, 2]), [[], [], [(0, 0)], [(0, 1)], [], [(1, 0)]]),
        (UnrolledPatternProvider(2, None, [0, 1]), [[], [(0, 0)], [(0, 1)], [(1, 0)], [(1, 1)]]),
        (CoarseFirstPattern(3), [[], [(0, 0)], [(1, 0)], [(0, 1), (0, 2)], [(1, 1), (1, 2)]]),
        (MusicLMPattern(2), [[], [(0, 0)], [(0, 1)], [(1, 0)], [(1, 1)]]),
        (MusicLMPattern(4), [[], [(0, 0)], [(0, 1)], [(1, 0)], [(1, 1)], [(0, 2)]]),
        (
            DelayedPatternProvider(2, flatten_first=1, empty_initial=1),
            [[], [], [(0, 0)], [(0, 1)], [(1, 0)], [(2, 0), (1, 1)]],
        ),
    ],
)
def test_every_order_begins_as_it_is_meant_to(
    provider: CodebooksPatternProvider, steps: list[list[tuple[int, int]]]
) -> None:
    layout = provider.get_pattern(2).layout

    assert [[LayoutCoord(*coord) for coord in coords] for coords in steps] == list(
        layout[: len(steps)]
    )


def test_a_pattern_is_made_once_where_it_may_be_kept() -> None:
    kept = DelayedPatternProvider(2)

    assert kept.get_pattern(5) is kept.get_pattern(5)
    assert 5 == UnrolledPatternProvider(2).num_virtual_steps(2)
    assert 7 == kept.get_pattern(6).num_sequence_steps
    assert [2, 3] == kept.get_pattern(6).get_steps_with_timestep(1)
    assert [3] == kept.get_pattern(6).get_steps_with_timestep(1, 1)


@pytest.mark.parametrize(
    ("sentence", "make"),
    [
        ("empty", lambda: Pattern([[LayoutCoord(0, 0)]], 1, 1)),
        ("twice", lambda: Pattern([[], [LayoutCoord(0, 0), LayoutCoord(1, 0)]], 2, 1)),
        ("back in time", lambda: Pattern([[], [LayoutCoord(1, 0)], [LayoutCoord(0, 0)]], 2, 1)),
        ("at least one", lambda: ParallelPatternProvider(0)),
        ("ascending", lambda: DelayedPatternProvider(2, [1, 0])),
        ("ascending", lambda: DelayedPatternProvider(2, [0])),
        ("one delay", lambda: UnrolledPatternProvider(2, [0, 0], [0, 1])),
        ("after the first", lambda: CoarseFirstPattern(1)),
        ("no groups", lambda: MusicLMPattern(3)),
    ],
)
def test_orders_that_cannot_be_are_refused(sentence: str, make: object) -> None:
    assert callable(make)

    with pytest.raises(ValueError, match=sentence):
        make()


def test_what_does_not_fit_a_pattern_is_refused() -> None:
    pattern = DelayedPatternProvider(2).get_pattern(3)

    with pytest.raises(ValueError, match="not of 3"):
        pattern.build_pattern_sequence(torch.zeros(1, 3, 3, dtype=torch.int64), 0)
    with pytest.raises(ValueError, match="not 4"):
        pattern.build_pattern_sequence(torch.zeros(1, 2, 4, dtype=torch.int64), 0)
    with pytest.raises(ValueError, match="not 9"):
        pattern.revert_pattern_sequence(torch.zeros(1, 2, 9, dtype=torch.int64), 0)
    with pytest.raises(ValueError, match="no timestep 4"):
        pattern.get_first_step_with_timesteps(4)
