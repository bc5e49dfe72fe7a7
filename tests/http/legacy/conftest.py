"""Worlds with listeners."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.http.conftest import stores
from tests.http.legacy.stage import Loudspeaker, Stage
from tests.http.world import world


class MakeStage(Protocol):
    """Starts a stage with other settings."""

    def __call__(self, **settings: Any) -> Stage:
        """Start it."""
        ...


@pytest.fixture
def make_stage(tmp_path: Path, empty_record: Path) -> Iterator[MakeStage]:
    """Start stages that end with the test."""
    with ExitStack() as stack:

        def make(**settings: Any) -> Stage:
            opened = stack.enter_context(stores(tmp_path, empty_record))
            news = Loudspeaker(opened)
            started = stack.enter_context(world(tmp_path, opened, events=news, **settings))
            news.plug_into(started.client.application.extensions["socketio"])
            stages.append(Stage(world=started, news=news))
            return stages[-1]

        stages: list[Stage] = []
        yield make
        for each in stages:
            each.check_grammar()


@pytest.fixture
def stage(make_stage: MakeStage) -> Stage:
    """Start a stage with the default settings."""
    return make_stage()
