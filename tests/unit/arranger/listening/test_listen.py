"""What is heard in music whose truth is known, and in sounds that are no music."""

from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.engines.arranger.listen import STEPS, listen
from server.engines.arranger.listening.transcribe import SpectralTranscriber
from server.engines.arranger.score import Heard
from server.errors import Cancelled
from server.media.clip import Clip
from tests import music
from tests.unit.arranger.listening.scoring import network, note_f1, root_share

_PIECES = {
    "guitar": lambda: music.riff(seconds=16.0),
    "sharp guitar": lambda: music.riff(bpm=95.0, seconds=16.0, cents=23.0, seed=2),
    "keys and drums": lambda: music.band(seconds=16.0),
    "reeds": lambda: music.band(103.7, 2, 16.0, 3, mode="major", timbre="reed", drums=False),
}
_LEAST_F1 = {"guitar": 0.75, "sharp guitar": 0.6, "keys and drums": 0.7, "reeds": 0.8}


@cache
def _piece(name: str) -> music.Piece:
    return _PIECES[name]()


@cache
def _heard(name: str) -> Heard:
    return listen(_piece(name).clip, transcriber=network())


def _assert_sound(heard: Heard, clip: Clip) -> None:
    """Assert what holds for anything that was heard in anything."""
    starts = [note.start_seconds for note in heard.notes]
    edges = [chord.start_seconds for chord in heard.chords] + [heard.seconds]

    assert clip.seconds == heard.seconds
    assert sorted(starts) == starts
    assert all(
        0 <= note.start_seconds < note.end_seconds <= clip.seconds + 1e-9 for note in heard.notes
    )
    assert all(0 < note.velocity <= 1 for note in heard.notes)
    assert np.all(np.diff(heard.beats) > 0)
    assert len(heard.chords) == len(heard.beats)
    assert 0.0 == edges[0]
    assert edges[1:] == [chord.end_seconds for chord in heard.chords]
    assert np.isfinite([heard.bpm, heard.tempo_confidence, heard.pitchedness]).all()
    assert np.isfinite(heard.sustain).all()
    assert np.isfinite(heard.percussive).all()
    assert 0 <= heard.downbeat < 4


@pytest.mark.parametrize("name", _PIECES)
class TestTruth:
    def test_most_notes_are_heard(self, name: str) -> None:
        assert _LEAST_F1[name] <= note_f1(_heard(name).notes, _piece(name).notes)

    def test_the_score_falls_for_late_or_transposed_notes(self, name: str) -> None:
        heard, truth = _heard(name).notes, _piece(name).notes

        assert note_f1(heard, truth, late_seconds=0.2) < 0.3
        assert note_f1(heard, truth, semitones=1) < 0.3

    def test_the_tempo_is_right_to_a_thousandth(self, name: str) -> None:
        assert pytest.approx(_piece(name).bpm, rel=1e-3) == _heard(name).bpm
        assert _heard(name).is_steady

    def test_the_beats_are_where_they_were_written(self, name: str) -> None:
        beats, truth = _heard(name).beats, _piece(name).beats[1:-1]
        distances = np.abs(truth[:, None] - beats).min(axis=1)

        assert float(distances.max()) < 0.03

    def test_nine_of_ten_roots_are_right(self, name: str) -> None:
        assert 0.9 <= root_share(_heard(name), _piece(name))

    def test_everything_is_well_formed(self, name: str) -> None:
        _assert_sound(_heard(name), _piece(name).clip)


def test_roots_of_another_key_are_wrong() -> None:
    other = music.riff(seconds=16.0, transpose=1)

    assert root_share(_heard("guitar"), other) < 0.3


def test_the_detuning_is_heard() -> None:
    assert pytest.approx(23.0, abs=4.0) == _heard("sharp guitar").tuning_cents
    assert pytest.approx(0.0, abs=4.0) == _heard("guitar").tuning_cents


def test_the_key_and_the_bar_are_heard() -> None:
    key = _heard("guitar").key

    assert key is not None
    assert "A minor" == key.name
    assert 0 == _heard("guitar").downbeat


def test_sustain_is_high_where_notes_sound_and_low_elsewhere() -> None:
    sustain = _heard("reeds").sustain.max(axis=0)
    played = sorted({note.pitch - 21 for note in _piece("reeds").notes})
    others = [column for column in range(88) if column not in played]

    assert sustain[played].mean() > 5 * sustain[others].mean()


def test_the_same_clip_is_heard_the_same_way() -> None:
    clip = music.riff(seconds=3.0).clip
    first, second = (listen(clip, transcriber=network()) for _ in range(2))

    assert first.notes == second.notes
    assert first.chords == second.chords
    np.testing.assert_array_equal(first.sustain, second.sustain)


def test_level_does_not_matter_but_is_kept_for_the_percussive_layer() -> None:
    clip = music.riff(seconds=3.0).clip
    quiet = clip.with_samples(clip.samples * np.float32(0.001))
    loud, soft = (listen(one, transcriber=network()) for one in (clip, quiet))

    assert 0.95 < note_f1(soft.notes, loud.notes)
    assert pytest.approx(0.001, rel=0.01) == soft.percussive_gain / loud.percussive_gain


