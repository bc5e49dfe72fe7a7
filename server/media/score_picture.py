"""A picture of notes: a piano roll over the spectrogram it sounds as, chords above, verdicts below.

Roll and spectrogram share one axis, semitones, so that each note lies on its fundamental and its
partials stand above it. Nothing is shown that was not heard: without a tempo there are no beats,
without chords no names. matplotlib is imported when a picture is drawn and not before.
"""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from server.media import picture, resample, spectrum
from server.media.clip import Clip, Samples
from server.media.picture import INK, PALE
from server.media.sheet import Sheet, SheetNote, Track

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOWEST, HIGHEST = 24, 108
"""MIDI numbers that the roll shows, C1 to C8; notes beyond are moved to its edge."""

_RATE = 22050
_WINDOW = 8192
_COLUMNS = 1500
_ROWS_A_SEMITONE = 4
_FLOOR_DB = -62.0
_PAPER = 0.62
"""How dark the loudest partial may be: notes in colour stay above it."""

_LEFT, _RIGHT = 0.05, 0.954
_WIDTH_PIXELS = 1600 * (_RIGHT - _LEFT)
_SPANS = {
    "source": (0.858, 0.935),
    "bars": (0.838, 0.856),
    "chords": (0.81, 0.838),
    "legend": (0.103, 0.128),
    "figures": (0.0, 0.085),
}
"""Bottom and top of each band, as shares of the height."""

_ROLL, _STROKES = (0.245, 0.808), (0.163, 0.24)
_ROLL_ALONE = (0.163, 0.808)

COLOURS = (
    *("#1f6fb4", "#d9641e", "#2c8f47", "#8148b5", "#c4302b"),
    *("#0f8f94", "#cc4f99", "#80861a", "#7a4a2a", "#2b3f8f"),
)
"""Of the parts, in order; the eleventh begins anew."""

STROKES = {
    "cymbals": frozenset(range(49, 60)) - {56, 58, 54},
    "hats": frozenset({42, 44, 46}),
    "snare": frozenset({37, 38, 39, 40}),
    "toms": frozenset({41, 43, 45, 47, 48, 50}),
    "kick": frozenset({35, 36}),
}
"""Rows of the drums from the top, and their percussion keys; whatever else is percussion."""

_OTHER_STROKES = "perc."
_CHORD_PIXELS, _BAR_PIXELS, _BEAT_PIXELS = 9.5, 26.0, 9.0
"""Least room for a letter of a chord, a bar's number, a beat's line."""

_EARLY_SECONDS = 0.05
"""How long before the first sample a beat may lie that is its own."""

_LEGEND_PIXELS = 7.6
_BLACK_KEYS = frozenset({1, 3, 6, 8, 10})


