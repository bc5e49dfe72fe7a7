"""Reading sound banks: presets, zones and samples, and what happens with damaged files."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server import errors
from server.engines.arranger.generators import Generator
from server.engines.arranger.soundfont import SoundFont, _zones
from tests.unit.arranger.rendering.sounds import (
    Recorded,
    Written,
    looped_saw,
    looped_sine,
    real_bank,
    sine_bank,
    soundfont_bytes,
    written_to,
)


def keys(low: int, high: int) -> tuple[int, int]:
    """Return a key range generator."""
    return Generator.KEY_RANGE, low | high << 8


def test_a_preset_is_found_by_bank_and_program(tmp_path: Path) -> None:
    font = SoundFont(written_to(tmp_path, Written(0, 7, [(looped_sine(), [])], name="flute")))

    assert "flute" == font.name(0, 7)
    assert font.has(0, 7)
    assert not font.has(0, 8)


@pytest.mark.parametrize(
    ("bank", "program", "expected"), [(8, 40, 40), (8, 99, 0), (128, 5, 128), (0, 99, 0)]
)
def test_a_missing_preset_has_a_stand_in(
    tmp_path: Path, bank: int, program: int, expected: int
) -> None:
    """Bank 0 first, then the piano; a missing kit is the standard kit."""
    font = SoundFont(sine_bank(tmp_path))
    wanted = {0: (0, 0), 40: (0, 40), 128: (128, 0)}[expected]

    stand_in = font.regions(bank, program, 60, 64)

    assert font.regions(*wanted, 60, 64)[0].sample == stand_in[0].sample
    assert font.regions(*wanted, 60, 64)[0].generators == stand_in[0].generators


def test_without_any_usual_preset_the_first_one_plays(tmp_path: Path) -> None:
    font = SoundFont(written_to(tmp_path, Written(3, 7, [(looped_sine(), [])])))

    assert 1 == len(font.regions(0, 0, 60, 64))
    assert 1 == len(font.regions(128, 0, 60, 64))


def test_zones_answer_to_their_keys_and_velocities(tmp_path: Path) -> None:
    low, high = looped_sine(), looped_saw()
    loud = (Generator.VELOCITY_RANGE, 100 | 127 << 8)
    instrument = Written(0, 0, [(low, [keys(0, 59)]), (high, [keys(60, 127), loud])])
    font = SoundFont(written_to(tmp_path, instrument))

    assert [0] == [region.sample for region in font.regions(0, 0, 59, 127)]
    assert [1] == [region.sample for region in font.regions(0, 0, 60, 100)]
    assert () == font.regions(0, 0, 60, 99)


def test_a_preset_zone_limits_and_adds_to_its_instrument(tmp_path: Path) -> None:
    """Global zones are defaults; preset generators are added to the instrument's."""
    instrument = Written(
        0,
        0,
        [(looped_sine(), [(Generator.FINE_TUNE, 5)]), (looped_saw(), [])],
        shared=[(Generator.FINE_TUNE, 7), (Generator.PAN, -100)],
        preset=[keys(40, 80), (Generator.FINE_TUNE, 20), (Generator.SAMPLE_MODES, 1)],
        preset_shared=[(Generator.PAN, 30)],
    )
    font = SoundFont(written_to(tmp_path, instrument))

    one, other = font.regions(0, 0, 60, 64)

    assert (25, 27) == (one[Generator.FINE_TUNE], other[Generator.FINE_TUNE])
    assert -70 == one[Generator.PAN]
    assert 0 == one[Generator.SAMPLE_MODES]
    assert () == font.regions(0, 0, 39, 64)


def test_what_no_zone_sets_has_the_defaults_of_the_specification(tmp_path: Path) -> None:
    font = SoundFont(written_to(tmp_path, Written(0, 0, [(looped_sine(), [])])))

    region = font.regions(0, 0, 60, 64)[0]

    assert 13500 == region[Generator.FILTER_CUTOFF]
    assert -12000 == region[Generator.ATTACK]
    assert 100 == region[Generator.SCALE_TUNING]
    assert -1 == region[Generator.ROOT_KEY]


def test_raw_samples_come_back(tmp_path: Path) -> None:
    """A second sample's loop is counted from its own beginning."""
    second = looped_saw()
    font = SoundFont(written_to(tmp_path, Written(0, 0, [(looped_sine(), []), (second, [])])))

    sample = font.sample(1)

    np.testing.assert_allclose(second.wave, sample.wave, atol=1e-4)
    assert (second.loop, 44100, 69) == (sample.loop, sample.sample_rate, sample.root)


def test_vorbis_samples_come_back(tmp_path: Path) -> None:
    sound = looped_sine()
    packed = Recorded(sound.wave, sound.loop, is_vorbis=True)
    font = SoundFont(written_to(tmp_path, Written(0, 0, [(packed, [])])))

    sample = font.sample(0)

    np.testing.assert_allclose(sound.wave[2000:9000], sample.wave[2000:9000], atol=0.02)
    assert sound.loop == sample.loop