def test_channels_that_cancel_are_heard_by_the_louder_one() -> None:
    mono = music.riff(seconds=3.0).clip
    opposed = mono.with_samples(np.concatenate([mono.samples, -0.9 * mono.samples]))
    truth = listen(mono, transcriber=network()).notes

    assert 0.95 < note_f1(listen(opposed, transcriber=network()).notes, truth)


def test_the_hint_of_the_host_decides_the_octave() -> None:
    piece = music.band(seconds=8.0)

    heard = listen(piece.clip, transcriber=network(), bpm=61.0)

    assert pytest.approx(60.0, rel=1e-3) == heard.bpm


def test_progress_is_reported_to_the_end_and_between_windows() -> None:
    seen: list[tuple[int, int]] = []

    listen(
        music.riff(seconds=12.0).clip,
        transcriber=network(),
        on_step=lambda done, total: seen.append((done, total)),
    )

    marks = [done for done, _ in seen]
    assert sorted(marks) == marks
    assert (STEPS, STEPS) == seen[-1]
    assert {STEPS} == {total for _, total in seen}
    assert len(marks) > 10


def test_listening_stops_when_it_is_told_to() -> None:
    def stop(done: int, total: int) -> None:
        raise Cancelled(f"{done}/{total}")

    with pytest.raises(Cancelled):
        listen(music.riff(seconds=1.0).clip, transcriber=network(), on_step=stop)


class TestNoMusic:
    @pytest.mark.parametrize(
        "clip",
        [
            music.silence(3.0),
            music.silence(0.0),
            music.silence(0.01),
            music.riff(seconds=0.2).clip,
            Clip(np.full((1, 44100), 0.5, np.float32), 44100),
            Clip(np.full((1, 44100), 9e-5, np.float32), 44100),
        ],
        ids=["silence", "no samples", "10 ms", "200 ms", "constant", "very quiet"],
    )
    def test_nothing_is_heard_in_nothing(self, clip: Clip) -> None:
        heard = listen(clip, transcriber=network())

        assert () == heard.notes
        assert not heard.is_pitched
        assert heard.key is None
        assert {None} == {chord.root for chord in heard.chords}
        _assert_sound(heard, clip)

    def test_silence_keeps_the_tempo_of_the_host(self) -> None:
        heard = listen(music.silence(4.0), transcriber=network(), bpm=90.0)

        assert 90.0 == heard.bpm
        np.testing.assert_allclose(heard.beats, np.arange(6) * 60 / 90)

    def test_noise_has_no_harmony(self) -> None:
        clip = music.noise(4.0)

        heard = listen(clip, transcriber=network())

        assert not heard.is_pitched
        _assert_sound(heard, clip)

    @pytest.mark.parametrize("seconds", [0.25, 0.3, 0.5, 1.0])
    @pytest.mark.parametrize("sample_rate", [8000, 48000])
    def test_short_clips_are_heard(self, seconds: float, sample_rate: int) -> None:
        clip = music.riff(seconds=seconds, sample_rate=sample_rate).clip

        _assert_sound(listen(clip, transcriber=network()), clip)

    def test_enormous_samples_are_heard_as_if_they_were_not(self) -> None:
        clip = music.riff(seconds=1.0).clip
        huge = clip.with_samples(clip.samples * np.float32(3e38))

        _assert_sound(listen(huge, transcriber=network()), huge)


@given(
    seed=st.integers(0, 2**16),
    length=st.integers(1, 40000),
    channels=st.integers(1, 3),
    level=st.sampled_from([1e-6, 1e-3, 1.0, 50.0]),
    holes=st.floats(0, 1),
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_clip_is_heard_without_failing(
    seed: int, length: int, channels: int, level: float, holes: float
) -> None:
    random = np.random.default_rng(seed)
    samples = random.normal(0, level, (channels, length)) * (random.random(length) > holes)
    clip = Clip(samples.astype(np.float32), 16000)

    _assert_sound(listen(clip, transcriber=network()), clip)


def test_without_the_network_the_chords_of_a_band_are_still_heard() -> None:
    piece = _piece("keys and drums")

    heard = listen(piece.clip, transcriber=SpectralTranscriber())

    assert 0.85 <= root_share(heard, piece)
    assert 0.5 <= note_f1(heard.notes, piece.notes)
    _assert_sound(heard, piece.clip)


def test_a_drummer_alone_is_heard_as_strokes() -> None:
    random = np.random.default_rng(0)
    sound = np.zeros(6 * 44100)
    for start in range(12):
        burst = random.normal(0, 0.3, 4410) * np.exp(-np.arange(4410) / 900)
        sound[start * 22050 :][:4410] += burst
    clip = Clip(sound[None].astype(np.float32), 44100)

    heard = listen(clip, transcriber=network())
    starts = np.array([hit.start_seconds for hit in heard.drums])

    assert float(np.abs(np.arange(1, 12)[:, None] / 2 - starts).min(axis=1).max()) < 0.03
    assert not heard.is_pitched
    assert heard.percussive.any()
    _assert_sound(heard, clip)
