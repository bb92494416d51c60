"""A team that spends too fast, or in one dear hour, has an incident that names the spender, and a person is asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from perdure import (
    Budget,
    Perdure,
    Policy,
    Project,
    Route,
    Target,
    Team,
    Upstream,
    burn_ratio,
    cost_anomaly,
    days,
    hours,
    spend_usd,
)
from perdure.core.clock import parse_at, to_us
from perdure.core.settings import AlertSettings, CaptureSettings, ProjectSettings, Settings
from perdure.core.usage import PICO
from perdure.loop.alerts import Alerts, Answer
from perdure.stores.capture.segments import SegmentWriter
from perdure.surface.governance.doing import doing_about
from perdure.surface.keying import KeyTerms
from perdure.testing.conformance.capture import call

NOW = parse_at("2026-03-10T00:00:00Z")
"""Nine days of March are over: 9/31 of a month's budget is its even share."""


class Told:
    """A receiver of alerts in this process."""

    def __init__(self) -> None:
        self.bodies: list[Mapping[str, Any]] = []

    def send(self, delivery: str, attempt: int, body: Mapping[str, Any]) -> Answer:
        self.bodies.append(body)
        return Answer(200)


class Shop:
    """A project of one route and one team, both named `support`, and what the gateway recorded of it."""

    def __init__(self, folder: Path, team: Team, **route: Any) -> None:
        local = Upstream("local", "http://127.0.0.1:9/v1")
        declared = Project.of("shop", Route("support", [Target(local, "small")], **route), team)
        self.perdure = Perdure(folder, Settings(ProjectSettings("shop")), project=declared, actor="ann")
        self.folder = folder
        self.told = Told()
        settings = AlertSettings("http://x", secret_env="X", keep_h=1e6)
        self.perdure.loop._tellers = [Alerts(settings, self.told, doing_about)]
        self.n = 0

    def spend(self, usd: float, *, hours_ago: float, key: str = "k1", arm: str = "champion") -> None:
        self.spend_all([(usd, hours_ago)], key=key, arm=arm)

    def spend_all(self, spent, *, key: str = "k1", arm: str = "champion") -> None:
        writer = SegmentWriter(self.folder / ".perdure" / "capture", CaptureSettings(min_free_bytes=0))
        for usd, hours_ago in spent:
            self.n += 1
            made = call(self.n)
            made.team, made.key, made.arm = "support", key, arm
            made.served_us = made.recorded_us = to_us(NOW) - int(hours_ago * 3.6e9)
            made.cost_pusd = round(usd * PICO)
            assert writer.append(made)
        writer.close()

    def tick(self, after=None):
        return self.perdure.tick(at=NOW + (after or hours(0)))

    def events(self) -> list[str]:
        return [event["event"] for body in self.told.bodies for event in body["events"]]


def team(*healthy, policy=None, budgets=None):
    found = [Budget(31.0, per="month")] if budgets is None else budgets
    return Team("support", budgets=found, healthy=healthy, policy=policy or Policy.propose())


def test_a_budget_that_will_be_gone_opens_an_incident_that_names_who_spends_and_asks_a_person(tmp_path):
    shop = Shop(tmp_path, team(burn_ratio(over=days(1)) <= 1.0))
    shop.spend_all([(0.5, 12.0 + 24.0 * day) for day in range(9)])
    assert shop.tick().opened == []
    shop.spend(4.0, hours_ago=-1.0, key="k_loop")
    report = shop.tick(days(1))
    assert [each.asset for each in report.opened] == ["team:support"]
    # 8.5 USD in ten days, and 4 a day for the other 21.
    [reading] = shop.perdure.place.stores.readings.list("team:support", since=NOW + hours(1))
    assert reading.value == pytest.approx((0.5 * 9 + 4.0 + 4.0 * 21) / 31.0)
    assert reading.facts["gone_by"] == "2026-03-16T15:00:00Z"
    [planned] = report.decided
    assert (planned.decision.choice, planned.decision.cause) == ("ask", "spender")
    assert planned.situation.causes[0].evidence["key"] == "k_loop"
    assert "asked" in shop.events()
    assert shop.told.bodies[0]["asset"] == "team:support"


def test_a_team_that_goes_on_as_its_budget_allows_is_healthy(tmp_path):
    shop = Shop(tmp_path, team(burn_ratio(over=days(1)) <= 1.0, spend_usd(over=days(1)) <= 2.0))
    shop.spend_all([(0.9, 12.0 + 24.0 * day) for day in range(9)])
    shop.spend(500.0, hours_ago=1.0, arm="shadow")
    report = shop.tick()
    assert {finding.reading.signal: finding.state for finding in report.findings} == {
        "burn_ratio": "healthy", "spend_usd": "healthy",
    }  # fmt: skip
    assert report.opened == []


