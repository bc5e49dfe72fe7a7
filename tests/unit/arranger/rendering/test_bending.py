"""A bent note is played along its curve by whoever can bend, and in semitones by who cannot."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.engines.arranger import bending, orchestrate
from server.engines.arranger.filters import RATE
from server.engines.arranger.listen import listen
from server.engines.arranger.render import Orchestra
from server.engines.arranger.score import Note, Part, Score
from server.media.clip import Clip
from tests.unit.arranger.listening.gliding import Curve, cents_off, gliding, slide, vibrato
from tests.unit.arranger.listening.scoring import network
from tests.unit.arranger.rendering.sounds import (
    heard_for,
    ignore_steps,
    onset_seconds,
    real_bank,
    sine_bank,
    voice,
)
from variations.schema import Arrangement, Voice

SLIDE = ((0.0, 0.0), (0.5, 0.0), (0.9, 200.0), (1.5, 200.0))
LEVEL = 25.0


def written(curve: Curve) -> Note:
    """Return a note from 0.25 s on that follows a curve around A4."""
    times = np.arange(0.0, 1.51, 0.02)
    cents = 100.0 * (curve(times) - 69.0)
    return Note(0.25, 1.5, 69, 0.8, bend=tuple(zip(times.tolist(), cents.tolist(), strict=True)))


def played(note: Note, player: Voice, bank: Path | None) -> Clip:
    """Return a note as a voice plays it, two seconds long."""
    score = Score(2.0, (Part(player, (note,)),))
    rendering = Orchestra(bank).render(score, heard_for(2.0), seed=1, on_step=ignore_steps)
    return Clip(rendering.mix, RATE)


def off(clip: Clip, curve: Curve) -> float:
    """Return the median distance of a sound from a curve in cents."""
    return float(np.median(np.abs(cents_off(clip, curve))))


@pytest.mark.parametrize("curve", [slide(), vibrato(80.0)], ids=["slide", "vibrato"])
@pytest.mark.parametrize("synth", ["lead_square", "flute", "nes_pulse", "bowed_string"])
def test_a_synthesized_voice_follows_the_curve(synth: str, curve: Curve) -> None:
    note = written(curve)

    assert off(played(note, voice(synth=synth), None), curve) < LEVEL


@pytest.mark.parametrize("curve", [slide(), vibrato(80.0)], ids=["slide", "vibrato"])
@pytest.mark.parametrize(
    ("program", "articulation"), [(40, "bowed"), (73, "natural"), (27, "natural")]
)
def test_a_sampled_instrument_follows_the_curve(
    program: int, articulation: str, curve: Curve
) -> None:
    player = voice(program=program, articulation=articulation)

    assert off(played(written(curve), player, real_bank()), curve) < LEVEL


@pytest.mark.skipif(not network().is_network, reason="the transcription network is not installed")
@pytest.mark.parametrize("curve", [slide(), vibrato(60.0)], ids=["slide", "vibrato"])
def test_a_bend_that_is_heard_is_played_by_another_instrument(curve: Curve) -> None:
    """From sound to sound: heard, written for a flute, rendered, measured by another judge."""
    heard = listen(gliding(curve), transcriber=network())
    flute = Arrangement(voices=[voice(role="melody", synth="flute")])
    score = orchestrate.arrange(heard, flute, strength=1.0, seed=1)
    mix = Orchestra(None).render(score, heard, seed=1, on_step=ignore_steps).mix

    assert off(Clip(mix, RATE), curve) < LEVEL


@pytest.mark.parametrize("player", [voice(program=0), voice(synth="struck_string")])
def test_a_keyboard_leaves_the_pitch_where_it_is(player: Voice, tmp_path: Path) -> None:
    clip = played(written(slide()), player, sine_bank(tmp_path))

    assert off(clip, slide(semitones=0.0)) < LEVEL < off(clip, slide())


def test_a_straight_note_is_refused_as_a_slide() -> None:
    clip = played(Note(0.25, 1.5, 69, 0.8), voice(synth="flute"), None)

    assert off(clip, slide()) > LEVEL


@pytest.mark.parametrize("cents", [-200.0, 200.0])
def test_a_bent_note_is_as_long_and_as_early_as_a_straight_one(cents: float) -> None:
    player = voice(synth="lead_square")
    straight = Note(0.25, 1.0, 69, 0.8)
    moved = Note(0.25, 1.0, 69, 0.8, bend=((0.0, cents), (1.0, cents)))
    one, other = (played(note, player, None) for note in (straight, moved))

    assert pytest.approx(onset_seconds(one.samples), abs=0.003) == onset_seconds(other.samples)
    assert pytest.approx(ending(one), abs=0.02) == ending(other)


def ending(clip: Clip) -> float:
    """Return when a sound has fallen by 40 dB."""
    loud = np.abs(clip.mono())
    return float(np.flatnonzero(loud > 0.01 * loud.max())[-1]) / clip.sample_rate


class TestSteps:
    def test_a_slide_is_two_notes(self) -> None:
        found = bending.stepped(Note(1.0, 1.5, 69, 0.8, bend=SLIDE))

        assert [69, 71] == [note.pitch for note in found]
        assert 1.0 == found[0].start_seconds
        assert pytest.approx(1.8, abs=0.06) == found[1].start_seconds
        assert 2.5 == pytest.approx(found[1].end_seconds)

    def test_a_vibrato_is_one_note(self) -> None:
        (note,) = bending.stepped(written(vibrato(90.0)))

        assert (69, 1.5, ()) == (note.pitch, note.seconds, note.bend)

    def test_a_straight_note_stays_as_it_is(self) -> None:
        note = Note(1.0, 1.5, 69, 0.8)

        assert [note] == bending.stepped(note)

    @given(
        st.lists(st.floats(-200, 200), min_size=2, max_size=12),
        st.floats(0.05, 3.0),
    )
    def test_steps_fill_the_time_of_the_note_without_overlap(
        self, cents: list[float], seconds: float
    ) -> None:
        times = np.linspace(0.0, seconds, len(cents)).tolist()
        note = Note(0.5, seconds, 60, 0.8, bend=tuple(zip(times, cents, strict=True)))

        found = bending.stepped(note)

        assert 0.5 == found[0].start_seconds
        assert all(part.seconds > 0 and abs(part.pitch - 60) <= 2 for part in found)
        assert sum(part.seconds for part in found) == pytest.approx(seconds)

    def test_only_who_cannot_bend_is_given_steps(self) -> None:
        note = Note(1.0, 1.5, 69, 0.8, bend=SLIDE)

        assert [note] == bending.playable([note], voice(program=40))
        assert 2 == len(bending.playable([note], voice(program=0)))
        assert 2 == len(bending.playable([note], voice(program=45)))


@given(st.floats(0.01, 1.49))
def test_a_cut_bend_ends_where_it_is_cut(seconds: float) -> None:
    cut = bending.trimmed(SLIDE, seconds)
    times = np.linspace(0.0, seconds, 20)

    assert pytest.approx(seconds) == cut[-1][0]
    np.testing.assert_allclose(bending.cents_at(cut, times), bending.cents_at(SLIDE, times))


def test_no_bend_changes_no_sample() -> None:
    wave = np.ones((2, 100), np.float32)

    assert bending.bent(wave, Note(0.0, 1.0, 60, 0.8)) is wave
