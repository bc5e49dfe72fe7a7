"""A picture of a result beside its source: waveform, spectrogram, chroma, key figures.

matplotlib is imported when a picture is drawn and not before, and only its object interface is
used, so that nothing global is configured and threads do not meet.
"""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from server.media import harmony, resample, spectrum
from server.media.analysis import Verdict
from server.media.clip import Clip, Samples
from server.media.key import PITCH_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RATE = 22050
_COLUMNS = 900
_MARGINS = {
    "left": 0.055,
    "right": 0.99,
    "top": 0.955,
    "bottom": 0.165,
    "wspace": 0.04,
    "hspace": 0.08,
}
"""Shares of the picture; matplotlib would find them by drawing everything twice."""

_FLOOR_DB = -70.0
_LOWEST_HZ, _HIGHEST_HZ = 40.0, 10000.0
INK, PALE = "#1d2530", "#5b6675"
_COLOURS = ("#2f6db3", "#c2571a")
_VERDICT_COLOURS: dict[Verdict, str] = {
    "pass": "#20793a",
    "warn": "#a86200",
    "fail": "#b3261e",
    "undetermined": PALE,
}
_HERTZ_TICKS = (50, 100, 200, 500, 1000, 2000, 5000, 10000)
_LABELS = {
    "length": "Length",
    "lag": "Lag",
    "drift": "Drift",
    "tempo": "Tempo",
    "harmony": "Harmony of the mix",
    "harmony_pitched": "of its notes",
    "roots": "Roots",
    "transposition": "Transposed",
}
_APART = 5
"""Letters of room between two words of a line."""

_AMOUNTS = {
    "length": "{:+.0f} samples",
    "lag": "{:+.0f} ms",
    "drift": "{:+.0f} ms / 30 s",
    "tempo": "{:+.2f} %",
    "harmony": "{:.2f}",
    "harmony_pitched": "{:.2f}",
    "roots": "{:.0%}",
    "transposition": "{:+.0f}",
}


def comparison_picture(
    source: Clip,
    result: Clip,
    *,
    titles: tuple[str, str],
    kept: Mapping[str, Any] | None = None,
    inserts: Sequence[Mapping[str, Any]] = (),
) -> bytes:
    """Return a PNG, 1600 by 1000 pixels, with the source on the left and the result on the right.

    Both sides share every scale: seconds, amplitude, frequency, decibels. With `kept`, what
    `Comparison.as_dict` returned and a job's report stores, its gates and key figures stand below.
    `inserts` are the windows of an inpainting as its report has them: they are shaded on both
    sides, and the verdicts of the first stand below instead.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second that few processes need

    figure = Figure(figsize=(16, 10), dpi=100, facecolor="white")
    axes: list[list[Axes]] = figure.subplots(
        3, 2, sharex=True, sharey="row", height_ratios=(1.0, 1.9, 1.2), gridspec_kw=_MARGINS
    ).tolist()
    clips = (source, result)
    loudest = max(*(float(np.abs(clip.samples).max(initial=0.0)) for clip in clips), 1e-3)
    spectra = [_log_spectrum(clip) for clip in clips]
    top_db = max(float(levels.max(initial=_FLOOR_DB)) for levels in spectra)
    for column, clip in enumerate(clips):
        axes[0][column].set_title(titles[column], fontsize=16, color=INK, pad=10)
        _draw_waveform(axes[0][column], clip, _COLOURS[column], loudest)
        _draw_spectrum(axes[1][column], spectra[column], clip.seconds, top_db)
        _draw_chroma(axes[2][column], clip)
    _label(axes, max(clip.seconds for clip in clips))
    for insert in inserts:
        _mark(axes, insert["start_seconds"], insert["end_seconds"])
    if inserts:
        _write_insert(figure.add_axes((0.0, 0.0, 1.0, 0.1)), inserts[0])
    elif kept is not None:
        write_figures(figure.add_axes((0.0, 0.0, 1.0, 0.1)), kept)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


# Drawing


def _draw_waveform(axes: "Axes", clip: Clip, colour: str, loudest: float) -> None:
    """Draw the range of the samples under each pixel."""
    edges = np.linspace(0, clip.length, min(_COLUMNS, max(clip.length, 1)) + 1).astype(int)[:-1]
    mono = clip.mono() if clip.length else np.zeros(1, np.float32)
    low, high = np.minimum.reduceat(mono, edges), np.maximum.reduceat(mono, edges)
    times = edges / clip.sample_rate
    axes.fill_between(times, low, high, color=colour, linewidth=0.4, step="post")
    axes.set_ylim(-1.05 * loudest, 1.05 * loudest)


def _draw_spectrum(axes: "Axes", levels: Samples, seconds: float, top_db: float) -> None:
    axes.imshow(
        levels,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=top_db + _FLOOR_DB,
        vmax=top_db,
        interpolation="bilinear",
        extent=(0.0, max(seconds, 1e-3), 0.0, float(levels.shape[0])),
    )
    axes.set_yticks([_row(hertz, levels.shape[0]) for hertz in _HERTZ_TICKS])
    names = [f"{hertz // 1000} k" if hertz >= 1000 else str(hertz) for hertz in _HERTZ_TICKS]
    axes.set_yticklabels(names)


def _draw_chroma(axes: "Axes", clip: Clip) -> None:
    """Draw each frame's chroma with its strongest pitch class at full colour."""
    levels = harmony.chroma(clip)
    peaks = np.maximum(levels.max(axis=0, initial=0.0), 1e-9)
    axes.imshow(
        levels / peaks,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=0.0,
        vmax=1.0,
        interpolation="nearest",
        extent=(0.0, max(clip.seconds, 1e-3), -0.5, 11.5),
    )
    axes.set_yticks(range(12), PITCH_NAMES)


