"""The tables of the record, as SQLAlchemy sees them. Migrations make them; this describes them."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A time that is aware and in UTC on both sides; SQLite keeps it without its zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return what the driver stores."""
        if value is None:
            return None
        at = value.astimezone(UTC)
        return at.replace(tzinfo=None) if dialect.name == "sqlite" else at

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Return the stored time in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

_MAYBE_JSON = JSON(none_as_null=True)

_UNFINISHED = text("status IN ('queued', 'running') AND session_id IS NOT NULL")

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("spec", JSON, nullable=False),
    Column("status", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("device_losses", Integer, nullable=False, server_default=text("0")),
    Column("progress", Float, nullable=False),
    Column("stage", Text, nullable=False),
    Column("session_id", Text),
    Column("owner", Text),
    Column("idempotency_key", Text),
    Column("request_digest", Text),
    Column("asked_as", Text),
    Column("replay_of", Text),
    Column("webhook", Text),
    Column("source_seconds", Float),
    Column("engine", Text),
    Column("seed", BigInteger),
    Column("outputs", JSON, nullable=False),
    Column("report", _MAYBE_JSON),
    Column("recipe", _MAYBE_JSON),
    Column("error", _MAYBE_JSON),
    Column("worker", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    Column("lease_expires_at", UtcDateTime),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Index("jobs_by_status", "status", "created_at"),
    Index("jobs_by_session", "session_id", "created_at"),
    # two submissions of one session at the same moment: the database lets one in
    Index(
        "one_unfinished_job_a_session",
        "session_id",
        unique=True,
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    ),
    Index("one_job_an_idempotency_key", "idempotency_key", unique=True),
    Index("jobs_by_owner", "owner", "status", "created_at"),
    Index("jobs_by_replay", "replay_of"),
    Index("jobs_by_end", "ended_at"),
    Index("jobs_by_kind_and_end", "kind", "ended_at"),
)

events = Table(
    "events",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("facts", JSON, nullable=False),
)
"""What happened to each job, in the order of its versions."""

keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("is_admin", Boolean, nullable=False, server_default=text("false")),
    Column("requests_per_minute", Integer),
    Column("jobs_at_once", Integer),
    Column("created_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)
"""Who may call: digests of keys, never the keys."""

secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
"""What every process of this server signs with."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("owner", Text),
    Column("url", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("last_outcome", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Index("deliveries_by_due", "due_at"),
    Index("deliveries_by_job", "job_id"),
)
"""What webhooks are still to be told, and were; `due_at` is empty once nothing more is tried."""

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("last_input", Text),
    Column("last_processed", Text),
    Column("transform_input", Text),
    Column("job_id", Text),
    Column("model_name", Text),
    Column("prompt_duration", Float),
    Column("owner", Text),
    Column("updated_at", UtcDateTime, nullable=False),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("seconds", Float),
    Column("sample_rate", Integer),
    Column("channels", Integer),
    Column("owner", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("is_removed", Boolean, nullable=False, server_default=text("false")),
    Index("artifacts_by_expiry", "expires_at"),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("queues", JSON, nullable=False),
    Column("offers", JSON, nullable=False),
    Column("loaded", JSON, nullable=False),
    Column("devices", JSON, nullable=False, server_default=text("'[]'")),
    Column("job_id", Text),
    Column("memory_mb", Integer, nullable=False, server_default=text("0")),
    Column("seen_at", UtcDateTime, nullable=False),
)
