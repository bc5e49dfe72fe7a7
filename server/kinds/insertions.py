"""Windows of a source that are replaced: which ones may be, what an engine hears, how they join.

Outside the windows every sample stays what it was. Knows clips and windows; no engine and no job.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from server import errors
from server.media.clip import Clip
from server.media.window import Window, cut

MOST_WINDOWS = 16

SHORTEST_SECONDS = 0.25
"""Below that the crossfades are half of the window, and no note of it would be whole."""

LONGEST_SECONDS = 120.0
"""Of one window. Beyond that nothing of the music around it holds it together."""

CONTEXT_SECONDS = 12.0
"""Music an engine hears on either side: six bars at 120 BPM, so that a loop of four is heard whole.
An 8 s window with it is 32 s, about what a flow model hears at once."""

ROUNDING_SECONDS = 0.001
"""How far beyond the end a window may reach: clients show a length in milliseconds."""

MIXED_DOWN = "The source is mono, so what was painted is mixed down to mono."
TWO_CHANNELS = "The source has more than two channels; the first two were used."

_SPAN = re.compile(r"\s*([0-9.]+)\s*-\s*([0-9.]+)\s*")

Times = tuple[float, float]
"""Start and end in seconds, the end excluded."""


def listed(value: Any) -> Any:
    """Return windows as lists of two numbers; forms send JSON, or `4-8, 10.5-12`.

    Raises:
        ValueError: the text is neither.
    """
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return [_span(part) for part in value.split(",")]
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ValueError("this is not a list in JSON") from error


def _span(text: str) -> list[str]:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError("each is a start and an end in seconds, such as 4-8")
    return list(found.groups())


def check(windows: Sequence[Times]) -> None:
    """Refuse windows that do not go forward, overlap, or are too short or too long.

    Raises:
        errors.InvalidInput: names the window in its field.
    """
    for number, (start, end) in enumerate(windows):
        field = f"windows.{number}"
        if end <= start:
            raise errors.InvalidInput("A window must end after its start.", field=field)
        if end - start < SHORTEST_SECONDS:
            words = f"A window must be at least {SHORTEST_SECONDS} seconds long."
            raise errors.InvalidInput(words, field=field)
        if end - start > LONGEST_SECONDS:
            words = f"A window may be {LONGEST_SECONDS:g} seconds long at most."
            raise errors.InvalidInput(words, field=field)
        if number and start < windows[number - 1][1]:
            words = "Windows must be in order and must not overlap."
            raise errors.InvalidInput(words, field=field)


def check_within(windows: Sequence[Times], *, source_seconds: float) -> None:
    """Refuse windows that leave a source, or leave nothing of it.

    Raises:
        errors.InvalidInput: names the window in its field.
    """
    for number, (start, end) in enumerate(windows):
        if end > source_seconds + ROUNDING_SECONDS:
            words = f"The window ends too late; the sound is {source_seconds:.3f} seconds long."
            raise errors.InvalidInput(words, field=f"windows.{number}")
        if end - start > source_seconds - SHORTEST_SECONDS:
            words = "The window leaves nothing of the sound that it could belong to."
            raise errors.InvalidInput(words, field=f"windows.{number}")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What an engine hears at once.

    Attributes:
        seen: in samples of the source.
        windows: those to be painted in it, in samples of the source.
    """

    seen: Window
    windows: tuple[Window, ...]

    def of(self, source: Clip) -> Clip:
        """Cut it out of the source."""
        return cut(source, self.seen)

    @property
    def inner(self) -> tuple[Window, ...]:
        """The windows in samples of the excerpt."""
        start = self.seen.start
        return tuple(Window(each.start - start, each.end - start) for each in self.windows)


def prepared(source: Clip) -> tuple[Clip, tuple[str, ...]]:
    """Return the source with two channels at most, and what was done to it."""
    if source.channels > 2:
        return source.as_stereo(), (TWO_CHANNELS,)
    return source, ()


def in_samples(source: Clip, windows: Sequence[Times]) -> tuple[Window, ...]:
    """Return windows in samples of a source; what is beyond its end is left out."""
    rate = source.sample_rate
    return tuple(
        Window(round(start * rate), min(round(end * rate), source.length)) for start, end in windows
    )


def excerpts(
    source: Clip, windows: Sequence[Window], *, context_seconds: float = CONTEXT_SECONDS
) -> list[Excerpt]:
    """Return what is heard at once: windows whose contexts meet are painted together."""
    context = round(context_seconds * source.sample_rate)
    return [
        Excerpt(
            Window(max(0, group[0].start - context), min(source.length, group[-1].end + context)),
            tuple(group),
        )
        for group in _groups(windows, context)
    ]


def _groups(windows: Sequence[Window], nearest: int) -> Iterator[list[Window]]:
    group: list[Window] = []
    for each in windows:
        if group and each.start - group[-1].end > nearest:
            yield group
            group = []
        group.append(each)
    if group:
        yield group


def in_place(source: Clip, excerpt: Excerpt, played: Clip) -> Clip:
    """Return the source with what was played of an excerpt in its place, in the source's channels.

    Raises:
        errors.EngineFailed: the played clip has another length or rate than the excerpt.
    """
    if (played.length, played.sample_rate) != (excerpt.seen.length, source.sample_rate):
        raise errors.EngineFailed("The engine returned a sound of another length.")
    samples = source.samples.copy()
    samples[:, excerpt.seen.start : excerpt.seen.end] = played.in_channels(source.channels).samples
    return source.with_samples(np.ascontiguousarray(samples))
