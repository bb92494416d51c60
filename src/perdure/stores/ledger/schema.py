"""The ledger's tables as SQLAlchemy Core, used by every role; migrations/ makes them.

Instants are integers of microseconds since 1970 UTC, so they order and compare exactly; JSON is
canonical text, so that a digest over a stored row finds any change of it. A record's digest leaves
out empty columns: a later migration may add nullable columns without touching old digests.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, String, Table, Text

REVISION = "0006"
"""The newest migration: a file at this revision opens without loading Alembic."""

metadata = MetaData()

audit = Table(
    "audit",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("at_us", BigInteger, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
    Column("project", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("action", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("audit_by_action", "project", "action", "sequence"),
)

audit_subjects = Table(
    "audit_subjects",
    metadata,
    Column("project", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""A row a name in an entry's subject. It says nothing that `audit` does not: it is how the entries of one asset are found."""

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sequence", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
)
"""One row: the newest link. Without it, entries cut off the end would not be missed."""

assets = Table(
    "assets",
    metadata,
    Column("project", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("definition", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("actor", String, nullable=False),
    Column("sequence", Integer, nullable=False),
)

versions = Table(
    "versions",
    metadata,
    Column("project", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("asset", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("definition", Text, nullable=False),
    Column("artifacts", Text, nullable=False),
    Column("lineage", Text, nullable=False),
    Column("metrics", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("actor", String, nullable=False),
    Column("sequence", Integer, nullable=False),
    Index("versions_by_asset", "project", "asset"),
)

pointers = Table(
    "pointers",
    metadata,
    Column("project", String, primary_key=True),
    Column("asset", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("version", String, nullable=False),
    Column("share", Float, nullable=False),
    Column("actor", String, nullable=False),
    Column("sequence", Integer, nullable=False),
)

pointer_moves = Table(
    "pointer_moves",
    metadata,
    Column("project", String, primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("asset", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("version", String, nullable=True),
    Column("share", Float, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Index("pointer_moves_by_asset", "project", "asset", "sequence"),
)

incidents = Table(
    "incidents",
    metadata,
    Column("project", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("asset", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("summary", Text, nullable=False),
    Column("closing", Text, nullable=False),
    Column("opened_us", BigInteger, nullable=False),
    Column("closed_us", BigInteger, nullable=True),
    Column("facts", Text, nullable=False),
    Column("actor", String, nullable=False),
    Column("sequence", Integer, nullable=False),
    Index("incidents_by_asset", "project", "asset", "kind"),
    Index("incidents_open", "project", "closed_us"),
)

runs = Table(
    "runs",
    metadata,
    Column("project", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("asset", String, nullable=False),
    Column("status", String, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("finished_us", BigInteger, nullable=True),
    Column("params", Text, nullable=False),
    Column("metrics", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("actor", String, nullable=False),
    Column("sequence", Integer, nullable=False),
    Index("runs_by_asset", "project", "asset", "started_us"),
    Index("runs_newest", "project", "started_us", "id"),
    Index("runs_changed", "project", "sequence"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("project", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("workflow", String, nullable=False),
    Column("key", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("status", String, nullable=False),
    Column("code", String, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("due_us", BigInteger, nullable=True),
    Column("waits_for", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("retry_us", BigInteger, nullable=True),
    Column("input", Text, nullable=False),
    Column("output", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("ended_us", BigInteger, nullable=True),
    Column("actor", String, nullable=False),
    Column("sequence", Integer, nullable=False),
    Index("jobs_by_key", "project", "workflow", "key", unique=True),
    Index("jobs_by_status", "project", "status"),
    Index("jobs_by_subject", "project", "subject"),
)

job_steps = Table(
    "job_steps",
    metadata,
    Column("project", String, primary_key=True),
    Column("job", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("result", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("actor", String, nullable=False),
    Column("sequence", Integer, nullable=False),
)

approvals = Table(
    "approvals",
    metadata,
    Column("project", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("asset", String, nullable=False),
    Column("key", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("role", String, nullable=False),
    Column("n_needed", Integer, nullable=False),
    Column("asked_by", String, nullable=False),
    Column("asked_us", BigInteger, nullable=False),
    Column("status", String, nullable=False),
    Column("answers", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("actor", String, nullable=False),
    Column("sequence", Integer, nullable=False),
    Index("approvals_by_key", "project", "key", unique=True),
    Index("approvals_by_status", "project", "status"),
)

keys = Table(
    "keys",
    metadata,
    Column("project", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("team", String, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("label", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=True),
    Column("revoked_us", BigInteger, nullable=True),
    Column("admin", Integer, nullable=False),
    Column("limits", Text, nullable=False),
    Column("actor", String, nullable=False),
    Column("sequence", Integer, nullable=False),
    Index("keys_by_digest", "project", "digest", unique=True),
    Index("keys_by_team", "project", "team"),
)
"""`digest` is of the secret, and unique in a project; `admin` is 0 or 1."""

reviews = Table(
    "reviews",
    metadata,
    Column("project", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("subject", String, nullable=False),
    Column("key", String, nullable=False),
    Column("case", String(64), nullable=False),
    Column("why", String, nullable=False),
    Column("inclusion", Float, nullable=True),
    Column("asked_us", BigInteger, nullable=False),
    Column("status", String, nullable=False),
    Column("facts", Text, nullable=False),
    Column("actor", String, nullable=False),
    Column("sequence", Integer, nullable=False),
    Index("reviews_by_key", "project", "subject", "key", unique=True),
    Index("reviews_by_status", "project", "status"),
)

review_labels = Table(
    "review_labels",
    metadata,
    Column("project", String, primary_key=True),
    Column("review", String, primary_key=True),
    Column("labeller", String, primary_key=True),
    Column("value", Float, nullable=False),
    Column("word", String, nullable=False),
    Column("note", Text, nullable=False),
    Column("source", String, nullable=False),
    Column("labelled_us", BigInteger, nullable=False),
    Column("actor", String, nullable=False),
    Column("sequence", Integer, nullable=False),
)
"""A row a review and person."""

people = Table(
    "people",
    metadata,
    Column("project", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("roles", Text, nullable=False),
    Column("duties", Text, nullable=False),
    Column("shown", Text, nullable=False),
    Column("service", Integer, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("closed_us", BigInteger, nullable=True),
    Column("actor", String, nullable=False),
    Column("sequence", Integer, nullable=False),
)
"""Who may come in, and as what; `roles` and `duties` are JSON lists, `service` is 0 or 1. No secret stands here."""

cursors = Table(
    "cursors",
    metadata,
    Column("project", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("actor", String, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("project", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
)
"""Rows are never deleted: the epoch of a released lease must not go back. `owner` is empty then."""

CHAINED = (
    assets, versions, pointers, pointer_moves, incidents, runs, jobs, job_steps, approvals, keys, reviews, review_labels,
    people,
)  # fmt: skip
"""Tables whose every row has its digest in the audit chain."""
