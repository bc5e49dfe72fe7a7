"""The report of a transform as lines a musician reads. Knows its keys, decides nothing."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from server.cli import console
from server.engines.catalog import ENGINES

_WIDTH = 76
_MOST_CHORDS = 16
_NOTHING = "–"
_SWUNG = 0.1
"""Of half a beat; less is a player's touch."""

_KEPT = {
    "length": ("length", "{:+.0f} samples"),
    "lag": ("players' lag", "{:+.0f} ms"),
    "drift": ("drift", "{:+.1f} ms in 30 s"),
    "tempo": ("tempo", "{:+.2f} %"),
    "harmony": ("harmony of the mix", "{:.2f} alike"),
    "harmony_pitched": ("harmony of its notes", "{:.2f} alike"),
    "roots": ("chord roots", "{:.0%} of beats alike"),
    "transposition": ("rotation", "{:+.0f} semitones"),
}


def describe(facts: Mapping[str, Any]) -> str:
    """Return the table for a finished job, given as `GET /jobs/<id>` shows it; one a variation."""
    report = facts.get("report") or {}
    several = report.get("variations")
    if several:
        tables = [f"{each['variation']}\n\n{_table(facts, each)}" for each in several]
        return "\n\n".join(tables)
    return _table(facts, report)


def _table(facts: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    sections = (
        ("heard", _heard(report.get("heard") or {})),
        ("kept", _kept(report.get("kept") or {})),
        ("passage", _passage(report.get("passage") or {})),
        ("made", _made(facts, report)),
    )
    rows = [
        (title if first else "", *row)
        for title, section in sections
        for first, row in zip((True, *[False] * 99), section, strict=False)
    ]
    return console.table(rows)


def title_of(gate: str) -> str:
    """Return what a musician calls a gate."""
    return _KEPT[gate][0] if gate in _KEPT else gate


def _heard(heard: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _time(heard)
    if "key" in heard:
        yield "key", str(heard["key"] or "none")
    chords = [chord["name"] for chord in heard.get("chords") or ()]
    if chords:
        more = " …" if len(chords) > _MOST_CHORDS else ""
        yield "chords", " ".join(chords[:_MOST_CHORDS]) + more
    if heard.get("voice"):
        yield "voice", f"{heard['voice']['confidence']:.0%} sure"
    yield from _hints(heard.get("hints") or {})
    for name in ("transcription", "sound_bank"):
        if heard.get(name):
            yield name.replace("_", " "), str(heard[name])


def _time(heard: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if heard.get("bpm"):
        drift = "" if heard.get("steady", True) else ", not steady"
        yield "tempo", f"{heard['bpm']:.1f} BPM{drift}"
    elif "bpm" in heard:
        yield "tempo", "none"
    if heard.get("meter"):
        feel = ", swung" if (heard.get("swing") or 0.0) > _SWUNG else ""
        yield "meter", f"{heard['meter']}{feel}"


def _hints(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, hint in said.items():
        became = (
            "followed" if hint["followed"] else f"not followed, {hint['heard'] or 'none'} heard"
        )
        yield f"hint: {name}", f"{hint['given']}, {became}"


def _kept(kept: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, gate in (kept.get("gates") or {}).items():
        _, form = _KEPT.get(name, (name, "{}"))
        value = gate["value"]
        amount = _NOTHING if value is None else form.format(value)
        yield title_of(name), f"{amount:<22}{gate['verdict']}"
    source, result = kept.get("source") or {}, kept.get("result") or {}
    for title, name, unit in (
        ("loudness", "loudness_lufs", "LUFS"),
        ("true peak", "true_peak_db", "dBTP"),
    ):
        yield title, f"{_number(source.get(name))} → {_number(result.get(name))} {unit}"


def _passage(passage: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not passage:
        return
    yield "changed", f"{passage['start_seconds']:.3f} to {passage['end_seconds']:.3f} s"
    yield "the rest", "bit for bit" if passage["outside"]["identical"] else "changed by the format"
    for end in ("start", "end"):
        seam = passage["seams"][end]
        if seam:
            gates = ", ".join(f"{name} {gate['value']:.2f}" for name, gate in seam["gates"].items())
            yield f"seam at its {end}", f"{gates:<41} {seam['verdict']}"


def _made(facts: Mapping[str, Any], report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    engine = str(facts.get("engine"))
    yield "engine", engine
    yield "seed", str(facts.get("seed"))
    for name in ("understood", "ignored"):
        if report.get(name):
            yield name, ", ".join(report[name])
    if report.get("comparison"):
        compared = report["comparison"]
        said = f"{compared['gain_db']:+.1f} dB, {_number(compared['loudness_lufs'])} LUFS"
        yield "comparison", said
    if report.get("guessed"):
        yield "guessed", f"nothing was understood, so {report['guessed']} was played"
    for notice in report.get("notices") or ():
        yield from _wrapped("notice", notice)
    if engine in ENGINES:
        yield from _wrapped("licence", ENGINES[engine].licence)


def _wrapped(title: str, text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(textwrap.wrap(text, _WIDTH, break_on_hyphens=False)):
        yield (title if number == 0 else "", line)


def _number(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.1f}"
