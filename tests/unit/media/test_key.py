"""Which key a distribution of pitch classes fits."""

import numpy as np
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