def _label(axes: list[list["Axes"]], seconds: float) -> None:
    for row, name in enumerate(("Amplitude", "Frequency (Hz)", "Pitch class")):
        axes[row][0].set_ylabel(name, fontsize=12, color=INK)
    for each in (*axes[0], *axes[1], *axes[2]):
        each.set_xlim(0.0, max(seconds, 1e-3))
        each.tick_params(labelsize=11, colors=PALE, labelcolor=INK)
        for spine in each.spines.values():
            spine.set_visible(False)
    for each in axes[2]:
        each.set_xlabel("Seconds", fontsize=12, color=INK)


def _mark(axes: list[list["Axes"]], start: float, end: float) -> None:
    """Shade a window, and draw its two seams through all views."""
    for column, colour in enumerate(_COLOURS):
        for row in range(3):
            view = axes[row][column]
            if row == 0:
                view.axvspan(start, end, color=colour, alpha=0.15, linewidth=0)
            for seam in (start, end):
                view.axvline(seam, color=INK if row == 0 else "white", linewidth=1.5, ls="--")


# Figures


def _write_insert(axes: "Axes", insert: Mapping[str, Any]) -> None:
    """Write the verdict on an insert and on its two seams, then each gate in its colour."""
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    lines: list[list[tuple[str, Verdict]]] = [
        [(f"Verdict: {insert['verdict']}", insert["verdict"])]
    ]
    for end, seam in insert["seams"].items():
        if seam:
            text = f"Seam at its {end}, {seam['seconds']:.2f} s: {seam['verdict']}"
            lines[0].append((text, seam["verdict"]))
    lines.append(
        [
            (f"{name.capitalize()} {_measured(gate)}", gate["verdict"])
            for name, gate in insert["gates"].items()
        ]
    )
    for height, size, words in zip((0.75, 0.2), (14, 12), lines, strict=True):
        for number, (text, verdict) in enumerate(words):
            place = (number + 0.5) / len(words)
            colour = _VERDICT_COLOURS[verdict]
            axes.text(place, height, text, fontsize=size, ha="center", color=colour)


def _measured(gate: Mapping[str, Any]) -> str:
    """Return a gate's value with its unit, where that is a word of music."""
    if gate["value"] is None:
        return "–"
    unit = gate["unit"] if gate["unit"] in ("ms", "LU", "dB", "semitones") else ""
    return f"{gate['value']:.3g} {unit}".strip().replace("-", "−")


def write_figures(axes: "Axes", kept: Mapping[str, Any]) -> None:
    """Write each gate with its verdict's colour in one line, and the clips' key figures below."""
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    words: list[tuple[str, Verdict]] = [(f"Verdict: {kept['verdict']}", kept["verdict"])]
    words += [
        (f"{_LABELS.get(name, name.capitalize())} {_amount(gate['value'], name)}", gate["verdict"])
        for name, gate in kept["gates"].items()
    ]
    letters = sum(len(text) + _APART for text, _ in words)
    done = 0.0
    for number, (text, verdict) in enumerate(words):
        place = (done + (len(text) + _APART) / 2) / letters
        done += len(text) + _APART
        written = axes.text(place, 0.75, text, fontsize=min(14, 1900 / letters), ha="center")
        written.set(color=_VERDICT_COLOURS[verdict], weight="normal" if number else "bold")
    for place, name in ((0.25, "source"), (0.75, "result")):
        facts = "   ·   ".join(_facts(kept[name])) or "silent"
        axes.text(place, 0.15, f"{name}   {facts}", fontsize=13, ha="center", color=INK)


def _amount(value: float | None, name: str) -> str:
    """Return a gate's value as a musician would say it."""
    if value is None:
        return "–"
    return _AMOUNTS.get(name, "{:.2f}").format(value + 0.0).replace("-", "−")


def _facts(portrait: Mapping[str, Any]) -> list[str]:
    """Return what could be measured of a clip."""
    facts = (
        (portrait["key"], "{}"),
        (portrait["bpm"], "{:.1f} BPM"),
        (portrait["loudness_lufs"], "{:.1f} LUFS"),
        (portrait["true_peak_db"], "{:.1f} dBTP"),
        (portrait["crest_db"], "crest {:.1f} dB"),
    )
    return [form.format(value).replace("-", "−") for value, form in facts if value is not None]


# Measuring


def _log_spectrum(clip: Clip) -> Samples:
    """Return decibels over rows spaced evenly in log frequency and at most `_COLUMNS` columns."""
    mono = resample.resample(clip, _RATE).mono()
    hop = max(256, 1 << int(np.ceil(np.log2(max(mono.shape[0] / _COLUMNS, 1.0)))))
    levels = spectrum.magnitudes(mono, n_fft=4096, hop=hop)
    rows = np.geomspace(_LOWEST_HZ, _HIGHEST_HZ, 320) * 4096 / _RATE
    below = rows.astype(int)
    share = (rows - below)[:, None]
    read = (1.0 - share) * levels[below] + share * levels[below + 1]
    return np.asarray(20.0 * np.log10(np.maximum(read, 1e-6)), dtype=np.float32)


def _row(hertz: float, rows: int) -> float:
    """Return where a frequency lies on the vertical axis."""
    return float(rows * np.log(hertz / _LOWEST_HZ) / np.log(_HIGHEST_HZ / _LOWEST_HZ))
