"""Durable work: jobs with their steps, and questions to people."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _jobs()
    _job_steps()
    _approvals()


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("project", sa.String, primary_key=True),
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("workflow", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("code", sa.String, nullable=False),
        sa.Column("started_us", sa.BigInteger, nullable=False),
        sa.Column("due_us", sa.BigInteger, nullable=True),
        sa.Column("waits_for", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("retry_us", sa.BigInteger, nullable=True),
        sa.Column("input", sa.Text, nullable=False),
        sa.Column("output", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("ended_us", sa.BigInteger, nullable=True),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
    )
    op.create_index("jobs_by_key", "jobs", ["project", "workflow", "key"], unique=True)
    op.create_index("jobs_by_status", "jobs", ["project", "status"])
    op.create_index("jobs_by_subject", "jobs", ["project", "subject"])


def _job_steps() -> None:
    op.create_table(
        "job_steps",
        sa.Column("project", sa.String, primary_key=True),
        sa.Column("job", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
    )


def _approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("project", sa.String, primary_key=True),
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("asset", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("n_needed", sa.Integer, nullable=False),
        sa.Column("asked_by", sa.String, nullable=False),
        sa.Column("asked_us", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("answers", sa.Text, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
    )
    op.create_index("approvals_by_key", "approvals", ["project", "key"], unique=True)
    op.create_index("approvals_by_status", "approvals", ["project", "status"])
