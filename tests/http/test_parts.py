"""Parts, notes and a comparison: what a DAW wants beside the result of a transform."""

import struct
from io import BytesIO

import mido
import numpy as np
import pytest
import soundfile

from server.kinds import companions
from server.media import codec, loudness, riff, tags
from tests.http import sounds
from tests.http.daw import PARTS, SECONDS, chunk, done, files, script
from tests.http.world import World


@pytest.fixture(name="band")
def _band(here: World) -> World:
    """A world whose engine knows what it played."""
    script(here.engine)
    return here


# Notes


def test_notes_come_as_midi_where_the_engine_knows_them(band: World) -> None:
    """Without asking, behind the result, and the report says what they are."""
    job = done(band)
    data = files(band, job, "midi")["transformed.mid"]
    played = [each for each in mido.MidiFile(file=BytesIO(data)) if each.type == "note_on"]

    assert ["result", "midi"] == [each["role"] for each in job["artifacts"]]
    assert {"name": "transformed.mid", "tracks": 1, "notes": 4} == job["report"]["midi"]
    assert 4 == len([each for each in played if each.velocity])


def test_whoever_wants_no_notes_gets_none(band: World) -> None:
    assert {} == files(band, done(band, midi=False), "midi")


def test_an_engine_without_notes_gives_none_and_says_so_if_asked(here: World) -> None:
    """Nothing was heard, for example."""
    job = done(here)

    assert ["result"] == [each["role"] for each in job["artifacts"]]
    assert companions.NO_NOTES not in job["report"]["notices"]
    assert companions.NO_NOTES in done(here, midi=True)["report"]["notices"]


def test_notes_are_served_as_they_are(band: World) -> None:
    """Whatever sound the client would rather have."""
    job = done(band)
    url = next(each["url"] for each in job["artifacts"] if each["role"] == "midi")
    fetched = band.client.get(url, headers={"Accept": "audio/wav, audio/*;q=0.5"})
    part = band.client.get(url, headers={"Range": "bytes=0-3"})

    assert (200, "audio/midi") == (fetched.status_code, fetched.mimetype)
    assert (206, b"MThd") == (part.status_code, part.data)
    assert "transformed.mid" in fetched.headers["Content-Disposition"]


def test_notes_are_no_sound(band: World) -> None:
    """They cannot be converted, nor transformed."""
    job = done(band)
    artifact = next(each for each in job["artifacts"] if each["role"] == "midi")
    converted = band.json(band.client.get(f"{artifact['url']}?format=wav"), status=422)
    order = {"source": artifact["id"], "variation": "celtic"}
    refused = band.json(band.client.post("/jobs", json=order), status=422)

    assert "format" == converted["error"]["field"]
    assert "source" == refused["error"]["field"]


# Stems


def test_stems_together_are_the_result(band: World) -> None:
    """24 bit, of its length, in the order of the arrangement."""
    job = done(band, stems=True, midi=False)
    stems = files(band, job, "stem")
    result = codec.decode(files(band, job, "result")["transformed.wav"])
    clips = [codec.decode(data) for data in stems.values()]

    assert ["stem-01-violin-1.wav", "stem-02-drums-source.wav"] == list(stems)
    assert {result.length} == {clip.length for clip in clips}
    total = sum(clip.samples for clip in clips)
    assert np.abs(total - result.samples).max() <= 2.0**-15
    assert [{"name": name, "part": part} for name, part in zip(stems, PARTS, strict=True)] == job[
        "report"
    ]["stems"]


def test_a_missing_stem_would_be_heard(band: World) -> None:
    """The negative control."""
    job = done(band, stems=True)
    result = codec.decode(files(band, job, "result")["transformed.wav"])

    for data in files(band, job, "stem").values():
        assert np.abs(codec.decode(data).samples - result.samples).max() > 0.01


@pytest.mark.parametrize(("fmt", "expected"), [("wav", "WAV"), ("flac", "FLAC"), ("ogg", "FLAC")])
def test_stems_lose_nothing(band: World, fmt: str, expected: str) -> None:
    """A DAW adds them up again."""
    job = done(band, stems=True, format=fmt)

    for data in files(band, job, "stem").values():
        with soundfile.SoundFile(BytesIO(data)) as file:
            assert (expected, "PCM_24") == (file.format, file.subtype)


def test_a_stem_beyond_full_scale_does_not_clip(band: World) -> None:
    """Two loud parts may cancel each other in the result."""
    band.engine.split = lambda clip: {
        "one": clip.with_samples(clip.samples * np.float32(9.0)),
        "two": clip.with_samples(clip.samples * np.float32(-8.0)),
    }
    job = done(band, stems=True, format="flac")
    stems = files(band, job, "stem")
    total = sum(codec.decode(data).samples for data in stems.values())
    result = codec.decode(next(iter(files(band, job, "result").values())))

    assert ["stem-01-one.wav", "stem-02-two.wav"] == list(stems)
    np.testing.assert_allclose(total, result.samples, atol=2.0**-15)
    assert companions.LOUD_STEM.format("one") in job["report"]["notices"]


def test_stems_of_a_passage_begin_where_the_source_begins(band: World) -> None:
    """Silent outside of it; the rest of the source is a stem too."""
    job = done(band, stems=True, start_seconds=0.5, end_seconds=1.5)
    stems = {name: codec.decode(data).samples for name, data in files(band, job, "stem").items()}
    result = codec.decode(files(band, job, "result")["transformed.wav"]).samples
    source = codec.decode(sounds.wav(SECONDS)).samples
    before = int(0.5 * sounds.RATE)

    assert "stem-03-source.wav" == list(stems)[-1]
    assert not stems["stem-01-violin-1.wav"][:, :before].any()
    assert np.array_equal(source[:, :before], stems["stem-03-source.wav"][:, :before])
    assert np.abs(sum(stems.values()) - result).max() <= 2.0**-15


