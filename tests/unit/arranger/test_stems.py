"""The sounds a result is made of, and choices for single parts."""

from functools import lru_cache

import numpy as np
import pytest

import variations
from server import errors
from server.engines.arranger import layers
from server.engines.arranger.stems import BUS, INAUDIBLE, SOURCE, Desk
from server.engines.protocols import Brief, PartChoice, Transformation, tell_nobody
from server.media.clip import Clip
from tests.music import band
from tests.unit.arranger.test_engine import arranger
from variations.parts import DRUMS

RATE = 48000


@lru_cache(maxsize=1)
def song() -> Clip:
    """Return two bars of a band at a rate that is not the engine's."""
    return band(seconds=4.0, sample_rate=RATE).clip


def transformed(preset: str, *, clip: Clip | None = None, **fields: object) -> Transformation:
    """Return what the engine makes of the song, with stems unless the fields say otherwise."""
    variation = variations.load()[preset]
    defaults = {"strength": 1.0, "seed": 3, "wants_stems": True}
    brief = Brief(variation=variation, prompt=variation.prompt, **{**defaults, **fields})  # type: ignore[arg-type]
    return arranger().transform(clip or song(), [brief], on_step=tell_nobody)[0]


@lru_cache(maxsize=4)
def _of_song(preset: str, strength: float) -> Transformation:
    return transformed(preset, strength=strength)


def of_song(preset: str, strength: float = 1.0) -> Transformation:
    """Return the song in a preset with its stems."""
    return _of_song(preset, strength)


def peak(samples: np.ndarray) -> float:
    """Return the highest level."""
    return float(np.abs(samples).max(initial=0.0))


def rest(result: Transformation) -> np.ndarray:
    """Return what is missing of the clip in the sum of its stems."""
    total = np.sum([stem.samples for stem in result.stems.values()], axis=0, dtype=np.float64)
    return result.clip.samples - total


CASES = [("strings_quartet", 1.0), ("trap_808", 1.0), ("lofi_chill", 1.0), ("trap_808", 0.5)]


@pytest.mark.parametrize(("preset", "strength"), CASES)
def test_stems_are_together_the_result(preset: str, strength: float) -> None:
    result = of_song(preset, strength)

    assert peak(rest(result)) < INAUDIBLE
    assert {(2, song().length, RATE)} == {
        (stem.channels, stem.length, stem.sample_rate) for stem in result.stems.values()
    }


@pytest.mark.parametrize("damage", ["late", "softer", "missing"])
def test_a_damaged_stem_would_be_noticed(damage: str) -> None:
    """Negative controls: a sample late, a hundredth of a decibel softer, not there."""
    result = of_song("trap_808")
    pad = result.stems["pad"].samples
    damaged = {"late": np.roll(pad, 1), "softer": 0.999 * pad, "missing": 0.0 * pad}[damage]

    assert peak(rest(result) + pad - damaged) > INAUDIBLE


def test_stems_cost_the_result_nothing() -> None:
    plain = transformed("trap_808", wants_stems=False)

    assert {} == plain.stems
    np.testing.assert_array_equal(plain.clip.samples, of_song("trap_808").clip.samples)


def test_what_is_linear_leaves_nothing_for_the_bus() -> None:
    """Rooms, echoes and gains are in the stems themselves; only distortion and hiss are not."""
    assert BUS not in of_song("trap_808").stems
    assert BUS not in of_song("strings_quartet").stems
    assert BUS in of_song("lofi_chill").stems


def test_what_is_left_for_the_bus_is_soft() -> None:
    result = of_song("lofi_chill")
    levels = [float(np.square(clip.samples).mean()) for clip in (result.clip, result.stems[BUS])]

    assert levels[1] < 0.1 * levels[0]


def test_stems_are_called_what_the_report_and_the_notes_call_their_parts() -> None:
    result = of_song("trap_808", 0.5)

    assert result.sheet is not None
    assert [track.name for track in result.sheet.tracks] == [*result.heard["notes_per_part"], DRUMS]
    played = {track.name for track in result.sheet.tracks}
    assert played < set(result.stems)
    assert SOURCE in set(result.stems) - played <= set(layers.NAMES.values())


