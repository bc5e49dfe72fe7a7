"""Owners, names for requests, events, keys, webhooks."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_TIME = sa.DateTime(timezone=True)
_OF_JOBS = ("owner", "idempotency_key", "request_digest", "replay_of", "webhook")


def upgrade() -> None:
    """Add columns, then tables."""
    for name in _OF_JOBS:
        op.add_column("jobs", sa.Column(name, sa.Text))
    op.add_column("jobs", sa.Column("source_seconds", sa.Float))
    for table in ("artifacts", "sessions"):
        op.add_column(table, sa.Column("owner", sa.Text))
    memory = sa.Column("memory_mb", sa.Integer, nullable=False, server_default=sa.text("0"))
    op.add_column("workers", memory)
    _index_jobs()
    _make_events()
    _make_keys()
    _make_deliveries()


def downgrade() -> None:
    """Drop them."""
    for table in ("deliveries", "secrets", "keys", "events"):
        op.drop_table(table)
    for index in (
        "jobs_by_kind_and_end",
        "jobs_by_end",
        "jobs_by_replay",
        "jobs_by_owner",
        "one_job_an_idempotency_key",
    ):
        op.drop_index(index, "jobs")
    op.drop_column("workers", "memory_mb")
    for table in ("sessions", "artifacts"):
        op.drop_column(table, "owner")
    for name in ("source_seconds", *reversed(_OF_JOBS)):
        op.drop_column("jobs", name)


def _index_jobs() -> None:
    op.create_index("one_job_an_idempotency_key", "jobs", ["idempotency_key"], unique=True)
    op.create_index("jobs_by_owner", "jobs", ["owner", "status", "created_at"])
    op.create_index("jobs_by_replay", "jobs", ["replay_of"])
    op.create_index("jobs_by_end", "jobs", ["ended_at"])
    op.create_index("jobs_by_kind_and_end", "jobs", ["kind", "ended_at"])


def _make_events() -> None:
    op.create_table(
        "events",
        sa.Column("job_id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
    )


def _make_keys() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("is_admin", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("requests_per_minute", sa.Integer),
        sa.Column("jobs_at_once", sa.Integer),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("used_at", _TIME),
        sa.Column("revoked_at", _TIME),
    )
    op.create_table(
        "secrets",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )


def _make_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("last_outcome", sa.Text),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("due_at", _TIME),
        sa.Column("ended_at", _TIME),
    )
    op.create_index("deliveries_by_due", "deliveries", ["due_at"])
    op.create_index("deliveries_by_job", "deliveries", ["job_id"])