def test_unpitched_samples_have_middle_c_as_root(tmp_path: Path) -> None:
    drum = Recorded(looped_saw().wave, (0, 0), root=255)
    font = SoundFont(written_to(tmp_path, Written(128, 0, [(drum, [])])))

    assert 60 == font.sample(0).root
    assert (0, 0) == font.sample(0).loop


def test_a_missing_or_foreign_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.sf2").write_text("not a sound bank at all")

    with pytest.raises(errors.EngineFailed, match="cannot be read"):
        SoundFont(tmp_path / "none.sf2")
    with pytest.raises(errors.EngineFailed, match="not a SoundFont"):
        SoundFont(tmp_path / "text.sf2")


def _replaced(tmp_path: Path, old: bytes, new: bytes) -> Path:
    content = soundfont_bytes([Written(0, 0, [(looped_sine(), [])])])
    path = tmp_path / "damaged.sf2"
    path.write_bytes(content.replace(old, new, 1))
    return path


@pytest.mark.parametrize("name", [b"phdr", b"pbag", b"pgen", b"inst", b"igen", b"shdr", b"smpl"])
def test_a_bank_without_one_of_its_chunks_is_damaged(tmp_path: Path, name: bytes) -> None:
    with pytest.raises(errors.EngineFailed, match="damaged"):
        SoundFont(_replaced(tmp_path, name, b"XXXX"))


def test_a_bank_that_points_outside_itself_is_damaged(tmp_path: Path) -> None:
    target = int(Generator.SAMPLE).to_bytes(2, "little")
    with pytest.raises(errors.EngineFailed, match="not there"):
        SoundFont(_replaced(tmp_path, target + b"\0\0", target + b"\7\0"))


def test_a_bank_without_presets_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "empty.sf2"
    path.write_bytes(soundfont_bytes([]))

    with pytest.raises(errors.EngineFailed, match="no presets"):
        SoundFont(path)


def test_a_sample_without_a_rate_is_damage(tmp_path: Path) -> None:
    silent = Written(0, 0, [(Recorded(looped_saw().wave, (0, 0), rate=0), [])])
    with pytest.raises(errors.EngineFailed, match="no rate"):
        SoundFont(written_to(tmp_path, silent))


def test_a_truncated_vorbis_sample_fails_when_it_is_asked_for(tmp_path: Path) -> None:
    packed = Recorded(looped_sine().wave, (0, 0), is_vorbis=True)
    content = soundfont_bytes([Written(0, 0, [(packed, [])])])
    path = tmp_path / "damaged.sf3"
    path.write_bytes(content.replace(b"OggS", b"XXXX"))
    font = SoundFont(path)

    with pytest.raises(errors.EngineFailed, match="decoded"):
        font.sample(0)


@settings(max_examples=60, deadline=None)
@given(
    cut=st.integers(0, 4000), flips=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)))
)
def test_no_damage_is_anything_but_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flips: list[tuple[int, int]]
) -> None:
    """Whatever happened to the tables, the answer is a bank or `EngineFailed`."""
    content = bytearray(soundfont_bytes([Written(0, 0, [(looped_saw(), [])])]))
    for back, value in flips:
        content[-1 - back] = value
    path = tmp_path_factory.mktemp("bank") / "odd.sf2"
    path.write_bytes(content[: len(content) - cut])
    try:
        font = SoundFont(path)
        for region in font.regions(0, 0, 60, 64):
            font.sample(region.sample)
        sentence = "The sound bank"
    except errors.EngineFailed as error:
        sentence = error.message

    assert sentence.startswith("The sound bank")


def test_a_sample_that_lies_elsewhere_fails_when_it_is_asked_for(tmp_path: Path) -> None:
    old, new = (struct.pack("<20sII", b"s", 0, end) for end in (44100, 4410000))

    with pytest.raises(errors.EngineFailed, match="outside the file"):
        SoundFont(_replaced(tmp_path, old, new)).sample(0)


def test_a_sample_in_a_sound_card_fails_when_it_is_asked_for(tmp_path: Path) -> None:
    old, new = (struct.pack("<IBbHH", 44100, 69, 0, 0, kind) for kind in (1, 0x8001))

    with pytest.raises(errors.EngineFailed, match="sound card"):
        SoundFont(_replaced(tmp_path, old, new)).sample(0)


def test_tables_that_do_not_fit_together_are_damage(tmp_path: Path) -> None:
    old, new = (struct.pack("<20sH", b"EOI", bag) for bag in (1, 99))

    with pytest.raises(errors.EngineFailed, match="do not fit"):
        SoundFont(_replaced(tmp_path, old, new))


def test_later_zones_without_a_target_are_void() -> None:
    """Only the first one may be global."""
    lists = [{int(Generator.PAN): 9}, {int(Generator.SAMPLE): 3}, {int(Generator.PAN): 7}]

    zones = list(_zones(lists, Generator.SAMPLE))

    assert [(3, {int(Generator.PAN): 9})] == [(zone.target, zone.generators) for zone in zones]


def test_the_real_bank_opens() -> None:
    font = SoundFont(real_bank())

    assert all(font.has(0, program) for program in (0, 24, 40, 73))
    assert font.regions(0, 40, 69, 90)
    assert font.sample(font.regions(0, 40, 69, 90)[0].sample).wave.any()
