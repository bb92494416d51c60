"""Cases that people are asked to label, and what they said."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reviews",
        sa.Column("project", sa.String, primary_key=True),
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("case", sa.String(64), nullable=False),
        sa.Column("why", sa.String, nullable=False),
        sa.Column("inclusion", sa.Float, nullable=True),
        sa.Column("asked_us", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
    )
    op.create_index("reviews_by_key", "reviews", ["project", "subject", "key"], unique=True)
    op.create_index("reviews_by_status", "reviews", ["project", "status"])
    op.create_table(
        "review_labels",
        sa.Column("project", sa.String, primary_key=True),
        sa.Column("review", sa.String, primary_key=True),
        sa.Column("labeller", sa.String, primary_key=True),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("word", sa.String, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("labelled_us", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
    )
