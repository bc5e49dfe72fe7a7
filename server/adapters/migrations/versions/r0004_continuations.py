"""What older clients call what they ask for, and what their sessions were last played with."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add columns."""
    op.add_column("jobs", sa.Column("asked_as", sa.Text))
    op.add_column("sessions", sa.Column("model_name", sa.Text))
    op.add_column("sessions", sa.Column("prompt_duration", sa.Float))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("sessions", "prompt_duration")
    op.drop_column("sessions", "model_name")
    op.drop_column("jobs", "asked_as")
