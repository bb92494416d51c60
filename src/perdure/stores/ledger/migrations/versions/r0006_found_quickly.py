"""How entries are found by what they are about, runs by when, and what of them is new."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ALONE = """
INSERT INTO audit_subjects (project, subject, sequence)
SELECT project, subject, sequence FROM audit WHERE instr(subject, ',') = 0
"""
_SEVERAL = "SELECT project, subject, sequence FROM audit WHERE instr(subject, ',') > 0"


def upgrade() -> None:
    subjects = op.create_table(
        "audit_subjects",
        sa.Column("project", sa.String, primary_key=True),
        sa.Column("subject", sa.String, primary_key=True),
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    connection = op.get_bind()
    connection.exec_driver_sql(_ALONE)
    rows = [
        {"project": project, "subject": each, "sequence": sequence}
        for project, subject, sequence in connection.exec_driver_sql(_SEVERAL).all()
        for each in dict.fromkeys(subject.split(","))
    ]
    if rows:
        connection.execute(subjects.insert(), rows)
    op.create_index("audit_by_action", "audit", ["project", "action", "sequence"])
    op.create_index("runs_newest", "runs", ["project", "started_us", "id"])
    op.create_index("runs_changed", "runs", ["project", "sequence"])
    op.create_index("incidents_open", "incidents", ["project", "closed_us"])
