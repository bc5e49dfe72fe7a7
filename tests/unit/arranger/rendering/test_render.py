"""Whole scores: exact length, exact starts, repeatability, and a job that can be stopped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server import errors
from server.engines.arranger.choices import Choices
from server.engines.arranger.filters import RATE
from server.engines.arranger.render import Orchestra, Rendering, place
from server.engines.arranger.score import DrumHit, Note, Part, Score
from server.engines.arranger.synths import SYNTHS
from server.engines.protocols import PartChoice
from server.media.clip import Samples
from tests.unit.arranger.rendering.sounds import (
    cents_between,
    frequency,
    heard_for,
    ignore_steps,
    one_note_score,
    onset_seconds,
    real_bank,
    rms,
    sine_bank,
    voice,
)
from variations.parts import DRUMS, HALO
from variations.schema import Drums, Effect, Halo, Voice

KIT = Drums(kit="808")


def rendered(score: Score, *, bank: Path | None = None, seed: int = 1) -> Rendering:
    """Render a score of its own."""
    return Orchestra(bank).render(
        score, heard_for(score.seconds), seed=seed, on_step=ignore_steps, keep_stems=True
    )


def busy_score(seconds: float = 2.0) -> Score:
    """Return two parts, a kit and every sort of randomness."""
    notes = tuple(Note(0.25 * n, 0.3, 60 + n, 0.7) for n in range(7))
    return Score(
        seconds,
        (
            Part(voice(name="pad", synth="pad_saw"), notes),
            Part(voice(name="bow", program=40), notes),
        ),
        hits=tuple(DrumHit(0.5 * n, "snare", 0.8) for n in range(4)),
        drums=KIT,
        effects=(Effect(kind="reverb"),),
    )


@pytest.mark.parametrize("name", sorted(SYNTHS))
def test_a_synthesized_note_begins_when_it_is_written(name: str) -> None:
    mix = rendered(one_note_score(voice(synth=name))).mix

    assert 0.5 == pytest.approx(onset_seconds(mix), abs=0.010)


@pytest.mark.parametrize("articulation", ["natural", "bowed", "plucked"])
@pytest.mark.parametrize("program", [0, 40])
def test_a_sampled_note_begins_when_it_is_written(
    tmp_path: Path, articulation: str, program: int
) -> None:
    player = voice(program=program, articulation=articulation)
    mix = rendered(one_note_score(player), bank=sine_bank(tmp_path)).mix

    assert 0.5 == pytest.approx(onset_seconds(mix), abs=0.020 if program == 40 else 0.010)


@pytest.mark.parametrize(
    ("program", "articulation"),
    [
        (0, "natural"),
        (45, "natural"),
        (25, "natural"),
        (40, "bowed"),
        (42, "bowed"),
        (11, "natural"),
    ],
)
def test_the_real_bank_begins_when_it_is_written(program: int, articulation: str) -> None:
    player = voice(program=program, articulation=articulation)
    mix = rendered(one_note_score(player), bank=real_bank()).mix

    assert 0.5 == pytest.approx(onset_seconds(mix), abs=0.010)


@pytest.mark.parametrize("kit", ["808", "linn", "nes", "acoustic", "hand"])
def test_a_stroke_falls_when_it_is_written(kit: str) -> None:
    score = Score(2.0, (), hits=(DrumHit(0.5, "snare", 0.9),), drums=Drums(kit=kit))

    assert 0.5 == pytest.approx(onset_seconds(rendered(score).mix), abs=0.010)


def test_a_late_start_would_be_noticed() -> None:
    """Negative control of the onset gate."""
    mix = rendered(one_note_score(voice(synth="organ"), start=0.53)).mix

    assert 0.5 != pytest.approx(onset_seconds(mix), abs=0.010)


def test_silence_before_a_recording_speaks_is_skipped() -> None:
    mix = np.zeros((2, 10000), dtype=np.float32)
    late = np.concatenate([np.zeros(1200), np.ones(500)]).astype(np.float32)

    place(mix, late, 0.0, gain=1.0, pan=0.0)

    assert 88 == int(np.argmax(mix[0] > 0))


def test_sounds_are_panned_with_constant_power() -> None:
    for pan in (-1.0, -0.3, 0.0, 1.0):
        mix = np.zeros((2, 500), dtype=np.float32)
        place(mix, np.ones(400, dtype=np.float32), 0.0, gain=1.0, pan=pan)
        assert 1.0 == pytest.approx(float(np.square(mix[:, 5]).sum()), abs=1e-5)


@given(seconds=st.floats(0.01, 3.0))
@settings(max_examples=15, deadline=None)
def test_the_length_is_exact(seconds: float) -> None:
    score = Score(seconds, (Part(voice(synth="organ"), (Note(0.0, 5.0, 60, 0.5),)),))

    assert (2, round(seconds * RATE)) == rendered(score).mix.shape


def test_equal_arguments_give_equal_bits_and_another_seed_differs(tmp_path: Path) -> None:
    bank = sine_bank(tmp_path)
    one, again, other = (rendered(busy_score(), bank=bank, seed=seed).mix for seed in (1, 1, 2))

    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3


def test_a_part_does_not_depend_on_the_others(tmp_path: Path) -> None:
    score, bank = busy_score(), sine_bank(tmp_path)
    alone = rendered(replace(score, parts=score.parts[1:]), bank=bank)

    np.testing.assert_array_equal(rendered(score, bank=bank).stems["bow"], alone.stems["bow"])


def test_the_dry_mix_is_the_sum_of_its_stems() -> None:
    score = replace(busy_score(), effects=())
    result = rendered(score)
    middle = slice(4000, -4000)

    assert {"pad", "bow", DRUMS} == set(result.stems)
    total = np.sum(list(result.stems.values()), axis=0)[:, : result.mix.shape[1]]
    assert rms((result.mix - total)[:, middle]) < 0.1 * rms(total)


def test_stems_are_kept_only_when_asked_for() -> None:
    heard = heard_for(2.0)
    result = Orchestra(None).render(busy_score(), heard, seed=1, on_step=ignore_steps)

    assert {} == result.stems
    np.testing.assert_array_equal(rendered(busy_score()).mix, result.mix)


# Choices for single parts


def chosen(parts: dict[str, PartChoice], bank: Path) -> dict[str, Samples]:
    """Return the dry sounds of the busy score with a halo and these choices."""
    halo = Halo(gain_db=-8, registers=[(127, 0)])
    score = replace(busy_score(), halo=halo, choices=Choices(parts))
    heard = heard_for(score.seconds, pitch=64)
    return dict(
        Orchestra(bank).render(score, heard, seed=1, on_step=ignore_steps, keep_stems=True).stems
    )


@pytest.mark.parametrize("name", ["pad", "bow", DRUMS, HALO])
def test_a_mute_part_leaves_all_others_as_they_are(tmp_path: Path, name: str) -> None:
    bank = sine_bank(tmp_path)
    everybody = chosen({}, bank)
    others = chosen({name: PartChoice(mute=True)}, bank)

    assert set(everybody) - {name} == set(others)
    for other, samples in others.items():
        np.testing.assert_array_equal(everybody[other], samples)


@pytest.mark.parametrize("name", ["pad", DRUMS])
def test_another_seed_for_a_part_is_heard_in_that_part_alone(tmp_path: Path, name: str) -> None:
    bank = sine_bank(tmp_path)
    before, after = chosen({}, bank), chosen({name: PartChoice(seed=2)}, bank)

    assert rms(before[name] - after[name]) > 0.1 * rms(before[name])
    for other in {"pad", "bow", DRUMS} - {name}:
        np.testing.assert_array_equal(before[other], after[other])


def test_a_gain_for_a_part_is_on_top_of_the_arrangements(tmp_path: Path) -> None:
    bank = sine_bank(tmp_path)
    before, after = chosen({}, bank), chosen({"bow": PartChoice(gain_db=6.0)}, bank)

    assert 6.0 == pytest.approx(20 * np.log10(rms(after["bow"]) / rms(before["bow"])), abs=1e-3)
    np.testing.assert_array_equal(before["pad"], after["pad"])
    np.testing.assert_array_equal(before[HALO], after[HALO])


def test_the_strokes_of_a_player_are_chosen_with_it() -> None:
    choices = Choices({"cello": PartChoice(mute=True), "viola, hat": PartChoice(gain_db=-6.0)})

    assert choices.of("cello, kick").mute
    assert not choices.of("cello, left").mute
    assert not choices.of("viola").mute
    assert 0.5 == pytest.approx(choices.gain_of("viola, hat"), abs=0.01)


@pytest.mark.parametrize("kind", ["reverb", "compress", "saturate", "crush", "vinyl", "stutter"])
def test_a_stem_goes_through_the_bus_as_the_mix_did(kind: str) -> None:
    """All of the mix as one stem comes out as the mix; but for hiss, which is no sound's own."""
    score = replace(busy_score(), effects=(Effect(kind=kind),))
    result = rendered(score)
    whole = np.sum(list(result.stems.values()), axis=0)
    error = rms(result.bus.passed(whole) - result.mix) / rms(result.mix)

    assert error < 0.2 if kind == "vinyl" else error < 1e-5


