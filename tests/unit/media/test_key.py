"""Which key a distribution of pitch classes fits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.media import key
from server.media.key import Key, likeliest_key

_SCALE = np.array([3, 0, 1, 0, 2, 1, 0, 2.5, 0, 1, 0, 0.5])


@given(st.integers(0, 11))
def test_a_scale_that_rests_on_its_triad_has_its_key(tonic: int) -> None:
    assert Key(tonic, "major") == likeliest_key(np.roll(_SCALE, tonic))


@given(st.integers(0, 11), st.sampled_from(["major", "minor"]))
def test_a_profile_itself_is_its_key(tonic: int, mode: key.Mode) -> None:
    """Numpy's correlation, computed key by key, agrees."""
    weights = np.roll(key._PROFILES[mode], tonic)

    slowly = max(
        (float(np.corrcoef(np.roll(profile, t), weights)[0, 1]), t, m)
        for m, profile in key._PROFILES.items()
        for t in range(12)
    )

    assert Key(tonic, mode) == Key(slowly[1], slowly[2]) == likeliest_key(weights)


def test_nothing_has_no_key_and_a_key_has_a_name() -> None:
    assert likeliest_key(np.zeros(12)) is None
    assert "A minor" == Key(9, "minor").name


@given(st.integers(0, 11), st.sampled_from(["major", "minor"]), st.sampled_from(["upper", "lower"]))
def test_every_name_of_ours_is_read_back(tonic: int, mode: key.Mode, case: str) -> None:
    """In any case."""
    known = Key(tonic, mode)

    assert known == key.named(getattr(known.name, case)())
    assert known == key.named(known.short_name) == key.named(f"  {known.name.lower()} ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bb major", Key(10, "major")),
        ("bb", Key(10, "major")),
        ("B♭m", Key(10, "minor")),
        ("Cb", Key(11, "major")),
        ("E# min", Key(5, "minor")),
        ("f-sharp minor", Key(6, "minor")),
        ("A flat maj", Key(8, "major")),
        ("F#m", Key(6, "minor")),
        ("AMIN", Key(9, "minor")),
    ],
)
def test_keys_are_read_as_musicians_write_them(text: str, expected: Key) -> None:
    assert expected == key.named(text)


@pytest.mark.parametrize("text", ["", "H", "A dorian", "Am7", "AM", "8A", "b b b", "minor", "C/E"])
def test_what_is_no_key_or_two_is_refused_with_examples(text: str) -> None:
    """AM is A major in one tradition and a lazy A minor in another."""
    with pytest.raises(ValueError, match="A minor, Am, F#m, Bb major or C"):
        key.named(text)
