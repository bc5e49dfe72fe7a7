"""Listening to a clip: everything the arranger needs to know about the source.

Puts the steps of `listening` in order; knows nothing of presets, prompts or sounds to come.
"""

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from server.engines.arranger.listening import (
    bass,
    bends,
    chords,
    drums,
    notes,
    tempo,
    timing,
    verify,
    voice,
)
from server.engines.arranger.listening.candidates import Candidates, decode, infer_onsets
from server.engines.arranger.listening.channel import listened_to
from server.engines.arranger.listening.features import N_FFT, Evidence, features, raw_onsets
from server.engines.arranger.listening.meter import Signs
from server.engines.arranger.listening.onsets import bass_envelope, onsets_of
from server.engines.arranger.listening.transcribe import Posteriors, Transcriber
from server.engines.arranger.score import (
    ANALYSIS_RATE,
    FRAME_HOP,
    FRAME_RATE,
    LOWEST_PITCH,
    Chord,
    DrumHit,
    Heard,
    Note,
)
from server.engines.protocols import OnStep, tell_nobody
from server.media import resample, spectrum
from server.media.clip import Clip, Samples
from server.media.key import Key

STEPS = 100
"""Total of `on_step`; the two transcriptions take most of it."""

_LAYERS, _TRANSCRIBED, _JUDGED, _SEMITONES = 8, 78, 84, 92

_SHORTEST_SECONDS = 0.25
_SILENT = 1e-4
_LEVEL = 0.8
"""Peak everything is heard at, so that level does not matter."""

HARMONIC_MARGIN = 1.5
_CHORD_TONE, _SCALE_TONE, _FOREIGN_TONE = -0.06, 0.04, 0.15
_ANTICIPATION_SECONDS = 0.03
_SUSTAIN_HOP = 2 * FRAME_HOP


@dataclass(frozen=True, slots=True, eq=False)
class _Layers:
    """The sound and its two layers, mono `[N]` at the analysis rate."""

    mix: Samples
    harmonic: Samples
    percussive: Samples


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """Candidates with what they are judged by."""

    candidates: Candidates
    verdicts: NDArray[np.float32]
    joined: Posteriors
    levels: Samples
    strikes: NDArray[np.float32]


def listen(
    clip: Clip,
    *,
    transcriber: Transcriber,
    bpm: float | None = None,
    key: Key | None = None,
    beats: tempo.Beats | None = None,
    once: bool = False,
    on_step: OnStep | None = None,
) -> Heard:
    """Return what is heard in a clip; `bpm` and `key` are what a DAW knows, as hints.

    Where the caller knows the `beats`, they are not looked for. Heard `once`, without a second look
    at the harmonic layer alone, chords are as sure and single notes less so, in 70 % of the time.

    Any finite clip will do: where there is nothing to hear, nothing is heard.
    """
    samples, gain = _heard_at_level(clip)
    report = on_step or tell_nobody
    if clip.seconds < _SHORTEST_SECONDS or gain < _SILENT:
        return _nothing(clip, samples, bpm)
    layers = _Layers(samples, *spectrum.hpss(samples, ANALYSIS_RATE, margin=HARMONIC_MARGIN))
    envelope = spectrum.onset_envelope(samples, ANALYSIS_RATE, hop=notes.ENVELOPE_HOP)
    report(_LAYERS, STEPS)
    with ThreadPoolExecutor(1) as beside:
        sketching = beside.submit(_sketched, layers, once=once)
        judged = _judge(layers, transcriber, report, once=once)
    sketch = sketching.result()
    strokes, semitones, low = sketch.strokes, sketch.semitones, sketch.low
    report(_SEMITONES, STEPS)
    found = beats or tempo.find_beats(envelope, clip.seconds, bpm=bpm, bass=low)
    signs = Signs(onsets_of(envelope, low), strokes, semitones, ANALYSIS_RATE / _SUSTAIN_HOP)
    timed = timing.read(found, signs, clip.seconds, hint=bpm, known=beats is not None)
    beats = timed.beats
    peaks = notes.onset_peaks(envelope)
    melody = _melody(judged, peaks, semitones, beats.times, clip.seconds, hint=key)
    played, tuning = bends.with_bends(melody.notes, judged.joined.contour, sketch.tuning_cents)
    singing = voice.with_notes(sketch.sung, played)
    report(STEPS, STEPS)
    heard = replace(
        _nothing(clip, samples, bpm),
        downbeat=chords.find_downbeat(melody.chords, melody.notes, strokes, timed.meter.beats),
        notes=played,
        chords=melody.chords,
        key=melody.key,
        tuning_cents=tuning,
        # Alone, what strikes are consonants.
        drums=() if singing is not None and singing.is_alone else strokes,
        pitchedness=_pitchedness(melody.notes, clip.seconds),
        sustain=_sustain(judged.joined.frame, semitones),
        percussive=layers.percussive,
        percussive_gain=gain / _LEVEL,
        singing=singing,
    )
    return _in_time(heard, timed, hint=bpm)