def test_everything_plays_at_the_tuning_of_the_source(tmp_path: Path) -> None:
    score = replace(one_note_score(voice(), seconds=2.0), tuning_cents=30.0)
    found = frequency(rendered(score, bank=sine_bank(tmp_path)).mix[0], near=441)

    assert 30 == pytest.approx(cents_between(found, 441), abs=6)


def test_gain_is_in_decibels() -> None:
    loud, soft = (
        rms(rendered(one_note_score(voice(synth="organ", gain_db=gain))).mix) for gain in (0, -12)
    )

    assert 12.0 == pytest.approx(20 * np.log10(loud / soft), abs=0.1)


def test_the_halo_sounds_the_semitones_of_the_source(tmp_path: Path) -> None:
    """At its level against the parts, and in tune."""
    halo = Halo(gain_db=-8, registers=[(127, 0)])
    score = replace(one_note_score(voice(synth="organ")), halo=halo)
    result = Orchestra(sine_bank(tmp_path)).render(
        score, heard_for(2.0, pitch=64), seed=1, on_step=ignore_steps, keep_stems=True
    )
    layer, parts = result.stems[HALO], result.stems["player"]
    expected = 441 * 2 ** (-5 / 12)

    assert abs(cents_between(frequency(layer[0], near=expected), expected)) < 5
    assert -8.0 == pytest.approx(20 * np.log10(rms(layer) / rms(parts)), abs=2.0)
    assert np.abs(np.diff(layer[0], 2)).max() < 0.02 * np.abs(layer).max()


