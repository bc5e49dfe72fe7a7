"""Candidates and their features against the slow versions, on real and on random posteriors."""

from functools import cache

import numpy as np
import pytest

from server.engines.arranger.listening.candidates import Candidates, decode, infer_onsets
from server.engines.arranger.listening.features import FEATURES, Evidence, features, raw_onsets
from server.engines.arranger.listening.transcribe import Posteriors
from server.media import resample, spectrum
from tests import music
from tests.unit.arranger.listening import slow
from tests.unit.arranger.listening.scoring import network


@cache
def _evidence() -> Evidence:
    """Return what is known of four seconds of guitar."""
    samples = resample.resample(music.riff(seconds=4.0).clip, 22050).mono()
    harmonic, _ = spectrum.hpss(samples, 22050, margin=1.5)
    mix, other = (network().posteriors(part) for part in (samples, harmonic))
    levels = [spectrum.magnitudes(part, n_fft=2048, hop=256) for part in (samples, harmonic)]
    return Evidence(mix, other, infer_onsets(mix.joined(other)), levels[0], levels[1])


def _random(seed: int, frames: int = 60) -> Posteriors:
    random = np.random.default_rng(seed)
    onset, frame = random.random((2, frames, 88), np.float32) ** 3
    return Posteriors(onset, np.repeat(frame[::5], 5, axis=0))


def _spans(candidates: Candidates) -> list[slow.Span]:
    columns = (candidates.starts, candidates.ends, candidates.columns)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _extremes() -> Candidates:
    """Return candidates at both ends of the clip and of the keyboard."""
    last = _evidence().mix.frame.shape[0] - 1
    starts = np.array([0, 0, 1, 2, 5, last - 1, last], np.int64)
    columns = np.array([7, 87, 30, 45, 60, 40, 87], np.int64)
    return Candidates(starts, starts + 4, columns, np.full(7, 0.5, np.float32))


def test_the_decoder_finds_what_the_slow_one_finds_in_music() -> None:
    joined = _evidence().mix.joined(_evidence().harmonic)

    expected = slow.decoded(joined.frame, _evidence().onsets)

    assert expected == _spans(decode(joined, _evidence().onsets))


@pytest.mark.parametrize("seed", range(6))
def test_the_decoder_finds_what_the_slow_one_finds_in_noise(seed: int) -> None:
    posteriors = _random(seed)
    onsets = infer_onsets(posteriors)

    assert slow.decoded(posteriors.frame, onsets) == _spans(decode(posteriors, onsets))


def test_silence_has_no_candidates() -> None:
    silent = Posteriors(np.zeros((20, 88), np.float32), np.zeros((20, 88), np.float32))

    assert 0 == len(decode(silent, infer_onsets(silent)))


def test_a_jump_of_the_frame_posterior_is_an_onset() -> None:
    frame = np.zeros((20, 88), np.float32)
    frame[10:, 40] = 0.6
    onset = np.zeros_like(frame)
    onset[3, 50] = 0.9

    inferred = infer_onsets(Posteriors(onset, frame))

    assert pytest.approx(0.9) == inferred[10, 40]
    assert 0.0 == inferred[12, 40]


def test_features_equal_those_of_the_loop() -> None:
    candidates = decode(_evidence().mix.joined(_evidence().harmonic), _evidence().onsets)

    expected = slow.features(candidates, _evidence())
    found = features(candidates, _evidence())

    assert (len(candidates), FEATURES) == found.shape
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-3)


def test_features_equal_those_of_the_loop_at_the_edges() -> None:
    found = features(_extremes(), _evidence())

    np.testing.assert_allclose(found, slow.features(_extremes(), _evidence()), rtol=1e-3, atol=2e-3)


def test_features_of_other_candidates_differ() -> None:
    moved = _extremes()
    shifted = Candidates(moved.starts, moved.ends, moved.columns - 1, moved.strengths)

    found = features(shifted, _evidence())

    assert not np.allclose(found, slow.features(moved, _evidence()), rtol=1e-3, atol=2e-3)


def test_raw_onsets_are_the_stronger_of_the_two_layers() -> None:
    found = features(_extremes(), _evidence())
    loop = slow.features(_extremes(), _evidence())

    np.testing.assert_allclose(raw_onsets(found), loop[:, 44:46].max(axis=1), rtol=1e-6)


def test_no_candidates_have_no_features() -> None:
    silent = Posteriors(np.zeros((20, 88), np.float32), np.zeros((20, 88), np.float32))
    nobody = decode(silent, silent.onset)

    assert (0, FEATURES) == features(nobody, _evidence()).shape
