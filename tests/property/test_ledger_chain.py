"""Whatever single thing is changed in a ledger's file, verifying finds it."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from perdure.assets.version import CHALLENGER, CHAMPION, Pointer
from perdure.core.errors import StoreError
from perdure.stores.ledger.people_protocols import PersonRecord
from perdure.stores.ledger.schema import CHAINED, audit, audit_head
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.stores.ledger.verify import verify
from perdure.testing.conformance.approvals import a_question, an_answer
from perdure.testing.conformance.jobs import a_job, a_step
from perdure.testing.conformance.keys import a_key
from perdure.testing.conformance.ledger_records import AT, a_run, a_version
from perdure.testing.conformance.reviews import a_label, a_review

TABLES = {table.name: table for table in (audit, audit_head, *CHAINED)}

VALUES = st.one_of(
    st.none(),
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.binary(max_size=8),
    st.sampled_from(["{}", "[]", "null", '{"records":[]}', '{"records":7}', "0" * 64, "champion"]),
)


class Undone(Exception):
    """Rolls a tampering back."""


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    ledger = SqliteLedger(tmp_path_factory.mktemp("chain") / "ledger.sqlite", project="flights")
    fill(ledger)
    yield ledger
    ledger.close()


def fill(ledger):
    with ledger.transaction(actor="ana", at=AT, reason="first") as session:
        session.registry.put_asset("model", "air_time", {"label": "air_time_min"})
        session.registry.put_asset("source", "flights", {})
        session.runs.put(a_run(1, status="running", finished_at=None))
        session.registry.put_version(a_version(1))
        session.pointers.set([Pointer("air_time", CHAMPION, a_version(1).id)], facts={"sure": 0.97})
    with ledger.transaction(actor="bo", at=AT + timedelta(days=1)) as session:
        session.runs.put(a_run(1))
        session.registry.put_version(a_version(2))
        session.pointers.set(
            [Pointer("air_time", CHAMPION, a_version(2).id), Pointer("air_time", CHALLENGER, a_version(1).id, 0.5)]
        )
        session.pointers.remove("air_time", CHALLENGER)
        first = session.incidents.open("air_time", "capture_loss", "disk full", {"n_lost": 3})
        session.incidents.close(first.id, "freed")
        session.incidents.open("air_time", "decay", "mae", {})
        session.audit.append("decide", "air_time", {"plan": ["retrain"]})
        for job in (a_job(1), a_job(2, status="done", ended_at=AT), a_job(3, due_at=AT, retry_at=AT)):
            session.jobs.put(job)
            session.jobs.put_step(a_step(0, job=job.id))
        session.jobs.prune(AT + timedelta(hours=1))
        session.approvals.ask(a_question(1))
        session.approvals.answer("apr_0001", an_answer("ann"))
        session.keys.put(a_key(1))
        session.people.put(PersonRecord("ann", ("admin",), AT))
        session.reviews.ask([a_review(1), a_review(2)])
        session.reviews.label([a_label(1)])
        session.keys.put(a_key(1, revoked_at=AT))
        session.keys.put(a_key(2, admin=True, expires_at=None))


@contextmanager
def tampering(ledger):
    """A connection whose changes are forgotten afterwards."""
    with suppress(Undone), ledger._file.writing() as connection:
        yield connection
        raise Undone


def contents(connection, name):
    return sorted(map(repr, connection.exec_driver_sql(f"SELECT * FROM {name}")))


def rows_of(connection, name):
    return connection.exec_driver_sql(f"SELECT rowid AS r, * FROM {name} ORDER BY rowid").mappings().all()


def test_the_untouched_ledger_is_intact(ledger):
    assert ledger.verify().intact


@given(data=st.data())
def test_any_single_changed_field_is_found(ledger, data):
    name = data.draw(st.sampled_from(sorted(TABLES)), label="table")
    column = data.draw(st.sampled_from([column.name for column in TABLES[name].columns]), label="column")
    with tampering(ledger) as connection:
        row = data.draw(st.sampled_from(rows_of(connection, name)), label="row")
        value = data.draw(st.one_of(VALUES, alike(row[column])), label="value")
        before = contents(connection, name)
        with suppress(StoreError):  # the file's own types keep some values out
            change = f"UPDATE OR IGNORE {name} SET {column} = ? WHERE rowid = ?"
            connection.exec_driver_sql(change, (value, row["r"]))
        assume(contents(connection, name) != before)
        report = verify(connection)
        assert not report.intact, report.text
        if name == "audit" and column != "sequence":
            assert report.broken_at == row["sequence"]


def alike(value):
    """Values that resemble the stored one: a later instant, another spelling of the same JSON, other case."""
    if isinstance(value, int | float):
        return st.sampled_from([value + 1, value - 1, -value, value * 1000])
    if value is None:
        return st.sampled_from([0, "", 1])
    return st.sampled_from([value + " ", value.upper(), value.replace(",", ", "), value[:-1], value.replace("1", "2")])


@given(data=st.data())
def test_any_single_removed_row_is_found(ledger, data):
    name = data.draw(st.sampled_from(sorted(TABLES)), label="table")
    with tampering(ledger) as connection:
        row = data.draw(st.sampled_from(rows_of(connection, name)), label="row")
        connection.exec_driver_sql(f"DELETE FROM {name} WHERE rowid = ?", (row["r"],))
        report = verify(connection)
        assert not report.intact
        if name == "audit":
            assert report.broken_at == row["sequence"]


@given(data=st.data())
def test_any_single_added_row_is_found(ledger, data):
    name = data.draw(st.sampled_from(sorted(TABLES)), label="table")
    key = [column.name for column in TABLES[name].primary_key.columns][-1]
    with tampering(ledger) as connection:
        row = dict(data.draw(st.sampled_from(rows_of(connection, name)), label="row"))
        del row["r"]
        row[key] = data.draw(st.integers(-5, 99) if isinstance(row[key], int) else st.text(max_size=9), label="key")
        if "key" in row:  # unique, too: a copy under another id alone is kept out by the file itself
            row["key"] = f"{row['key']} {row[key]}"
        marks = ", ".join("?" * len(row))
        added = connection.exec_driver_sql(f"INSERT OR IGNORE INTO {name} VALUES ({marks})", tuple(row.values()))
        assume(added.rowcount == 1)
        assert not verify(connection).intact


@given(cut=st.integers(min_value=1, max_value=13))
def test_a_tail_cut_off_is_found(ledger, cut):
    with tampering(ledger) as connection:
        connection.exec_driver_sql("DELETE FROM audit WHERE sequence > ?", (ledger.sequence() - cut,))
        report = verify(connection)
    assert report.broken_at == ledger.sequence() - cut + 1


def test_a_chain_recomputed_from_a_changed_entry_still_misses_its_records(ledger):
    """Whoever rewrites the chain as a whole must rewrite the records too, and then the head is another."""
    head = ledger.verify().head
    with tampering(ledger) as connection:
        connection.exec_driver_sql("UPDATE versions SET metrics = '{\"mae\":1.0}'")
        report = verify(connection)
        assert report.broken_at == 4
        assert "versions" in report.text
    assert ledger.verify().head == head
