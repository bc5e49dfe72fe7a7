"""Outside a window nothing changes; inside it the curves are the ones that were promised."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from server.media import window
from server.media.clip import Clip, Samples
from server.media.window import Law, Window

LAWS: st.SearchStrategy[Law] = st.sampled_from(["equal_power", "equal_gain"])


def sounds(channels: int = 2, *, longest: int = 60) -> st.SearchStrategy[Samples]:
    """Draw samples `[channels, 0 to longest]`."""
    shape = st.tuples(st.just(channels), st.integers(0, longest))
    return arrays.arrays(np.float32, shape, elements=st.floats(-1, 1, width=32))


def gain_by_hand(position: int, length: int, law: str) -> float:
    """Return one gain of a fade in."""
    share = (position + 0.5) / length
    return math.sin(math.pi / 2 * share) if law == "equal_power" else share


def replaced_by_hand(
    source: Samples, start: int, content: Samples, *, overlap: int, law: str
) -> Samples:
    """Replace sample by sample: the obviously right and slow way."""
    result, end = source.copy(), start + content.shape[1]
    overlap = min(overlap, content.shape[1] // 2)
    for channel in range(source.shape[0]):
        for n in range(start, end):
            new, old = float(content[channel, n - start]), float(source[channel, n])
            into, out = n - start, end - 1 - n
            if start > 0 and into < overlap:
                fade_out = gain_by_hand(overlap - 1 - into, overlap, law)
                new = new * gain_by_hand(into, overlap, law) + old * fade_out
            elif end < source.shape[1] and out < overlap:
                fade_out = gain_by_hand(overlap - 1 - out, overlap, law)
                new = new * gain_by_hand(out, overlap, law) + old * fade_out
            result[channel, n] = new
    return result


@given(st.data())
def test_replacing_equals_the_sample_by_sample_way(data: st.DataObject) -> None:
    """And outside the window every bit is the same."""
    source = data.draw(sounds())
    start = data.draw(st.integers(0, source.shape[1]))
    end = data.draw(st.integers(start, source.shape[1]))
    content = np.linspace(-1, 1, 2 * (end - start), dtype=np.float32).reshape(2, -1)
    overlap, law = data.draw(st.integers(0, 20)), data.draw(LAWS)

    clip = Clip(source, 44100)
    result = window.replace(clip, Window(start, end), content, overlap=overlap, law=law).samples

    expected = replaced_by_hand(source, start, content, overlap=overlap, law=law)
    np.testing.assert_allclose(expected, result, atol=1e-6)
    np.testing.assert_array_equal(source[:, :start], result[:, :start])
    np.testing.assert_array_equal(source[:, end:], result[:, end:])


@given(sounds(), sounds(), st.data())
def test_a_crossfade_is_as_long_as_both_less_the_overlap(
    first: Samples, second: Samples, data: st.DataObject
) -> None:
    """And each side stays as it is outside the overlap."""
    overlap = data.draw(st.integers(0, min(first.shape[1], second.shape[1])))

    joined = window.crossfade(first, second, overlap=overlap, law=data.draw(LAWS))

    before, after = first.shape[1] - overlap, second.shape[1] - overlap
    assert (2, before + overlap + after) == joined.shape
    np.testing.assert_array_equal(first[:, :before], joined[:, :before])
    np.testing.assert_array_equal(second[:, overlap:], joined[:, before + overlap :])


@pytest.mark.parametrize("length", [1, 2, 7, 1000])
def test_the_fades_keep_what_their_law_names(length: int) -> None:
    """Equal power sums to one in squares, equal gain in amplitude."""
    power, gain = window.rising(length, "equal_power"), window.rising(length, "equal_gain")

    np.testing.assert_allclose(np.ones(length), power**2 + power[::-1] ** 2, atol=1e-6)
    np.testing.assert_allclose(np.ones(length), gain + gain[::-1], atol=1e-6)


@given(sounds())
def test_equal_gain_between_a_sound_and_itself_changes_nothing(sound: Samples) -> None:
    """Which equal power would: it lifts what is alike by 3 dB."""
    overlap = sound.shape[1]

    joined = window.crossfade(sound, sound, overlap=overlap, law="equal_gain")

    np.testing.assert_allclose(sound, joined, atol=1e-6)


def test_equal_power_keeps_the_level_of_unlike_sounds() -> None:
    """Two noises; equal gain is the negative control and sinks by 3 dB in the middle."""
    random = np.random.default_rng(0)
    one, other = random.normal(0, 0.1, (2, 1, 40000)).astype(np.float32)

    def middle_db(law: Law) -> float:
        joined = window.crossfade(one, other, overlap=40000, law=law)[:, 18000:22000]
        return float(20 * np.log10(joined.std() / 0.1))

    assert pytest.approx(0.0, abs=0.3) == middle_db("equal_power")
    assert pytest.approx(-3.0, abs=0.3) == middle_db("equal_gain")


def test_what_is_alike_is_joined_by_gain_and_what_is_not_by_power() -> None:
    """At each end by what meets there."""
    random = np.random.default_rng(0)
    source, other = random.normal(0, 0.1, (2, 2, 4000)).astype(np.float32)
    content = source[:, 1000:3000].copy()
    content[:, 1000:] = other[:, :1000]
    laws = window.laws_for(Clip(source, 44100), Window(1000, 3000), content, overlap=300)

    assert ("equal_gain", "equal_power") == laws


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [([1, -1, 1], [1, -1, 1], 1.0), ([1, -1, 1], [-1, 1, -1], -1.0), ([1, 1, 0], [0, 0, 0], 0.0)],
)
def test_correlation_is_one_for_the_same_and_none_with_silence(
    first: list[int], second: list[int], alike: float
) -> None:
    one, other = (np.array([each], np.float32) for each in (first, second))

    assert pytest.approx(alike) == window.correlation(one, other)


def test_either_end_may_have_its_own_law() -> None:
    clip = Clip(np.full((1, 100), 0.5, np.float32), 44100)
    content = np.full((1, 40), 0.5, np.float32)
    result = window.replace(
        clip, Window(30, 70), content, overlap=10, law=("equal_gain", "equal_power")
    ).samples

    np.testing.assert_allclose(clip.samples[:, :60], result[:, :60], atol=1e-6)
    assert result[:, 60:70].max() > 0.69


@given(sounds(), st.integers(0, 100))
def test_fitting_cuts_or_adds_silence(sound: Samples, length: int) -> None:
    """Exactly the length that was asked for."""
    fitted = window.fit_length(sound, length)

    kept = min(length, sound.shape[1])
    assert (2, length) == fitted.shape
    np.testing.assert_array_equal(sound[:, :kept], fitted[:, :kept])
    assert not fitted[:, kept:].any()


@given(sounds(), st.integers(0, 80))
def test_edges_fade_in_and_out_alike(sound: Samples, length: int) -> None:
    """The middle stays; short clips fade over half of their length."""
    faded = window.fade_edges(sound, length)

    count, reach = sound.shape[1], min(length, sound.shape[1] // 2)
    for n in range(count):
        to_edge = min(n, count - 1 - n)
        gain = (to_edge + 0.5) / reach if to_edge < reach else 1.0
        np.testing.assert_allclose(sound[:, n] * np.float32(gain), faded[:, n], atol=1e-6)


@given(sounds(), st.integers(0, 80), st.integers(0, 80))
def test_a_cut_is_a_copy_of_its_part(sound: Samples, start: int, length: int) -> None:
    """What lies beyond the end is left out, and the source cannot be changed through it."""
    part = window.cut(Clip(sound, 44100), Window(start, start + length))

    np.testing.assert_array_equal(sound[:, start : start + length], part.samples)
    assert not np.shares_memory(sound, part.samples)


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (4, 3)])
def test_a_window_goes_forward_from_zero(start: int, end: int) -> None:
    """Anything else is a mistake of the caller."""
    with pytest.raises(ValueError, match="window"):
        Window(start, end)


def test_content_must_fit_its_window() -> None:
    """In length and channels, and the window must lie in the clip."""
    clip = Clip(np.zeros((2, 10), np.float32), 44100)

    with pytest.raises(ValueError, match="shape"):
        window.replace(clip, Window(2, 5), np.zeros((2, 4), np.float32), overlap=0)
    with pytest.raises(ValueError, match="beyond"):
        window.replace(clip, Window(8, 12), np.zeros((2, 4), np.float32), overlap=0)


def test_sounds_that_cannot_be_joined_are_refused() -> None:
    """Other channels, or an overlap longer than a side."""
    one, other = np.zeros((2, 5), np.float32), np.zeros((1, 5), np.float32)

    with pytest.raises(ValueError, match="channels"):
        window.crossfade(one, other, overlap=2)
    with pytest.raises(ValueError, match="overlap"):
        window.crossfade(one, one, overlap=6)