@dataclass(frozen=True, slots=True, eq=False)
class _Sketch:
    """What can be heard without knowing any notes.

    `low` is the envelope of the bass, `semitones` their levels `[88, T]`.
    """

    strokes: tuple[DrumHit, ...]
    tuning_cents: float
    semitones: Samples
    low: Samples
    sung: voice.Sung | None


def _sketched(layers: _Layers, *, once: bool) -> _Sketch:
    """Return what is heard while the network listens for notes."""
    harmonic, percussive = layers.harmonic, layers.percussive
    tuning = spectrum.estimate_tuning(harmonic, ANALYSIS_RATE)
    return _Sketch(
        strokes=drums.find_strokes(percussive) if drums.are_heard(percussive, harmonic) else (),
        tuning_cents=tuning,
        semitones=spectrum.cqt_levels(
            harmonic, ANALYSIS_RATE, hop=_SUSTAIN_HOP, tuning_cents=tuning
        ),
        low=bass_envelope(layers.mix),
        sung=None if once else voice.find_voice(layers.mix),
    )


def _in_time(heard: Heard, timed: timing.Timing, *, hint: float | None) -> Heard:
    """Return what was heard with its beats, bars and feel."""
    beats = timed.beats
    return replace(
        heard,
        bpm=beats.bpm,
        tempo_confidence=beats.confidence,
        is_steady=beats.is_steady,
        beats=beats.times,
        meter=timed.meter,
        meter_confidence=timed.meter_confidence,
        swing=timed.feel.swing,
        fine_swing=timed.feel.fine_swing,
        hinted_bpm=hint,
        follows_hint=beats.follows_hint,
    )


# The sound


def _heard_at_level(clip: Clip) -> tuple[Samples, float]:
    """Return mono samples at the analysis rate with a peak of 0.8, and the peak they had."""
    peak = float(np.abs(clip.samples).max(initial=0.0))
    if peak < _SILENT:
        return np.zeros(round(clip.seconds * ANALYSIS_RATE), np.float32), 0.0
    mono = listened_to(clip.samples / np.float32(peak))
    mono = mono - mono.mean(dtype=np.float64).astype(np.float32)
    heard = resample.resample(Clip(mono[None, :], clip.sample_rate), ANALYSIS_RATE).mono()
    own_peak = float(np.abs(heard).max(initial=0.0))
    if own_peak * peak < _SILENT:
        return np.zeros_like(heard), 0.0
    return heard * np.float32(_LEVEL / own_peak), own_peak * peak


