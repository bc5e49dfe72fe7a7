"""What do longer clips cost the arranger, and eight presets of one clip: seconds and memory?"""

import multiprocessing
import resource
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from bench.presets import minutes_of_riff, seconds
from server.config import Settings
from server.engines.residency import Residency

TITLE = "Longer clips, and eight presets at once"
HEAD = ("Clip", "Presets", "Seconds", "Seconds a second", "Peak memory, MiB")

_HEAVY = "synth_ambient"
_USUAL = "strings_quartet"
_EIGHT = (
    "strings_quartet",
    "piano_classical",
    "rock_band",
    "cinematic_epic",
    "chiptune",
    "trap_808",
    "lofi_chill",
    "celtic",
)
ASKED = (
    (0.5, (_USUAL,)),
    (1.0, (_USUAL,)),
    (2.0, (_USUAL,)),
    (0.5, (_HEAVY,)),
    (2.0, (_HEAVY,)),
    (0.5, _EIGHT),
)


def rows() -> Iterator[tuple[str, ...]]:
    """Yield each question's answer from a process of its own, which has played the clip twice."""
    context = multiprocessing.get_context("spawn")
    for minutes, names in ASKED:
        ours, theirs = context.Pipe()
        process = context.Process(target=_answer, args=(theirs, minutes, names))
        process.start()
        theirs.close()
        taken, peak = ours.recv()
        process.join()
        length = 60.0 * minutes
        who = f"`{names[0]}`" if len(names) == 1 else f"{len(names)} of them"
        yield f"{length:.0f} s", who, f"{taken:.1f}", f"{taken / length:.3f}", f"{peak:.0f}"


def _answer(pipe: Connection, minutes: float, names: tuple[str, ...]) -> None:
    _, engine = Residency(Settings()).open("arranger", "transforms")
    clip = minutes_of_riff(minutes)
    seconds(engine, clip, *names)
    clip = clip.with_samples(clip.samples * clip.samples.dtype.type(0.99))
    taken = seconds(engine, clip, *names)
    pipe.send((taken, _peak_mib()))
    pipe.close()


def _peak_mib() -> float:
    """Return the most memory this process had; the usual counter begins with its parent's."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lines = dict(line.split(":", 1) for line in status.read_text("utf-8").splitlines())
    return float(lines["VmHWM"].split()[0]) / 1024
