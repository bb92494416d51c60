"""Which limits and budgets a call is under."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from perdure.assets.team import Budget, Limits, Team
from perdure.core.errors import BadTeam
from perdure.serve.gateway.allowance_plan import limits_of_call
from perdure.stores.ledger.protocols import Key

AT = datetime(2026, 1, 1, tzinfo=UTC)


def key(**limits):
    return Key("k1", "support", "digest", "a label", AT, limits=limits)


def told(team, key, route="chat"):
    return [
        (each.kind, each.scope, each.name, each.ceiling, each.per, each.route)
        for each in limits_of_call(team, key, route)
    ]


def test_counts_come_before_money_and_the_key_before_the_team():
    team = Team(
        "support",
        limits=Limits(requests=600, tokens=9000, concurrency=50),
        key_limits=Limits(requests=60),
        budgets=[Budget(2, per="day"), Budget(1, per="week", each_key=True)],
    )

    assert told(team, key()) == [
        ("requests", "key", "k1", 60, "minute", ""),
        ("requests", "team", "support", 600, "minute", ""),
        ("tokens", "team", "support", 9000, "minute", ""),
        ("concurrency", "team", "support", 50, "", ""),
        ("usd", "key", "k1", 10**12, "week", ""),
        ("usd", "team", "support", 2 * 10**12, "day", ""),
    ]


def test_a_key_s_own_limit_replaces_the_one_of_each_key():
    team = Team("support", key_limits=Limits(requests=60, tokens=10))
    own = key(requests=5, budgets=[{"usd": 3, "per": "total"}])

    assert told(team, own) == [
        ("requests", "key", "k1", 5, "minute", ""),
        ("tokens", "key", "k1", 10, "minute", ""),
        ("usd", "key", "k1", 3 * 10**12, "total", ""),
    ]


def test_a_budget_of_one_route_counts_calls_to_it_alone():
    team = Team("support", budgets=[Budget(2, route="chat"), Budget(3, route="search")])

    assert told(team, key()) == [("usd", "team", "support", 2 * 10**12, "month", "chat")]
    assert told(team, key(), "other") == []


def test_of_budgets_that_count_the_same_the_smaller_one_counts():
    team = Team("support", budgets=[Budget(5), Budget(3), Budget(4)])

    assert [each[3] for each in told(team, key())] == [3 * 10**12]


@pytest.mark.parametrize(
    ("team", "own", "message"),
    [
        (Team("support"), {"requsts": 5}, "unknown limits requsts"),
        (Team("support"), {"requests": 0}, "below one"),
        (Team("support"), {"budgets": [{"dollars": 5}]}, "A budget of key 'k1' means nothing"),
        (Team("support", budgets=[Budget(5e6)]), {}, "too large to be counted"),
        (Team("support", budgets=[Budget(5)], timezone="Mars/Base"), {}, "no time zone"),
    ],
)
def test_what_means_nothing_is_told(team, own, message):
    with pytest.raises(BadTeam, match=message):
        limits_of_call(team, key(**own), "chat")
