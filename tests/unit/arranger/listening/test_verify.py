"""The verifier: its arithmetic, its file, its training, and what the committed weights can tell."""

import pickle
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from bench import train_verifier
from bench.random_music import Played, compose
from server.engines.arranger.listening.candidates import Candidates
from server.engines.arranger.listening.features import FEATURES
from server.engines.arranger.listening.verify import (
    GHOST,
    ONSET,
    SUSTAINED,
    Verifier,
    committed_verifier,
    load_verifier,
    save_verifier,
    verdicts,
)
from tests.unit.arranger.listening.tiny_bank import write_tiny_bank


def _random_verifier(seed: int = 0) -> Verifier:
    random = np.random.default_rng(seed)
    sizes = ((4, 5), (5, 3))
    layers = tuple(
        (
            random.normal(size=size).astype(np.float32),
            random.normal(size=size[1]).astype(np.float32),
        )
        for size in sizes
    )
    return Verifier(np.ones(4, np.float32), np.full(4, 2, np.float32), layers)


def _by_hand(verifier: Verifier, row: list[float]) -> list[float]:
    values = [
        min(6.0, max(-6.0, (value - mean) / deviation))
        for value, mean, deviation in zip(row, verifier.mean, verifier.deviation, strict=True)
    ]
    for number, (weights, biases) in enumerate(verifier.layers):
        sums = [
            sum(v * w for v, w in zip(values, column, strict=True)) + bias
            for column, bias in zip(weights.T, biases, strict=True)
        ]
        last = number == len(verifier.layers) - 1
        values = sums if last else [max(0.0, value) for value in sums]
    odds = np.exp(values)
    return [float(odd / odds.sum()) for odd in odds]


def test_probabilities_equal_those_by_hand_even_for_outliers() -> None:
    verifier = _random_verifier()
    rows = [[0.0, 1.0, -2.0, 3.0], [1e6, -1e6, 0.0, 1.0]]

    expected = [_by_hand(verifier, row) for row in rows]

    np.testing.assert_allclose(
        verifier.probabilities(np.array(rows, np.float32)), expected, rtol=1e-4
    )


def test_the_verdict_on_an_onset_trusts_the_posterior_by_two_fifths() -> None:
    verifier = _random_verifier()
    rows = np.zeros((2, 4), np.float32)
    plain = verifier.probabilities(rows)

    blended = verdicts(verifier, rows, np.array([0.0, 1.0], np.float32))

    np.testing.assert_allclose(blended[:, ONSET], 0.6 * plain[:, ONSET] + [0.0, 0.4], rtol=1e-5)
    np.testing.assert_array_equal(blended[:, GHOST], plain[:, GHOST])


def test_a_saved_verifier_judges_the_same(tmp_path: Path) -> None:
    verifier, rows = _random_verifier(), np.ones((3, 4), np.float32)
    save_verifier(tmp_path / "v.npz", verifier)

    loaded = load_verifier(tmp_path / "v.npz")

    np.testing.assert_array_equal(verifier.probabilities(rows), loaded.probabilities(rows))


def test_a_file_with_objects_in_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.npz"
    np.savez(path, n=np.array([print], dtype=object), mu=np.zeros(1), sd=np.ones(1))

    with pytest.raises((ValueError, pickle.UnpicklingError)):
        load_verifier(path)


def test_the_committed_verifier_fits_the_features() -> None:
    verifier = committed_verifier()

    assert (FEATURES,) == verifier.mean.shape
    assert [(51, 96), (96, 48), (48, 3)] == [weights.shape for weights, _ in verifier.layers]


class TestTraining:
    def test_the_strongest_near_candidate_is_the_onset_and_later_ones_go_on(self) -> None:
        truth = [Played(0.5, 1.0, 60, 0.8, 0), Played(0.5, 1.0, 64, 0.8, 0, 128)]
        frames = np.array([42, 44, 80, 43, 43, 300])
        columns = np.array([39, 39, 39, 40, 43, 39])
        strengths = np.array([0.3, 0.9, 0.5, 0.9, 0.9, 0.9], np.float32)

        labels = train_verifier.labelled(Candidates(frames, frames + 5, columns, strengths), truth)

        assert [SUSTAINED, ONSET, SUSTAINED, GHOST, GHOST, GHOST] == labels.tolist()

    def test_the_gradients_are_those_of_the_loss(self) -> None:
        random = np.random.default_rng(1)
        parameters = [random.normal(size=size) for size in ((4, 5), (5,), (5, 3), (3,))]
        inputs, labels = random.normal(size=(6, 4)), random.integers(0, 3, 6)

        def loss() -> float:
            hidden = np.maximum(inputs @ parameters[0] + parameters[1], 0.0)
            odds = np.exp(hidden @ parameters[2] + parameters[3])
            return float(-np.log(odds[np.arange(6), labels] / odds.sum(axis=1)).mean())

        found: list[Any] = train_verifier._gradients(
            cast("Any", parameters), cast("Any", inputs), labels
        )
        for array, gradient in zip(parameters, found, strict=True):
            before = loss()
            array.flat[0] += 1e-5
            slope = (loss() - before) / 1e-5
            array.flat[0] -= 1e-5

            assert slope == pytest.approx(float(gradient.flat[0]), abs=1e-3)

    def test_training_learns_what_can_be_learned_and_no_more(self) -> None:
        random = np.random.default_rng(2)
        inputs = random.normal(size=(1500, 6)).astype(np.float32)
        rule = (inputs[:, 0] > 0.3).astype(np.int64) + (inputs[:, 1] > 0.5)
        true = train_verifier.Examples(inputs, rule)
        random_labels = train_verifier.Examples(inputs, random.integers(0, 3, 1500))

        learned = train_verifier.train(true, 60, 0)

        assert train_verifier.accuracy(learned, true) > 0.9
        assert train_verifier.accuracy(learned, random_labels) < 0.5

    def test_the_whole_run_writes_a_verifier_that_judges(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bank, out = write_tiny_bank(tmp_path / "tiny.sf2"), tmp_path / "v.npz"

        train_verifier.main(
            [str(out), "--bank", str(bank), "--clips=2", "--seconds=3", "--epochs=3"]
        )
        found = load_verifier(out).probabilities(np.zeros((2, FEATURES), np.float32))

        assert "on unseen clips" in capsys.readouterr().out
        np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-5)

    def test_random_music_is_the_same_for_the_same_seed(self) -> None:
        first, second, other = (compose(np.random.default_rng(s), 6.0) for s in (3, 3, 4))

        assert first == second
        assert first != other

    def test_every_mode_of_random_music_is_playable(self) -> None:
        for seed in range(30):
            notes = compose(np.random.default_rng(seed), 6.0)

            assert notes
            assert all(0 <= note.start_seconds < 6 and note.seconds > 0 for note in notes)
            assert all(24 <= note.pitch <= 103 and 0 < note.velocity <= 1 for note in notes)
