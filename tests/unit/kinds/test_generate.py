"""What music from words takes: words or scenes, and lengths that add up."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import errors, kinds
from server.kinds import generate

SCENES = [{"seconds": 1.5, "prompt": "soft strings"}, {"seconds": 2.25, "variation": "celtic"}]


def _spec(**parameters: Any) -> generate.Spec:
    spec = kinds.parse(generate, parameters)
    assert isinstance(spec, generate.Spec)
    return spec


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": " "}, "prompt"),
        ({"variation": "nose_flute"}, "variation"),
        ({"seconds": 0}, "seconds"),
        ({"seconds": "long"}, "seconds"),
        ({"segments": SCENES, "prompt": "x"}, "segments"),
        ({"segments": SCENES, "seconds": 2}, "segments"),
        ({"segments": []}, "segments"),
        ({"segments": "[{]"}, "segments"),
        ({"segments": [{"seconds": 2}]}, "segments.0.prompt"),
        ({"segments": [{"prompt": "x"}]}, "segments.0.seconds"),
        ({"segments": [SCENES[0], {"seconds": 2, "variation": "x"}]}, "segments.1.variation"),
        ({"normalize": "loud"}, "normalize"),
        ({"prompt_duration": 31}, "prompt_duration"),
        ({"most_takes": 5}, "most_takes"),
        ({"temperature": 0}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"model": "../../etc passwd"}, "model"),
    ],
)
def test_a_wrong_order_is_refused_by_field(parameters: dict[str, Any], field: str) -> None:
    given_ = parameters if "segments" in parameters else {"prompt": "strings", **parameters}
    with pytest.raises(errors.InvalidInput) as caught:
        _spec(**given_)

    assert (field, 422) == (caught.value.field, caught.value.status)


@given(
    st.lists(st.floats(0.25, 100), min_size=1, max_size=32), st.sampled_from([8000, 32000, 44100])
)
def test_scenes_add_up_to_the_sample(seconds: list[float], rate: int) -> None:
    """Rounding each of them on its own would not."""
    spec = _spec(segments=[{"seconds": each, "prompt": "x"} for each in seconds])
    ends = spec.ends(rate)

    assert round(sum(seconds) * rate) == ends[-1]
    assert sorted(ends) == ends
    lengths = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    for length, each in zip(lengths, seconds, strict=True):
        assert abs(length - each * rate) <= 1


def test_no_two_takes_of_a_job_share_a_seed() -> None:
    spec = _spec(segments=SCENES, seed=10, most_takes=3)
    seeds = [spec.brief(scene, take, bpm=None).seed for scene in (0, 1) for take in range(3)]

    assert [10, 11, 12, 13, 14, 15] == seeds


def test_words_of_a_preset_are_said_in_the_recipe() -> None:
    scene = _spec(segments=SCENES).scenes[1]

    assert scene.choice.prompt == scene.worded.prompt
    assert "celtic" == scene.worded.variation