def test_notes_of_a_passage_begin_where_the_source_begins(band: World) -> None:
    """And none of them is outside of it."""
    job = done(band, start_seconds=0.9, end_seconds=1.6)
    data = files(band, job, "midi")["transformed.mid"]
    at, starts = 0.0, []
    for message in mido.MidiFile(file=BytesIO(data)):
        at += message.time
        if message.type == "note_on" and message.velocity:
            starts.append(at)

    assert [1.0, 1.5] == pytest.approx(starts, abs=0.002)


def test_an_engine_without_stems_says_so(here: World) -> None:
    job = done(here, stems=True)

    assert companions.NO_STEMS in job["report"]["notices"]
    assert "stems" not in job["report"]


# The comparison


def test_the_source_comes_as_loud_as_the_result(band: World) -> None:
    """In its channels and of its length."""
    job = done(band, compare=True)
    copy = codec.decode(files(band, job, "comparison")["comparison.wav"])
    result = codec.decode(files(band, job, "result")["transformed.wav"])
    told = job["report"]["comparison"]

    assert (result.length, result.channels) == (copy.length, copy.channels)
    assert loudness.integrated_loudness(result) == pytest.approx(
        loudness.integrated_loudness(copy), abs=0.05
    )
    assert told["gain_db"] == pytest.approx(-6.02, abs=0.05)
    assert told["loudness_lufs"] == pytest.approx(loudness.integrated_loudness(copy), abs=0.05)


def test_a_comparison_that_would_clip_is_quieter_and_says_so(band: World) -> None:
    band.engine.play = lambda clip: clip.with_samples(np.sign(clip.samples) * np.float32(0.9))
    job = done(band, compare=True)
    copy = codec.decode(files(band, job, "comparison")["comparison.wav"])

    assert loudness.true_peak_db(copy) <= -0.99
    assert any("quieter than the result" in each for each in job["report"]["notices"])


def test_no_file_of_the_source_says_that_a_machine_made_it(band: World) -> None:
    """Every other one does."""
    job = done(band, stems=True, compare=True, start_seconds=1.0)

    for each in job["artifacts"]:
        if each["role"] != "midi":
            data = band.client.get(each["url"]).data
            is_of_source = each["role"] == "comparison" or each["name"].endswith("source.wav")
            assert is_of_source != (tags.DISCLOSURE.encode() in data), each["name"]


# Several at once


def test_each_variation_has_files_of_its_own(band: World) -> None:
    """Results first, and each report names its own."""
    job = done(
        band,
        variation="custom",
        variations=["celtic", {"variation": "custom", "custom_prompt": "strings"}],
        stems=True,
        compare=True,
    )
    names = [each["name"] for each in job["artifacts"]]

    assert ["transformed-1-celtic.wav", "transformed-2-custom.wav"] == names[:2]
    assert {
        "transformed-1-celtic.mid",
        "stem-1-celtic-01-violin-1.wav",
        "stem-2-custom-02-drums-source.wav",
        "comparison-2-custom.wav",
    } <= set(names)
    assert len(set(names)) == 2 * 5
    told = [each["comparison"]["name"] for each in job["report"]["variations"]]
    assert ["comparison-1-celtic.wav", "comparison-2-custom.wav"] == told


# What files say


def test_a_result_says_tempo_meter_key_chords_and_loudness(band: World) -> None:
    """As they were heard: two seconds at 120 are four beats, so it is a loop."""
    job = done(band)
    data = files(band, job, "result")["transformed.wav"]
    flags, root, _, _, beats, denominator, numerator, bpm = struct.unpack(
        "<IHHfIHHf", chunk(data, b"acid")
    )
    measured = job["report"]["kept"]["result"]
    version = int.from_bytes(chunk(data, b"bext")[346:348], "little")
    lufs, _, peak = struct.unpack_from("<3h", chunk(data, b"bext"), 412)

    assert (0x06, 69, 4, 120.0) == (flags, root, beats, bpm)
    assert (3, 4, 2) == (numerator, denominator, version)
    assert b"smpl" in {name for name, _, _ in riff.chunks(data)}
    assert b"Am\x00" in data
    assert b"N.C.\x00" in data
    assert lufs / 100 == pytest.approx(measured["loudness_lufs"], abs=0.01)
    assert peak / 100 == pytest.approx(measured["true_peak_db"], abs=0.01)


def test_a_result_says_no_tempo_that_was_not_heard(band: World) -> None:
    """The negative control."""
    band.engine.heard = {"bpm": None, "key": None, "meter": None, "chords": []}
    data = files(band, done(band), "result")["transformed.wav"]

    assert {b"acid", b"smpl", b"cue "}.isdisjoint(name for name, _, _ in riff.chunks(data))


def test_a_passage_says_how_loud_the_whole_file_is(band: World) -> None:
    job = done(band, start_seconds=1.0)
    data = files(band, job, "result")["transformed.wav"]
    lufs = struct.unpack_from("<h", chunk(data, b"bext"), 412)[0] / 100

    assert lufs == pytest.approx(loudness.integrated_loudness(codec.decode(data)), abs=0.02)
