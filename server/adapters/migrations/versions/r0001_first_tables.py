"""Jobs, sessions, artifacts, workers."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_JSON = sa.JSON(none_as_null=True)
_TIME = sa.DateTime(timezone=True)
_UNFINISHED = sa.text("status IN ('queued', 'running') AND session_id IS NOT NULL")


def upgrade() -> None:
    """Make the first tables."""
    _make_jobs()
    _make_sessions()
    _make_artifacts()
    _make_workers()


def downgrade() -> None:
    """Drop everything."""
    for table in ("workers", "artifacts", "sessions", "jobs"):
        op.drop_table(table)


def _make_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("progress", sa.Float, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("session_id", sa.Text),
        sa.Column("engine", sa.Text),
        sa.Column("seed", sa.BigInteger),
        sa.Column("outputs", sa.JSON, nullable=False),
        sa.Column("report", _JSON),
        sa.Column("recipe", _JSON),
        sa.Column("error", _JSON),
        sa.Column("worker", sa.Text),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("started_at", _TIME),
        sa.Column("ended_at", _TIME),
        sa.Column("expires_at", _TIME),
        sa.Column("lease_expires_at", _TIME),
        sa.Column("cancel_requested", sa.Boolean, nullable=False, server_default=sa.text("false")),
    )
    op.create_index("jobs_by_status", "jobs", ["status", "created_at"])
    op.create_index("jobs_by_session", "jobs", ["session_id", "created_at"])
    op.create_index(
        "one_unfinished_job_a_session",
        "jobs",
        ["session_id"],
        unique=True,
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    )


def _make_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("last_input", sa.Text),
        sa.Column("last_processed", sa.Text),
        sa.Column("transform_input", sa.Text),
        sa.Column("job_id", sa.Text),
        sa.Column("updated_at", _TIME, nullable=False),
    )


def _make_artifacts() -> None:
    op.create_table(
        "artifacts",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Float),
        sa.Column("sample_rate", sa.Integer),
        sa.Column("channels", sa.Integer),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("is_removed", sa.Boolean, nullable=False, server_default=sa.text("false")),
    )
    op.create_index("artifacts_by_expiry", "artifacts", ["expires_at"])


def _make_workers() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("queues", sa.JSON, nullable=False),
        sa.Column("offers", sa.JSON, nullable=False),
        sa.Column("loaded", sa.JSON, nullable=False),
        sa.Column("job_id", sa.Text),
        sa.Column("seen_at", _TIME, nullable=False),
    )
