"""From what was heard to a score: the promises that hold for every preset, and the roles."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

import variations
from server.engines.arranger import orchestrate, roles
from server.engines.arranger.score import DrumHit, Heard, Part, Score
from tests.music import band, riff
from tests.unit.arranger.arranging.pieces import chord, heard, note, of_piece, voice
from variations.schema import Arrangement, Drums, Voice

PRESETS = tuple(variations.load())
AM_F = [chord(0, 4, "Am"), chord(4, 8, "F")]


@lru_cache(maxsize=4)
def picked(*, cents: float = 0.0) -> Heard:
    """Return four bars of guitar, heard without mistakes."""
    return replace(of_piece(riff(seconds=8.0)), tuning_cents=cents)


def score_of(source: Heard, name: str, *, strength: float = 1.0, seed: int = 0) -> Score:
    """Return a preset's score."""
    arrangement = variations.load()[name].arrangement
    return orchestrate.arrange(source, arrangement, strength=strength, seed=seed)


def played(source: Heard, *players: Voice, strength: float = 1.0, seed: int = 0) -> Score:
    """Return the score of these players."""
    ensemble = Arrangement(voices=list(players))
    return orchestrate.arrange(source, ensemble, strength=strength, seed=seed)


def pitches(part: Part) -> list[int]:
    """Return what a part plays."""
    return [each.pitch for each in part.notes]


@pytest.mark.parametrize("name", PRESETS)
def test_every_heard_note_of_a_preset_begins_when_it_was_heard(name: str) -> None:
    """A stutter's repeats are the only heard notes that begin elsewhere: inside their note."""
    onsets = np.array(sorted({each.start_seconds for each in picked().notes}))

    for part in score_of(picked(), name).parts:
        if part.voice.stutter == 0:
            starts = [each.start_seconds for each in part.notes if each.origin == "heard"]
            assert all(np.abs(onsets - start).min() < 1e-9 for start in starts)


@pytest.mark.parametrize("name", PRESETS)
def test_every_note_of_a_preset_is_playable(name: str) -> None:
    for part in score_of(picked(), name).parts:
        low, high = part.voice.range
        assert all(low <= each.pitch <= high for each in part.notes)
        assert all(0 < each.velocity <= 1 and each.seconds > 0 for each in part.notes)
        assert all(0 <= each.start_seconds < picked().seconds for each in part.notes)
        assert list(part.notes) == sorted(part.notes, key=lambda n: (n.start_seconds, n.pitch))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_keeps_the_chords(name: str) -> None:
    """What is added belongs to the chord that sounds; a bass that walks may step to the next."""
    source = picked()

    for part in score_of(source, name).parts:
        for each in part.notes:
            if each.origin == "fill" and part.voice.style != "walking":
                at = each.start_seconds + 0.03
                now = next(c for c in source.chords if c.start_seconds <= at < c.end_seconds)
                assert each.pitch % 12 in now.pitch_classes


@pytest.mark.parametrize("name", PRESETS)
def test_nothing_is_added_where_the_source_is_silent(name: str) -> None:
    """A hole of four seconds in the source stays a hole."""
    source = heard([note(0, 1, 57), note(0, 1, 45), note(6, 1, 53)], AM_F)
    score = score_of(source, name)

    inside = [n for part in score.parts for n in part.notes if 1.3 < n.start_seconds < 5.9]
    assert inside == []
    assert [hit for hit in score.hits if 1.3 < hit.start_seconds < 5.9] == []


@pytest.mark.parametrize("name", PRESETS)
def test_below_the_threshold_only_what_was_heard_is_played(name: str) -> None:
    score = score_of(picked(), name, strength=0.2)

    assert {"heard"} == {each.origin for part in score.parts for each in part.notes}
    assert score.hits == ()


@pytest.mark.parametrize("name", PRESETS)
def test_the_same_seed_writes_the_same_score(name: str) -> None:
    assert score_of(picked(), name, seed=5) == score_of(picked(), name, seed=5)


def test_another_seed_voices_the_chords_differently() -> None:
    pad = voice("chords", 48, 76, polyphony=4)

    assert 1 < len({played(picked(), pad, seed=seed).parts[0].notes for seed in range(4)})


