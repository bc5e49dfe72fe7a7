"""Who is in which session."""

from server.web.plugin.presence import Presence


def test_entering_is_noted_once() -> None:
    """The first time counts."""
    presence = Presence()

    assert [True, False] == [presence.enter("c", "s") for _ in range(2)]
    first = presence.within("s")["c"]
    presence.enter("c", "s")
    assert first == presence.within("s")["c"]


def test_sessions_and_connections_know_each_other() -> None:
    """Both ways, and nobody else."""
    presence = Presence()
    presence.enter("a", "s")
    presence.enter("b", "s")
    presence.enter("b", "t")

    assert {"a", "b"} == set(presence.within("s"))
    assert {"s", "t"} == set(presence.sessions_of("b"))
    assert {} == presence.sessions_of("c") == presence.within("u")


def test_leaving_and_going() -> None:
    """Who goes is told where it was; leaving twice is leaving."""
    presence = Presence()
    presence.enter("a", "s")
    presence.enter("a", "t")
    presence.leave("a", "s")
    presence.leave("a", "s")
    presence.leave("nobody", "s")

    assert {"t"} == set(presence.go("a"))
    assert {} == presence.go("a") == presence.within("t")
