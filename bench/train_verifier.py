"""Train the note verifier on random music: `python -m bench.train_verifier OUT.npz --bank A.sf2 …`.

The weights that come with the engine were trained like this on 600 clips of 12 s from three sound
banks (368 000 candidates); with fewer clips expect less.
"""

import argparse
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.random_music import DRUM_BANK, Played, compose, render
from server.engines.arranger.assets import find_transcription_model
from server.engines.arranger.listen import HARMONIC_MARGIN, weigh
from server.engines.arranger.listening.candidates import Candidates
from server.engines.arranger.listening.features import features
from server.engines.arranger.listening.transcribe import Transcriber, open_transcriber
from server.engines.arranger.listening.verify import (
    CLASSES,
    GHOST,
    ONSET,
    SUSTAINED,
    Verifier,
    save_verifier,
)
from server.engines.arranger.sampler import Sampler
from server.engines.arranger.score import ANALYSIS_RATE, FRAME_RATE, LOWEST_PITCH
from server.engines.arranger.soundfont import SoundFont
from server.media import spectrum

HIDDEN = (96, 48)
_ONSET_SECONDS = 0.05
_RELEASE_SECONDS = 0.15
_BATCH = 512
_RATE = 2e-3
_DECAY = 1e-5

_Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Features `[n, 51]` and the class of each."""

    features: _Floats
    labels: NDArray[np.int64]


def labelled(candidates: Candidates, truth: list[Played]) -> NDArray[np.int64]:
    """Return which candidates are onsets, which go on sounding and which are ghosts.

    The strongest candidate within 50 ms of a note is its onset; a note has only one.
    """
    labels = np.full(len(candidates), GHOST, np.int64)
    taken: set[int] = set()
    for index in np.argsort(-candidates.strengths, kind="stable").tolist():
        time = float(candidates.starts[index]) / FRAME_RATE
        pitch = int(candidates.columns[index]) + LOWEST_PITCH
        same = [n for n, note in enumerate(truth) if note.pitch == pitch and not note.bank]
        near = [n for n in same if abs(truth[n].start_seconds - time) < _ONSET_SECONDS]
        free = [n for n in near if n not in taken]
        if free:
            taken.add(free[0])
            labels[index] = ONSET
        elif any(_sounds(truth[n], time) for n in same):
            labels[index] = SUSTAINED
    return labels


def _sounds(note: Played, time: float) -> bool:
    end = note.start_seconds + note.seconds + _RELEASE_SECONDS
    return note.start_seconds - _ONSET_SECONDS <= time <= end


def examples(
    clips: int, seconds: float, banks: list[Path], transcriber: Transcriber, seed: int
) -> Examples:
    """Return labelled candidates of random clips, the banks taking turns."""
    random = np.random.default_rng(seed)
    samplers = [Sampler(SoundFont(bank)) for bank in banks]
    rows, labels = [], []
    for number in range(clips):
        sampler = samplers[number % len(samplers)]
        played = [n for n in compose(random, seconds) if sampler.soundfont.has(n.bank, n.program)]
        samples = render(played, sampler, seconds, random)
        harmonic, _ = spectrum.hpss(samples, ANALYSIS_RATE, margin=HARMONIC_MARGIN)
        candidates, evidence = weigh(samples, harmonic, transcriber)
        rows.append(features(candidates, evidence))
        labels.append(labelled(candidates, [n for n in played if n.bank != DRUM_BANK]))
    return Examples(np.concatenate(rows), np.concatenate(labels))


# Training


def train(data: Examples, epochs: int, seed: int) -> Verifier:
    """Return a verifier fitted by Adam (Kingma & Ba, 2015) on the cross-entropy."""
    random = np.random.default_rng(seed)
    mean, deviation = data.features.mean(axis=0), data.features.std(axis=0) + 1e-3
    inputs = np.clip((data.features - mean) / deviation, -6.0, 6.0)
    sizes = (inputs.shape[1], *HIDDEN, CLASSES)
    parameters = [array for pair in pairwise(sizes) for array in _layer(*pair, random)]
    moments = [np.zeros_like(array) for array in parameters for _ in range(2)]
    step = 0
    for _ in range(epochs):
        order = random.permutation(len(inputs))
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            step += 1
            gradients = _gradients(parameters, inputs[batch], data.labels[batch])
            _adam(parameters, gradients, moments, step)
    layers = tuple(zip(parameters[::2], parameters[1::2], strict=True))
    return Verifier(mean, deviation, layers)


def _layer(inputs: int, outputs: int, random: np.random.Generator) -> tuple[_Floats, _Floats]:
    """Return weights by He et al. (2015) and zero biases."""
    weights = random.normal(0, np.sqrt(2 / inputs), (inputs, outputs)).astype(np.float32)
    return weights, np.zeros(outputs, np.float32)


def _gradients(
    parameters: list[_Floats], inputs: _Floats, labels: NDArray[np.int64]
) -> list[_Floats]:
    """Return the gradients of the mean cross-entropy, in the order of the parameters."""
    hidden = [inputs]
    for weights, biases in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
        hidden.append(np.maximum(hidden[-1] @ weights + biases, 0.0))
    logits = hidden[-1] @ parameters[-2] + parameters[-1]
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = odds / odds.sum(axis=1, keepdims=True)
    error[np.arange(len(labels)), labels] -= 1.0
    error /= len(labels)
    gradients: list[_Floats] = []
    for layer in reversed(range(len(hidden))):
        weights = parameters[2 * layer]
        gradients = [hidden[layer].T @ error + _DECAY * weights, error.sum(axis=0), *gradients]
        error = (error @ weights.T) * (hidden[layer] > 0.0)
    return gradients


def _adam(
    parameters: list[_Floats], gradients: list[_Floats], moments: list[_Floats], step: int
) -> None:
    """Move the parameters, and the moments of their gradients, in place."""
    for index, gradient in enumerate(gradients):
        first, second = moments[2 * index], moments[2 * index + 1]
        first += 0.1 * (gradient - first)
        second += 0.001 * (np.square(gradient) - second)
        scaled = first / (1 - 0.9**step)
        parameters[index] -= _RATE * scaled / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)


def accuracy(verifier: Verifier, data: Examples) -> float:
    """Return the share of candidates that are judged right."""
    return float((verifier.probabilities(data.features).argmax(axis=1) == data.labels).mean())


def main(arguments: list[str] | None = None) -> None:
    """Make music, train, report the accuracy on clips that were not trained on, and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bank", type=Path, action="append", required=True)
    parser.add_argument("--clips", type=int, default=600)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    transcriber = open_transcriber(find_transcription_model(None).path)
    data = examples(asked.clips, asked.seconds, asked.bank, transcriber, asked.seed)
    unseen = examples(
        max(1, asked.clips // 10), asked.seconds, asked.bank, transcriber, asked.seed + 1
    )
    verifier = train(data, asked.epochs, asked.seed)
    save_verifier(asked.out, verifier)
    print(f"{len(data.labels)} candidates, accuracy {accuracy(verifier, data):.3f},")
    print(f"on unseen clips {accuracy(verifier, unseen):.3f}")


if __name__ == "__main__":
    main()
