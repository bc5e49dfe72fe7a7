"""The engine as its callers see it: what comes back, what it says, what it never does."""

import json
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import variations
from server import errors
from server.config import Settings
from server.engines.arranger import engine, stages, transforming
from server.engines.arranger.engine import Arranger
from server.engines.protocols import Brief, Transformation, Transforms
from server.media.clip import Clip
from tests.music import riff

DATA = Path(__file__).parents[3] / "data"
"""Where a sound bank lies if one was fetched; without it the synthesized voices are judged."""

PIANO = variations.load()["piano_classical"]


def nowhere(done: int, total: int) -> None:
    """Take progress and do nothing with it."""


@lru_cache(maxsize=1)
def arranger() -> Arranger:
    """Return one engine for all tests, with whatever assets this machine has."""
    return Arranger(data_dir=DATA)


def brief(**fields: object) -> Brief:
    """Return a brief for the piano, all of it, unless the fields say otherwise."""
    return Brief(**{"variation": PIANO, "prompt": PIANO.prompt, "strength": 1.0, **fields})  # type: ignore[arg-type]


def transformed(clip: Clip, **fields: object) -> Transformation:
    """Return what the engine makes of a clip."""
    return arranger().transform(clip, [brief(**fields)], on_step=nowhere)[0]


def guitar(seconds: float = 2.0, rate: int = 44100) -> Clip:
    """Return a picked guitar."""
    return riff(seconds=seconds, sample_rate=rate).clip


def stereo(samples: np.ndarray, rate: int = 44100) -> Clip:
    """Return a clip with the same samples in both channels."""
    return Clip(np.stack([samples, samples]).astype(np.float32), rate)


def test_it_is_what_the_table_of_engines_says() -> None:
    transforms: Transforms = arranger()

    assert callable(transforms.transform)


@pytest.mark.parametrize("rate", [22050, 44100, 48000])
@pytest.mark.parametrize("extra", [0, 1])
def test_the_result_has_the_sources_rate_and_every_sample(rate: int, extra: int) -> None:
    source = guitar(1.0, rate)
    source = source.with_samples(np.pad(source.samples, ((0, 0), (0, extra))))
    result = transformed(source).clip

    assert (2, rate + extra, rate) == (result.channels, result.length, result.sample_rate)
    assert np.isfinite(result.samples).all()


@pytest.mark.parametrize("fields", [{"strength": 0.0}, {"strength": None, "flowstep": 1.0}])
def test_no_strength_is_identity(fields: dict[str, object]) -> None:
    source = stereo(guitar().samples[0])
    result = transformed(source, **fields)

    assert np.array_equal(source.samples, result.clip.samples)
    assert result.notices == ()


def test_strength_wins_over_flowstep() -> None:
    assert transformed(guitar(), flowstep=1.0, strength=0.5).heard["strength"] == 0.5


@pytest.mark.parametrize(
    ("clip", "notice"),
    [
        (guitar(0.4), transforming.TOO_SHORT),
        (stereo(np.zeros(0)), transforming.TOO_SHORT),
        (stereo(np.zeros(44100)), transforming.SILENT),
    ],
)
def test_what_cannot_be_heard_comes_back_as_it_was_and_says_why(clip: Clip, notice: str) -> None:
    result = transformed(clip)

    assert (notice,) == result.notices
    assert np.array_equal(clip.as_stereo().samples, result.clip.samples)


def test_noise_is_not_turned_into_music() -> None:
    noise = stereo(np.random.default_rng(0).normal(0.0, 0.1, 3 * 44100))
    result = transformed(noise)

    assert any("No pitched material was heard" in notice for notice in result.notices)


def test_what_leaves_nothing_to_play_comes_back_as_it_was() -> None:
    noise = stereo(np.random.default_rng(0).normal(0.0, 0.1, 2 * 44100))
    result = transformed(noise, variation=variations.load()["synth_ambient"])

    assert (transforming.NOTHING_TO_PLAY,) == result.notices
    assert np.array_equal(noise.samples, result.clip.samples)


def drummed(seconds: float) -> Clip:
    """Return the guitar with a loud snare on every beat of half a second."""
    samples = guitar(seconds).samples[0].copy()
    hiss = np.random.default_rng(0).normal(0.0, 0.6, 4410) * np.exp(-np.arange(4410) / 900)
    for start in range(0, len(samples) - 4410, 22050):
        samples[start : start + 4410] += hiss
    return stereo(samples)


def test_half_way_the_sources_drums_are_still_there() -> None:
    """What is above 5 kHz is the snare: more of it is left at half strength than at full."""
    half, full = (
        transformed(drummed(4.0), strength=strength).clip.mono() for strength in (0.5, 1.0)
    )
    bright = [float(np.square(np.diff(samples, n=3)).mean()) for samples in (half, full)]

    assert bright[0] > 2 * bright[1]


def test_the_same_seed_gives_the_same_samples_and_another_seed_others() -> None:
    lofi = variations.load()["lofi_chill"]
    first, again, other = (
        transformed(guitar(), variation=lofi, seed=seed).clip.samples for seed in (1, 1, 2)
    )

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_fresh_engine_gives_the_same_samples() -> None:
    """Nothing that an engine did before has an influence."""
    (fresh,) = Arranger(data_dir=DATA).transform(guitar(), [brief()], on_step=nowhere)

    assert np.array_equal(transformed(guitar()).clip.samples, fresh.clip.samples)


