"""What is put into a window belongs to the song: each promise with damage it must refuse."""

from functools import lru_cache

import numpy as np
import pytest

from server import errors
from server.engines.arranger.inpainting import paint
from server.engines.protocols import Brief, Inpainting, Inpaints
from server.media import harmony, loudness, rhythm, seams, spectrum
from server.media import window as windows
from server.media.clip import Clip, Samples
from server.media.window import Window, cut
from tests import music
from tests.music import NAMES, Piece
from tests.unit.arranger.inpainting import songs
from tests.unit.arranger.inpainting.songs import painted, song, window_of

MARGIN = round(paint.MARGIN_SECONDS * 44100)
FADE = round(windows.CROSSFADE_SECONDS * 44100)

CHORDS = 0.9
CHROMA = 0.75
"""Other notes over the same chords; measured 0.85 to 0.95, a semitone off at most 0.35."""

LAG_MS = 15.0
HOLE_DB, HOLE_SECONDS = -50.0, 0.15


@lru_cache(maxsize=1)
def takes() -> tuple[Inpainting, ...]:
    """Return two takes of the piano in the song."""
    return tuple(painted(song().clip, takes=2))


def joined(piece: Piece, take: Clip) -> Clip:
    """Return the song with a take in its window, faded inside."""
    here = window_of(piece.clip)
    return windows.replace(piece.clip, here, cut(take, here).samples, overlap=FADE)


def true_chords(piece: Piece) -> list[tuple[float, str]]:
    """Return the beats within the window and their chords' names."""
    pairs = zip(piece.beats.tolist(), piece.chords, strict=True)
    return [(beat, name) for beat, name in pairs if songs.START < beat < songs.END]


def chord_agreement(piece: Piece, take: Inpainting, *, late: float = 0.0) -> float:
    """Return the share of beats on which the supposed chord is the one the song really had."""
    chords = take.made["windows"][0]["chords"]
    starts = np.array([each["start_seconds"] for each in chords])
    agree = []
    for beat, name in true_chords(piece):
        at = int(np.searchsorted(starts, beat + late + 0.1, side="right")) - 1
        agree.append(chords[max(at, 0)]["name"] == name)
    return float(np.mean(agree))


def beat_chroma(clip: Clip, piece: Piece) -> Samples:
    """Return the mean chroma of the beats in the window, `[12, beats]`."""
    return harmony.over_beats(
        harmony.chroma(clip), np.array([beat for beat, _ in true_chords(piece)])
    )


def lag_ms(piece: Piece, take: Clip) -> float:
    """Return by how much the onsets of the insert are later than those the song had there."""
    here = window_of(piece.clip)
    one, other = (rhythm.envelope(cut(clip, here)) for clip in (piece.clip, take))
    found = rhythm.align(one, other).lag_ms
    return 1000.0 if found is None else abs(found)


