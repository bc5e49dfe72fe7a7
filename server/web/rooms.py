"""Rooms: whoever is in one hears what is said there. How many a connection may be in is bounded."""

import flask_socketio

from server import errors

MOST = 256
"""Rooms of one connection; each costs the server memory for as long as the connection lasts."""


def join(room: str) -> None:
    """Have the connection that is being answered hear what is said in a room.

    Raises:
        errors.TooManyRequests: it is in too many rooms.
    """
    here = flask_socketio.rooms()
    if room not in here and len(here) > MOST:
        raise errors.TooManyRequests("This connection follows too much; unfollow something.")
    flask_socketio.join_room(room)


def leave(room: str) -> None:
    """Have it hear no more of it."""
    flask_socketio.leave_room(room)
