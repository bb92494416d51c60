"""What calls cost, how full budgets are, and one call told whole, as people and programs ask for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perdure import Budget, Limits, Perdure, Project, Route, Target, Team, Upstream, days
from perdure.core.clock import parse_at, to_us
from perdure.core.errors import BadTeam, NotFound
from perdure.core.settings import CaptureSettings
from perdure.core.usage import PICO, Usage
from perdure.stores.capture.events import Call, Feedback
from perdure.stores.capture.segments import SegmentWriter
from perdure.surface.compose import stores_root
from perdure.surface.compose_gateway import open_counters
from perdure.surface.spending import DIMENSIONS
from perdure.testing.conformance.capture import call

NOW = parse_at("2026-03-20T12:00:00Z")
DECLARED = """\
from perdure import Budget, Limits, Route, Target, Team, Upstream

local = Upstream("local", "http://127.0.0.1:9/v1")
support = Route("support", [Target(local, "small")])
help_team = Team("help", budgets=[Budget(10.0, per="month")], limits=Limits(requests=60))
"""


def made(number: int, *, hours_ago: float = 1.0, usd: float | None = 0.5, **fields: object) -> Call:
    """A call of two tries, the second of which answered."""
    found = call(number, attempts=2)
    found.served_us = to_us(NOW) - int(hours_ago * 3.6e9)
    found.recorded_us = found.served_us + 1
    found.cost_pusd = None if usd is None else round(usd * PICO)
    found.attempts[-1].cost_pusd = found.cost_pusd
    for name, value in fields.items():
        setattr(found, name, value)
    return found


def capture(root: Path, *events: Call | Feedback) -> None:
    writer = SegmentWriter(root / "capture", CaptureSettings(min_free_bytes=0))
    assert all(writer.append(event) for event in events)
    writer.close()


@pytest.fixture
def gateway(tmp_path: Path) -> Perdure:
    """Three calls of yesterday and today, captured and not drained."""
    local = Upstream("local", "http://127.0.0.1:9/v1")
    team = Team("help", budgets=[Budget(10.0, per="month"), Budget(4.0, route="support")], limits=Limits(requests=60))
    project = Project.of("p", Route("support", [Target(local, "small")]), team)
    capture(
        tmp_path / ".perdure",
        made(1),
        made(2, hours_ago=30.0, usd=0.25, team="sales", outcome="cut", tags={"customer": "acme"}),
        made(3, usd=None, key="k2"),
    )
    return Perdure(tmp_path, project=project, actor="ann")


class TestSpend:
    def test_what_is_captured_and_not_drained_is_counted(self, gateway):
        told = gateway.spend(["team"], at=NOW)
        assert [(row.of, row.calls, row.cost_usd, row.n_unknown) for row in told.rows] == [
            ({"team": "help"}, 2, 0.5, 1),
            ({"team": "sales"}, 1, 0.25, 0),
        ]
        assert (told.total.calls, told.total.cost_usd, told.total.cut, told.as_of.whole) == (3, 0.75, 1, True)

    def test_periods_and_tags_are_dimensions_too(self, gateway):
        told = gateway.spend(["tag:customer"], per="day", at=NOW)
        assert [(row.period.day, row.of["tag:customer"], row.calls) for row in told.rows] == [
            (19, "acme", 1),
            (20, None, 2),
        ]

    def test_by_model_a_call_counts_at_each_that_it_tried_and_its_cost_once(self, gateway):
        told = gateway.spend(["model"], at=NOW)
        assert {row.of["model"]: (row.calls, row.cost_usd) for row in told.rows} == {
            "haiku": (3, 0.75),
            "small": (3, 0.0),
        }
        assert told.total.cost_usd == 0.75

    def test_calls_before_the_stretch_are_left_out(self, gateway):
        assert gateway.spend(since=days(1), at=NOW).total.calls == 2

    def test_a_dimension_or_zone_that_there_is_not_is_told_with_the_nearest(self, gateway):
        with pytest.raises(NotFound, match="Did you mean 'team'"):
            gateway.spend(["tema"], at=NOW)
        with pytest.raises(BadTeam, match="no time zone"):
            gateway.spend(timezone="Mars/Olympus", at=NOW)

    @pytest.mark.parametrize("name", ["nope", "request", "cost_pusd"])
    def test_a_dimension_that_is_like_none_is_told_with_all_that_there_are(self, gateway, name):
        with pytest.raises(NotFound, match=r"There are: team, key, route, target, upstream, model, .*tag:NAME"):
            gateway.spend([name], at=NOW)
        with pytest.raises(NotFound, match="There are: team"):
            gateway.spend_anomalies([name], at=NOW)

    def test_every_dimension_that_is_told_is_one(self, gateway):
        for name in DIMENSIONS:
            assert gateway.spend([name], at=NOW).total.calls == 3
            gateway.spend_anomalies([name], at=NOW)

    def test_while_another_process_runs_the_loop_it_says_as_of_when(self, gateway, tmp_path):
        assert gateway.spend(at=NOW).as_of.whole
        capture(tmp_path / ".perdure", made(4))
        with Perdure(tmp_path, project=gateway.project).hold_lease():
            told = gateway.spend(at=NOW)
        assert (told.total.calls, told.as_of.whole) == (3, False)
        assert told.as_of.at == NOW.replace(hour=11, microsecond=1)
        assert gateway.spend(at=NOW).total.calls == 4

    def test_an_hour_that_cost_a_hundred_times_what_such_hours_do_is_an_anomaly(self, gateway, tmp_path):
        usual = [made(100 + n, hours_ago=float(n) + 0.5, usd=0.2) for n in range(24 * 35)]
        capture(tmp_path / ".perdure", *usual, made(9, hours_ago=5.5, usd=20.0))
        [row] = gateway.spend_anomalies(since=days(1), at=NOW).rows
        assert (row.hour, row.cost_usd) == (NOW.replace(hour=6), 20.2)
        assert row.score > 6.0


class TestBudgets:
    def test_each_limit_stands_with_its_level_and_window(self, gateway):
        rows = gateway.budgets(at=NOW).rows
        assert [(row.what, row.per, row.route, row.ceiling) for row in rows] == [
            ("requests", "minute", "", 60.0),
            ("usd", "month", "", 10.0),
            ("usd", "month", "support", 4.0),
        ]
        assert rows[1].ends_at == parse_at("2026-04-01")

    def test_what_workers_settled_is_used(self, gateway):
        counters = open_counters(stores_root(gateway.folder, gateway.settings), gateway.settings)
        counters.settle("h", {"usd/team/help/*/2026-03": 9 * PICO, "usd/team/help/support/2026-03": 4 * PICO}, now_us=0)
        counters.close()
        whole, of_route = [row for row in gateway.budgets(at=NOW).rows if row.what == "usd"]
        assert (whole.used, whole.left, whole.gone_by) == (9.0, 1.0, None)
        assert (of_route.used, of_route.left) == (4.0, 0.0)

    def test_a_budget_that_lasts_is_not_gone_and_one_that_does_not_says_when(self, gateway, tmp_path):
        assert [row.gone_by for row in gateway.budgets(at=NOW).rows if row.what == "usd"] == [None, NOW + days(7)]
        capture(tmp_path / ".perdure", made(5, usd=9.0))
        whole, of_route = [row for row in gateway.budgets(at=NOW).rows if row.what == "usd"]
        assert whole.gone_by is not None
        assert NOW < whole.gone_by < NOW + days(1)
        assert of_route.gone_by == NOW.replace(hour=11)

    def test_calls_of_nobody_count_in_no_budget(self, gateway, tmp_path):
        capture(tmp_path / ".perdure", made(6, usd=100.0, arm="shadow"))
        assert [row.gone_by for row in gateway.budgets(at=NOW).rows if row.what == "usd"] == [None, NOW + days(7)]

    def test_a_team_that_there_is_not_is_told(self, gateway):
        with pytest.raises(NotFound, match="Did you mean 'help'"):
            gateway.budgets("halp", at=NOW)


class TestCalls:
    def test_the_newest_come_first_and_an_outcome_selects(self, gateway):
        assert [row.id for row in gateway.calls(at=NOW).rows] == ["c_3", "c_1", "c_2"]
        found = gateway.calls(outcome="cut", limit=1, at=NOW)
        assert ([row.team for row in found.rows], found.n) == (["sales"], 1)
        with pytest.raises(NotFound, match="Did you mean 'cut'"):
            gateway.calls(outcome="cutt", at=NOW)

    def test_one_call_is_told_whole(self, gateway, tmp_path):
        capture(tmp_path / ".perdure", Feedback("c_1", to_us(NOW), to_us(NOW), "k1", "helpful", 1.0, "thanks"))
        told = gateway.call("c_1", at=NOW)
        assert (told.call.cost_usd, told.call.version, told.call.tokens) == (
            0.5, "support@1", {"input": 11, "output": 5, "cached": 3},
        )  # fmt: skip
        assert [(each.target, each.status, each.began_ms) for each in told.attempts] == [
            ("openai/small", 503, 0.01), ("claude/haiku", 200, 0.92),
        ]  # fmt: skip
        assert [(each.guard, each.action) for each in told.guards] == [("pii", "redacted")]
        assert [(each.name, each.value) for each in told.feedback] == [("helpful", 1.0)]
        assert told.request == [{"role": "user", "content": "Hello"}]

    def test_a_call_is_found_by_its_beginning_and_one_that_there_is_not_is_told(self, gateway):
        assert gateway.call("1", at=NOW).call.id == "c_1"
        with pytest.raises(NotFound, match=r"No call 'c_9' was recorded. Did you mean 'c_\d'\?"):
            gateway.call("c_9", at=NOW)

    def test_a_route_that_there_is_not_is_told_with_the_nearest(self, gateway):
        with pytest.raises(NotFound, match=r"no route 'suport'\. Did you mean 'support'"):
            gateway.calls(route="suport", at=NOW)


class TestCommands:
    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.setattr("sys.dont_write_bytecode", True)
        (tmp_path / "perdure.toml").write_text('[project]\nname = "p"\npackage = "gateway_spending"\n')
        (tmp_path / "gateway_spending.py").write_text(DECLARED)
        usage = Usage(n_input=1200, n_output=300)
        capture(tmp_path / ".perdure", made(1, usage=usage), made(2, usd=12.0, team="sales"))
        return tmp_path

    def test_spend_is_a_table_with_units_and_a_total(self, cli, folder):
        lines = cli("perdure spend --by team --at 2026-03-20T12:00:00Z", folder).out.splitlines()
        assert lines == [
            "2026-03-13 12:00:00 to 2026-03-20 12:00:00 UTC",
            "team   calls  tokens  cost (USD)",
            "sales      1      17      $12.00",
            "help       1   1,500       $0.50",
            "total      2   1,517      $12.50",
        ]

    def test_anomalies_go_without_a_period(self, cli, folder):
        assert "No hour stands out" in cli("perdure spend --anomalies --at 2026-03-20", folder).out
        assert "--per goes not with --anomalies" in cli("perdure spend --anomalies --per day", folder, expect=2).err

    def test_budgets_show_units_windows_and_when_they_are_gone(self, cli, folder):
        out = cli("perdure budgets --at 2026-03-20T12:00:00Z", folder).out
        assert "requests a minute" in out
        assert "$10.00    0%  2026-04-01 00:00:00" in out

    def test_a_call_is_a_story_and_json_has_all_of_it(self, cli, folder):
        out = cli("perdure call c_1", folder).out
        assert "  who       team help, key k1\n" in out
        assert "  cost      $0.50\n" in out
        assert "request (as it is kept)\n  user: Hello\n" in out
        told = json.loads(cli("perdure call c_1 --json", folder).out)
        assert told["attempts"][0]["error"] == "upstream"
        rows = json.loads(cli("perdure calls --route support --at 2026-03-20T12:00:00Z --json", folder).out)["rows"]
        assert [row["id"] for row in rows] == ["c_2", "c_1"]