def longest_hole(clip: Clip) -> float:
    """Return the longest time below -50 dBFS around either seam, in seconds."""
    rate = clip.sample_rate
    frame = round(0.01 * rate)
    longest = 0
    for edge in (songs.START, songs.END):
        near = clip.samples[:, round((edge - 0.4) * rate) : round((edge + 0.4) * rate)]
        frames = near[:, : near.shape[1] // frame * frame].reshape(near.shape[0], -1, frame)
        levels = 10 * np.log10(np.square(frames).mean(axis=(0, 2)) + 1e-12)
        run = 0
        for level in levels:
            run = run + 1 if level < HOLE_DB else 0
            longest = max(longest, run)
    return longest * 0.01


def test_it_offers_what_an_engine_owes_that_inpaints() -> None:
    inpaints: Inpaints = songs.arranger()

    assert callable(inpaints.inpaint)


# The same music


@pytest.mark.parametrize("number", [0, 1])
def test_the_chords_are_those_the_song_would_have_had(number: int) -> None:
    assert chord_agreement(song(), takes()[number]) >= CHORDS


def test_a_loop_a_bar_off_is_refused() -> None:
    assert chord_agreement(song(), takes()[0], late=2.0) < CHORDS


@pytest.mark.parametrize("number", [0, 1])
def test_the_harmony_sounds_like_the_hidden_passage(number: int) -> None:
    one, other = (beat_chroma(clip, song()) for clip in (song().clip, takes()[number].clip))
    truth = np.array([NAMES.index(name.removesuffix("m")) for _, name in true_chords(song())][:-1])

    assert (harmony.similarity(one, other) or 0.0) >= CHROMA
    assert harmony.best_rotation(one, other) == 0
    assert np.mean(harmony.chord_roots(other) == truth) >= 0.8


@pytest.mark.parametrize("semitones", [1, 2, 7])
def test_a_transposed_insert_is_refused(semitones: int) -> None:
    one = beat_chroma(song().clip, song())
    other = np.roll(beat_chroma(takes()[0].clip, song()), semitones, axis=0)

    assert (harmony.similarity(one, other) or 0.0) < CHROMA
    assert harmony.best_rotation(one, other) != 0


@pytest.mark.parametrize("number", [0, 1])
def test_the_insert_is_in_time(number: int) -> None:
    assert lag_ms(song(), takes()[number].clip) <= LAG_MS


def test_an_insert_that_is_80_ms_late_is_refused() -> None:
    take = takes()[0].clip

    assert lag_ms(song(), take.with_samples(np.roll(take.samples, 3528, axis=1))) > LAG_MS


def test_it_is_not_the_song_over_again() -> None:
    """The tune is new: hardly any bar of it has the notes that the song plays at that place."""
    here = window_of(song().clip)
    one, other = (cut(clip, here) for clip in (song().clip, takes()[0].clip))

    assert abs(windows.correlation(one.samples, other.samples)) < 0.3


# Nothing is heard of what it replaces


def test_what_was_in_the_window_changes_nothing() -> None:
    here = window_of(song().clip)
    other = song().clip.samples.copy()
    other[:, here.start : here.end] = music.noise(7.0, seed=5).samples[:, : here.length]
    (blind,) = painted(song().clip.with_samples(other))

    inside = slice(here.start, here.end)
    assert np.array_equal(takes()[0].clip.samples[:, inside], blind.clip.samples[:, inside])
    assert takes()[0].heard == blind.heard
    assert takes()[0].made == blind.made


def test_outside_of_the_window_and_its_margins_the_source_comes_back() -> None:
    here, samples = window_of(song().clip), takes()[0].clip.samples
    before, after = slice(0, here.start - MARGIN), slice(here.end + MARGIN, None)

    assert np.array_equal(song().clip.samples[:, before], samples[:, before])
    assert np.array_equal(song().clip.samples[:, after], samples[:, after])
    assert not np.array_equal(song().clip.samples, samples)


# Seams


@pytest.mark.parametrize("number", [0, 1])
def test_neither_seam_shows(number: int) -> None:
    piece, result = song(), joined(song(), takes()[number].clip)
    measured = seams.measure(piece.clip, result, window_of(piece.clip), overlap=FADE)

    for seam in measured:
        assert seam is not None
        assert seam.values["loudness"] <= 1.0
        assert seam.values["flux"] <= 0.25
        assert seam.values["click"] <= 3.0
    assert longest_hole(result) <= HOLE_SECONDS
    assert loudness.true_peak_db(cut(takes()[number].clip, window_of(piece.clip))) <= -1.0


def test_a_louder_insert_and_a_late_one_are_refused() -> None:
    piece, here = song(), window_of(song().clip)
    content = cut(takes()[0].clip, here).samples
    louder = windows.replace(piece.clip, here, content * np.float32(1.5), overlap=FADE)
    late = content.copy()
    late[:, : round(0.25 * 44100)] = 0.0
    start, _ = seams.measure(piece.clip, louder, here, overlap=FADE)

    assert start is not None
    assert start.values["loudness"] > 1.0
    assert longest_hole(windows.replace(piece.clip, here, late, overlap=FADE)) > HOLE_SECONDS


# Takes


def test_take_k_is_the_one_of_seed_plus_k() -> None:
    (again,) = painted(song().clip, seed=4)

    assert np.array_equal(takes()[1].clip.samples, again.clip.samples)
    assert takes()[1].made == again.made


def test_takes_differ_audibly() -> None:
    here = window_of(song().clip)
    one, other = (
        spectrum.cqt_levels(cut(take.clip, here).mono(), 44100, hop=4096) for take in takes()
    )

    assert np.linalg.norm(one - other) > 0.3 * np.linalg.norm(one)


# The groove of what was there


@lru_cache(maxsize=4)
def grooved(name: str) -> Clip:
    """Return what keeps the groove of a window of strokes at odd times, or of the song itself."""
    samples = songs.drummed().clip.samples.copy()
    here = window_of(songs.drummed().clip)
    if name == "odd":
        samples[:, here.start : here.end] = odd().samples
    clip = songs.drummed().clip.with_samples(samples)
    (take,) = painted(clip, keeps_groove=True, preset="chiptune")
    return cut(take.clip, here)


@lru_cache(maxsize=1)
def odd() -> Clip:
    """Return snares that no grid of this song has, as long as the window."""
    here = window_of(song().clip)
    times = np.cumsum(np.random.default_rng(1).uniform(0.28, 0.62, 40))
    seconds = here.length / 44100
    hits = [music.Stroke(float(time), "snare") for time in times if time < seconds - 0.2]
    played = music._play([], hits, "keys", seconds + 1.0, 44100)
    return Clip(played[:, : here.length], 44100)


def alike(one: Clip, other: Clip) -> float:
    """Return how alike the onsets of two clips are, at once."""
    first, second = (rhythm.envelope(clip) for clip in (one, other))
    kernel = np.hanning(9)
    blurred = [np.convolve(each, kernel, mode="same") for each in (first, second)]
    return float(np.corrcoef(blurred)[0, 1])


def test_the_groove_of_the_window_is_kept_where_that_is_wanted() -> None:
    kept, other = alike(odd(), grooved("odd")), alike(odd(), grooved("own"))

    assert kept > 0.5
    assert kept > other + 0.2


# Drums, and where there is little to go on


def test_the_songs_drummer_goes_on_unless_nobody_wants_him() -> None:
    clip = cut(songs.drummed().clip, Window(0, 12 * 44100))
    here = window_of(clip, 5.0, 8.0)
    with_him, without = (
        painted(clip, here, prompt=words, variation=None, is_custom=True)[0]
        for words in ("acoustic guitar", "acoustic guitar, no drums")
    )

    assert with_him.heard["drums"] > 12
    assert "snare" in with_him.made["groove"]["drums"]
    assert with_him.made["windows"][0]["strokes"] > 8
    assert without.made["windows"][0]["strokes"] == 0
    assert "no drums" in without.understood


def test_drums_alone_are_answered_by_drums_alone() -> None:
    piece = music.band(120.0, seconds=16.0, seed=2)
    clip = songs.struck(piece)
    (take,) = painted(clip, window_of(clip, 5.0, 9.0), preset="rock_band")

    assert paint.NO_PITCH in take.notices
    assert take.heard["key"] is None
    assert take.made["windows"][0]["strokes"] > 8
    assert take.made["windows"][0]["notes_per_part"] == {}


@pytest.mark.parametrize("name", ["silence", "noise"])
def test_where_nothing_is_heard_nothing_is_claimed(name: str) -> None:
    clip = music.silence(8.0) if name == "silence" else music.noise(8.0)
    (take,) = painted(clip, window_of(clip, 3.0, 6.0))

    assert paint.NOTHING in take.notices
    assert take.heard["bpm"] is take.heard["key"] is take.heard["loop_bars"] is None
    assert take.heard["drums"] == 0
    assert loudness.integrated_loudness(cut(take.clip, window_of(clip, 3.0, 6.0))) > -30.0


def test_without_a_beat_chords_are_held() -> None:
    clip = music.sine(220.0, 9.0, channels=2)
    (take,) = painted(clip, window_of(clip, 3.0, 6.0), preset="synth_ambient")

    assert paint.NO_PULSE in take.notices
    assert take.heard["bpm"] is None
    assert take.made["windows"][0]["beats"] == []


# Any clip, any windows


def test_several_windows_of_a_mono_clip_at_another_rate() -> None:
    piece = music.band(120.0, seconds=16.0, seed=2, sample_rate=48000, drums=False)
    clip = Clip(piece.clip.samples[:1].copy(), 48000)
    chosen = (window_of(clip, 0.0, 2.0), window_of(clip, 7.0, 8.1), window_of(clip, 8.15, 9.0))
    (take,) = painted(clip, *chosen)

    assert (1, clip.length, 48000) == (take.clip.channels, take.clip.length, take.clip.sample_rate)
    assert len(take.made["windows"]) == 3
    for each in chosen:
        level = loudness.integrated_loudness(cut(take.clip, each))
        assert level == pytest.approx(loudness.integrated_loudness(clip), abs=6.0)


def test_more_than_two_channels_come_back_as_two() -> None:
    clip = Clip(np.repeat(song().clip.samples[:, : 5 * 44100], 3, axis=0), 44100)
    (take,) = painted(clip, window_of(clip, 2.0, 3.0))

    assert take.clip.channels == 2


@pytest.mark.parametrize("bad", [Window(0, 121 * 8000), Window(8000, 130 * 8000 + 1), Window(5, 5)])
def test_windows_it_cannot_do_are_named(bad: Window) -> None:
    clip = music.silence(130.0, sample_rate=8000)

    with pytest.raises(errors.InvalidInput) as raised:
        painted(clip, bad)
    assert raised.value.field == "windows"


class Stopped(BaseException):
    """What a job raises that should stop."""


def test_progress_never_falls_and_may_stop_the_work() -> None:
    told: list[tuple[int, int]] = []
    clip = song().clip.with_samples(song().clip.samples[:, : 8 * 44100])
    chosen = [window_of(clip, 3.0, 4.0), window_of(clip, 5.0, 6.0)]

    def on_step(done: int, total: int) -> None:
        told.append((done, total))

    songs.arranger().inpaint(clip, chosen, songs.brief(), takes=2, on_step=on_step)

    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len({total for _, total in told}) == 1
    assert told[-1][0] == told[-1][1]

    def stop(done: int, total: int) -> None:
        if done > total // 2:
            raise Stopped

    with pytest.raises(Stopped):
        songs.arranger().inpaint(clip, chosen, songs.brief(), takes=1, on_step=stop)


def test_a_free_prompt_says_what_it_understood() -> None:
    brief = Brief(variation=None, prompt="Upbeat promo with acoustic guitar", is_custom=True)
    clip = song().clip.with_samples(song().clip.samples[:, : 6 * 44100])
    (take,) = songs.arranger().inpaint(
        clip, [window_of(clip, 2.0, 4.0)], brief, takes=1, on_step=lambda *_: None
    )

    assert "acoustic guitar" in take.understood
    assert set(take.made["windows"][0]["notes_per_part"]) == {"guitar"}