def test_a_drum_loop_has_strokes_and_says_that_no_pitch_was_heard() -> None:
    drums = [DrumHit(0.25 * n, "kick", 0.9) for n in range(32)]
    loop = heard([], drums=drums, pitchedness=0.0)
    kit, quartet = score_of(loop, "chiptune"), score_of(loop, "strings_quartet")

    assert tuple(drums) == kit.hits
    assert (orchestrate.NO_PITCH,) == kit.notices
    assert {9} == {each.pitch % 12 for part in quartet.parts for each in part.notes}
    assert quartet.halo is None


def test_nothing_heard_is_nothing_played() -> None:
    score = score_of(heard([], pitchedness=0.0), "piano_classical")

    assert ((), ()) == (score.parts, score.hits)


def test_the_tuning_of_the_source_is_kept_unless_nobody_hears_it() -> None:
    assert score_of(picked(cents=23.0), "music_box").tuning_cents == 23.0
    assert score_of(picked(cents=3.0), "music_box").tuning_cents == 0.0


def test_kicks_are_tuned_to_the_main_root() -> None:
    source = heard([note(0, 1, 57)], [chord(0, 5, "Am"), chord(5, 8, "F")])

    assert score_of(source, "trap_808").kick_root == 9


def test_an_ensemble_answers_a_drummer_with_strokes_in_the_chord() -> None:
    parts = score_of(of_piece(band(seconds=8.0)), "strings_quartet").parts
    strokes = {part.voice.name: part for part in parts if ", " in part.voice.name}

    assert {"cello, kick", "violin 2, snare", "violin 1, hat"} == set(strokes)
    assert strokes["cello, kick"].voice.program == 45
    assert strokes["violin 2, snare"].voice.program == 40


def test_the_riff_is_what_was_heard() -> None:
    (part,) = played(picked(), voice("riff")).parts

    assert [(n.start_seconds, n.pitch) for n in picked().notes] == [
        (n.start_seconds, n.pitch) for n in part.notes
    ]


def test_few_hands_take_the_loudest_notes() -> None:
    pair = heard([note(0, 1, 57, velocity=0.4), note(0, 1, 64, velocity=0.9)], AM_F)

    assert [64] == pitches(played(pair, voice("riff", polyphony=1)).parts[0])


def test_octaves_that_meet_on_one_key_are_played_once() -> None:
    octave = heard([note(0, 1, 48), note(0, 1, 60)], AM_F)

    assert [60] == pitches(played(octave, voice("riff", 55, 66)).parts[0])


def test_an_octave_up_is_an_octave_up() -> None:
    single = heard([note(0, 1, 57)], AM_F)

    assert [69] == pitches(played(single, voice("riff", octave=1)).parts[0])


def test_a_pedal_lets_chord_tones_ring_and_others_not() -> None:
    pair = heard([note(0, 0.3, 57), note(1, 0.3, 58)], AM_F)
    tone, foreign = played(pair, voice("riff", pedal=True)).parts[0].notes

    assert (1.8, 0.3) == (tone.seconds, foreign.seconds)


def test_without_chords_the_pedal_does_nothing() -> None:
    (part,) = played(heard([note(0, 0.3, 57)]), voice("riff", pedal=True)).parts

    assert part.notes[0].seconds == 0.3


def test_the_melody_is_the_top() -> None:
    (part,) = played(heard([note(0, 1, 57), note(0, 1, 76)], AM_F), voice("melody")).parts

    assert [76] == pitches(part)


def test_the_bass_is_the_low_line_and_not_the_arpeggio() -> None:
    figure = [note(0, 4, 45), *(note(0.5 * n, 2.0, 57 + n) for n in range(1, 8)), note(4, 4, 41)]
    (part,) = played(heard(figure, AM_F), voice("bass", 28, 55)).parts

    assert [45, 41] == pitches(part)


def test_a_single_low_line_is_bass_altogether() -> None:
    walk = heard([note(0.5 * n, 0.45, 40 + n) for n in range(8)], AM_F)
    (part,) = played(walk, voice("bass", 28, 55)).parts

    assert list(range(40, 48)) == pitches(part)


def test_a_chord_without_a_bass_note_gets_its_root() -> None:
    high = [note(0, 4, pitch) for pitch in (69, 72, 76)] + [note(4, 4, 69), note(4, 4, 72)]
    (part,) = played(heard(high, AM_F), voice("bass", 28, 48)).parts

    assert [(0.0, 33), (4.0, 29)] == [(n.start_seconds, n.pitch) for n in part.notes]


