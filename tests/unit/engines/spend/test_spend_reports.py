from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from perdure.core.errors import BadRequest, NotFound, TooFewRows
from perdure.core.usage import PICO
from perdure.engines.spend import burn, by_target, spend

NOON = datetime(2026, 3, 31, 12, tzinfo=UTC)


def calls(*rows):
    """A table of calls; each row says what differs from a call of one dollar at noon."""
    default = {
        "route": "support",
        "team": "care",
        "key": "k1",
        "served_at": NOON,
        "outcome": "answered",
        "n_input": 10,
        "n_output": 5,
        "cost_pusd": PICO,
        "saved_pusd": 0,
        "tags": "{}",
    }
    told = [{"call_id": f"c{place}", **default, **row} for place, row in enumerate(rows)]
    schema = {"cost_pusd": pl.Int64, "n_input": pl.Int64, "served_at": pl.Datetime("us", "UTC")}
    names = dict.fromkeys(default, pl.String) | {"n_output": pl.Int64, "saved_pusd": pl.Int64, **schema}
    return pl.DataFrame(told, schema={"call_id": pl.String, **names})


def attempts(*rows):
    default = {"place": 0, "target": "openai/gpt-5", "n_input": 10, "n_output": 5, "cost_pusd": PICO}
    schema = {"call_id": pl.String, "target": pl.String}
    schema |= {name: pl.Int64 for name in default if name != "target"}
    return pl.DataFrame([default | row for row in rows], schema=schema)


def test_the_whole_is_one_row_that_adds_everything_up():
    table = calls(
        {}, {"cost_pusd": None}, {"outcome": "cut", "saved_pusd": PICO // 2}, {"outcome": "cancelled", "n_input": None}
    )
    assert spend(table).rows(named=True) == [
        {"calls": 4, "tokens": 50, "cost_usd": 3.0, "n_unknown": 1, "saved_usd": 0.5, "cut": 1, "cancelled": 1}
    ]


def test_nothing_spent_is_zero_and_nothing_known_is_null():
    assert spend(calls()).row(0) == (0, 0, 0.0, 0, 0.0, 0, 0)
    assert spend(calls({"cost_pusd": None}))["cost_usd"].to_list() == [None]
    assert spend(calls(), ["team"]).is_empty()


def test_dimensions_come_dearest_first_and_unknown_ones_last():
    table = calls({"team": "a"}, {"team": "b", "cost_pusd": 5 * PICO}, {"team": "c", "cost_pusd": None})
    assert spend(table, ["team", "route"]).select("team", "cost_usd").rows() == [("b", 5.0), ("a", 1.0), ("c", None)]


def test_periods_are_those_of_a_time_zone():
    late = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)
    table = calls({"served_at": NOON}, {"served_at": late})
    assert spend(table, per="month")["calls"].to_list() == [2]
    berlin = spend(table, per="month", timezone="Europe/Berlin")
    assert berlin["period"].dt.month().to_list() == [3, 4]
    assert spend(table, per="hour")["period"].to_list() == [NOON, late.replace(minute=0)]
    assert spend(table, per="day").height == 1


def test_a_tag_is_a_dimension():
    table = calls({"tags": '{"customer": "acme", "a b": "1"}'}, {"tags": '{"customer": "zeta"}'}, {})
    told = spend(table, ["tag:customer"]).sort("tag:customer", nulls_last=True)
    assert told["tag:customer"].to_list() == ["acme", "zeta", None]
    assert spend(table, ["tag:a b"])["calls"].sum() == 3


@pytest.mark.parametrize("tag", ["tag:", "tag:x'] or $.y['", 'tag:"'])
def test_a_tag_that_is_none_is_refused(tag):
    with pytest.raises(BadRequest):
        spend(calls({}), [tag])


def test_an_unknown_dimension_names_the_nearest():
    with pytest.raises(NotFound, match="team"):
        spend(calls({}), ["teem"])