def test_a_dear_day_that_is_over_heals(tmp_path):
    shop = Shop(tmp_path, team(burn_ratio(over=days(1)) <= 1.0, policy=Policy.propose(watch=hours(1))))
    shop.spend(5.0, hours_ago=2.0)
    [incident] = shop.tick().opened
    assert [each.id for day in range(1, 5) for each in shop.tick(days(day)).closed] == [incident.id]


def test_the_budget_of_one_key_is_watched_too(tmp_path):
    shop = Shop(tmp_path, team(burn_ratio(over=days(1), by="budget") <= 1.0, budgets=[Budget(100.0)]))
    key = shop.perdure.create_key("support", KeyTerms(budgets=[Budget(1.0, per="day")]), at=NOW - days(2)).key.id
    shop.spend(0.9, hours_ago=20.0, key=key)
    shop.spend(0.9, hours_ago=-1.0, key=key)
    shop.tick()
    shop.tick(hours(4))
    readings = shop.perdure.place.stores.readings.list("team:support", since=NOW + hours(1))
    # 0.9 USD today, and 1.8 in the last 24 hours for the other 20.
    assert {each.slice: each.value for each in readings} == {
        "budget=100 USD a month": pytest.approx((1.8 + 1.8 * (21 + 20 / 24)) / 100),
        f"budget=1 USD a day of {key}": pytest.approx(0.9 + 1.8 * 20 / 24),
    }


def test_a_budget_for_all_time_is_watched_thirty_days_ahead(tmp_path):
    """What was spent long ago counts in it; above 1 it will be gone within thirty days."""
    shop = Shop(tmp_path, team(burn_ratio(over=days(1)) <= 1.0, budgets=[Budget(40.0, per="total")]))
    shop.spend_all([(8.0, 24.0 * 80), (1.0, 12.0)])
    assert shop.tick().opened == []
    shop.spend(2.0, hours_ago=-1.0)
    report = shop.tick(days(1))
    [reading] = shop.perdure.place.stores.readings.list("team:support", since=NOW + hours(1))
    assert reading.value == pytest.approx((11.0 + 2.0 * 30) / 40.0)
    assert reading.facts["budget"] == "40 USD in total"
    assert [each.asset for each in report.opened] == ["team:support"]


def test_an_hour_that_costs_far_more_than_such_hours_did_is_an_incident_of_team_and_route(tmp_path):
    observed = [cost_anomaly(over=days(1)) <= 6.0]
    shop = Shop(tmp_path, team(*observed, budgets=[]), healthy=observed)
    shop.spend_all([(0.3 + 0.02 * (hour % 5), hour + 0.5) for hour in range(24 * 35)])
    assert shop.tick().opened == []
    shop.spend(60.0, hours_ago=-2.5, key="k_leaked")
    report = shop.tick(days(1))
    assert sorted(each.asset for each in report.opened) == ["support", "team:support"]
    [reading] = shop.perdure.place.stores.readings.list("team:support", since=NOW + hours(1))
    assert reading.value > 6.0
    assert reading.facts["hours"][0]["hour"] == "2026-03-10T02:00:00Z"
    [planned] = [each for each in report.decided if each.asset == "team:support"]
    assert planned.situation.causes[0].evidence["key"] == "k_leaked"


def test_what_is_too_young_to_be_judged_has_no_reading(tmp_path):
    shop = Shop(tmp_path, team(cost_anomaly(over=days(1)) <= 6.0, budgets=[]))
    shop.spend_all([(0.3, hour + 0.5) for hour in range(24 * 10)])
    assert shop.tick().findings == []


def test_a_team_without_objectives_is_not_watched_and_a_doubtful_one_is_told(tmp_path):
    assert [each.name for each in Shop(tmp_path / "a", team()).perdure.loop._watched] == ["support"]
    doubtful = Shop(tmp_path / "b", team(burn_ratio(over=days(1)) <= 1.0, budgets=[])).perdure
    said = [note.text for note in doubtful.check() if "Team" in note.text]
    assert any(text.startswith("Team 'support' is held to its burn ratio, and has no budget:") for text in said)
    misspelt = Shop(tmp_path / "c", team(), healthy=[burn_ratio(over=days(1)) <= 1.0]).perdure
    assert any("is held to 'burn_ratio', which nothing measures" in note.text for note in misspelt.check())
