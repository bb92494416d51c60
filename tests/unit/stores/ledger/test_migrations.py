"""The migrations make exactly the tables that the roles use."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from perdure.stores.ledger.migrate import FOLDER
from perdure.stores.ledger.schema import CHAINED, REVISION, metadata
from perdure.stores.ledger.sqlite import SqliteLedger


@pytest.fixture
def ledger(tmp_path):
    ledger = SqliteLedger(tmp_path / "ledger.sqlite", project="flights")
    yield ledger
    ledger.close()


def test_the_migrated_tables_are_the_declared_ones(ledger):
    with ledger._file.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_newest_migration_is_the_one_that_opening_looks_for():
    assert ScriptDirectory(str(FOLDER)).get_current_head() == REVISION


def test_a_failed_migration_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "ledger.sqlite"

    def failing(*arguments, **options):
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr("alembic.op.bulk_insert", failing)
        with pytest.raises(RuntimeError, match="power cut"):
            SqliteLedger(path, project="flights")
    ledger = SqliteLedger(path, project="flights")
    assert ledger.verify().intact
    ledger.close()


def test_every_record_carries_project_and_actor():
    for table in metadata.sorted_tables:
        if table.name not in ("audit_head", "leases"):  # a lease's actor is its owner
            assert {"project", "actor"} <= set(table.columns.keys()), table.name


def test_every_chained_record_says_which_entry_wrote_it():
    assert all("sequence" in table.columns for table in CHAINED)
