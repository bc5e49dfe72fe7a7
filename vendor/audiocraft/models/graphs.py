"""Recorded evaluations: a graph of kernels is launched as one instead of some five hundred.

A graph reads and writes fixed memory and has fixed shapes, so there is one for every combination
of shapes, and its inputs are copied to where it looks for them.
"""

import logging
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Inputs = Mapping[str, Tensor]

Function = Callable[[Inputs], Tensor]
"""Computes with nothing but its inputs and constants, and changes neither."""

Capture = Callable[[Function, Inputs], tuple[Callable[[], None], Tensor]]
"""`capture(function, inputs) -> replay, output`; replaying renews the output from the inputs."""

Key = tuple[tuple[str, torch.Size], ...]

_SHORTEST_BUCKET = 16

_log = logging.getLogger(__name__)


def bucket(length: int) -> int:
    """Return the length to which a text of so many keys is padded: the next power of two."""
    return max(_SHORTEST_BUCKET, 1 << (length - 1).bit_length())


class CaptureOnCuda:
    """Records the kernels of a function on the current device.

    All recordings share the memory of their intermediate values: they never run at once, and
    nothing of one is read after another has run.
    """

    def __init__(self) -> None:
        self._pool: Any = None

    def __call__(self, function: Function, inputs: Inputs) -> tuple[Callable[[], None], Tensor]:
        """Record one."""
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            function(inputs)  # libraries allocate their workspaces at the first call
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # other threads, such as one that decodes, may go on allocating
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            output = function(inputs)
        return graph.replay, output


@dataclass
class _Graph:
    """One recording and the memory it looks at."""

    inputs: Inputs
    replay: Callable[[], None]
    output: Tensor
    seen: dict[str, "weakref.ref[Tensor]"] = field(default_factory=dict)

    def put(self, name: str, source: Tensor, *, is_steady: bool) -> None:
        """Copy an input to its place, a steady one only when it is another tensor."""
        seen = self.seen.get(name)
        if is_steady and seen is not None and seen() is source:
            return
        self.inputs[name].copy_(source, non_blocking=True)
        self.seen[name] = weakref.ref(source)


class Graphs:
    """The recordings used last. Where recording fails, functions are simply called."""

    def __init__(self, *, capacity: int = 8, capture: Capture | None = None) -> None:
        """Keep as many graphs as `capacity` says."""
        self._capacity = capacity
        self._capture = capture or CaptureOnCuda()
        self._graphs: OrderedDict[Key, _Graph] = OrderedDict()
        self._can_capture = True

    def __len__(self) -> int:
        return len(self._graphs)

    def run(self, function: Function, moving: Inputs, steady: Inputs) -> Tensor:
        """Return `function({**moving, **steady})`, recorded once for every set of shapes.

        Which function it is must follow from names and shapes. Moving inputs are new at every
        call; steady ones have not been changed as long as they are the same tensors.
        """
        inputs = {**moving, **steady}
        key = tuple((name, x.shape) for name, x in inputs.items())
        if self._can_capture and key not in self._graphs:
            self._record(key, function, inputs)
        if not self._can_capture:
            return function(inputs)
        self._graphs.move_to_end(key)
        graph = self._graphs[key]
        for name, source in inputs.items():
            graph.put(name, source, is_steady=name in steady)
        graph.replay()
        return graph.output.clone()  # the next replay writes over it

    def _record(self, key: Key, function: Function, inputs: Inputs) -> None:
        while len(self._graphs) >= self._capacity:
            self._graphs.popitem(last=False)
        places = {name: x.clone() for name, x in inputs.items()}
        try:
            self._graphs[key] = _Graph(places, *self._capture(function, places))
        except torch.OutOfMemoryError:
            self._graphs.clear()  # the caller will try with less: leave it what there is
            raise
        except RuntimeError as error:
            self._graphs.clear()
            self._can_capture = False
            _log.warning("evaluations cannot be recorded here: %s", error)
