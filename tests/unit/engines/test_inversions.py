"""Inversions are kept, bounded, and never another's."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from audiocraft.models.melodyflow import Editing
from audiocraft.models.solvers import Regularization
from hypothesis import given
from hypothesis import strategies as st

from server.engines.melodyflow.inversions import InversionKey, Inversions, digest
from server.media.clip import Clip

PIVOT = torch.arange(2**18, dtype=torch.float32).reshape(1, 128, -1)
"""One megabyte."""


def _key(**changes: object) -> InversionKey:
    key = InversionKey(
        sound="a", model="m", editing=Editing(steps=25, target_flowstep=0.12), seed=1
    )
    return replace(key, **changes)  # type: ignore[arg-type]


def test_what_is_kept_is_found_unchanged() -> None:
    kept, source = Inversions(megabytes=2), PIVOT.clone()

    kept.keep(_key(), source)
    source.zero_()

    found = kept.find(_key())
    assert found is not None
    assert torch.equal(PIVOT, found)


@pytest.mark.parametrize(
    "other",
    [
        _key(sound="b"),
        _key(model="m2"),
        _key(seed=2),
        _key(editing=Editing(steps=24, target_flowstep=0.12)),
        _key(editing=Editing(steps=25, target_flowstep=0.13)),
        _key(editing=Editing(solver="midpoint", steps=25, target_flowstep=0.12)),
        _key(editing=Editing(steps=25, target_flowstep=0.12, regularization=Regularization())),
    ],
)
def test_another_clip_model_seed_or_choice_finds_nothing(other: InversionKey) -> None:
    kept = Inversions(megabytes=2)

    kept.keep(_key(), PIVOT)

    assert kept.find(other) is None


def test_the_longest_unused_makes_room() -> None:
    kept = Inversions(megabytes=2)

    kept.keep(_key(seed=1), PIVOT)
    kept.keep(_key(seed=2), PIVOT)
    kept.find(_key(seed=1))
    kept.keep(_key(seed=3), PIVOT)

    assert [True, False, True] == [kept.find(_key(seed=n)) is not None for n in (1, 2, 3)]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 400)), max_size=30))
def test_more_than_allowed_is_never_kept(visits: list[tuple[int, int]]) -> None:
    kept = Inversions(megabytes=1)

    for seed, frames in visits:
        kept.keep(_key(seed=seed), PIVOT.reshape(1, 128, -1)[..., : frames * 8])

        assert kept.size_bytes <= 2**20
        assert len(kept) <= 10


def test_nothing_is_kept_where_nothing_may_be() -> None:
    kept = Inversions(megabytes=0)

    kept.keep(_key(), PIVOT)

    assert 0 == len(kept)


@pytest.mark.parametrize(
    "change",
    [
        lambda samples: samples.T,
        lambda samples: samples[:, :-1],
        lambda samples: np.where(samples == samples.max(), samples + 1e-7, samples),
    ],
)
def test_any_difference_of_sound_is_another_digest(
    change: Callable[[np.ndarray], np.ndarray],
) -> None:
    samples = np.linspace(-0.5, 0.5, 8, dtype=np.float32).reshape(2, 4)
    other = np.ascontiguousarray(change(samples), dtype=np.float32)

    assert digest(Clip(samples, 48000)) == digest(Clip(samples.copy(), 48000))
    assert digest(Clip(samples, 48000)) != digest(Clip(other, 48000))
    assert digest(Clip(samples, 48000)) != digest(Clip(samples, 44100))