def test_a_stem_is_silent_until_its_part_plays() -> None:
    clap = of_song("trap_808").stems[DRUMS]
    late = band(seconds=4.0, sample_rate=RATE).clip
    late = late.with_samples(np.pad(late.samples, ((0, 0), (RATE, 0)))[:, : late.length])
    stems = transformed("synth_retro", clip=late).stems

    assert peak(clap.samples[:, :RATE]) > 0.01
    assert all(peak(stem.samples[:, : RATE // 2]) < 1e-4 for stem in stems.values())


def test_a_mute_part_is_neither_heard_nor_written() -> None:
    wanted = {"pad": PartChoice(mute=True), DRUMS: PartChoice(gain_db=-3.0)}
    result = transformed("trap_808", parts=wanted)
    told = {part["name"]: part for part in result.heard["parts"]}

    assert set(of_song("trap_808").stems) - {"pad"} == set(result.stems)
    assert result.sheet is not None
    assert "pad" not in {track.name for track in result.sheet.tracks}
    assert told["pad"]["muted"]
    assert not told["bells"]["muted"]
    assert (False, -3.0) == (result.heard["kit"]["muted"], result.heard["kit"]["gain_db"])


def test_everything_may_be_mute() -> None:
    names = [*of_song("trap_808").heard["notes_per_part"], DRUMS]
    result = transformed("trap_808", parts={name: PartChoice(mute=True) for name in names})

    assert 0.0 == peak(result.clip.samples)
    assert {} == result.stems


def test_a_part_of_another_name_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(errors.InvalidInput, match="'organ'.*808, bells, pluck, pad, drums") as info:
        transformed("trap_808", parts={"organ": PartChoice(mute=True)})

    assert "parts" == info.value.field


# The desk


def lanes() -> dict[str, np.ndarray]:
    """Return two sounds."""
    random = np.random.default_rng(0)
    return {name: random.normal(0.0, 0.1, (2, 500)).astype(np.float32) for name in ("a", "b")}


def test_a_lane_goes_through_what_comes_after_it_joined() -> None:
    sounds = lanes()
    desk = Desk({"a": sounds["a"]}, RATE, is_used=True)
    mix = desk.through(lambda clip: clip.with_samples(2 * clip.samples), Clip(sounds["a"], RATE))
    desk.add("b", Clip(sounds["b"], RATE))
    mix = mix.with_samples(mix.samples + sounds["b"])
    mix = desk.through(lambda clip: clip.with_samples(3 * clip.samples), mix)
    stems = desk.stems(mix, tell_nobody)

    np.testing.assert_allclose(stems["a"].samples, 6 * sounds["a"], rtol=1e-5)
    np.testing.assert_allclose(stems["b"].samples, 3 * sounds["b"], rtol=1e-5)
    assert ["a", "b"] == list(stems)


def test_what_no_lane_has_is_on_the_bus() -> None:
    sounds = lanes()
    desk = Desk(sounds, RATE, is_used=True)
    total = Clip(sounds["a"] + sounds["b"] + np.float32(0.01), RATE)

    assert pytest.approx(0.01, abs=1e-6) == desk.stems(total, tell_nobody)[BUS].samples.mean()


def test_a_desk_that_is_not_used_has_nothing() -> None:
    sounds = lanes()
    desk = Desk(sounds, RATE, is_used=False)
    desk.add("c", Clip(sounds["a"], RATE))

    assert {} == desk.stems(Clip(sounds["a"], RATE), tell_nobody)


def test_finishing_stems_can_be_stopped() -> None:
    desk = Desk(lanes(), RATE, is_used=True)
    desk.follow(lambda clip: clip)

    def stop(done: int, total: int) -> None:
        if done == 1:
            raise errors.Cancelled

    with pytest.raises(errors.Cancelled):
        desk.stems(Clip(lanes()["a"], RATE), stop)
