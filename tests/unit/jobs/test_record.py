"""The lifecycle: whatever is tried in whatever order, the record keeps its rules."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from server import errors
from server.jobs.events import EventName, event_of
from server.jobs.record import FINAL, MOVES, Job, Output, Role, Status, new_id

LEASE = timedelta(seconds=12)
KEEP = timedelta(hours=24)


class Life(RuleBasedStateMachine):
    """One job and everything that may happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.job = Job(kind="transform", spec={})
        self.history = [self.job]

    def _follow(self, job: Job) -> None:
        self.job = job
        self.history.append(job)

    @precondition(lambda self: self.job.status is Status.QUEUED)
    @rule()
    def start(self) -> None:
        self._follow(self.job.started(worker="w", lease=LEASE))

    @precondition(lambda self: self.job.status is Status.RUNNING)
    @rule(share=st.floats(0, 1))
    def progress(self, share: float) -> None:
        self._follow(self.job.evolved(progress=max(share, self.job.progress)))

    @precondition(lambda self: self.job.status is Status.RUNNING)
    @rule()
    def hand_back(self) -> None:
        self._follow(self.job.handed_back())

    @rule(status=st.sampled_from(sorted(FINAL)))
    def end(self, status: Status) -> None:
        if status in MOVES[self.job.status]:
            self._follow(self.job.ended(status, keep=KEEP))
        else:
            with pytest.raises(errors.Conflict):
                self.job.ended(status, keep=KEEP)

    @precondition(lambda self: self.job.status is not Status.QUEUED)
    @rule()
    def start_again(self) -> None:
        if self.job.status is not Status.RUNNING:
            with pytest.raises(errors.Conflict):
                self.job.started(worker="w", lease=LEASE)

    @invariant()
    def every_change_is_a_new_version(self) -> None:
        assert list(range(len(self.history))) == [job.version for job in self.history]

    @invariant()
    def progress_never_goes_back_within_an_attempt(self) -> None:
        for before, after in zip(self.history, self.history[1:], strict=False):
            if before.attempt == after.attempt and after.status is Status.RUNNING:
                assert before.progress <= after.progress

    @invariant()
    def attempts_are_starts(self) -> None:
        starts = [
            after
            for before, after in zip(self.history, self.history[1:], strict=False)
            if (before.status, after.status) == (Status.QUEUED, Status.RUNNING)
        ]
        assert len(starts) == self.job.attempt

    @invariant()
    def only_a_running_job_has_a_lease(self) -> None:
        has_lease = self.job.lease_expires_at is not None
        assert (self.job.status is Status.RUNNING) == has_lease

    @invariant()
    def only_an_ended_job_expires(self) -> None:
        assert self.job.status.is_final == (self.job.expires_at is not None)


TestLife = Life.TestCase


@given(st.sampled_from(sorted(FINAL)), st.sampled_from(sorted(Status)))
def test_nothing_leaves_a_final_status(final: Status, target: Status) -> None:
    ended = Job(kind="transform", spec={}, status=final)

    with pytest.raises(errors.Conflict, match=f"already {final}"):
        ended.moved(target)


def test_a_job_handed_back_starts_clean() -> None:
    """Neither its progress nor its half of the outputs belongs to the next attempt."""
    running = Job(kind="transform", spec={}).started(worker="w", lease=LEASE)
    back = running.evolved(progress=0.7, stage="storing").handed_back()

    assert (0.0, "queued", (), None) == (back.progress, back.stage, back.outputs, back.worker)


def test_results_are_kept_from_the_end_on() -> None:
    ended = Job(kind="transform", spec={}).ended(Status.CANCELLED, keep=KEEP)

    assert ended.ended_at is not None
    assert ended.ended_at + KEEP == ended.expires_at


def test_ids_survive_in_a_url() -> None:
    made = new_id()

    assert 32 == len(made)
    assert made.isalnum()


def test_events_say_how_a_record_changed() -> None:
    queued = Job(kind="transform", spec={})
    running = queued.started(worker="w", lease=LEASE)
    further = running.evolved(progress=0.5)
    heard = further.with_output(Output("preview.wav", "1", Role.PREVIEW)).evolved()
    changes = [
        (None, queued),
        (queued, running),
        (running, further),
        (further, heard),
        (heard, heard.with_output(Output("a.wav", "2")).evolved()),
        (further, further.handed_back()),
        (further, further.ended(Status.FINISHED, keep=KEEP)),
        (further, further.ended(Status.FAILED, keep=KEEP)),
        (queued, queued.ended(Status.CANCELLED, keep=KEEP)),
    ]

    assert [
        EventName.QUEUED,
        EventName.STARTED,
        EventName.PROGRESS,
        EventName.PREVIEW,
        EventName.PROGRESS,
        EventName.RESTARTED,
        EventName.FINISHED,
        EventName.FAILED,
        EventName.CANCELLED,
    ] == [event_of(before, after).name for before, after in changes]


def test_results_come_before_previews_in_the_order_they_were_made() -> None:
    """Whatever came first: who takes the first file takes a result."""
    job = Job(kind="transform", spec={})
    made = (("p1", Role.PREVIEW), ("a", Role.RESULT), ("p2", Role.PREVIEW), ("b", Role.RESULT))
    for name, role in made:
        job = job.with_output(Output(name, name, role))

    assert ["a", "b", "p1", "p2"] == [output.name for output in job.outputs]
    assert ["a", "b"] == [output.name for output in job.results]


def test_a_file_of_the_same_name_takes_the_place_of_the_older() -> None:
    job = Job(kind="transform", spec={}, outputs=(Output("a", "1"),))

    assert (Output("a", "2"),) == job.with_output(Output("a", "2")).outputs
