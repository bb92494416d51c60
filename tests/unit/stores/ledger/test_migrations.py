"""The migrations make exactly the tables that the roles use."""

from __future__ import annotations

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from perdure.assets.version import CHAMPION, Pointer
from perdure.core.errors import StoreError
from perdure.stores.ledger.database import SqliteFile, create
from perdure.stores.ledger.migrate import FOLDER
from perdure.stores.ledger.schema import CHAINED, REVISION, audit_subjects, metadata
from perdure.stores.ledger.scope import Author, Scope
from perdure.stores.ledger.session import SqlSession
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.testing.conformance.jobs import a_job
from perdure.testing.conformance.keys import a_key
from perdure.testing.conformance.ledger_records import AT, a_run, a_version
from perdure.testing.conformance.people import a_person
from perdure.testing.conformance.reviews import a_label, a_review


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


@pytest.fixture
def first_revision(tmp_path):
    """A ledger as the first revision made it, with records of every role that it had."""
    path = tmp_path / "old" / "ledger.sqlite"
    create(path, 1.0)
    file = SqliteFile(path, "rw", 1.0)
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "os")
    with file.writing() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    with file.writing() as connection:
        # Today's code writes it; a ledger of then has none.
        audit_subjects.create(connection)
        session = SqlSession(Scope(connection, "flights", Author("ana", AT, AT, "before")))
        session.registry.put_asset("model", "air_time", {"label": "air_time_min"})
        session.registry.put_version(a_version(1))
        session.pointers.set([Pointer("air_time", CHAMPION, a_version(1).id)])
        session.incidents.open("air_time", "capture_loss", "disk full", {})
        session.runs.put(a_run(1))
        session.audit.append("note", "air_time,fares,air_time", {})
        session.cursors.put("a", 1)
        audit_subjects.drop(connection)
    file.close()
    return path


def test_a_ledger_of_the_first_revision_migrates_with_its_records_and_verifies(first_revision):
    ledger = SqliteLedger(first_revision, project="flights")
    report = ledger.verify()
    assert (report.intact, report.n_entries) == (True, 6), report.text
    with ledger.transaction(actor="ana", at=AT) as session:
        session.jobs.put(a_job(1))
        session.keys.put(a_key(1))
        session.people.put(a_person("ann"))
        session.reviews.ask([a_review(1)])
        session.reviews.label([a_label(1)])
        session.pointers.set([], remove=[("air_time", CHAMPION)])
    with ledger.read() as session:
        assert session.runs.list() == [a_run(1)]
        assert [each.subject for each in session.audit.list(subject="fares")] == ["air_time,fares,air_time"]
        assert len(session.audit.list(subject="air_time", after=5, limit=1)) == 1
        assert session.registry.list_versions("air_time") == [a_version(1)]
        assert session.jobs.list() == [a_job(1)]
        assert session.keys.list() == [a_key(1)]
        assert session.people.list() == [a_person("ann")]
        assert session.reviews.get("rev_0001").labels == (a_label(1),)
    assert ledger.verify().intact
    with ledger._file.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    ledger.close()


def test_a_reader_waits_for_the_control_plane_to_migrate(first_revision):
    with pytest.raises(StoreError, match="0001"):
        SqliteLedger.open_read_only(first_revision, project="flights")
    SqliteLedger(first_revision, project="flights").close()
    SqliteLedger.open_read_only(first_revision, project="flights").close()


def test_every_record_carries_project_and_actor():
    for table in metadata.sorted_tables:
        if table.name not in ("audit_head", "audit_subjects", "leases"):  # a lease's actor is its owner
            assert {"project", "actor"} <= set(table.columns.keys()), table.name


def test_every_chained_record_says_which_entry_wrote_it():
    assert all("sequence" in table.columns for table in CHAINED)
