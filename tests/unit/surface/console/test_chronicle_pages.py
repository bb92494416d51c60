"""Pages of the ledger: entries with their filters, one entry, alerts, quarantine, feeds."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from perdure.loop.alerts import ALERTS, DELIVERED, FAILED
from perdure.loop.work.ranges import close_range, open_range
from perdure.loop.work.taken import CURSOR

N_NOTES = 2_050


@pytest.fixture(scope="module")
def chronicle(tmp_path_factory) -> Any:
    """The toy world with a long chain, two alerts, a range in quarantine, a refused row and a feed that was taken in."""
    world: Any = sys.modules["console_world"]
    folder = world.make_world(tmp_path_factory.mktemp("chronicle") / "shop")
    opened = world.open_project(folder)
    with opened._ledger.transaction(actor="ben", at=world.at(483), reason="rare") as session:
        session.audit.append("note.rare", "eta", {"hostile": "<img src=x onerror=alert(1)>", "long": "x" * 3_000})
    with opened._ledger.transaction(actor="loop", at=world.at(484), reason="many") as session:
        for k in range(N_NOTES):
            session.audit.append("note.many", "orders", {"k": k})
        tried = {"delivery": "dlv_1", "incident": "inc_1", "asset": "eta", "events": ["opened"], "attempt": 1}
        session.audit.append(
            FAILED, ALERTS, {**tried, "status": 500, "error": "HTTP 500", "again_at": "2025-03-22T00:00:00Z"}
        )
        session.audit.append(DELIVERED, ALERTS, {**tried, "attempt": 2, "status": 200, "error": "", "again_at": ""})
        session.cursors.put(
            f"{CURSOR}orders", {"batch": 3, "intent": None, "n_late": 2, "seen": "x", "until": "2025-03-21T00:00:00Z"}
        )
    place, found = opened.place, world.at(400)
    evidence = {"tainted": {"eta": {"n": 168, "n_labels": 9}}}
    open_range(place, "orders", found, reason="km is 1.609 times what it was", at=found, evidence=evidence)
    close_range(place, "orders", world.at(410), reason="right again", at=world.at(420), evidence=evidence)
    refused = {"origin": "source:orders", "at": world.at(450), "recorded_at": world.at(450), "row": '{"km": "much"}', "batch": 1,
               "errors": '[{"field": "km", "type": "float_parsing", "message": "Input should be a number, not much"}]'}  # fmt: skip
    place.stores.lake.append("quarantine", pl.DataFrame([refused]))
    rows = [
        {"order_id": f"o{k}", "km": float(k), "_available_at": world.at(470) + timedelta(minutes=k)} for k in range(30)
    ]
    place.stores.lake.append("sources/orders", pl.DataFrame(rows))
    return world.open_console(Path(folder))


def told(console: Any, path: str, as_: str = "viewer") -> Any:
    answer = console.get(f"/api{path}", as_=as_)
    assert answer.status == 200, answer.text
    return answer.json["data"]


def test_the_newest_entries_come_first_and_lead_to_older_ones(chronicle):
    data = told(chronicle, "/ledger")
    numbers = [each["sequence"] for each in data["lines"]]
    assert numbers == list(range(data["newest"], data["newest"] - 50, -1))
    older = told(chronicle, data["more"])
    assert older["lines"][0]["sequence"] == numbers[-1] - 1


def test_every_entry_is_reached_by_going_back(chronicle):
    seen, path = list[int](), "/ledger?action=note.many"
    while path:
        data = told(chronicle, path)
        seen += [each["sequence"] for each in data["lines"]]
        path = data["more"]
    assert len(seen) == len(set(seen)) == N_NOTES


@pytest.mark.parametrize(
    ("query", "actions"),
    [("subject=eta&action=loop.decide", {"loop.decide"}), ("subject=eta&action=loop.", {"loop.decide", "loop.verify"}), ("actor=rex", set())],
)  # fmt: skip
def test_entries_are_found_by_subject_action_and_actor(chronicle, query, actions):
    assert {each["action"]["text"] for each in told(chronicle, f"/ledger?{query}")["lines"]} == actions


def test_an_actor_is_looked_for_as_far_as_a_page_may_and_then_further_on_request(chronicle):
    first = told(chronicle, "/ledger?actor=ben")
    assert (first["lines"], first["looked_to"] > 0) == ([], True)
    assert [each["action"]["text"] for each in told(chronicle, first["more"])["lines"]] == ["note.rare"]


def test_only_entries_after_a_number_are_shown_where_that_is_asked(chronicle):
    newest = told(chronicle, "/ledger")["newest"]
    data = told(chronicle, f"/ledger?after={newest - 3}")
    assert [each["sequence"] for each in data["lines"]] == [newest, newest - 1, newest - 2]
    assert data["more"] == ""


def test_facts_are_folded_escaped_and_cut_with_the_way_to_all_of_them(chronicle):
    page = chronicle.get("/ledger?action=note.rare").text
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    [line] = told(chronicle, "/ledger?action=note.rare")["lines"]
    assert line["cut"]
    entry = told(chronicle, line["href"])
    assert len(entry["facts"]) > 3_000
    assert not entry["cut"]


def test_an_entry_is_told_with_its_records_and_whether_it_fits(chronicle):
    [line, *_] = told(chronicle, "/ledger?action=incidents.open&subject=eta")["lines"]
    data = told(chronicle, line["href"])
    assert data["fits"]
    assert data["records"]["rows"][0][0] == "incidents"
    assert data["older"] == f"/ledger/{data['sequence'] - 1}"
    assert told(chronicle, "/ledger/1")["older"] == ""


@pytest.mark.parametrize("path", ["/ledger/99999", "/ledger/none", "/ledger/0"])
def test_an_entry_that_there_is_not_is_not_found(chronicle, path):
    assert chronicle.get(path).status == 404


def test_alerts_say_what_came_of_each_try_newest_first(chronicle):
    data = told(chronicle, "/ledger/alerts")
    assert [row[4]["text"] for row in data["tried"]["rows"]] == ["delivered, HTTP 200", "HTTP 500"]
    assert [row[4]["tone"] for row in data["tried"]["rows"]] == ["good", "warn"]
    assert data["to"] == ""
    assert "perdure alerts --test" in chronicle.get("/ledger/alerts").text


def test_a_quarantined_range_says_what_had_used_it(chronicle):
    [each] = told(chronicle, "/ledger/quarantine")["ranges"]
    assert (each["is_open"], each["used"]) == (False, ["eta: 168 predictions, 9 labels"])
    assert told(chronicle, each["entry"])["action"]["text"] == "quarantine.close"


def test_refused_rows_are_counted_by_reason_and_shown_to_who_may_see_bodies(chronicle):
    for_viewer, for_engineer = (told(chronicle, "/ledger/quarantine", as_) for as_ in ("viewer", "engineer"))
    assert for_viewer["by_reason"]["rows"] == [["km", "float parsing", "1"]]
    assert (for_viewer["refused"][0]["row"], for_viewer["refused"][0]["errors"]) == ("", ["km: float_parsing"])
    assert for_engineer["refused"][0]["row"] == '{"km": "much"}'
    assert for_engineer["refused"][0]["errors"] == ["km: Input should be a number, not much"]
    assert told(chronicle, "/ledger/quarantine?origin=request:eta")["refused"] == []


def test_a_feed_says_until_when_it_is_taken_in_and_shows_its_newest_rows_to_who_may_see_them(chronicle):
    data = told(chronicle, "/ledger/feeds?source=orders", "engineer")
    [row] = data["feeds"]["rows"]
    assert row[2]["text"] == "2025-03-21 00:00:00 UTC"
    assert row[8] == "2"
    assert data["rows"]["headings"] == ["Known from", "order_id", "km"]
    assert [each[1] for each in data["rows"]["rows"]] == [f"o{k}" for k in range(29, 9, -1)]
    assert told(chronicle, "/ledger/feeds?source=orders")["rows"] is None
    assert chronicle.get("/ledger/feeds?source=ordres").status == 404


def test_an_entry_leads_to_the_incident_and_the_run_that_it_speaks_of(chronicle):
    [verified, *_] = told(chronicle, "/ledger?action=loop.verify")["lines"]
    [lead] = told(chronicle, verified["href"])["leads"]
    assert lead["href"].startswith("/incidents/inc_")
    [put, *_] = told(chronicle, "/ledger?action=runs.put")["lines"]
    assert [each["href"] for each in told(chronicle, put["href"])["leads"]] == ["/training/run_2"]
