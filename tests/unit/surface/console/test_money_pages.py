"""Pages of money: calls of a small gateway, by team, key, model and day, beside what they were; budgets; odd hours."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from perdure.core.clock import to_us
from perdure.core.settings import CaptureSettings
from perdure.core.units import hours
from perdure.core.usage import PICO
from perdure.stores.capture.segments import SegmentWriter
from perdure.testing.conformance.capture import call

TOML = '[project]\nname = "gw"\npackage = "gateway_of_the_console"\n[console]\nclock = "round"\n'
PACKAGE = """\
from perdure import Budget, Limits, Route, Target, Team, Upstream

local = Upstream("local", "http://127.0.0.1:9/v1")
support = Route("support", [Target(local, "small")])
helpdesk = Team("helpdesk", budgets=[Budget(2.0, per="day"), Budget(200.0, per="month")], limits=Limits(requests=60))
sales = Team("sales")
"""


@pytest.fixture(scope="module")
def money(tmp_path_factory) -> Any:
    """Calls of two teams on the last two days, and one of the month before; one has no known price."""
    world: Any = sys.modules["console_world"]
    folder = Path(tmp_path_factory.mktemp("money"))
    (folder / "perdure.toml").write_text(TOML)
    (folder / "gateway_of_the_console.py").write_text(PACKAGE)
    opened, now = world.open_project(folder), world.at(960)
    writer = SegmentWriter(folder / ".perdure" / "capture", CaptureSettings(min_free_bytes=0))
    said = [("helpdesk", 2.0, 1.0), ("sales", 26.0, 0.5), ("sales", 27.0, None), ("sales", 40 * 24.0, 0.25)]
    for number, (team, hours_ago, usd) in enumerate(said, 1):
        made = call(number)
        made.served_us = made.recorded_us = to_us(now - hours(hours_ago))
        made.team, made.key = team, f"key_{team}"
        made.cost_pusd = made.attempts[-1].cost_pusd = None if usd is None else int(usd * PICO)
        writer.append(made)
    writer.close()
    opened.spend(at=now)
    with opened._ledger.transaction(actor="loop", at=now, reason="round") as session:
        session.cursors.put("round", now.isoformat().replace("+00:00", "Z"))
    return world.open_console(folder)


def told(console: Any, path: str) -> Any:
    answer = console.get(f"/api{path}")
    assert answer.status == 200, answer.text
    return answer.json["data"]


def test_money_is_told_by_team_beside_what_it_was(money):
    data = told(money, "/money?since=30d")
    assert (data["cost"], data["calls"], data["cost_before"]) == ("$1.50", "3", "+500%")
    rows = [[row[0]["text"], *row[1:5]] for row in data["groups"]["rows"]]
    assert rows == [["helpdesk", "$1.00", "67%", "new", "1"], ["sales", "$0.50", "33%", "+100%", "2"]]
    assert data["bars"]["rows"] == [["helpdesk", 1.0, None], ["sales", 0.5, 0.25]]


def test_a_price_that_is_not_known_is_said_plainly_with_its_target(money):
    data = told(money, "/money?since=30d")
    assert data["n_unpriced"] == 1
    assert data["unpriced"]["rows"] == [["claude/haiku", "1"]]
    page = money.get("/money?since=30d").text
    assert "have no known price" in page
    assert "UnitPrices" in page


def test_a_day_without_calls_cost_nothing_on_the_chart(money):
    picture = told(money, "/money?since=90d&per=month")["over_time"]
    sums = {each["name"]: each["values"] for each in picture["series"]}
    assert sums["helpdesk"] == [0.0, 1.0]
    assert sums["sales"] == [0.25, 0.5]
    daily = told(money, "/money?since=90d&per=day")["over_time"]
    assert len(daily["at_us"]) > 30
    assert {each["name"]: sum(each["values"]) for each in daily["series"]} == {"helpdesk": 1.0, "sales": 0.75}


def test_by_model_a_call_counts_where_it_was_tried(money):
    rows = told(money, "/money?by=model")["groups"]["rows"]
    assert [row[0]["text"] for row in rows] == ["haiku"]
    assert told(money, "/money?by=tag:customer")["by"] == "tag:customer"


@pytest.mark.parametrize("path", ["/money?by=teem", "/money/anomalies?by=teem"])
def test_an_unknown_dimension_is_not_found_and_the_nearest_is_named(money, path):
    answer = money.get(f"/api{path}")
    assert answer.status == 404
    assert "'team'" in answer.json["error"]["hint"]


def test_a_time_zone_that_there_is_not_is_refused(money):
    assert money.get("/api/money?timezone=Mars/Olympus").status == 422


def test_looking_at_money_writes_nothing(money):
    ledger = money.project.place.stores.ledger
    before = ledger.sequence()
    for path in ("/money", "/money/budgets", "/money/anomalies"):
        assert money.get(path).status == 200
    assert ledger.sequence() == before


def test_budgets_stand_the_fullest_first_with_when_they_are_gone(money):
    data = told(money, "/money/budgets")
    assert data["n"] == 3
    assert {row[1] for row in data["rows"]["rows"]} == {
        "US dollars a day",
        "US dollars a month",
        "requests a minute",
    }
    daily = next(row for row in data["rows"]["rows"] if row[1] == "US dollars a day")
    assert (daily[2], daily[3], daily[4], daily[7]) == ("$2.00", "$0.00", "$2.00", "$0.041667")


def test_budgets_of_one_team_are_asked_for_by_its_name(money):
    assert told(money, "/money/budgets?team=sales")["n"] == 0
    assert money.get("/money/budgets?team=salse").status == 404


def test_no_hour_stands_out_where_nothing_can_be_judged_yet(money):
    data = told(money, "/money/anomalies")
    assert data["rows"]["rows"] == []
    assert "two weeks" in data["rows"]["empty"]


def test_a_project_without_teams_and_calls_says_what_to_do(console):
    assert "perdure up" in console.get("/money").text
    assert "Budget(200" in console.get("/money/budgets").text
