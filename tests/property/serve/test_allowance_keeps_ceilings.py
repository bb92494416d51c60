"""Whatever workers do, die of, and lose: no ceiling is passed, and what was settled is counted exactly once."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from perdure.assets.team import Budget, Limits, Team
from perdure.core.errors import BudgetSpent, LimitReached, NotReady, StoreError
from perdure.core.settings import LimitSettings
from perdure.serve.gateway.allowance import Allowance, Reservation
from perdure.serve.gateway.windows import MINUTE_US
from perdure.stores.counters.memory import MemoryCounters
from perdure.stores.ledger.protocols import Key

START_US = 1_767_225_600_000_000
TEAM = Team("support", budgets=[Budget(1000e-12, per="day")], limits=Limits(requests=40, tokens=3000, concurrency=6))
KEY = Key("k1", "support", "digest", "label", datetime(2026, 1, 1, tzinfo=UTC))
DAY_US = 24 * 60 * MINUTE_US


class Flaky:
    """A real store behind a wire that breaks: before a thing is done, or after it, so that the answer is lost."""

    def __init__(self, store):
        self.store = store
        self.wire = "whole"
        self.verb = "any"

    def __getattr__(self, name):
        def call(*given, **named):
            if self.verb not in ("any", name):
                return getattr(self.store, name)(*given, **named)
            if self.wire == "before":
                raise StoreError("The wire is cut.")
            told = getattr(self.store, name)(*given, **named)
            if self.wire == "after":
                raise StoreError("The answer is lost.")
            return told

        return call


@dataclass
class Call:
    worker: Allowance
    hold: str
    reservation: Reservation
    at_us: int
    n_tokens: int
    cost: int


class Workers(RuleBasedStateMachine):
    """Three workers on one store."""

    @initialize(expired=st.sampled_from(["charge", "release"]), fail=st.sampled_from(["open", "closed"]))
    def begin(self, expired, fail):
        self.settings = LimitSettings(expired=expired, fail_budgets=fail, fail_limits="closed", hold_ttl_s=60.0)
        self.store = MemoryCounters()
        self.wire = Flaky(self.store)
        self.workers = [Allowance(self.wire, f"w{number}", self.settings) for number in range(3)]
        self.now_us = START_US + 30_000_000
        self.calls: list[Call] = []
        self.requests: dict[int, int] = {}
        self.tokens = self.money = self.n_settled = 0
        self.n_killed = 0

    @rule(number=st.integers(0, 2), n_tokens=st.integers(0, 400), cost=st.integers(0, 90))
    def reserve(self, number, n_tokens, cost):
        worker = self.workers[number]
        try:
            reservation = worker.reserve(worker.plan(TEAM, KEY, "chat"), self.now_us, n_tokens, cost)
        except (LimitReached, BudgetSpent, NotReady):
            return
        hold = worker._lender._hold.id
        self.calls.append(Call(worker, hold, reservation, self.now_us, n_tokens, cost))
        minute = self.now_us // MINUTE_US
        self.requests[minute] = self.requests.get(minute, 0) + 1

    @precondition(lambda self: self.calls)
    @rule(place=st.integers(0, 5), share=st.sampled_from([0.0, 0.3, 1.0]))
    def settle(self, place, share):
        call = self.calls.pop(place % len(self.calls))
        n_tokens, cost = int(call.n_tokens * share), int(call.cost * share)
        for _ in range(2):
            call.worker.settle(call.reservation, n_tokens, cost if share < 1.0 else None, self.now_us)
        self.tokens += n_tokens
        self.money += cost
        self.n_settled += 1

    @rule(number=st.integers(0, 2))
    def sync(self, number):
        self.workers[number].sync(self.now_us)

    @rule(seconds=st.sampled_from([0.01, 1.0, 7.0, 25.0]))
    def wait(self, seconds):
        for _ in range(2):
            self.now_us += int(seconds * 500_000)
            for worker in self.workers:
                worker.sync(self.now_us)

    @rule(wire=st.sampled_from(["whole", "whole", "before", "after"]), verb=st.sampled_from(["any", "spend", "take"]))
    def cut(self, wire, verb):
        self.wire.wire, self.wire.verb = wire, verb

    @precondition(lambda self: self.n_killed < 2)
    @rule(number=st.integers(0, 2))
    def kill(self, number):
        dead = self.workers[number]
        self.calls = [call for call in self.calls if call.worker is not dead]
        self.workers[number] = Allowance(self.wire, f"w{number}", self.settings)
        self.n_killed += 1

    def bucket(self, kind):
        prefix = {"usd": "usd/team/support/*/2026-01-01"}[kind]
        return self.store.read([prefix])[0]

    @invariant()
    def the_store_keeps_every_ceiling(self):
        if not hasattr(self, "store"):
            return
        money = self.bucket("usd")
        assert money.used + money.held <= 1000
        slots = self.store.read(["now/team/support"])[0]
        assert (slots.used, slots.held <= 6) == (0, True)

    @invariant()
    def what_was_really_spent_and_is_under_way_stays_under_the_budget(self):
        if hasattr(self, "store") and (self.settings.expired == "charge" or not self.n_killed):
            assert self.money + sum(call.cost for call in self.calls) <= 1000

    @invariant()
    def what_a_worker_believes_to_have_leased_is_what_the_store_holds_for_it(self):
        for worker in getattr(self, "workers", []):
            lender = worker._lender
            hold = self.store._holds.get(lender._hold.id)
            if lender._doubt is None and hold is not None and hold.state == 0:
                leased: dict[str, int] = {}
                for block in lender._active:
                    if block.hold is lender._hold and block.leased:
                        leased[block.bucket] = leased.get(block.bucket, 0) + block.leased
                assert {name: amount for name, amount in hold.amounts.items() if amount} == leased

    @invariant()
    def no_minute_has_more_requests_than_the_limit(self):
        assert max(getattr(self, "requests", {}).values(), default=0) <= 40

    @invariant()
    def no_more_calls_are_under_way_than_there_are_slots(self):
        mine = [call for call in getattr(self, "calls", []) if call.hold == call.worker._lender._hold.id]
        assert len(mine) <= 6

    def teardown(self):
        """With every wire whole and every call settled, the store has exactly what was settled."""
        if not hasattr(self, "store"):
            return
        self.wire.wire = "whole"
        while self.calls:
            call = self.calls.pop()
            call.worker.settle(call.reservation, 0, 0, self.now_us)
        for worker in self.workers:
            worker.sync(self.now_us)
            worker.close(self.now_us)
        money = self.bucket("usd")
        if not self.n_killed:
            assert (money.used, money.held) == (self.money, 0)
            tokens = [b for name, b in self.store._buckets.items() if name.startswith("tokens/")]
            assert (sum(b.used for b in tokens), sum(b.held for b in tokens)) == (self.tokens, 0)
            requests = [b for name, b in self.store._buckets.items() if name.startswith("requests/")]
            assert sum(b.used for b in requests) == sum(self.requests.values())
            return
        for _ in range(6):
            self.now_us += 61_000_000
            self.workers[0].sync(self.now_us)
        left = [b.held for b in self.store._buckets.values()]
        assert sum(left) == 0, "holds of the dead have ended"
        if self.settings.expired == "charge":
            assert self.bucket("usd").used >= self.money


Workers.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestWorkers = pytest.mark.slow(Workers.TestCase)


@pytest.mark.parametrize("seed", range(24))
def test_a_long_walk_keeps_every_ceiling(seed):
    """The same machine, further than a search for the shortest failure goes: the store breaks now and then for a while."""
    draw, machine = random.Random(seed), Workers()
    machine.begin(draw.choice(["charge", "release"]), draw.choice(["open", "closed"]))
    broken = 0
    for _ in range(500):
        turn = draw.random()
        if turn < 0.40:
            machine.reserve(draw.randrange(3), draw.randrange(400), draw.choice([0, 1, 5, 30]))
        elif turn < 0.75 and machine.calls:
            machine.settle(draw.randrange(6), draw.choice([0.0, 0.3, 1.0]))
        elif turn < 0.85:
            machine.sync(draw.randrange(3))
        elif turn < 0.93:
            machine.wait(draw.choice([0.01, 1.0, 25.0]))
        elif not broken:
            machine.cut(draw.choice(["before", "after"]), draw.choice(["any", "spend", "take"]))
            broken = draw.randrange(1, 8)
        elif seed % 3 == 0 and draw.random() < 0.02 and machine.n_killed < 2:
            machine.kill(draw.randrange(3))
        broken = max(broken - 1, 0)
        if not broken:
            machine.cut("whole", "any")
        machine.the_store_keeps_every_ceiling()
        machine.what_was_really_spent_and_is_under_way_stays_under_the_budget()
        machine.what_a_worker_believes_to_have_leased_is_what_the_store_holds_for_it()
        machine.no_minute_has_more_requests_than_the_limit()
        machine.no_more_calls_are_under_way_than_there_are_slots()
    assert machine.n_settled > 20
    machine.teardown()
