"""Entries of the chain are read in its order: a page's newest fifty cost the same in a long chain as in a short one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import event

from perdure.core.clock import parse_at
from perdure.stores.ledger.sqlite import SqliteLedger


@pytest.mark.parametrize(
    "asked", [{"newest": True}, {"after": 1}, {"newest": True, "subject": "eta"}, {"newest": True, "actions": ("a.b",)}]
)
def test_no_page_of_the_chain_sorts_it(tmp_path: Path, asked):
    """SQLite would choose the index by project and action, and sort all of the project's entries for the first few."""
    ledger = SqliteLedger(tmp_path / "ledger.db", project="p")
    with ledger.transaction(actor="ann", at=parse_at("2026-01-01"), reason="r") as session:
        for _ in range(3):
            session.audit.append("a.b", "eta", {})
    said = []
    with ledger.read() as session:
        event.listen(session.audit._scope.connection, "before_cursor_execute", lambda *each: said.append(each[2:4]))
        assert len(session.audit.list(limit=2, **asked)) == 2
    ledger.close()
    [(statement, parameters)] = said
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
    connection.close()
    assert "TEMP B-TREE" not in str(plan)
