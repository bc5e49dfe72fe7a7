"""The musical report passes the same music and fails every kind of damage at its own gate."""

import json

import numpy as np
import pytest

from server.media import analysis
from server.media.clip import Clip
from tests import music

BPM, KEY, SECONDS, SEED = 104.0, 4, 16.0, 1


def played(
    *, bpm: float = BPM, key: int = KEY, seed: int = SEED, timbre: music.Timbre = "reed"
) -> Clip:
    """Return the piece as a result might play it."""
    return music.band(bpm, key, SECONDS, seed, timbre=timbre).clip


SOURCE = music.band(BPM, KEY, SECONDS, SEED)


def shuffled(piece: music.Piece) -> Clip:
    """Return the same beats in another order: tempo, sound and mean harmony stay."""
    beat = round(60 / piece.bpm * piece.clip.sample_rate)
    samples = piece.clip.samples.copy()
    order = np.random.default_rng(0).permutation(piece.clip.length // beat)
    for place, taken in enumerate(order):
        part = piece.clip.samples[:, taken * beat : (taken + 1) * beat]
        samples[:, place * beat : place * beat + part.shape[1]] = part
    return piece.clip.with_samples(samples)


def without_end(clip: Clip) -> Clip:
    """Drop one sample."""
    return clip.with_samples(clip.samples[:, :-1])


def late(clip: Clip) -> Clip:
    """Delay by 80 ms."""
    samples = np.pad(clip.samples, ((0, 0), (3528, 0)))[:, : clip.length]
    return clip.with_samples(samples)


def test_a_clip_compared_with_itself_passes_every_gate() -> None:
    """Identity is the upper bound."""
    report = analysis.compare(SOURCE.clip, SOURCE.clip)

    assert "pass" == report.verdict
    assert {"pass"} == set(report.verdicts.values())
    assert pytest.approx(1.0) == report.values["harmony"]
    assert 0.0 == report.loudness_change_db == report.true_peak_change_db


@pytest.mark.parametrize("timbre", ["reed", "bell"])
def test_the_same_music_in_another_timbre_passes_every_gate(timbre: music.Timbre) -> None:
    """That is what a transform is for; its level does not matter."""
    result = played(timbre=timbre)
    quiet = result.with_samples(result.samples * np.float32(0.1))

    report = analysis.compare(SOURCE.clip, quiet)

    assert {"pass"} == set(report.verdicts.values())
    assert report.loudness_change_db is not None
    assert -25 < report.loudness_change_db < -10


@pytest.mark.parametrize(
    ("gate", "result"),
    [
        ("length", without_end(SOURCE.clip)),
        ("lag", late(played())),
        ("drift", played(bpm=BPM * 1.005)),
        ("tempo", played(bpm=BPM * 1.03)),
        ("harmony", shuffled(SOURCE)),
        ("harmony", played(seed=2)),
        ("harmony", music.noise(SECONDS)),
        ("harmony", music.silence(SECONDS)),
        ("harmony_pitched", shuffled(SOURCE)),
        ("harmony_pitched", played(seed=2)),
        ("harmony_pitched", played(key=KEY + 1)),
        ("roots", shuffled(SOURCE)),
        ("roots", played(seed=2)),
        ("roots", played(key=KEY + 7)),
        ("transposition", played(key=KEY + 1)),
        ("transposition", played(key=KEY + 7)),
    ],
)
def test_each_damage_fails_its_own_gate(gate: str, result: Clip) -> None:
    """The negative controls: without them a gate that always passes would look fine."""
    report = analysis.compare(SOURCE.clip, result)

    assert "fail" == report.verdicts[gate]
    assert "fail" == report.verdict


@pytest.mark.parametrize(
    ("spared", "result"),
    [
        ("harmony", played(bpm=BPM * 1.005)),
        ("drift", played(key=KEY + 1)),
        ("tempo", shuffled(SOURCE)),
        ("transposition", shuffled(SOURCE)),
        ("lag", played(seed=2)),
    ],
)
def test_damage_leaves_other_gates_alone(spared: str, result: Clip) -> None:
    """So that the report tells what is wrong."""
    assert "pass" == analysis.compare(SOURCE.clip, result).verdicts[spared]


def test_a_tenth_of_a_percent_is_a_warning() -> None:
    """A musician would notice at the end of a long loop."""
    report = analysis.compare(SOURCE.clip, played(bpm=BPM * 1.001))

    assert "warn" == report.verdicts["drift"]
    assert "warn" == report.verdict


def test_transposition_is_told_in_semitones() -> None:
    """The nearer way round."""
    up, down = (analysis.compare(SOURCE.clip, played(key=KEY + by)) for by in (1, 7))

    assert (1.0, -5.0) == (up.values["transposition"], down.values["transposition"])


def test_given_beats_are_used_and_change_no_verdict() -> None:
    """The true grid is at least as good as the measured one."""
    report = analysis.compare(SOURCE.clip, played(), beats=SOURCE.beats.tolist())

    assert "pass" == report.verdict
    assert 0.95 < (report.chord_agreement or 0.0)


@pytest.mark.parametrize(
    "clip",
    [
        music.silence(0.0),
        music.silence(2.0),
        music.sine(440, 0.02),
        music.noise(3.0),
        music.noise(0.5, sample_rate=8000, channels=1),
        Clip(np.full((1, 1), 0.5, np.float32), 44100),
    ],
)
def test_what_cannot_be_measured_is_undetermined_and_not_an_error(clip: Clip) -> None:
    """Silence, noise, scraps: the report is valid JSON without NaN, and fails nobody."""
    report = analysis.compare(clip, clip)

    text = json.dumps(report.as_dict(), allow_nan=False)

    assert "pass" == json.loads(text)["verdict"]
    assert "undetermined" in report.verdicts.values()


def test_a_change_of_rate_is_no_change_of_length() -> None:
    """Lengths are compared at the source's rate."""
    source, result = music.band(seconds=3), music.band(seconds=3, sample_rate=48000)

    assert 0.0 == analysis.compare(source.clip, result.clip).values["length"]


def test_the_report_names_every_gate_with_unit_and_verdict() -> None:
    """What a page or a table shows needs nothing else."""
    report = analysis.compare(SOURCE.clip, played()).as_dict()

    assert list(analysis.GATES) == list(report["gates"])
    assert {"value", "unit", "verdict"} == set(report["gates"]["drift"])
    assert pytest.approx(BPM, rel=2e-3) == report["source"]["bpm"]
    assert {"bpm", "key", "loudness_lufs", "true_peak_db"} < set(report["result"])


def test_the_portrait_measures_levels_and_image() -> None:
    """A sine has a crest of 3 dB; the same in both channels is no side and correlation 1."""
    mono, inverted = music.sine(440, 2.0, channels=1), music.sine(440, 2.0, channels=2)
    inverted = inverted.with_samples(inverted.samples * np.array([[1], [-1]], np.float32))

    report = analysis.compare(mono, inverted)

    assert pytest.approx(3.01, abs=0.01) == report.source.crest_db
    assert pytest.approx(-9.03, abs=0.01) == report.source.rms_db
    assert (None, None) == (report.source.side_db, report.source.correlation)
    assert pytest.approx(-1.0) == report.result.correlation
    assert report.result.side_db is None


@pytest.mark.parametrize(
    ("name", "value", "verdict"),
    [
        ("length", 0, "pass"),
        ("length", -1, "fail"),
        ("lag", -10, "pass"),
        ("lag", 39, "warn"),
        ("drift", -41, "fail"),
        ("harmony", 0.8, "pass"),
        ("harmony", 0.65, "warn"),
        ("harmony", 0.64, "fail"),
        ("harmony", None, "undetermined"),
    ],
)
def test_gates_judge_by_their_row(
    name: str, value: float | None, verdict: analysis.Verdict
) -> None:
    """Limits belong to the better side; signs do not matter where less is better."""
    assert verdict == analysis.GATES[name].verdict(value)


def test_nothing_determined_is_no_pass() -> None:
    """A report in which no gate could be judged says so."""
    clip = music.silence(0.0)
    report = analysis.compare(clip, clip)
    blank = analysis.Comparison(
        source=report.source,
        result=report.result,
        values=dict.fromkeys(analysis.GATES),
        onset_correlation=0.0,
        frame_chroma=None,
        chord_agreement=None,
    )

    assert "undetermined" == blank.verdict


def test_mono_and_the_same_on_two_channels_are_equally_loud() -> None:
    """As they are to an ear before two speakers."""
    mono = Clip(music.riff(seconds=4.0).clip.mono()[None], 44100)

    comparison = analysis.compare(mono, mono.as_stereo())

    assert pytest.approx(0.0, abs=1e-6) == comparison.loudness_change_db
