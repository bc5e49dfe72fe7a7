"""Cards in the notes of workers; how often a job lost one."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add a column to each."""
    losses = sa.Column("device_losses", sa.Integer, nullable=False, server_default=sa.text("0"))
    op.add_column("jobs", losses)
    devices = sa.Column("devices", sa.JSON, nullable=False, server_default=sa.text("'[]'"))
    op.add_column("workers", devices)


def downgrade() -> None:
    """Drop them."""
    op.drop_column("workers", "devices")
    op.drop_column("jobs", "device_losses")
