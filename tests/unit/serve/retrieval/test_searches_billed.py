"""Who pays for a question that an upstream embeds, and what is kept aside for it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pytest

from perdure.assets.embedders import Endpoint
from perdure.assets.route import Route, Target, UnitPrices
from perdure.assets.team import Budget, Team
from perdure.assets.upstream import Upstream
from perdure.core.errors import BudgetSpent, UpstreamError
from perdure.core.ports import Embedded
from perdure.engines.retrieval.embedders.asked import AskedVectors
from perdure.serve.gateway.allowance import Allowance
from perdure.serve.gateway.settling import Settling
from perdure.serve.retrieval.billing import Billing
from perdure.serve.retrieval.callers import Caller
from perdure.stores.counters.sqlite import SqliteCounters
from perdure.stores.ledger.protocols import Key

NOW_US = 1_700_000_000_000_000
UP = Upstream("up", "https://up.example/v1")
ROUTE = Route("vectors", [Target(UP, "small", prices=UnitPrices(input=2, output=0))])
KEY = Key("k1", "team", "digest", "test", datetime(2026, 1, 5, tzinfo=UTC))


class Counts:
    """An embedder that counts seven tokens of whatever it is asked; or does not answer."""

    def __init__(self, fails=False):
        self.fails = fails

    def embed(self, route, texts):
        if self.fails:
            raise UpstreamError("It does not answer.")
        return Embedded(np.ones((len(texts), 2), np.float32), 7)


@pytest.fixture
def asked(tmp_path):
    """Embeds a question for a team; gives the calls on record, and what the team's budget has left."""
    allowance = Allowance(SqliteCounters(tmp_path / "counters.db"), "test")

    def ask(usd=1.0, *, shadow=False, fails=False):
        team, calls = Team("team", budgets=[Budget(usd, per="total")]), []

        def finish(call):
            usage, cost = call.total()
            if call.reservation is not None:
                Settling(allowance).settle(call, usage, cost)
            calls.append(call.record(usage, cost))

        billing = Billing(allowance, {"vectors": ROUTE}, {"up": UP}, iter(f"x{n}" for n in range(9)).__next__, finish)
        embedder = AskedVectors(Endpoint("vectors", 2), Counts(fails))

        async def run():
            payer = billing.payer(Caller("k1", team, KEY), "handbook", "s1", NOW_US, shadow=shadow)
            await asyncio.get_running_loop().run_in_executor(None, partial(payer.embedded, embedder, "When?"))

        try:
            asyncio.run(run())
        finally:
            allowance.sync(NOW_US)
            [level] = allowance.levels(team, NOW_US)
            ask.calls, ask.used = calls, level.used
        return calls

    return ask


def test_what_the_upstream_counted_is_settled(asked):
    [call] = asked()
    assert (call.usage.n_input, call.usage.estimated, call.cost_pusd, call.arm) == (7, False, 14_000_000, "")
    assert asked.used == 14_000_000


def test_a_shadow_is_on_record_and_takes_nothing(asked):
    """Nor is it held back by a budget that is spent."""
    [call] = asked(1e-9, shadow=True)
    assert (call.arm, call.cost_pusd, asked.used) == ("shadow", 14_000_000, 0)


def test_a_budget_without_room_asks_nobody(asked):
    with pytest.raises(BudgetSpent):
        asked(1e-9)
    assert (asked.calls, asked.used) == ([], 0)


def test_what_is_not_answered_is_given_back(asked):
    with pytest.raises(UpstreamError):
        asked(fails=True)
    assert [(call.outcome, call.cost_pusd) for call in asked.calls] == [("failed", 0)]
    assert asked.used == 0


def test_without_teams_nobody_pays(asked, tmp_path):
    billing = Billing(Allowance(SqliteCounters(tmp_path / "c.db"), "t"), {}, {}, lambda: "x", lambda call: None)
    assert billing.payer(Caller("", None), "handbook", "s1", NOW_US, shadow=False) is None
