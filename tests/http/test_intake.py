"""Orders for kinds that are not `transform`."""

from types import ModuleType
from typing import cast

import pytest

from server import errors
from server.jobs.kind import JobSpec, Kind
from server.web import intake
from tests.http import sounds
from tests.http.world import World


class Words(JobSpec):
    """Parameters of a kind that needs no sound."""

    words: str


def lyrics() -> Kind:
    """Return a kind that needs no sound."""
    kind = ModuleType("lyrics")
    kind.__dict__.update(NAME="lyrics", QUEUE="audio", SUMMARY="Writes words.", Spec=Words)
    return cast("Kind", kind)


def test_a_kind_may_need_no_sound(here: World) -> None:
    """Then none is asked for."""
    here.queue.hold()
    taken = intake.submit(
        here.services, intake.Order(kind=lyrics(), parameters={"words": "la"}, session_id="s")
    )
    job = taken.job

    assert (job.kind, job.spec, job.session_id) == ("lyrics", {"words": "la"}, "s")
    assert job.seed is None


def test_a_kind_without_sound_refuses_one(here: World) -> None:
    """Before anything is stored."""
    order = intake.Order(kind=lyrics(), parameters={"words": "la"}, audio=sounds.wav())
    with pytest.raises(errors.InvalidInput) as refused:
        intake.submit(here.services, order)

    assert refused.value.field == "source"
