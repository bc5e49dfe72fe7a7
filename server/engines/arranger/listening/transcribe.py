"""From sound to note posteriors, by the basic-pitch network where it is installed.

Knows the network's windows and its frame clock. Knows nothing of notes: deciding is left to
`candidates` and `verify`.
"""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from server import errors
from server.engines.arranger.listening.spectral import spectral_posteriors
from server.engines.arranger.score import FRAME_HOP
from server.engines.protocols import OnStep, tell_nobody
from server.media.clip import Samples

_WINDOW_SAMPLES = 43844
_WINDOW_FRAMES = 172
_OVERLAP_FRAMES = 30
_HOP_FRAMES = _WINDOW_FRAMES - _OVERLAP_FRAMES - 1
"""Frames kept of each window: 141, so that windows start on multiples of `FRAME_HOP` samples."""

_AT_ONCE = 2
"""Windows that are heard side by side. Two threads with a window each take two thirds of the time
of two threads that share one."""

_OUTPUTS = ["StatefulPartitionedCall:2", "StatefulPartitionedCall:1", "StatefulPartitionedCall:0"]
"""Onsets, frames and the contour the network makes them from."""

CONTOUR_BINS = 264


@dataclass(frozen=True, slots=True, eq=False)
class Posteriors:
    """How probable each of the 88 semitones is, at frame times `t * 256 / 22050` seconds.

    Attributes:
        onset: `[T, 88]` that a note starts.
        frame: `[T, 88]` that a note sounds.
        contour: `[T, 264]` how the pitch moves, three bins a semitone; the middle one of each three
            is the semitone itself. None where the transcriber knows semitones only.
    """

    onset: NDArray[np.float32]
    frame: NDArray[np.float32]
    contour: NDArray[np.float16] | None = None

    def joined(self, other: Self) -> "Posteriors":
        """Return the larger of the two at every place; the contour stays this one's."""
        return Posteriors(
            np.maximum(self.onset, other.onset), np.maximum(self.frame, other.frame), self.contour
        )


class Transcriber(Protocol):
    """Turns sound into posteriors."""

    @property
    def is_network(self) -> bool:
        """Whether it is the trained network rather than the stand-in."""
        ...

    def posteriors(self, samples: Samples, *, on_step: OnStep = tell_nobody) -> Posteriors:
        """Return posteriors of mono samples `[N]` at 22050 Hz, `T = ceil(N / 256) + 1`."""
        ...


class NetworkTranscriber:
    """The basic-pitch network; Bittner et al., "A lightweight instrument-agnostic model" (2022)."""

    is_network = True

    def __init__(self, model: Path) -> None:
        """Load the network once; it is kept as long as this object.

        Raises:
            errors.EngineUnavailable: the file is not the network.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            self._session = ort.InferenceSession(
                str(model), options, providers=["CPUExecutionProvider"]
            )
        except _UNREADABLE as error:
            raise errors.EngineUnavailable("The transcription model cannot be read.") from error
        self._input = self._session.get_inputs()[0].name

    def posteriors(self, samples: Samples, *, on_step: OnStep = tell_nobody) -> Posteriors:
        """Return posteriors of overlapped windows, of each of which only the middle is kept."""
        frames = frame_count(samples.shape[0])
        windows = _windows(samples, -(-frames // _HOP_FRAMES))
        kept = slice(_OVERLAP_FRAMES // 2, _OVERLAP_FRAMES // 2 + _HOP_FRAMES)
        onset, frame, contour = [], [], []
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            waiting = deque(pool.submit(self._run, window) for window in windows)
            try:
                for done in range(1, len(windows) + 1):
                    outputs = waiting.popleft().result()
                    onset.append(outputs[0][0, kept])
                    frame.append(outputs[1][0, kept])
                    contour.append(outputs[2][0, kept].astype(np.float16))
                    on_step(done, len(windows))
            finally:  # who is told of a step may stop the work
                pool.shutdown(cancel_futures=True)
        return Posteriors(
            np.concatenate(onset)[:frames],
            np.concatenate(frame)[:frames],
            np.concatenate(contour)[:frames],
        )

    def _run(self, samples: Samples) -> list[NDArray[np.float32]]:
        """Return onsets, frames `[1, 172, 88]` and contour `[1, 172, 264]` of one window."""
        window = np.ascontiguousarray(samples[None, :, None])
        heard: list[NDArray[np.float32]] = self._session.run(_OUTPUTS, {self._input: window})
        return heard


_UNREADABLE = (
    ort.capi.onnxruntime_pybind11_state.Fail,
    ort.capi.onnxruntime_pybind11_state.InvalidArgument,
    ort.capi.onnxruntime_pybind11_state.InvalidGraph,
    ort.capi.onnxruntime_pybind11_state.InvalidProtobuf,
    ort.capi.onnxruntime_pybind11_state.NoSuchFile,
)


class SpectralTranscriber:
    """The stand-in for a machine without the network: peaks of a constant-Q spectrum."""

    is_network = False

    def posteriors(self, samples: Samples, *, on_step: OnStep = tell_nobody) -> Posteriors:
        """Return posteriors of the same shape and clock as the network's, of lesser quality."""
        onset, frame = spectral_posteriors(samples, frame_count(samples.shape[0]))
        on_step(1, 1)
        return Posteriors(onset, frame)


def open_transcriber(model: Path | None) -> Transcriber:
    """Return the network of that file, or the stand-in where there is none.

    Raises:
        errors.EngineUnavailable: the file is not the network.
    """
    return SpectralTranscriber() if model is None else NetworkTranscriber(model)


def frame_count(length: int) -> int:
    """Return how many frames `length` samples have."""
    return -(-length // FRAME_HOP) + 1


def _windows(samples: Samples, count: int) -> Samples:
    """Return `count` windows a view `[W, 43844]`, the first half an overlap before the start."""
    lead, hop = _OVERLAP_FRAMES // 2 * FRAME_HOP, _HOP_FRAMES * FRAME_HOP
    padded = np.zeros((count - 1) * hop + _WINDOW_SAMPLES, np.float32)
    part = samples[: padded.shape[0] - lead]
    padded[lead : lead + part.shape[0]] = part
    return np.lib.stride_tricks.sliding_window_view(padded, _WINDOW_SAMPLES)[::hop]
