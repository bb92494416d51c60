"""Opening the embedded ledger: cheap, safe against other files and other writers, and fast to fail for readers."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from perdure.core.clock import monotonic_s
from perdure.core.errors import Conflict, Corrupt, Refused, StoreError, StoreFull
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.testing.conformance.ledger_records import AT, a_run, a_version, put_versions

SOON_S = 2.0
"""Far above the 0.1 s that a reader may wait, far below the 10 s of a writer."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder with ? and #" / "ledger.sqlite"


@pytest.fixture
def ledger(path):
    ledger = SqliteLedger(path, project="flights")
    yield ledger
    ledger.close()


def files(path):
    return sorted(each.name for each in path.parent.glob("*"))


class TestOpening:
    def test_a_ledger_survives_closing(self, path):
        first = SqliteLedger(path, project="flights")
        put_versions(first, 1)
        first.close()
        second = SqliteLedger(path, project="flights")
        with second.read() as session:
            assert session.registry.list_versions("air_time") == [a_version(1)]
        assert second.sequence() == 1
        second.close()

    def test_a_migrated_file_opens_without_alembic(self, ledger, path):
        program = (
            "import sys; from pathlib import Path; from perdure.stores.ledger.sqlite import SqliteLedger;"
            f"ledger = SqliteLedger(Path({str(path)!r}), project='flights'); ledger.sequence(); ledger.close();"
            "print('alembic' in sys.modules)"
        )
        found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert found.stdout.strip() == "False"

    def test_several_may_make_it_at_once(self, path):
        with ThreadPoolExecutor(8) as threads:
            ledgers = list(threads.map(lambda _: SqliteLedger(path, project="flights"), range(8)))
        put_versions(ledgers[0], 1)
        assert [each.sequence() for each in ledgers] == [1] * 8
        assert ledgers[7].verify().intact
        for each in ledgers:
            each.close()

    def test_its_commits_are_synced_and_logged_ahead(self, ledger):
        with ledger._file.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2

    def test_a_file_that_is_no_database_is_refused_and_left_alone(self, path):
        path.parent.mkdir()
        path.write_bytes(b"no database " * 500)
        with pytest.raises(Corrupt):
            SqliteLedger(path, project="flights")
        assert path.read_bytes() == b"no database " * 500

    def test_another_applications_database_is_refused_and_left_alone(self, path):
        path.parent.mkdir()
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE songs (title)")
        with pytest.raises(StoreError, match="no ledger"):
            SqliteLedger(path, project="flights")
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]

    def test_a_ledger_of_a_newer_version_is_refused(self, ledger, path):
        ledger.close()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(StoreError, match="newer perdure"):
            SqliteLedger(path, project="flights")
        with pytest.raises(StoreError, match="9999"):
            SqliteLedger.open_read_only(path, project="flights")

    def test_a_folder_that_cannot_be_made_is_told(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(StoreError, match="folder"):
            SqliteLedger(tmp_path / "file" / "ledger.sqlite", project="flights")


class TestWriting:
    def test_a_writer_waits_no_longer_than_it_was_told(self, ledger, path):
        impatient = SqliteLedger(path, project="flights", busy_s=0.05)
        with ledger.transaction(actor="ana", at=AT) as session:
            session.registry.put_version(a_version(1))
            with pytest.raises(Conflict), impatient.transaction(actor="bo", at=AT):
                pytest.fail("Two writers at once.")
        put_versions(impatient, 2)
        assert ledger.sequence() == 2
        impatient.close()

    def test_a_full_disk_writes_nothing(self, ledger):
        put_versions(ledger, 1)
        with ledger._file.reading() as connection:  # the pool's only connection: the limit stays with it
            connection.exec_driver_sql("PRAGMA max_page_count=1")
        with pytest.raises(StoreFull), ledger.transaction(actor="ana", at=AT) as session:
            session.runs.put(a_run(1, facts={"curve": list(range(50_000))}))
        assert ledger.sequence() == 1
        assert ledger.verify().intact

    def test_a_file_that_was_deleted_or_replaced_is_not_written(self, ledger, path, tmp_path):
        put_versions(ledger, 1)
        path.rename(tmp_path / "moved.sqlite")
        with pytest.raises(StoreError, match="cannot be found"):
            put_versions(ledger, 2)
        path.write_bytes(b"")
        with pytest.raises(StoreError, match="replaced"):
            put_versions(ledger, 2)
        with pytest.raises(StoreError, match="replaced"):
            ledger.sequence()
        assert path.read_bytes() == b""

    def test_projects_share_a_chain_and_nothing_else(self, ledger, path):
        other = SqliteLedger(path, project="fares")
        put_versions(ledger, 1)
        put_versions(other, 1, 2)
        with other.transaction(actor="bo", at=AT) as session:
            session.cursors.put("drain", 1)
            session.incidents.open("air_time", "loss", "", {})
        with ledger.read() as session:
            assert len(session.registry.list_versions("air_time")) == 1
            assert [entry.sequence for entry in session.audit.list()] == [1]
            assert session.cursors.list("") == {}
            assert session.incidents.list() == []
        assert ledger.sequence() == other.sequence() == 4
        assert ledger.verify().n_entries == 4
        assert other.leases.acquire("loop", "bo", 60.0) is not None
        assert ledger.leases.holder("loop") is None
        other.close()


class TestReadingOnly:
    def test_a_missing_file_is_told_and_not_made(self, path):
        with pytest.raises(StoreError, match="cannot be found"):
            SqliteLedger.open_read_only(path, project="flights")
        assert not path.parent.exists()

    def test_it_follows_the_writer_and_refuses_to_write(self, ledger, path):
        reader = SqliteLedger.open_read_only(path, project="flights")
        assert reader.sequence() == 0
        put_versions(ledger, 1)
        assert reader.sequence() == 1
        with reader.read() as session:
            assert session.registry.list_versions("air_time") == [a_version(1)]
        with pytest.raises(Refused), reader.transaction(actor="bo", at=AT):
            pytest.fail("A reader wrote.")
        with pytest.raises(StoreError):
            reader.leases.acquire("loop", "bo", 60.0)
        assert reader.verify().intact
        reader.close()

    def test_it_leaves_the_file_as_it_is(self, ledger, path):
        put_versions(ledger, 1)
        ledger.close()
        before = path.read_bytes()
        reader = SqliteLedger.open_read_only(path, project="flights")
        assert reader.sequence() == 1
        reader.close()
        assert path.read_bytes() == before

    @pytest.mark.parametrize("content", [b"no database " * 500, b""])
    def test_a_file_that_is_no_ledger_is_told_and_left_alone(self, path, content):
        path.parent.mkdir()
        path.write_bytes(content)
        with pytest.raises(StoreError):
            SqliteLedger.open_read_only(path, project="flights")
        assert path.read_bytes() == content
        assert files(path) == ["ledger.sqlite"]

    def test_it_goes_on_when_a_lost_file_is_back(self, ledger, path, tmp_path):
        put_versions(ledger, 1)
        ledger.close()
        reader = SqliteLedger.open_read_only(path, project="flights")
        assert reader.sequence() == 1
        path.rename(tmp_path / "moved.sqlite")
        with pytest.raises(StoreError):
            reader.sequence()
        with pytest.raises(StoreError), reader.read():
            pytest.fail("A lost file was read.")
        other = SqliteLedger(path, project="flights")
        put_versions(other, 1, 2)
        assert reader.sequence() == 2
        with reader.read() as session:
            assert len(session.registry.list_versions("air_time")) == 2
        reader.close()
        other.close()

    def test_a_locked_file_fails_fast_and_recovers(self, ledger, path):
        put_versions(ledger, 1)
        ledger.close()
        with closing(sqlite3.connect(path, isolation_level=None)) as locker:
            locker.execute("PRAGMA locking_mode=EXCLUSIVE")
            locker.execute("BEGIN EXCLUSIVE")
            began_s = monotonic_s()
            with pytest.raises(Conflict):
                SqliteLedger.open_read_only(path, project="flights")
            assert monotonic_s() - began_s < SOON_S
        reader = SqliteLedger.open_read_only(path, project="flights")
        assert reader.sequence() == 1
        reader.close()

    def test_a_spoiled_file_is_told_on_use(self, ledger, path):
        put_versions(ledger, 1)
        ledger.close()
        reader = SqliteLedger.open_read_only(path, project="flights")
        with path.open("r+b") as file:
            file.write(b"spoiled" * 100)
        with pytest.raises(StoreError):
            reader.sequence()
        reader.close()


def test_a_version_that_is_asked_for_again_is_not_decoded_again(ledger):
    """It never changes, so both are given the same object; one of another content is another."""
    put_versions(ledger, 1)
    with ledger.read() as session:
        first = session.registry.get_version(a_version(1).id)
    with ledger.read() as session:
        assert session.registry.get_version(first.id) is first
        assert session.registry.list_versions(first.asset)[0] is first