def test_strong_bass_notes_are_doubled_where_the_range_allows() -> None:
    low = heard([note(0, 1, 45), note(1, 1, 47, velocity=0.3), note(2, 1, 33)], AM_F)
    (part,) = played(low, voice("bass", 28, 50, octave_double=True)).parts

    assert [33, 45, 47, 33] == pitches(part)


def test_a_bass_in_rhythm_plays_the_heard_pitch_or_the_chords() -> None:
    source = heard([note(0, 1.0, 48), note(0, 8, 76), note(0, 8, 72)], AM_F)
    (part,) = played(source, voice("bass", 28, 55, rhythm="x...x...x.......")).parts
    first_bar = [n.pitch for n in part.notes if n.start_seconds < 2.0]

    assert [48, 48, 48] == first_bar


def test_roots_fall_on_kicks_and_chord_changes() -> None:
    source = heard([note(0, 8, 57), note(0, 8, 60)], AM_F)
    ensemble = Arrangement(
        voices=[voice("bass", 27, 38, follow="chord_root")],
        drums=Drums(kit="808", source="pattern", pattern={"kick": "x.......x......."}),
    )
    (part,) = orchestrate.arrange(source, ensemble, strength=1.0, seed=0).parts

    assert [float(n) for n in range(8)] == [n.start_seconds for n in part.notes]
    assert [33] * 4 + [29] * 4 == pitches(part)


def test_stabs_are_short_and_pads_are_long() -> None:
    source = heard([note(0, 8, 57)], AM_F)
    stab = played(source, voice("chords", 48, 72, style="stab")).parts[0]
    pad = played(source, voice("chords", 48, 72)).parts[0]

    assert {0.25} == {n.seconds for n in stab.notes}
    assert {3.99} == {round(n.seconds, 6) for n in pad.notes}


def test_chords_in_rhythm_follow_their_row() -> None:
    source = heard([note(0, 8, 57)], AM_F)
    (part,) = played(source, voice("chords", 48, 72, rhythm="x...........x...")).parts

    assert [0.0, 1.5, 2.0, 3.5, 4.0, 5.5, 6.0, 7.5] == sorted({n.start_seconds for n in part.notes})


def test_an_arpeggio_goes_up_and_down_in_eighths_unless_told_otherwise() -> None:
    source = heard([note(0, 8, 57)], [chord(0, 8, "Am")])
    (part,) = played(source, voice("arpeggio", 57, 72)).parts
    low, middle, high = sorted(set(pitches(part)))

    assert [low, middle, high, middle, low] == pitches(part)[:5]
    assert [0.0, 0.25, 0.5] == [n.start_seconds for n in part.notes[:3]]


def test_a_stutter_chops_some_notes_and_the_seed_says_which() -> None:
    chopper = voice("riff", stutter=0.5)
    first, again, other = (played(picked(), chopper, seed=seed).parts[0] for seed in (1, 1, 2))

    assert len(first.notes) > len(picked().notes)
    assert first == again
    assert first != other


def test_invention_grows_between_its_thresholds() -> None:
    pad = voice("chords", 48, 72)
    levels = [played(picked(), pad, strength=s).parts[0].notes[0].velocity for s in (0.4, 0.5, 0.6)]

    assert sorted(set(levels)) == levels


@pytest.mark.parametrize(
    "fields", [{"rhythm": "....x..........."}, {"follow": "chord_root"}, {"role": "arpeggio"}]
)
def test_without_any_chord_nothing_is_made_up(fields: dict[str, object]) -> None:
    player = voice(**{"role": "bass", "low": 28, "high": 60, **fields})  # type: ignore[arg-type]
    kit = Drums(kit="808", source="pattern", pattern={"kick": "x...x..........."})
    source = heard([note(0, 0.3, 40), note(0.8, 0.3, 40)], seconds=2.0)
    ensemble = Arrangement(voices=[player], drums=kit)

    assert orchestrate.arrange(source, ensemble, strength=1.0, seed=0).parts == ()


def test_kick_times_are_of_kicks() -> None:
    hits = [DrumHit(0.0, "kick", 1.0), DrumHit(0.5, "snare", 1.0)]

    assert roles.kick_times(hits) == (0.0,)