def report_picture(source: Clip, result: Clip, sheet: Sheet, report: Mapping[str, Any]) -> bytes:
    """Return a PNG, 1600 by 1000 pixels, of what was played and what it sounds like.

    `report` is a transform's: `heard` gives key, tempo, meter, beats and chords, `kept` the
    verdicts. What it lacks is taken of the sheet, or left out.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second that few processes need

    figure = Figure(figsize=(16, 10), dpi=100, facecolor="white")
    seconds = max(source.seconds, result.seconds, 1e-3)
    heard = report.get("heard") or {}
    kits = [track for track in sheet.tracks if track.is_drums and track.notes]
    pitched = [track for track in sheet.tracks if not track.is_drums]
    small = _axes(figure, _SPANS["source"], seconds, (LOWEST, HIGHEST))
    roll = _axes(figure, _ROLL if kits else _ROLL_ALONE, seconds, (LOWEST, HIGHEST))
    _write_title(figure, report, sheet)
    _draw_spectrum(small, source)
    _draw_spectrum(roll, result)
    below = [roll]
    if kits:
        below.append(_axes(figure, _STROKES, seconds, (0.0, 1.0)))
        _draw_strokes(below[1], [note for kit in kits for note in kit.notes])
    _draw_time(figure, below, _beats(heard, sheet), _downbeats(heard, sheet), seconds)
    _write_chords(figure, _chords(heard, sheet), seconds)
    _draw_notes(roll, pitched)
    for seam in _seams(report, seconds):
        roll.axvline(seam, color=INK, linewidth=1.6, linestyle="--")
    _label(small, roll, below[-1])
    _write_legend(figure, pitched)
    if "gates" in (report.get("kept") or {}):
        picture.write_figures(_band(figure, _SPANS["figures"]), report["kept"])
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


# What there is to show


def _beats(heard: Mapping[str, Any], sheet: Sheet) -> Sequence[float]:
    """Return the beats; none where no tempo was heard."""
    if heard.get("bpm", sheet.beats) is None:
        return ()
    return tuple(heard["beats"]) if "beats" in heard else sheet.beats


def _downbeats(heard: Mapping[str, Any], sheet: Sheet) -> Sequence[float]:
    if heard.get("bpm", sheet.beats) is None:
        return ()
    if "downbeats" in heard:
        return tuple(heard["downbeats"])
    return sheet.beats[sheet.downbeat :: max(sheet.beats_per_bar, 1)]


def _chords(heard: Mapping[str, Any], sheet: Sheet) -> Sequence[tuple[float, str]]:
    if "chords" in heard:
        return [(chord["start_seconds"], chord["name"]) for chord in heard["chords"]]
    return sheet.chords


def _seams(report: Mapping[str, Any], seconds: float) -> Sequence[float]:
    """Return where a passage that was changed begins and ends within the source."""
    passage = report.get("passage") or {}
    ends = (passage.get("start_seconds", 0.0), passage.get("end_seconds", seconds))
    return [end for end in ends if 0.0 < end < seconds - 1e-3]


def _write_title(figure: "Figure", report: Mapping[str, Any], sheet: Sheet) -> None:
    """Write what was played on the left, and what was heard on the right."""
    words = report.get("custom_prompt") or report.get("variation") or "result"
    title = str(words).replace("_", " ")
    title = title if len(title) <= 52 else title[:51].rstrip() + "…"
    figure.text(_LEFT, 0.955, title, fontsize=19, color=INK, weight="bold")
    facts = "   ·   ".join(_title_facts(report, sheet))
    figure.text(_RIGHT, 0.957, facts, fontsize=14, color=INK, ha="right")


def _title_facts(report: Mapping[str, Any], sheet: Sheet) -> list[str]:
    heard = report.get("heard") or {}
    key = heard.get("key", sheet.key.name if sheet.key else None)
    facts = [str(key) if key else "no key heard"]
    if heard.get("bpm"):
        facts.append(_tempo(heard))
        facts.append(str(heard.get("meter") or "{}/{}".format(*sheet.meter)))
    elif "bpm" in heard:
        facts.append("no tempo heard")
    return [*facts, str(report["engine"])] if report.get("engine") else facts


def _tempo(heard: Mapping[str, Any]) -> str:
    """Return the tempo, or its range where it moves by a beat a minute and more."""
    low, high = heard.get("bpm_range") or (heard["bpm"], heard["bpm"])
    if heard.get("steady", True) or high - low < 1.0:
        return f"{heard['bpm']:.1f} BPM"
    return f"{low:.0f}–{high:.0f} BPM"


# Drawing


def _axes(
    figure: "Figure", span: tuple[float, float], seconds: float, limits: tuple[float, float]
) -> "Axes":
    axes = figure.add_axes((_LEFT, span[0], _RIGHT - _LEFT, span[1] - span[0]))
    axes.set_xlim(0.0, seconds)
    axes.set_ylim(*limits)
    axes.tick_params(labelsize=10, colors=PALE, labelcolor=INK, length=3)
    for spine in axes.spines.values():
        spine.set(color="#d5dae0", linewidth=0.8)
    return axes


def _band(figure: "Figure", span: tuple[float, float], seconds: float | None = None) -> "Axes":
    """Return axes for words alone: as wide as the picture, or over the seconds of the roll."""
    left, right = (0.0, 1.0) if seconds is None else (_LEFT, _RIGHT)
    axes = figure.add_axes((left, span[0], right - left, span[1] - span[0]))
    axes.set_axis_off()
    axes.set(xlim=(0, 1 if seconds is None else seconds), ylim=(0, 1))
    return axes


def _draw_spectrum(axes: "Axes", clip: Clip) -> None:
    """Draw decibels below the loudest partial in grey, over semitones."""
    levels = _semitone_spectrum(clip)
    shades = np.clip(1.0 - levels / _FLOOR_DB, 0.0, 1.0) ** 1.4 * _PAPER
    axes.imshow(
        shades,
        origin="lower",
        aspect="auto",
        cmap="Greys",
        vmin=0.0,
        vmax=1.0,
        interpolation="bilinear",
        extent=(0.0, max(clip.seconds, 1e-3), LOWEST - 0.5, HIGHEST + 0.5),
    )
    axes.set_ylim(LOWEST - 0.5, HIGHEST + 0.5)


def _draw_notes(axes: "Axes", tracks: Sequence[Track]) -> None:
    """Draw each part in its colour; louder is fuller, later parts are slimmer and lie on top."""
    from matplotlib.collections import PolyCollection  # noqa: PLC0415 - as above
    from matplotlib.colors import to_rgba  # noqa: PLC0415

    for number, track in enumerate(tracks):
        colour = COLOURS[number % len(COLOURS)]
        half = max(0.5 - 0.09 * number, 0.2)
        if track.notes:
            faces = [to_rgba(colour, 0.4 + 0.5 * note.velocity) for note in track.notes]
            shapes = [_shape(note, half) for note in track.notes]
            axes.add_collection(
                PolyCollection(shapes, facecolors=faces, edgecolors=colour, linewidths=0.8)
            )


def _shape(note: SheetNote, half: float) -> NDArray[np.float64]:
    """Return the outline of a note, `[points, (seconds, pitch)]`; a bent one follows its bend."""
    bend = np.array(note.bend or ((0.0, 0.0),), dtype=np.float64)
    times = np.unique(np.clip(np.append(bend[:, 0], (0.0, note.seconds)), 0.0, note.seconds))
    pitch = note.pitch + np.interp(times, bend[:, 0], bend[:, 1]) / 100.0
    pitch = np.clip(pitch, LOWEST, HIGHEST)
    there = np.column_stack([note.start_seconds + times, pitch + half])
    back = np.column_stack([note.start_seconds + times, pitch - half])[::-1]
    return np.concatenate([there, back])


def _draw_strokes(axes: "Axes", notes: Sequence[SheetNote]) -> None:
    """Draw a row a kind of drum that is played; louder strokes are higher."""
    rows = [name for name in (*STROKES, _OTHER_STROKES) if any(_row(n) == name for n in notes)]
    rows.reverse()
    for place, name in enumerate(rows):
        struck = [note for note in notes if _row(note) == name]
        foot = place + 0.1
        heads = [foot + 0.25 + 0.6 * note.velocity for note in struck]
        times = [note.start_seconds for note in struck]
        axes.vlines(times, foot, heads, color=INK, linewidth=1.6)
    axes.set_ylim(0.0, len(rows))
    axes.set_yticks([place + 0.5 for place in range(len(rows))], rows)
    axes.tick_params(axis="y", length=0)


def _row(note: SheetNote) -> str:
    named = (name for name, keys in STROKES.items() if note.pitch in keys)
    return next(named, _OTHER_STROKES)


def _draw_time(
    figure: "Figure",
    views: Sequence["Axes"],
    beats: Sequence[float],
    downbeats: Sequence[float],
    seconds: float,
) -> None:
    """Draw beats as thin lines and bars as strong ones, with their numbers, where there is room."""
    bars = [max(bar, 0.0) for bar in downbeats if -_EARLY_SECONDS <= bar <= seconds]
    if _room(bars, seconds) >= _BEAT_PIXELS:
        for view in views:
            low, high = view.get_ylim()
            view.vlines(bars, low, high, color=INK, alpha=0.4, linewidth=1.0)
    if _room(beats, seconds) >= _BEAT_PIXELS:
        for view in views:
            low, high = view.get_ylim()
            view.vlines(beats, low, high, color=INK, alpha=0.16, linewidth=0.7)
    above, last = _band(figure, _SPANS["bars"], seconds), -np.inf
    for number, bar in enumerate(bars, start=1):
        if (bar - last) * _WIDTH_PIXELS / seconds >= _BAR_PIXELS:
            above.text(bar, 0.2, str(number), fontsize=9, color=PALE, ha="center")
            last = bar


def _room(times: Sequence[float], seconds: float) -> float:
    """Return how many pixels usually lie between neighbours; none for fewer than two."""
    if len(times) < 2:
        return _WIDTH_PIXELS if len(times) else 0.0
    return float(np.median(np.diff(times))) / seconds * _WIDTH_PIXELS


def _write_chords(figure: "Figure", chords: Sequence[tuple[float, str]], seconds: float) -> None:
    """Write the name of each chord where it begins; what finds no room is left out."""
    axes, free_from = _band(figure, _SPANS["chords"], seconds), -1.0
    for start, name in chords:
        if start < free_from or start > seconds:
            continue
        shown = "–" if name == "N" else name
        axes.text(start, 0.25, shown, fontsize=13, color=INK, weight="bold", clip_on=False)
        free_from = start + (len(shown) + 0.8) * _CHORD_PIXELS * seconds / _WIDTH_PIXELS


def _label(small: "Axes", roll: "Axes", lowest: "Axes") -> None:
    """Name octaves on the left of the roll, and their frequencies on its right."""
    octaves = range(LOWEST, HIGHEST + 1, 12)
    roll.set_yticks(list(octaves), [f"C{octave // 12 - 1}" for octave in octaves])
    hertz = roll.secondary_yaxis("right")
    hertz.set_yticks(
        list(octaves), [f"{440.0 * 2 ** ((each - 69) / 12):.0f} Hz" for each in octaves]
    )
    hertz.tick_params(labelsize=9, colors=PALE, labelcolor=PALE, length=3)
    hertz.spines["right"].set_visible(False)
    roll.set_axisbelow(False)
    roll.grid(axis="y", color="#9aa6b3", alpha=0.35, linewidth=0.6)
    small.set_yticks([])
    small.set_ylabel("source", fontsize=10, color=INK)
    for view in (small, roll):
        view.tick_params(axis="x", labelbottom=False, length=0)
    lowest.tick_params(axis="x", labelbottom=True, length=3)
    lowest.xaxis.set_major_formatter("{x:g} s")


def _write_legend(figure: "Figure", tracks: Sequence[Track]) -> None:
    """Write each part in its colour with the number of its notes, as far as the line has room."""
    axes, place = _band(figure, _SPANS["legend"]), _LEFT * 1600
    for number, track in enumerate(tracks):
        words = f"{track.name.replace('_', ' ')} ({len(track.notes)})"
        if place + (len(words) + 8) * _LEGEND_PIXELS > _RIGHT * 1600:
            more = f"and {len(tracks) - number} more"
            axes.text(place / 1600, 0.3, more, fontsize=11.5, color=PALE)
            return
        colour = COLOURS[number % len(COLOURS)]
        axes.text(place / 1600, 0.3, "■", fontsize=13, color=colour)
        axes.text((place + 17) / 1600, 0.3, words, fontsize=11.5, color=INK)
        place += (len(words) + 5) * _LEGEND_PIXELS


# Measuring


def _semitone_spectrum(clip: Clip) -> Samples:
    """Return decibels below the loudest, `[rows, at most some 1500 columns]`, low pitches first."""
    mono = resample.resample(clip, _RATE).mono()
    hop = max(128, 1 << int(np.ceil(np.log2(max(mono.shape[0] / _COLUMNS, 1.0)))))
    levels = spectrum.magnitudes(mono, n_fft=_WINDOW, hop=hop)
    count = (HIGHEST - LOWEST + 1) * _ROWS_A_SEMITONE
    pitches = LOWEST - 0.5 + (np.arange(count) + 0.5) / _ROWS_A_SEMITONE
    bins = 440.0 * 2.0 ** ((pitches - 69) / 12) * _WINDOW / _RATE
    below = bins.astype(int)
    share = (bins - below)[:, None]
    read = (1.0 - share) * levels[below] + share * levels[below + 1]
    loudest = max(float(read.max(initial=0.0)), 1e-4)
    return np.asarray(20.0 * np.log10(np.maximum(read / loudest, 1e-4)), dtype=np.float32)
