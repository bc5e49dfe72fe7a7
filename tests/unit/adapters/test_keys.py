"""Keys in the record, and what callers did, counted on the broker or, without it, here."""

import logging
import re

import pytest
import redis

from server.adapters.database import Database
from server.adapters.key_store import SqlKeys
from server.adapters.rate_limits import WireRates
from server.jobs import keys
from server.jobs.keys import USED_EVERY
from server.jobs.record import now


def test_a_key_comes_back_as_it_was_made(record: Database) -> None:
    """With its limits, in both databases, in the order of their making."""
    store = SqlKeys(record)
    first, _ = keys.made("Ann", is_admin=True, requests_per_minute=5, jobs_at_once=2)
    second, _ = keys.made("Ben")
    store.add(first)
    store.add(second)

    assert store.find(first.id) == first
    assert store.all() == [first, second]
    assert store.find("nobody") is None


def test_a_key_is_known_by_its_text_until_it_is_revoked(record: Database) -> None:
    """Not by its id with another secret, and never by what is stored of it."""
    store = SqlKeys(record)
    key, text = keys.made("Ann")
    other, other_text = keys.made("Ben")
    store.add(key)
    store.add(other)
    crossed = text[: text.rindex("_")] + other_text[other_text.rindex("_") :]

    assert keys.recognised(store, text) is not None
    for wrong in (crossed, key.digest, key.id, text.upper(), text + "\n", ""):
        assert keys.recognised(store, wrong) is None
    assert store.revoke(key.id, now())
    assert keys.recognised(store, text) is None
    assert not store.revoke(key.id, now())


def test_nothing_that_is_stored_opens_anything(record: Database) -> None:
    """The row has no part of the secret."""
    key, text = keys.made("Ann")
    SqlKeys(record).add(key)
    with record.engine.connect() as connection:
        row = str(connection.exec_driver_sql("SELECT * FROM keys").all())

    assert key.digest in row
    assert text.rpartition("_")[2] not in row


def test_when_a_key_was_used_is_known_to_the_minute(record: Database) -> None:
    """Once a minute a request writes it; the others only read."""
    store = SqlKeys(record)
    key, text = keys.made("Ann")
    store.add(key)
    keys.recognised(store, text)
    first = store.find(key.id)
    keys.recognised(store, text)
    assert first is not None
    assert first.used_at is not None
    assert store.find(key.id) == first
    store.use(key.id, first.used_at - 2 * USED_EVERY)
    keys.recognised(store, text)
    again = store.find(key.id)
    assert again is not None
    assert again.used_at is not None
    assert again.used_at >= first.used_at


def test_keys_look_like_keys() -> None:
    """Scanners of secrets find them; no two are the same."""
    texts = {keys.made("Ann")[1] for _ in range(50)}
    assert len(texts) == 50
    assert all(re.fullmatch(r"mf_[0-9a-f]{12}_[0-9a-f]{48}", text) for text in texts)


def _allowed(rates: WireRates, times: int, *, who: str = "ann", what: str = "requests") -> int:
    return sum(rates.spend(what, who, per_minute=3) is None for _ in range(times))


def test_processes_count_together(valkey_url: str) -> None:
    """What one web process allowed another one does not allow again."""
    first, second = WireRates(valkey_url), WireRates(valkey_url)

    assert _allowed(first, 2) == 2
    assert _allowed(second, 2) == 1
    assert _allowed(first, 1) == 0
    assert _allowed(first, 3, who="ben") == 3
    assert _allowed(first, 3, what="jobs") == 3
    wait = first.spend("requests", "ann", per_minute=3)
    assert wait is not None
    assert 0 <= wait <= 60


def test_without_a_broker_each_process_counts_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    """It says so, and refuses what is too much all the same."""
    caplog.set_level(logging.WARNING)
    rates = WireRates("redis://127.0.0.1:1/0")

    assert _allowed(rates, 5) == 3
    assert "rates are counted here" in caplog.text
    assert len(caplog.records) == 1


def test_what_others_wrote_at_our_keys_stumbles_nobody(valkey_url: str) -> None:
    """A key of the wrong kind on the broker is a broker that cannot count."""
    rates = WireRates(valkey_url)
    assert _allowed(rates, 1) == 1
    with redis.Redis.from_url(valkey_url) as client:
        for name in client.keys("*rates*"):
            client.delete(name)
            client.lpush(name, "x")

    assert _allowed(rates, 4) == 3
