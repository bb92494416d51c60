"""SQLite passes the conformance suite of the online store."""

from __future__ import annotations

from perdure.stores.online.sqlite import SqliteOnline
from perdure.testing.conformance.online import OnlineConformance


class TestSqlite(OnlineConformance):
    def open(self, root):
        return SqliteOnline(root / "online.db")

    def open_reader(self, root):
        return SqliteOnline(root / "online.db", read_only=True)