def test_without_a_bank_or_sound_there_is_no_halo(tmp_path: Path) -> None:
    halo = Halo(registers=[(127, 0)])
    score = replace(one_note_score(voice(synth="organ")), halo=halo)

    assert {"player"} == set(rendered(score).stems)
    assert not rendered(score, bank=sine_bank(tmp_path)).stems[HALO].any()


def test_a_halo_of_what_was_not_measured_is_silent(tmp_path: Path) -> None:
    score = replace(one_note_score(voice(synth="organ")), halo=Halo(registers=[(127, 0)]))
    nothing = replace(heard_for(2.0), sustain=np.zeros((0, 88), dtype=np.float32))
    result = Orchestra(sine_bank(tmp_path)).render(
        score, nothing, seed=1, on_step=ignore_steps, keep_stems=True
    )

    assert not result.stems[HALO].any()


def test_a_halo_sounds_no_longer_than_its_semitone(tmp_path: Path) -> None:
    score = replace(one_note_score(voice(synth="organ")), halo=Halo(registers=[(127, 0)]))
    heard = heard_for(2.0)
    heard.sustain[40:80, 40] = 1.0
    orchestra = Orchestra(sine_bank(tmp_path))
    layer = orchestra.render(score, heard, seed=1, on_step=ignore_steps, keep_stems=True).stems[
        HALO
    ]

    assert rms(layer[:, RATE // 2 : RATE - 9000]) > 0.01
    assert not layer[:, int(1.1 * RATE) :].any()


def test_a_chip_arpeggio_is_one_oscillator() -> None:
    """A chord of three is no louder than a single note."""
    player = voice(synth="nes_pulse", style="chip_arpeggio")
    chord = tuple(Note(0.5, 0.5, pitch, 0.8) for pitch in (69, 73, 76))
    one, three = (
        rms(rendered(Score(2.0, (Part(player, notes),))).mix) for notes in (chord[:1], chord)
    )

    assert 1.0 == pytest.approx(three / one, abs=0.1)


def test_a_glide_bends_the_second_note() -> None:
    notes = (Note(0.0, 0.5, 33, 0.8), Note(1.0, 0.5, 45, 0.8))
    plain, bent = (
        rendered(Score(2.0, (Part(voice(synth="bass_808", glide=glide), notes),))).mix
        for glide in (False, True)
    )

    np.testing.assert_array_equal(plain[:, : RATE - 500], bent[:, : RATE - 500])
    assert np.abs(plain - bent)[:, RATE:].max() > 0.05


def test_the_banks_kit_is_used_where_there_is_one(tmp_path: Path) -> None:
    score = Score(1.0, (), hits=(DrumHit(0.1, "kick", 0.9),), drums=Drums(kit="acoustic"))

    assert np.abs(rendered(score).mix - rendered(score, bank=sine_bank(tmp_path)).mix).max() > 0.05


def test_silence_gives_silence() -> None:
    score = Score(1.0, (), effects=(Effect(kind="vinyl"), Effect(kind="reverb")))

    assert not rendered(score).mix.any()


def test_steps_rise_to_their_total_and_can_stop_the_work() -> None:
    seen: list[tuple[int, int]] = []
    score = busy_score()
    heard = heard_for(score.seconds)
    Orchestra(None).render(score, heard, seed=1, on_step=lambda *step: seen.append(step))

    def stop(done: int, _total: int) -> None:
        if done >= 1:
            raise errors.Cancelled

    assert sorted(seen) == seen
    assert seen[-1][0] == seen[-1][1]
    with pytest.raises(errors.Cancelled):
        Orchestra(None).render(score, heard, seed=1, on_step=stop)


def test_a_missing_bank_is_reported(tmp_path: Path) -> None:
    with pytest.raises(errors.EngineFailed):
        Orchestra(tmp_path / "none.sf2")


notes_ = st.builds(
    Note,
    start_seconds=st.floats(0, 1.2),
    seconds=st.floats(0.0, 2.0),
    pitch=st.integers(0, 127),
    velocity=st.floats(0.0, 1.0),
)
players = st.one_of(
    st.sampled_from(sorted(SYNTHS)).map(lambda name: voice(synth=name, glide=True)),
    st.builds(
        lambda program, articulation: voice(program=program, articulation=articulation),
        st.integers(0, 127),
        st.sampled_from(["natural", "bowed", "plucked"]),
    ),
)
hits_ = st.builds(
    DrumHit,
    start_seconds=st.floats(0, 1.2),
    kind=st.sampled_from(["kick", "snare", "clap", "hat", "open_hat", "perc"]),
    velocity=st.floats(0.0, 1.0),
)


@settings(max_examples=40, deadline=None)
@given(
    player=players,
    notes=st.lists(notes_, max_size=4),
    hits=st.lists(hits_, max_size=4),
    kit=st.sampled_from(["808", "acoustic", "glitch", "industrial", "breaks"]),
    bank=st.sampled_from(["", "tiny"]),
)
def test_any_score_gives_finite_sound_without_dc(
    tmp_path_factory: pytest.TempPathFactory,
    player: Voice,
    notes: list[Note],
    hits: list[DrumHit],
    kit: str,
    bank: str,
) -> None:
    path = sine_bank(tmp_path_factory.mktemp("bank")) if bank else None
    parts = (Part(player, tuple(notes)),)
    score = Score(1.0, parts, hits=tuple(hits), drums=Drums(kit=kit))

    mix = rendered(score, bank=path).mix

    assert np.isfinite(mix).all()
    assert (2, RATE) == mix.shape
    # a low note that ends within a period leaves up to peak / (pi f T) behind, which is no offset
    hertz = (440.0 * 2 ** ((note.pitch - 69) / 12) for note in notes)
    unfinished = sum(float(np.abs(mix).max()) / (np.pi * each) for each in hertz)
    assert np.abs(mix.mean(axis=1)).max() < 2e-3 + unfinished
    assert 0.0 == np.abs(mix[:, -1]).max()
