"""The pitched layer of a mix: its notes without the drums, and whose partials are whose."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from server.media import analysis, harmony, pitched
from server.media.clip import Clip, Samples
from tests import music

SECONDS, BPM = 8.0, 120.0


@dataclass(frozen=True, eq=False)
class Kit:
    """Sampled drums ring longer than the ones of `band`, and in every band."""

    seed: int = 0

    def clip(self, seconds: float = SECONDS) -> Clip:
        """Return a kick on every beat, a snare on every other, hats on quavers."""
        random = np.random.default_rng(self.seed)
        rate, samples = 44100, np.zeros(round(seconds * 44100))
        times = np.arange(round(0.4 * rate)) / rate
        for step in range(round(seconds * BPM / 60 * 2)):
            start = round(step * 30 / BPM * rate)
            hiss = random.normal(0.0, 1.0, times.shape[0])
            stroke = 0.25 * np.diff(hiss, prepend=0.0) * np.exp(-times / 0.06)
            if step % 2 == 0:
                sweep = 50 * times - 6 * np.exp(-times / 0.04)
                stroke += np.sin(2 * np.pi * sweep) * np.exp(-times / 0.05)
            if step % 4 == 2:
                stroke += 0.8 * hiss * np.exp(-times / 0.11)
            part = samples[start : start + times.shape[0]]
            part += stroke[: part.shape[0]]
        return Clip((0.3 * samples / np.abs(samples).max()).astype(np.float32)[None], rate)


KIT = Kit()
Damage = Callable[[Samples], Samples]


def song(*, key: int = 2, seed: int = 1, timbre: music.Timbre = "keys") -> Clip:
    """Return pitched instruments alone."""
    return music.band(BPM, key, SECONDS, seed, timbre=timbre, drums=False).clip


def with_kit(clip: Clip, *, louder: float = 1.0) -> Clip:
    """Return a clip with drums that are so much louder than it in all."""
    drums = KIT.clip(clip.seconds).samples
    level = np.sqrt(np.mean(clip.samples**2) / np.mean(drums**2))
    mix = clip.samples + np.float32(louder * level) * drums
    return clip.with_samples(mix * np.float32(0.5))


def edges(clip: Clip) -> NDArray[np.float64]:
    """Return the beats of a clip, its ends included."""
    return np.append(np.arange(0.0, clip.seconds, 60.0 / BPM), clip.seconds)


def notes(clip: Clip) -> Samples:
    """Return the notes of each beat."""
    return pitched.notes(harmony.semitones(clip), edges(clip))


@lru_cache(maxsize=1)
def alone() -> Samples:
    """Return the notes of the instruments without drums."""
    return notes(song())


def shuffled(columns: Samples) -> Samples:
    """Return the beats in another order."""
    order = np.random.default_rng(0).permutation(columns.shape[1])
    return np.asarray(columns[:, order])


def test_partials_are_given_to_the_note_they_belong_to() -> None:
    """A saw on A2 is one note, though half of its loudest semitones are others."""
    at = np.arange(2 * 44100) / 44100
    saw = np.asarray([np.sin(2 * np.pi * 110 * n * at) / n for n in range(1, 40)]).sum(axis=0)
    found = notes(Clip((0.2 * saw).astype(np.float32)[None], 44100))[:, 1]

    assert 24 == int(found.argmax())
    assert found[24] > 6 * np.delete(found, 24).max()


def test_the_notes_of_a_chord_are_found() -> None:
    """The root of each bar is the strongest, and the next one is a tone of its chord as a rule."""
    classes, is_tone = pitched.chroma(alone()), []
    for beat, name in enumerate(music.band(BPM, 2, SECONDS, 1).chords):
        root = music.NAMES.index(name.removesuffix("m"))
        first, second = np.argsort(classes[:, beat])[::-1][:2]
        assert root == first
        is_tone.append((second - root) % 12 in (3 if name.endswith("m") else 4, 7))

    assert np.mean(is_tone) > 0.75


@pytest.mark.parametrize("louder", [1.0, 2.0])
def test_the_layer_is_that_of_the_instruments_alone(louder: float) -> None:
    """Nearer to it than the chroma of the mix is."""
    mix = with_kit(song(), louder=louder)
    raw = [harmony.over_beats(harmony.chroma(clip), edges(clip)) for clip in (mix, song())]
    found = pitched.similarity(notes(mix), alone()) or 0.0

    assert found > 0.9
    assert found > (harmony.similarity(*raw) or 0.0)


@pytest.mark.parametrize("timbre", ["reed", "bell"])
def test_the_same_chords_with_and_without_drums_pass(timbre: music.Timbre) -> None:
    """Another timbre, and a kit as loud as all of it on one side alone."""
    other = notes(song(timbre=timbre))

    for mix in (notes(with_kit(song())), alone()):
        assert (pitched.similarity(mix, other) or 0.0) >= analysis.GATES["harmony_pitched"].passes
        assert pitched.root_agreement(mix, other) >= analysis.GATES["roots"].passes


@pytest.mark.parametrize("has_drums", [False, True])
@pytest.mark.parametrize(
    "damage",
    [
        shuffled,
        lambda found: np.roll(found, 1, axis=0),
        lambda found: np.roll(found, 7, axis=0),
        lambda _found: notes(song(key=5, seed=2)),
        np.zeros_like,
    ],
    ids=["shuffled", "a semitone up", "a fifth up", "other music", "silence"],
)
def test_other_chords_fail(damage: Damage, *, has_drums: bool) -> None:
    """The negative controls, also where both have the same drums."""
    source = notes(with_kit(song())) if has_drums else alone()
    other = damage(source)
    found = (pitched.similarity(source, other) or 0.0, pitched.root_agreement(source, other))
    gates = (analysis.GATES["harmony_pitched"], analysis.GATES["roots"])

    assert ["fail", "fail"] == [gate.verdict(v) for gate, v in zip(gates, found, strict=True)]


def test_drums_and_noise_have_no_notes() -> None:
    """So there is no harmony to judge; instruments have, under any drums."""
    assert not pitched.is_audible(notes(KIT.clip()))
    assert not pitched.is_audible(notes(music.noise(SECONDS)))
    assert not pitched.is_audible(notes(music.silence(SECONDS)))
    assert pitched.is_audible(alone())
    assert pitched.is_audible(notes(with_kit(song(), louder=2.0)))


def test_the_verdict_goes_by_the_pitched_layer() -> None:
    """Drums that come in spoil the harmony of the mix and keep the music."""
    report = analysis.compare(song(), with_kit(song(timbre="reed")))
    gates = {name: report.verdicts[name] for name in ("harmony_pitched", "roots")}

    assert {"pass"} == set(gates.values())
    assert (report.values["harmony"] or 0.0) < (report.values["harmony_pitched"] or 0.0)
    assert not analysis.GATES["harmony"].decides
    assert "fail" != report.verdict
