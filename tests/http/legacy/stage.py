"""A world whose jobs are told to Socket.IO connections, and what connections hear of it."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask_socketio import SocketIO

from server import errors
from server.jobs.estimates import Estimates
from server.jobs.events import Event, EventName
from server.web import emissions
from server.web.plugin import vocabulary
from server.web.views import View
from tests.http import sounds
from tests.http.world import Stores, World

PATIENCE_SECONDS = 20.0
SOURCE_SECONDS = 3.0
"""Of what is continued."""

ENDINGS = frozenset({EventName.FINISHED, EventName.FAILED, EventName.CANCELLED})


class Loudspeaker:
    """Events told at once to the connections of one app in this process."""

    def __init__(self, stores: Stores) -> None:
        self._translators = emissions.translators(stores.artifacts, Estimates(stores.jobs))
        self._socketio: Any = None
        self._changed = threading.Condition()
        self._ended: list[str | None] = []

    def plug_into(self, socketio: SocketIO) -> None:
        """Say who is listening."""
        self._socketio = socketio

    def say(self, name: str, payload: Mapping[str, Any], room: str) -> None:
        """Say something to a room."""
        self._socketio.emit(name, dict(payload), to=room)

    def publish(self, event: Event) -> None:
        """Tell it."""
        for translate in self._translators:
            for each in translate(event):
                self._socketio.emit(each.name, dict(each.payload), to=each.room)
        with self._changed:
            if event.name in ENDINGS:
                self._ended.append(event.job.session_id)
            self._changed.notify_all()

    def await_ending(self, session_id: str, *, times: int = 1) -> None:
        """Return when that many jobs of a session have ended and were told of."""
        with self._changed:
            assert self._changed.wait_for(
                lambda: self._ended.count(session_id) >= times, PATIENCE_SECONDS
            )


class Caller:
    """One Socket.IO connection."""

    def __init__(self, world: World, *, key: str | None = None) -> None:
        self._world = world
        app = world.client.application
        self._socketio: Any = app.extensions["socketio"]
        self._client = self._socketio.test_client(app, auth={"api_key": key} if key else None)

    def say(self, name: str, *payload: Any) -> Any:
        """Send an event; returns its acknowledgement."""
        return self._client.emit(name, *payload, callback=True)

    def order(self, **fields: Any) -> Any:
        """Ask for a transform of a short sound."""
        asked = {"audio_data": sounds.base64_wav(), "variation": "celtic", "session_id": None}
        return self.say("transform_audio_request", {**asked, **fields})

    def go_on(self, name: str = "continue_music", **fields: Any) -> Any:
        """Ask for a continuation of a short sound."""
        asked = {"audio_data": sounds.base64_wav(SOURCE_SECONDS), **plugin_generation(), **fields}
        return self.say(f"{name}_request", asked)

    @property
    def heard(self) -> list[tuple[str, dict[str, Any]]]:
        """Everything heard so far, in order."""
        return [(each["name"], each["args"][0]) for each in list(self._client.queue)]

    @property
    def names(self) -> list[str]:
        """The names of everything heard so far, in order."""
        return [name for name, _ in self.heard]

    def all_of(self, name: str) -> list[dict[str, Any]]:
        """Return the payloads of all events of a name."""
        return [payload for each, payload in self.heard if each == name]

    def last(self, name: str) -> dict[str, Any]:
        """Return the payload of the newest event of a name."""
        return self.all_of(name)[-1]

    @property
    def is_in(self) -> bool:
        """Whether the server let it in."""
        return bool(self._client.is_connected())

    def hang_up(self) -> None:
        """Say goodbye."""
        self._client.disconnect()

    def go_silent(self) -> None:
        """Vanish without a goodbye; the server finds out by and by."""
        self._socketio.server._handle_eio_disconnect(self._client.eio_sid, "ping timeout")

    def go_deaf(self) -> None:
        """Vanish in a way that the server has not noticed: what is sent is lost."""
        self._client.clients.pop(self._client.eio_sid)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A world, and its news."""

    world: World
    news: Loudspeaker
    callers: list[Caller] = field(default_factory=list)

    def caller(self, *, key: str | None = None) -> Caller:
        """Connect."""
        self.callers.append(Caller(self.world, key=key))
        return self.callers[-1]

    def check_grammar(self) -> None:
        """Hold everything that anybody heard against what the vocabulary says of it."""
        for caller in self.callers:
            for name, payload in caller.heard:
                check_message(name, payload)

    def ordered(self, **fields: Any) -> tuple[Caller, str]:
        """Connect and have a transform done; returns the connection and its session."""
        caller = self.caller()
        caller.order(**fields)
        session_id: str = caller.last("transform_audio_received")["session_id"]
        self.news.await_ending(session_id)
        return caller, session_id

    def post(self, route: str, body: Mapping[str, Any], *, status: int = 200) -> dict[str, Any]:
        """Post JSON to a route of the plugin."""
        return self.world.json(self.world.client.post(route, json=body), status=status)

    def poll(self, session_id: str, *, status: int = 200) -> dict[str, Any]:
        """Poll as the plugin does."""
        response = self.world.client.get(f"/api/juce/poll_status/{session_id}")
        return self.world.json(response, status=status)

    def submit(self, **fields: Any) -> str:
        """Submit as the plugin does; returns the session."""
        body = {**plugin_request(), **fields}
        session_id: str = self.post("/api/juce/transform_audio", body)["session_id"]
        return session_id

    def go_on(self, route: str = "continue_music", **fields: Any) -> str:
        """Submit a continuation as the plugin does and wait for its ending; returns the session."""
        body = {"audio_data": sounds.base64_wav(SOURCE_SECONDS), **plugin_generation(), **fields}
        session_id: str = self.post(f"/api/juce/{route}", body)["session_id"]
        self.news.await_ending(session_id)
        return session_id

    def play_nothing(self) -> None:
        """Have the engine fail once it was asked: for stories of what it is asked alone."""
        self.world.engine.failure = errors.EngineFailed()

    def submitted_and_done(self, **fields: Any) -> str:
        """Submit as the plugin does and wait for the ending; returns the session."""
        session_id = self.submit(**fields)
        self.news.await_ending(session_id)
        return session_id


def check_message(name: str, payload: Mapping[str, Any]) -> None:
    """Refuse a message that the vocabulary does not know, or knows with other fields."""
    fields = vocabulary.TOLD[name].fields
    if issubclass(fields, View):  # an answer of a route too, which has tests of its own
        schema = fields.model_json_schema(mode="serialization")
        assert set(schema["properties"]) == set(payload)
    else:
        fields.model_validate(payload)


def plugin_generation() -> dict[str, Any]:
    """Return how the JUCE plugin says what music it wants."""
    return {
        "model_name": "thepatch/vanya_ai_dnb_0.1",
        "prompt_duration": 2,
        "top_k": 250,
        "temperature": 1.0,
        "cfg_coef": 3.0,
        "description": "",
        "seed": -1,
    }


def plugin_request() -> dict[str, Any]:
    """Return what the JUCE plugin sends: numbers of float32 noise, a seed of -1, no session."""
    return {
        "audio_data": sounds.base64_wav(),
        "variation": "accordion_folk",
        "flowstep": 0.129999995231628,
        "solver": "euler",
        "seed": -1,
    }