def _nothing(clip: Clip, samples: Samples, bpm: float | None) -> Heard:
    """Return what is heard where there is nothing: a grid, and beats without a chord."""
    seconds = clip.seconds
    beats = tempo.find_beats(np.zeros(1, np.float32), seconds, bpm=bpm)
    edges = chords.beat_edges(beats.times, seconds).tolist()
    pairs = itertools.pairwise(edges)
    return Heard(
        seconds=seconds,
        bpm=beats.bpm,
        tempo_confidence=1.0,
        is_steady=True,
        beats=beats.times,
        downbeat=0,
        notes=(),
        chords=tuple(Chord(start, end, None, "", None, 1.0) for start, end in pairs),
        key=None,
        tuning_cents=0.0,
        drums=(),
        pitchedness=0.0,
        sustain=np.zeros((-(-samples.shape[0] // FRAME_HOP) + 1, 88), np.float32),
        percussive=np.zeros_like(samples),
        percussive_gain=0.0,
        hinted_bpm=bpm,
    )


# Notes and harmony


def _judge(layers: _Layers, transcriber: Transcriber, report: OnStep, *, once: bool) -> _Judged:
    """Transcribe the sound and its harmonic layer, and judge what may be notes."""

    def transcribed(done: int, total: int) -> None:
        report(_LAYERS + (_TRANSCRIBED - _LAYERS) * done // total, STEPS)

    candidates, evidence = weigh(
        layers.mix, layers.harmonic, transcriber, once=once, on_step=transcribed
    )
    known = features(candidates, evidence)
    verdicts = verify.verdicts(verify.committed_verifier(), known, raw_onsets(known))
    report(_JUDGED, STEPS)
    joined = evidence.mix.joined(evidence.harmonic)
    strikes = bass.strengths(evidence)
    return _Judged(candidates, verdicts, joined, evidence.mix_levels, strikes)


def weigh(
    mix: Samples,
    harmonic: Samples,
    transcriber: Transcriber,
    *,
    once: bool = False,
    on_step: OnStep = tell_nobody,
) -> tuple[Candidates, Evidence]:
    """Return what may be notes and what speaks for and against it; the verifier learns from this.

    `mix` and its layer `harmonic` are mono `[N]` at the analysis rate. Transcribed `once`, the mix
    speaks for its layer.
    """
    heard = transcriber.posteriors(mix, on_step=lambda done, total: on_step(done, 2 * total))
    heard_harmonic = heard
    if not once:
        heard_harmonic = transcriber.posteriors(
            harmonic, on_step=lambda done, total: on_step(total + done, 2 * total)
        )
    joined = heard.joined(heard_harmonic)
    onsets = infer_onsets(joined)
    levels, harmonic_levels = (
        spectrum.magnitudes(layer, n_fft=N_FFT, hop=FRAME_HOP) for layer in (mix, harmonic)
    )
    evidence = Evidence(heard, heard_harmonic, onsets, levels, harmonic_levels)
    return decode(joined, onsets), evidence


@dataclass(frozen=True, slots=True)
class _Melody:
    """Notes, and the harmony they make."""

    notes: tuple[Note, ...]
    chords: tuple[Chord, ...]
    key: Key | None


def _melody(
    judged: _Judged,
    peaks: NDArray[np.float64],
    semitones: Samples,
    beats: NDArray[np.float64],
    seconds: float,
    *,
    hint: Key | None,
) -> _Melody:
    """Read the notes, the chords from them, and the notes again in the light of the chords."""

    def read(thresholds: NDArray[np.float64]) -> tuple[Note, ...]:
        drafts = notes.accept(judged.candidates, judged.verdicts, thresholds)
        drafts = bass.restruck(drafts, judged.joined.onset, judged.strikes, judged.levels)
        return notes.finish(drafts, judged.levels, peaks, seconds)

    first = read(np.full(len(judged.candidates), notes.THRESHOLD))
    key = chords.find_key(first, hint=hint)
    evidence = chords.Evidence(first, judged.joined.frame, _chroma(semitones))
    found = chords.find_chords(evidence, beats, seconds, key)
    if key is None or all(chord.root is None for chord in found):
        return _Melody(first, found, key)
    return _Melody(read(_thresholds(judged.candidates, found, key)), found, key)


def _thresholds(candidates: Candidates, found: tuple[Chord, ...], key: Key) -> NDArray[np.float64]:
    """Return what an onset must reach: less for a chord tone, more outside of the scale."""
    table = np.full((len(found), 12), notes.THRESHOLD + _FOREIGN_TONE)
    table[:, list(chords.scale_of(key))] = notes.THRESHOLD + _SCALE_TONE
    for row, chord in zip(table, found, strict=True):
        row[list(chord.pitch_classes)] = notes.THRESHOLD + _CHORD_TONE
    starts = np.array([chord.start_seconds for chord in found])
    times = candidates.starts / FRAME_RATE + _ANTICIPATION_SECONDS
    beats = np.maximum(np.searchsorted(starts, times) - 1, 0)
    return np.asarray(table[beats, (candidates.columns + LOWEST_PITCH) % 12])


def _chroma(semitones: Samples) -> Samples:
    """Fold semitone levels `[88, T]` into chroma `[12, 2T]`, each frame's strongest class 1."""
    folded = np.zeros((12, semitones.shape[1]), np.float32)
    np.add.at(folded, (np.arange(semitones.shape[0]) + LOWEST_PITCH) % 12, semitones)
    folded /= np.maximum(folded.max(axis=0, keepdims=True), 1e-9)
    return np.repeat(folded, 2, axis=1)


def _sustain(frame: NDArray[np.float32], semitones: Samples) -> NDArray[np.float32]:
    """Return how loud each semitone sounds where the transcription hears it, `[T, 88]`."""
    levels = np.repeat(semitones.T, 2, axis=0)[: frame.shape[0]]
    sustain = np.zeros_like(frame)
    heard = np.clip((frame[: levels.shape[0]] - 0.12) / 0.25, 0.0, 1.0)
    sustain[: levels.shape[0]] = heard * levels**0.8
    return sustain


def _pitchedness(found: tuple[Note, ...], seconds: float) -> float:
    return sum(note.seconds * note.velocity for note in found) / max(seconds, 0.1)
