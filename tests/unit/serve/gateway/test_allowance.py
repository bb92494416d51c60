"""Reserve, settle, sync: what a caller is told, and what the store has."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from perdure.assets.team import Budget, Limits, Team
from perdure.core.errors import BudgetSpent, LimitReached, NotReady, Refused, StoreError, TooLarge
from perdure.core.settings import LimitSettings
from perdure.core.usage import PICO
from perdure.serve.gateway.allowance import Allowance
from perdure.stores.counters.memory import MemoryCounters
from perdure.stores.ledger.protocols import Key

NOW = 1_767_225_600_000_000  # 2026-01-01 00:00 UTC, the begin of a minute
SECOND = 1_000_000
KEY = Key("k1", "support", "digest", "label", datetime(2026, 1, 1, tzinfo=UTC))


class Cable:
    """A real store behind a wire that can be cut."""

    def __init__(self, store):
        self.store, self.cut = store, False

    def __getattr__(self, name):
        if self.cut:
            raise StoreError("The wire is cut.")
        return getattr(self.store, name)


@pytest.fixture
def store():
    return Cable(MemoryCounters())


def taken(worker, team, n, now_us=NOW, *, tokens=0, cost=0, key=KEY):
    """As many reservations as are given, up to n, and the error that ended it."""
    found = []
    for _ in range(n):
        try:
            found.append(worker.reserve(worker.plan(team, key, "chat"), now_us, tokens, cost))
        except (LimitReached, BudgetSpent, NotReady) as error:
            return found, error
    return found, None


def level(worker, team, kind, now_us=NOW, keys=()):
    found = [each for each in worker.levels(team, now_us, keys) if each.limit.kind == kind]
    return [(each.used, each.held) for each in found]


def test_a_limit_of_requests_lets_exactly_so_many_through(store):
    team = Team("support", limits=Limits(requests=60))
    worker = Allowance(store, "w")

    calls, error = taken(worker, team, 100)

    assert len(calls) == 60
    assert isinstance(error, LimitReached)
    assert (error.facts["limit"], error.facts["scope"], error.facts["ceiling"]) == ("requests", "team", 60)
    assert error.delay_s == pytest.approx(61.0)


def test_a_caller_that_comes_back_when_told_is_served(store):
    team = Team("support", limits=Limits(requests=60))
    worker = Allowance(store, "w")
    now_us = NOW + 20 * SECOND
    taken(worker, team, 60, now_us)
    for _ in range(20):
        _, error = taken(worker, team, 1, now_us)
        worker.sync(now_us)
        now_us += round(error.delay_s * SECOND)
        calls, error = taken(worker, team, 1, now_us)
        assert (len(calls), error) == (1, None)


def test_a_burst_over_the_turn_of_a_minute_is_not_doubled(store):
    team = Team("support", limits=Limits(requests=60))
    worker = Allowance(store, "w")

    before, _ = taken(worker, team, 100, NOW + 59 * SECOND)
    after, _ = taken(worker, team, 100, NOW + 61 * SECOND)

    assert (len(before), len(after)) == (60, 1)


def test_tokens_are_reserved_at_their_most_and_counted_as_used(store):
    team = Team("support", limits=Limits(tokens=1000))
    worker = Allowance(store, "w")
    (first, second), error = taken(worker, team, 9, tokens=400)
    assert isinstance(error, LimitReached)

    worker.settle(first, 100, None, NOW)
    worker.settle(second, 100, None, NOW)

    assert len(taken(worker, team, 9, NOW + SECOND, tokens=400)[0]) == 2
    worker.sync(NOW + SECOND)
    assert level(worker, team, "tokens") == [(200, 800)]


def test_a_call_that_needs_more_than_an_empty_minute_has_is_too_large(store):
    worker = Allowance(store, "w")
    plan = worker.plan(Team("support", limits=Limits(tokens=1000)), KEY, "chat")

    with pytest.raises(TooLarge, match="may need 1,001 tokens, but team 'support' may use 1,000") as caught:
        worker.reserve(plan, NOW, 1001, 0)
    assert caught.value.facts["ceiling"] == 1000


def test_slots_are_free_again_when_calls_are_settled_whatever_became_of_them(store):
    team = Team("support", limits=Limits(concurrency=3))
    worker = Allowance(store, "w")
    calls, error = taken(worker, team, 9)
    assert (len(calls), error.facts["limit"], error.delay_s) == (3, "concurrency", 1.0)

    for _ in range(2):
        worker.settle(calls[0], 0, 0, NOW)

    assert len(taken(worker, team, 9)[0]) == 1


def test_a_spent_budget_says_until_when(store):
    team = Team("support", budgets=[Budget(1, per="day")], timezone="Europe/Berlin")
    worker = Allowance(store, "w")

    calls, error = taken(worker, team, 9, cost=PICO * 3 // 10)

    assert (len(calls), type(error)) == (3, BudgetSpent)
    assert error.facts["until"] == "2026-01-01T23:00:00Z"
    assert (error.facts["used_pusd"], error.facts["held_pusd"], error.facts["ceiling_pusd"]) == (
        0,
        9 * PICO // 10,
        PICO,
    )
    assert "$1.00 a day of team 'support'" in error.message


def test_a_new_window_has_its_own_budget(store):
    team = Team("support", budgets=[Budget(1, per="day")], timezone="Europe/Berlin")
    worker = Allowance(store, "w")
    calls, _ = taken(worker, team, 9, cost=PICO)

    assert taken(worker, team, 9, NOW + 23 * 3600 * SECOND, cost=PICO)[1] is not None
    worker.settle(calls[0], 0, PICO // 2, NOW)
    assert level(worker, team, "usd", NOW + 23 * 3600 * SECOND) == [(0, PICO)]
    worker.sync(NOW + 23 * 3600 * SECOND)
    assert level(worker, team, "usd") == [(PICO // 2, 0)], "a call counts in the window in which it began"


def test_each_key_has_its_own_budget_and_all_share_the_team_s(store):
    team = Team("support", budgets=[Budget(1, per="total", each_key=True), Budget(1.5, per="total")])
    worker, other = Allowance(store, "w"), replace(KEY, id="k2")

    assert len(taken(worker, team, 9, cost=PICO // 2)[0]) == 2
    assert len(taken(worker, team, 9, cost=PICO // 2, key=other)[0]) == 1
    assert level(worker, team, "usd", keys=[KEY, other]) == [(0, 3 * PICO // 2), (0, PICO), (0, PICO // 2)]


def test_a_call_that_cost_more_than_was_reserved_is_counted_in_full(store):
    team = Team("support", budgets=[Budget(1, per="total")])
    worker = Allowance(store, "w")
    (call,), _ = taken(worker, team, 1, cost=PICO // 2)

    worker.settle(call, 0, 2 * PICO, NOW)
    worker.sync(NOW)

    assert level(worker, team, "usd") == [(2 * PICO, 0)]
    assert isinstance(taken(worker, team, 1, cost=1)[1], BudgetSpent)
    assert taken(worker, team, 1, cost=0)[1] is None, "what costs nothing needs no room"


def test_a_price_that_is_not_known_is_refused_where_a_budget_applies(store):
    worker = Allowance(store, "w")
    team = Team("support", budgets=[Budget(1, route="chat")])

    with pytest.raises(Refused, match=r"What a call to 'chat' costs is not known.*UnitPrices"):
        worker.reserve(worker.plan(team, KEY, "chat"), NOW, 0, None)
    assert worker.reserve(worker.plan(team, KEY, "other"), NOW, 0, None)
    allowing = replace(team, unpriced="allow")
    call = worker.reserve(worker.plan(allowing, KEY, "chat"), NOW, 0, None)
    worker.settle(call, 0, 7, NOW)
    worker.sync(NOW)
    assert level(worker, allowing, "usd") == [(7, 0)], "what turns out is counted"


def test_a_cost_that_stays_unknown_is_counted_as_reserved(store):
    team = Team("support", budgets=[Budget(1)])
    worker = Allowance(store, "w")
    (call,), _ = taken(worker, team, 1, cost=700)
    worker.settle(call, 0, None, NOW)
    worker.sync(NOW)

    assert level(worker, team, "usd")[0][0] == 700


def test_workers_share_one_budget_to_the_last_call(store):
    """Whatever one holds idle it gives back at its sync: together they get exactly the budget."""
    team = Team("support", budgets=[Budget(1, per="total")])
    workers = [Allowance(store, f"w{number}") for number in range(4)]
    cost, n_calls, now_us = PICO // 200, 0, NOW
    for turn in range(100):
        for number, worker in enumerate(workers):
            if turn < 50 or number == 0:
                calls, _ = taken(worker, team, 3, now_us, cost=cost)
                n_calls += len(calls)
                for call in calls:
                    worker.settle(call, 0, cost, now_us)
        if turn % 10 == 9:
            now_us += SECOND // 2
            for worker in workers:
                worker.sync(now_us)

    assert n_calls == 200
    for worker in workers:
        worker.close(now_us)
    assert level(workers[0], team, "usd") == [(PICO, 0)]


def test_near_a_ceiling_nothing_idle_is_kept_from_others(store):
    """No refusal while there is room: an idle worker gives all back within a sync."""
    team = Team("support", limits=Limits(requests=100))
    first, second = Allowance(store, "a"), Allowance(store, "b")
    given = len(taken(first, team, 95)[0])
    first.sync(NOW)
    first.sync(NOW + SECOND // 2)

    assert given + len(taken(second, team, 100, NOW + SECOND)[0]) == 100


def test_blocks_keep_calls_from_the_store(store):
    """Once the rate is known, ninety-nine of a hundred calls are answered from memory."""
    team = Team("support", budgets=[Budget(1e6)], limits=Limits(requests=10**6, tokens=10**9, concurrency=100))
    worker, slow = Allowance(store, "w"), 0
    plan = worker.plan(team, KEY, "chat")
    for number in range(4000):
        now_us = NOW + number * 1000
        found = worker.try_reserve(plan, now_us, 1000, PICO // 100)
        if found is None:
            slow += 1
            found = worker.reserve(plan, now_us, 1000, PICO // 100)
        worker.settle(found, 300, PICO // 500, now_us)
        if number % 500 == 499:
            worker.sync(now_us)

    assert slow < 40


def test_an_idle_worker_gives_everything_back(store):
    team = Team("support", budgets=[Budget(100)], limits=Limits(tokens=10**6, concurrency=40))
    worker = Allowance(store, "w")
    for call in taken(worker, team, 50, tokens=10, cost=PICO // 100)[0]:
        worker.settle(call, 10, PICO // 100, NOW)
    for turn in range(60):
        worker.sync(NOW + turn * SECOND // 2)

    assert {each.held for each in worker.levels(team, NOW)} == {0}
    assert worker._lender._active == {}, "and forgets it"


def test_a_dead_worker_s_reservation_is_charged_or_given_back_by_policy(store):
    team = Team("support", budgets=[Budget(1, per="total")], limits=Limits(concurrency=5))
    for expired, used in (("charge", PICO // 2), ("release", 0)):
        counters = MemoryCounters()
        dead = Allowance(counters, "dead")
        taken(dead, team, 1, cost=PICO // 2)
        living = Allowance(counters, "living", LimitSettings(expired=expired))
        ended = [each for turn in range(130) for each in living.sync(NOW + turn * SECOND // 2)]

        assert [(each.owner, each.charged) for each in ended] == [("dead", expired == "charge")]
        assert level(living, team, "usd") == [(used, 0)]
        assert level(living, team, "concurrency") == [(0, 0)]


def test_nobody_is_taken_for_dead_after_an_outage(store):
    """All were cut off: each renews at its own next sync."""
    team = Team("support", budgets=[Budget(1, per="total")])
    workers = [Allowance(store, name) for name in "ab"]
    for worker in workers:
        taken(worker, team, 1, cost=PICO // 4)
        worker.sync(NOW)
    store.cut = True
    for turn in range(300):
        for worker in workers:
            worker.sync(NOW + turn * SECOND // 2)
    assert workers[0].away
    store.cut = False

    later = NOW + 200 * SECOND
    ended = [each for turn in range(10) for worker in workers for each in worker.sync(later + turn * SECOND // 2)]

    assert (ended, workers[0].away) == ([], False)
    assert level(workers[0], team, "usd")[0][0] == 0


def test_a_worker_that_was_taken_for_dead_starts_anew(store):
    """What it gives back is taken off the charge again; nothing is counted twice."""
    team = Team("support", budgets=[Budget(1, per="total")])
    slow, living = Allowance(store, "slow"), Allowance(store, "living")
    (call, other), _ = taken(slow, team, 2, cost=PICO // 4)
    for turn in range(130):
        living.sync(NOW + turn * SECOND // 2)
    assert level(living, team, "usd") == [(PICO // 2, 0)]

    later = NOW + 70 * SECOND
    slow.settle(call, 0, PICO // 5, later)
    slow.settle(other, 0, PICO // 5, later)
    slow.sync(later)
    assert level(living, team, "usd") == [(2 * PICO // 5, 0)]
    assert taken(slow, team, 9, later, cost=PICO // 5)[0]


def test_what_was_leased_goes_on_while_the_store_is_away(store):
    """And what was settled meanwhile is told when it is back."""
    team = Team("support", budgets=[Budget(100, per="total")])
    worker = Allowance(store, "w")
    cost, now_us = PICO // 100, NOW
    for turn in range(4):
        for call in taken(worker, team, 10, now_us, cost=cost)[0]:
            worker.settle(call, 0, cost, now_us)
        now_us = NOW + turn * SECOND // 2
        worker.sync(now_us)
    ((used, held),) = level(worker, team, "usd")
    store.cut = True

    calls, error = taken(worker, team, 1000, now_us, cost=cost)

    assert isinstance(error, NotReady)
    assert len(calls) == held // cost > 10, "just what was leased before, and nothing more"
    for call in calls:
        worker.settle(call, 0, cost, now_us)
    assert worker.sync(now_us) == []
    store.cut = False
    worker.sync(now_us + SECOND)
    assert level(worker, team, "usd")[0][0] == used + held
    assert taken(worker, team, 1, now_us + SECOND, cost=cost)[1] is None


@pytest.mark.parametrize(("fail", "n_calls"), [("open", 3), ("closed", 0)])
def test_leased_money_after_the_hold_s_end_goes_by_policy(store, fail, n_calls):
    team = Team("support", budgets=[Budget(100, per="total")])
    worker = Allowance(store, "w", LimitSettings(fail_budgets=fail))
    for call in taken(worker, team, 3, cost=PICO // 100)[0]:
        worker.settle(call, 0, 0, NOW)
    store.cut = True
    worker.sync(NOW)

    calls, error = taken(worker, team, 3, NOW + 61 * SECOND, cost=PICO // 100)

    assert len(calls) == n_calls
    assert (error is None) == (n_calls == 3)


@pytest.mark.parametrize("fail", ["open", "closed"])
def test_limits_while_the_store_is_away_go_by_policy(store, fail):
    """Open: in each minute again what the worker had leased in the last whole one, once; closed: nothing."""
    team = Team("support", limits=Limits(requests=60, concurrency=4))
    worker = Allowance(store, "w", LimitSettings(fail_limits=fail))
    for minute in (0, 1):
        for number in range(30):
            now_us = NOW + minute * 60 * SECOND + number * 2 * SECOND
            calls, _ = taken(worker, team, 1, now_us)
            worker.settle(calls[0], 0, 0, now_us)
            worker.sync(now_us)
    store.cut = True
    counts = []
    for minute in (2, 3, 4):
        now_us = NOW + (minute * 60 + 5) * SECOND
        calls, error = taken(worker, team, 3, now_us)
        counts.append(len(calls))
        for call in calls:
            worker.settle(call, 0, 0, now_us)
        worker.sync(now_us)
        assert fail == "open" or isinstance(error, NotReady)
        for _ in range(60):
            calls, error = taken(worker, team, 1, now_us)
            counts[-1] += len(calls)
            for call in calls:
                worker.settle(call, 0, 0, now_us)

    assert len(set(counts)) == 1
    assert 30 <= counts[0] <= 34 if fail == "open" else counts[0] == 0
    store.cut = False
    worker.sync(now_us)
    worker.sync(now_us)
    assert level(worker, team, "requests", now_us)[0][0] == counts[-1], "what was used is told when it is back"


def test_a_changed_ceiling_counts_at_once(store):
    """For calls that come after the team was declared anew; what stood under the old one is given back."""
    team = Team("support", budgets=[Budget(100, per="total")])
    worker = Allowance(store, "w")
    for call in taken(worker, team, 5, cost=PICO)[0]:
        worker.settle(call, 0, PICO, NOW)
    lower = replace(team, budgets=(Budget(7, per="total"),))

    plan = worker.plan(lower, KEY, "chat")
    worker.sync(NOW)

    assert worker.plan(lower, KEY, "chat") is plan
    assert len(taken(worker, lower, 9, cost=PICO)[0]) == 2


def test_a_refusal_is_not_asked_for_again_at_once(store):
    """A caller that hammers at a limit costs the store nothing; a slot that is freed is seen at once."""
    team = Team("support", limits=Limits(concurrency=2))
    worker = Allowance(store, "w")
    calls, _ = taken(worker, team, 3)
    store.cut = True

    assert all(isinstance(taken(worker, team, 1)[1], LimitReached) for _ in range(5))
    assert not worker.away
    worker.settle(calls[0], 0, 0, NOW)
    assert len(taken(worker, team, 1)[0]) == 1


def test_closing_gives_everything_back(store):
    team = Team("support", budgets=[Budget(100)], limits=Limits(tokens=1000, concurrency=4))
    worker = Allowance(store, "w")
    (call, _), _ = taken(worker, team, 2, tokens=10, cost=PICO)
    worker.settle(call, 5, PICO // 2, NOW)
    worker.close(NOW)

    assert level(worker, team, "usd") == [(PICO // 2, 0)]
    assert {each.held for each in worker.levels(team, NOW)} == {0}


def test_without_limits_nothing_is_asked(store):
    store.cut = True
    worker = Allowance(store, "w")

    assert worker.plan(Team("support"), KEY, "chat").limits() == []
    call = worker.reserve(worker.plan(Team("support"), KEY, "chat"), NOW, 10**9, None)
    worker.settle(call, 5, None, NOW)


@pytest.mark.parametrize(("usd", "n_per_second"), [(1_000_000, 1_000), (200, 1_000), (20, 50)])
def test_a_killed_worker_takes_little_more_with_it_than_its_calls_under_way(store, usd, n_per_second):
    """However many calls a second are made: what each reserves and gives back at its end is leased once, not once a call."""
    team, largest, cost, n_under_way = Team("support", budgets=[Budget(usd)]), PICO // 250, PICO // 25_000, 8
    worker, now_us, calls, spent = Allowance(store, "w"), NOW, [], 0
    for turn in range(10 * n_per_second):
        now_us += SECOND // n_per_second
        calls.append(worker.reserve(worker.plan(team, KEY, "chat"), now_us, 0, largest))
        if len(calls) > n_under_way:
            worker.settle(calls.pop(0), 0, cost, now_us)
            spent += cost
        if turn % (n_per_second // 2) == 0:
            worker.sync(now_us)

    other = Allowance(store, "other")
    ended = [each for turn in range(3) for each in other.sync(now_us + 120 * SECOND + turn)]

    assert ended
    ((used, held),) = level(other, team, "usd", now_us)
    assert spent <= used <= spent + 6 * n_under_way * largest
    assert used - spent - n_under_way * largest <= usd * PICO // 100 + n_per_second * cost
    assert held == 0


def test_ahead_of_need_at_most_a_hundredth_of_a_budget_is_leased(store):
    team = Team("support", budgets=[Budget(1, per="total")])
    worker = Allowance(store, "w")
    worker.reserve(worker.plan(team, KEY, "chat"), NOW, 0, PICO // 100)
    assert level(worker, team, "usd") == [(0, 2 * PICO // 100)]
