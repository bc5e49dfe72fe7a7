"""The judge of note candidates: a small network with our own weights, run in numpy.

Three classes: a ghost, a true onset, a sound that goes on. The weights were trained on synthetic
music; `bench/train_verifier.py` says on how much, and makes others.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GHOST, ONSET, SUSTAINED = range(3)
CLASSES = 3
_WEIGHTS = Path(__file__).with_name("verifier.npz")
_FURTHEST = 6.0
"""Standard deviations; beyond them an input says no more."""

_TRUST_IN_POSTERIOR = 0.4
"""Share of the raw onset posterior in the verdict: piano needs it, guitar does not mind."""

_Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Verifier:
    """A multilayer perceptron on standardized features.

    Attributes:
        mean: `[F]` of the training features.
        deviation: `[F]` of the training features, positive.
        layers: weights `[in, out]` and biases `[out]`, in order.
    """

    mean: _Matrix
    deviation: _Matrix
    layers: tuple[tuple[_Matrix, _Matrix], ...]

    def probabilities(self, features: _Matrix) -> _Matrix:
        """Return the probabilities of ghost, onset and sustained, `[n, 3]`."""
        hidden = np.clip((features - self.mean) / self.deviation, -_FURTHEST, _FURTHEST)
        for weights, biases in self.layers[:-1]:
            hidden = np.maximum(hidden @ weights + biases, 0.0)
        weights, biases = self.layers[-1]
        logits = hidden @ weights + biases
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)


def load_verifier(path: Path) -> Verifier:
    """Return the verifier of a file that `save_verifier` wrote; nothing in it is executed."""
    with np.load(path, allow_pickle=False) as file:
        layers = tuple((file[f"W{i}"], file[f"b{i}"]) for i in range(int(file["n"])))
        return Verifier(file["mu"], file["sd"], layers)


def save_verifier(path: Path, verifier: Verifier) -> None:
    """Write the verifier's arrays as float32."""
    arrays: dict[str, NDArray[np.generic]] = {
        "mu": verifier.mean,
        "sd": verifier.deviation,
        "n": np.array(len(verifier.layers)),
    }
    for index, (weights, biases) in enumerate(verifier.layers):
        arrays |= {f"W{index}": weights, f"b{index}": biases}
    np.savez(path, allow_pickle=False, **arrays)


@cache
def committed_verifier() -> Verifier:
    """Return the verifier that comes with the engine."""
    return load_verifier(_WEIGHTS)


def verdicts(verifier: Verifier, features: _Matrix, raw_onsets: _Matrix) -> _Matrix:
    """Return the verifier's probabilities with the onset's blended with the posterior, `[n, 3]`."""
    found = verifier.probabilities(features)
    found[:, ONSET] *= 1.0 - _TRUST_IN_POSTERIOR
    found[:, ONSET] += _TRUST_IN_POSTERIOR * raw_onsets
    return found