def test_sums_do_not_wrap_at_sixty_four_bits():
    table = calls(*[{"cost_pusd": 5_000_000 * PICO, "n_input": 2**62}] * 3)
    assert spend(table)["cost_usd"].item() == 15_000_000.0
    assert spend(table)["tokens"].item() is None, "no count of tokens, rather than a wrong one"


def test_targets_are_paid_what_their_attempts_cost():
    table = calls({"outcome": "cut", "cost_pusd": 3 * PICO}, {"cost_pusd": None}, {"saved_pusd": PICO, "cost_pusd": 0})
    tried = attempts(
        {"call_id": "c0", "cost_pusd": 2 * PICO},
        {"call_id": "c0", "place": 1, "target": "claude/anthropic/claude-haiku"},
        {"call_id": "c1", "n_input": None, "n_output": None, "cost_pusd": None},
        {"call_id": "c1", "place": 1, "cost_pusd": None},
    )
    rows = by_target(table, tried)
    told = spend(rows, ["upstream", "model"]).select("upstream", "model", "calls", "cost_usd", "n_unknown", "cut")
    assert told.rows() == [
        ("openai", "gpt-5", 2, 2.0, 1, 0),
        ("claude", "anthropic/claude-haiku", 1, 1.0, 0, 1),
    ]
    assert spend(rows, ["team"])["calls"].item() == 2


def a_day(usd_per_hour, n_hours=24):
    return calls(
        *({"served_at": NOON + timedelta(hours=hour), "cost_pusd": int(usd_per_hour * PICO)} for hour in range(n_hours))
    )


MONTH = (NOON, NOON + timedelta(days=30))


def test_an_even_burn_is_one_and_lasts_the_window():
    told = burn(a_day(1.0), 720.0, MONTH, NOON + timedelta(hours=24))
    assert (told.spent_usd, told.left_usd, told.rate_usd_per_h) == (24.0, 696.0, 1.0)
    assert told.burn_ratio == pytest.approx(1.0)
    assert told.projected_usd == pytest.approx(720.0)
    assert told.spent_at == MONTH[1]


def test_a_fast_burn_says_when_the_budget_will_be_gone():
    at = NOON + timedelta(hours=24)
    told = burn(a_day(2.0), 720.0, MONTH, at)
    assert told.burn_ratio == pytest.approx(2.0)
    assert told.spent_at == at + timedelta(hours=(720 - 48) / 2)


def test_a_slow_burn_and_none_leave_something():
    at = NOON + timedelta(hours=24)
    assert burn(a_day(0.5), 720.0, MONTH, at).spent_at is None
    idle = burn(calls(), 720.0, MONTH, at)
    assert (idle.rate_usd_per_h, idle.spent_at, idle.projected_usd) == (0.0, None, 0.0)


def test_a_budget_that_is_gone_says_since_when():
    told = burn(a_day(1.0), 10.0, MONTH, NOON + timedelta(hours=24))
    assert told.spent_at == NOON + timedelta(hours=9)
    assert told.left_usd == -14.0


def test_the_rate_is_of_the_newest_stretch_and_the_spend_of_the_window():
    at = NOON + timedelta(hours=24)
    told = burn(a_day(1.0), 100.0, (NOON + timedelta(hours=22), MONTH[1]), at, over=timedelta(hours=12))
    assert (told.spent_usd, told.rate_usd_per_h) == (2.0, 1.0)
    later = burn(a_day(1.0), 100.0, MONTH, NOON + timedelta(hours=2))
    assert later.spent_usd == 2.0


def test_unknown_prices_are_counted_beside_a_burn():
    assert burn(calls({"cost_pusd": None}, {}), 5.0, MONTH, NOON + timedelta(hours=1)).n_unknown == 1


@pytest.mark.parametrize(("budget", "over"), [(0.0, 1), (float("nan"), 1), (1.0, 0)])
def test_a_burn_of_nothing_is_refused(budget, over):
    with pytest.raises(TooFewRows):
        burn(calls({}), budget, MONTH, NOON, over=timedelta(hours=over))