def test_progress_rises_to_its_end() -> None:
    seen: list[tuple[int, int]] = []
    arranger().transform(guitar(2.25), [brief()], on_step=lambda *step: seen.append(step))

    assert {stages.STEPS} == {total for _, total in seen}
    assert all(a[0] <= b[0] for a, b in pairwise(seen))
    assert (stages.STEPS, stages.STEPS) == seen[-1]
    assert len(seen) > 8


def test_briefs_of_one_clip_share_the_listening_and_nothing_else() -> None:
    """Each sounds as if it were alone, whatever stands beside it."""
    source = guitar(2.125)
    presets = [variations.load()[name] for name in ("lofi_chill", "chiptune")]
    briefs = [brief(variation=preset, seed=3) for preset in presets]
    identity = brief(strength=0.0)
    together = arranger().transform(source, [*briefs, identity], on_step=nowhere)
    alone = [Arranger(data_dir=DATA).transform(source, [each], on_step=nowhere) for each in briefs]

    assert ["computed", "shared"] == [each.made["listening"] for each in together[:2]]
    assert all(
        np.array_equal(one.clip.samples, other.clip.samples)
        for one, (other,) in zip(together, alone, strict=False)
    )
    assert np.array_equal(source.as_stereo().samples, together[2].clip.samples)


def test_a_clip_heard_before_is_remembered() -> None:
    source = guitar(2.375)
    first, again = (transformed(source).made["listening"] for _ in range(2))

    assert ("computed", "remembered") == (first, again)


def test_a_hint_of_another_tempo_is_listened_for() -> None:
    briefs = [brief(bpm=None), brief(bpm=60.0)]
    results = arranger().transform(guitar(2.0625), briefs, on_step=nowhere)

    assert ["computed", "computed"] == [each.made["listening"] for each in results]


def test_progress_over_several_briefs_never_falls() -> None:
    """One brief of them comes back as it was, at once."""
    seen: list[tuple[int, int]] = []
    briefs = [brief(), brief(strength=0.0), brief(seed=5)]
    arranger().transform(guitar(2.1875), briefs, on_step=lambda *step: seen.append(step))
    total = seen[0][1]

    assert {total} == {each for _, each in seen}
    assert all(a[0] <= b[0] for a, b in pairwise(seen))
    assert (0, total) == (seen[0][0], seen[-1][0])


def test_it_says_what_it_plays_with() -> None:
    """Nothing in it changes from clip to clip, so it belongs to the recipe."""
    model = transformed(guitar()).model

    assert {"name": "arranger", "device": "cpu"}.items() <= model.items()
    assert {"transcription", "sound_bank"} < set(model)
    assert model == transformed(guitar(1.0), strength=0.0).model


@pytest.mark.parametrize("after", [0, 3, 10])
def test_it_can_be_stopped_between_steps(after: int) -> None:
    calls = 0

    def stop(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise errors.Cancelled

    with pytest.raises(errors.Cancelled):
        arranger().transform(guitar(2.5), [brief()], on_step=stop)


def test_it_reports_what_it_heard_as_json() -> None:
    heard = json.loads(json.dumps(dict(transformed(guitar(4.0)).heard)))

    assert abs(heard["bpm"] - 120) < 0.6
    assert heard["chords"][0] == {"start_seconds": 0.0, "name": "Am"}
    assert {"hands", "left hand", "right hand"} == set(heard["notes_per_part"])
    assert {"solver": "euler", "steps": None} == heard["without_effect"]
    assert {"transcription", "sound_bank", "key", "beats", "tuning_cents"} <= set(heard)


def test_a_presets_own_prompt_is_not_read() -> None:
    result = transformed(guitar())

    assert ((), (), None) == (result.understood, result.ignored, result.guessed)


def test_a_musicians_words_are_read() -> None:
    result = transformed(
        guitar(), prompt="chiptune, no drums, at 90 bpm, blorp", is_custom=True, variation=None
    )

    assert ("chiptune", "no drums") == result.understood
    assert ("blorp", "90 bpm") == result.ignored
    assert "pulse 1" in result.heard["notes_per_part"]


def test_words_that_mean_nothing_are_answered_with_a_named_guess() -> None:
    result = transformed(guitar(), prompt="blorp", is_custom=True, variation=None)

    assert result.guessed in variations.load()


def test_more_than_two_channels_become_two() -> None:
    surround = Clip(np.repeat(guitar(1.0).samples, 6, axis=0), 44100)

    assert transformed(surround).clip.channels == 2


def test_channels_that_cancel_each_other_are_heard_all_the_same() -> None:
    samples = guitar(2.0).samples[0]
    anti = Clip(np.stack([samples, -samples]), 44100)

    assert transformed(anti).heard["notes"] > 0


def test_the_settings_open_an_engine_and_say_what_is_missing(tmp_path: Path) -> None:
    missing = tmp_path / "none.sf2"
    settings = Settings(data_dir=tmp_path, sound_bank=missing, transcription_model=missing)
    availability = engine.availability(settings)
    (result,) = engine.open_engine(settings).transform(guitar(), [brief()], on_step=nowhere)

    assert availability.available
    assert "transcription model and sound bank" in availability.reason
    assert (engine.NO_NETWORK, engine.NO_BANK) == result.notices[-2:]
    assert "synthesized" == result.heard["sound_bank"]
    assert np.abs(result.clip.samples).max() > 0.01
