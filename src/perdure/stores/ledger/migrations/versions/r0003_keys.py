"""Callers' keys of the gateway."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "keys",
        sa.Column("project", sa.String, primary_key=True),
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("team", sa.String, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("expires_us", sa.BigInteger, nullable=True),
        sa.Column("revoked_us", sa.BigInteger, nullable=True),
        sa.Column("admin", sa.Integer, nullable=False),
        sa.Column("limits", sa.Text, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
    )
    op.create_index("keys_by_digest", "keys", ["project", "digest"], unique=True)
    op.create_index("keys_by_team", "keys", ["project", "team"])
