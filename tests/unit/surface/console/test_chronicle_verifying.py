"""The chain is verified in a thread: pages go on, one runs at a time, what it came to is an entry of the chain."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from perdure.core.clock import monotonic_s, sleep_s
from perdure.core.errors import Corrupt
from perdure.stores.ledger.sqlite import SqliteLedger


def told(console: Any) -> Any:
    return console.get("/api/ledger/verify").json["data"]


def ended(console: Any) -> Any:
    """What the page tells once nothing runs any more."""
    until = monotonic_s() + 20
    while (data := told(console))["running"]:
        assert monotonic_s() < until
        sleep_s(0.01)
    return data


def test_nobody_verified_it_yet_and_looking_begins_nothing(own_console):
    data = told(own_console)
    assert (data["last"], data["running"], data["past"]["rows"]) == (None, False, [])


def test_a_verification_leaves_what_it_came_to_in_the_chain(own_console):
    answer = own_console.post("/ledger/verify", as_="engineer")
    assert (answer.status, answer.headers["location"]) == (303, "/ledger/verify")
    data = ended(own_console)
    ledger = own_console.project.place.stores.ledger
    assert data["last"]["intact"]
    assert (data["last"]["by"], data["last"]["n_entries"], data["n_since"]) == ("eve", ledger.sequence() - 1, 0)
    assert ledger.verify().intact
    page = own_console.get("/ledger/verify").text
    assert data["last"]["head"] in page


def test_a_chain_that_was_altered_is_told_as_broken(own_console):
    ledger = own_console.project.place.stores.ledger
    with ledger._file.writing() as connection:
        connection.exec_driver_sql("UPDATE audit SET reason = 'nothing' WHERE sequence = 3")
    own_console.post("/ledger/verify", as_="engineer")
    data = ended(own_console)
    assert not data["last"]["intact"]
    assert "Entry 3 was altered" in data["last"]["text"]
    assert "altered" in own_console.get("/ledger/3").text


@pytest.fixture
def held(own_console, monkeypatch) -> threading.Event:
    """A verification goes on once this is set; before that it told of seven entries."""
    going = threading.Event()
    verify = SqliteLedger.verify

    def slow(ledger, progress=None):
        progress(7)
        assert going.wait(20)
        return verify(ledger, progress)

    monkeypatch.setattr(SqliteLedger, "verify", slow)
    return going


def test_pages_go_on_and_tell_how_far_it_is_while_one_runs(own_console, held):
    own_console.post("/ledger/verify", as_="engineer")
    until = monotonic_s() + 20
    while told(own_console)["n_done"] != 7:
        assert monotonic_s() < until
    assert own_console.get("/ledger").status == 200
    page = own_console.get("/ledger/verify", as_="engineer").text
    assert 'hx-trigger="every 1s"' in page
    assert 'action="/ledger/verify"' not in page
    again = own_console.post("/api/ledger/verify", as_="engineer")
    assert again.status == 200
    held.set()
    assert len(ended(own_console)["past"]["rows"]) == 1


def test_a_verification_that_fails_says_why_and_another_may_begin(own_console, monkeypatch):
    def broken(ledger, progress=None):
        raise Corrupt("The file is no database.", hint="Restore it.")

    with monkeypatch.context() as patched:
        patched.setattr(SqliteLedger, "verify", broken)
        own_console.post("/ledger/verify", as_="engineer")
        assert "no database" in ended(own_console)["problem"]
    own_console.post("/ledger/verify", as_="engineer")
    assert ended(own_console)["last"]["intact"]


def test_who_may_only_look_sees_no_button_and_is_refused(own_console):
    assert "It takes the role" in own_console.get("/ledger/verify").text.replace("it takes", "It takes")
    assert own_console.post("/ledger/verify", as_="viewer").status == 403
