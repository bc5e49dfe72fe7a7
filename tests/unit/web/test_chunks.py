"""Audio in pieces."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import errors
from server.web.plugin import chunks
from server.web.plugin.chunks import Piece, Uploads


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@given(
    st.lists(st.text(alphabet="ABab01+/", min_size=1, max_size=9), min_size=1, max_size=9).flatmap(
        lambda pieces: st.tuples(st.just(pieces), st.permutations(range(len(pieces))))
    ),
    st.randoms(use_true_random=False),
)
def test_pieces_come_out_in_order_however_they_came(
    upload: tuple[list[str], list[int]], random: Random
) -> None:
    """Also when some came before with another text."""
    pieces, order = upload
    uploads = Uploads(most_characters=1000)
    uploads.begin("s")
    for index in order:
        if random.random() < 0.3:
            uploads.add("s", Piece(index, len(pieces), "zz"))
        arrived = uploads.add("s", Piece(index, len(pieces), pieces[index]))

    assert (len(pieces), ()) == (arrived.received, arrived.missing)
    assert pieces == uploads.take("s").texts


def test_missing_pieces_are_named() -> None:
    """By index, in order."""
    uploads = Uploads(most_characters=100)
    uploads.begin("s")
    uploads.add("s", Piece(3, 5, "D"))

    assert (0, 2, 4) == uploads.add("s", Piece(1, 5, "B")).missing


def test_sending_a_piece_again_takes_no_more_room() -> None:
    """A client may repeat itself for ever."""
    uploads = Uploads(most_characters=10)
    uploads.begin("s")
    for _ in range(50):
        uploads.add("s", Piece(0, 2, "AAAAA"))
    uploads.add("s", Piece(1, 2, "BBBBB"))

    assert ["AAAAA", "BBBBB"] == uploads.take("s").texts


def test_too_much_ends_an_upload() -> None:
    """Its room is free at once."""
    uploads = Uploads(most_characters=9)
    uploads.begin("s")
    uploads.add("s", Piece(0, 2, "AAAAA"))
    with pytest.raises(errors.TooLong):
        uploads.add("s", Piece(1, 2, "BBBBB"))
    with pytest.raises(errors.NoSuchSession):
        uploads.take("s")


def test_beginning_again_forgets_what_was_there() -> None:
    """The total may be another one then."""
    uploads = Uploads(most_characters=100)
    uploads.begin("s")
    uploads.add("s", Piece(0, 2, "A"))
    uploads.begin("s")

    assert 1 == uploads.add("s", Piece(1, 3, "B")).received


def test_old_uploads_make_room_for_new_ones() -> None:
    """But only then, and only those nothing came for."""
    clock = Clock()
    uploads = Uploads(most_characters=100, clock=clock)
    for number in range(chunks.MOST_UPLOADS):
        uploads.begin(f"s{number}")
    clock.seconds = chunks.PATIENCE_SECONDS
    uploads.add("s0", Piece(0, 1, "A"))
    with pytest.raises(errors.AtCapacity):
        uploads.begin("one too many")
    clock.seconds += 1
    uploads.begin("one more")

    assert ["A"] == uploads.take("s0").texts
    with pytest.raises(errors.NoSuchSession):
        uploads.take("s1")


def test_an_upload_may_be_dropped_twice() -> None:
    """Nobody has to know whether it is there."""
    uploads = Uploads(most_characters=100)
    uploads.begin("s")
    uploads.drop("s")
    uploads.drop("s")

    with pytest.raises(errors.NoSuchSession):
        uploads.add("s", Piece(0, 1, "A"))


@pytest.mark.parametrize(
    "piece",
    [
        Piece(0, 0, "A"),
        Piece(0, chunks.MOST_CHUNKS + 1, "A"),
        Piece(-1, 2, "A"),
        Piece(2, 2, "A"),
        Piece(0, 2, ""),
        Piece(0, 2, "é"),
        Piece(0, 2, "A" * (chunks.LARGEST_CHUNK + 1)),
    ],
    ids=["no total", "endless", "negative", "beyond", "empty", "not ASCII", "too long"],
)
def test_a_wrong_piece_is_refused(piece: Piece) -> None:
    """And leaves no trace."""
    uploads = Uploads(most_characters=10**9)
    uploads.begin("s")
    with pytest.raises(errors.InvalidInput):
        uploads.add("s", piece)

    assert [] == uploads.take("s").texts


def test_what_any_piece_says_of_the_whole_comes_with_it() -> None:
    """The last word counts, whichever piece it came with."""
    uploads = Uploads(most_characters=100)
    uploads.begin("s")
    uploads.add("s", Piece(1, 2, "B", {"model_name": "a/b", "prompt_duration": 3.0}))
    uploads.add("s", Piece(0, 2, "A", {"prompt_duration": 4.0}))
    whole = uploads.take("s")

    assert (["A", "B"], {"model_name": "a/b", "prompt_duration": 4.0}) == (whole.texts, whole.about)
