"""What every `Counters` guarantees. Subclass it and say how the store is opened:

    class TestMyCounters(CountersConformance):
        @pytest.fixture
        def counters(self, tmp_path):
            return MyCounters(tmp_path / "counters")

The store is empty at the start of each test. Time is domain time: no test waits. Needs pytest only.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from perdure.core.errors import NotFound
from perdure.stores.counters.memory import MemoryCounters
from perdure.stores.counters.protocols import GAUGE, KEPT_US, LARGEST, Claim, Counters, Granted, Level

NOW = 1_767_225_600_000_000
"""2026-01-01 00:00 UTC."""
MINUTE = 60_000_000
ENDS = NOW + 60 * MINUTE


def claim(bucket: str, amount: int, ceiling: int = 100, ends_us: int = ENDS) -> Claim:
    """A claim of a bucket that ends in an hour."""
    return Claim(bucket, amount, ceiling, ends_us)


def take(counters: Counters, hold: str, *claims: Claim, step: int = 0, expires_us: int = NOW + MINUTE) -> Granted:
    """Take at `NOW` for a minute."""
    return counters.take(hold, claims, owner="ana", now_us=NOW, expires_us=expires_us, step=step)


def levels(counters: Counters, *buckets: str) -> list[tuple[int, int]]:
    """(used, held) of each."""
    return [(level.used, level.held) for level in counters.read(buckets)]


class CountersConformance:
    """Amounts under ceilings; holds that are settled, spent, renewed or expire; every step once."""

    @pytest.fixture
    def counters(self) -> Counters:
        """An empty store."""
        pytest.fail("Override the fixture `counters` with one that returns an empty store.")

    def test_what_nobody_touched_is_zero(self, counters: Counters) -> None:
        """And nothing at all is read as nothing."""
        assert counters.read(["a", "b"]) == [Level(0, 0), Level(0, 0)]
        assert counters.read([]) == []

    def test_a_hold_is_granted_up_to_the_ceiling_and_no_further(self, counters: Counters) -> None:
        """Exactly up to it; the one that is short is told with its level."""
        assert take(counters, "h1", claim("a", 60)).ok
        assert take(counters, "h2", claim("a", 40)).ok
        refused = take(counters, "h3", claim("a", 1))
        assert (refused.ok, refused.short, refused.level) == (False, claim("a", 1), Level(0, 100))
        assert levels(counters, "a") == [(0, 100)]

    def test_every_claim_is_granted_or_none(self, counters: Counters) -> None:
        """Whichever of them is short, the first such is told."""
        take(counters, "h1", claim("b", 95))
        for order in ([claim("a", 10), claim("b", 10)], [claim("b", 10), claim("a", 10)]):
            refused = take(counters, "h2", *order)
            assert (refused.short, refused.level) == (claim("b", 10), Level(0, 95))
        assert levels(counters, "a", "b") == [(0, 0), (0, 95)]
        assert take(counters, "h2", claim("a", 10), claim("b", 5)).ok

    def test_two_claims_of_one_bucket_are_taken_together(self, counters: Counters) -> None:
        """Their sum must have room."""
        assert not take(counters, "h", claim("a", 60), claim("a", 60)).ok
        assert levels(counters, "a") == [(0, 0)]
        assert take(counters, "h", claim("a", 60), claim("a", 40)).ok
        assert levels(counters, "a") == [(0, 100)]

    def test_a_claim_of_zero_only_asks(self, counters: Counters) -> None:
        """Whether the bucket stands at most so high; it leaves nothing behind."""
        take(counters, "h1", claim("a", 10))
        assert take(counters, "h2", claim("a", 0, 10), claim("b", 0, 0)).ok
        refused = take(counters, "h2", claim("c", 5), claim("a", 0, 9))
        assert (refused.short, refused.level) == (claim("a", 0, 9), Level(0, 10))
        assert levels(counters, "a", "b", "c") == [(0, 10), (0, 0), (0, 0)]

    def test_taking_more_adds_to_the_hold(self, counters: Counters) -> None:
        """And settles as one."""
        take(counters, "h", claim("a", 10))
        take(counters, "h", claim("a", 20), claim("b", 5))
        assert levels(counters, "a", "b") == [(0, 30), (0, 5)]
        counters.settle("h", {"a": 12}, now_us=NOW)
        assert levels(counters, "a", "b") == [(12, 0), (0, 0)]

    def test_settling_counts_what_was_used_and_gives_the_rest_back(self, counters: Counters) -> None:
        """What goes beyond the hold is counted too, and buckets that it did not name."""
        take(counters, "h", claim("a", 50), claim("b", 10))
        counters.settle("h", {"a": 20, "b": 15, "c": 3}, now_us=NOW)
        assert levels(counters, "a", "b", "c") == [(20, 0), (15, 0), (3, 0)]
        assert take(counters, "h2", claim("a", 80)).ok

    def test_settling_twice_counts_once(self, counters: Counters) -> None:
        """Also of a hold that was never taken."""
        take(counters, "h", claim("a", 50))
        for hold in ("h", "h", "unknown", "unknown"):
            counters.settle(hold, {"a": 20}, now_us=NOW)
        assert levels(counters, "a") == [(40, 0)]

    def test_an_ended_hold_takes_no_more(self, counters: Counters) -> None:
        """Settled or expired."""
        take(counters, "h1", claim("a", 1))
        counters.settle("h1", {}, now_us=NOW)
        take(counters, "h2", claim("a", 1))
        counters.expire(now_us=NOW + MINUTE, charge=True)
        for hold in ("h1", "h2"):
            with pytest.raises(NotFound):
                take(counters, hold, claim("a", 1))
        assert levels(counters, "a") == [(1, 0)]

    def test_spending_goes_on_with_the_hold(self, counters: Counters) -> None:
        """Used and given back in one; beyond the hold it is counted, and no more is given back than it has."""
        take(counters, "h", claim("a", 50))
        counters.spend("h", {"a": 10}, give_back={"a": 15}, now_us=NOW)
        assert levels(counters, "a") == [(10, 25)]
        counters.spend("h", {"a": 30}, give_back={"a": 99, "b": 7}, now_us=NOW)
        assert levels(counters, "a", "b") == [(40, 0), (0, 0)]
        counters.settle("h", {"a": 1}, now_us=NOW)
        assert levels(counters, "a") == [(41, 0)]

    def test_a_step_is_done_once(self, counters: Counters) -> None:
        """Asked for again it says what it said; later steps count, earlier ones do not."""
        assert take(counters, "h", claim("a", 10), step=1).ok
        assert take(counters, "h", claim("a", 10), step=1).ok
        for _ in range(2):
            counters.spend("h", {"a": 4}, give_back={}, now_us=NOW, step=2)
        assert take(counters, "h", claim("a", 10), step=1).ok
        assert levels(counters, "a") == [(4, 6)]
        assert not take(counters, "h", claim("a", 91), step=3).ok
        assert take(counters, "h", claim("a", 5), step=3).ok, "what was refused was not done"
        for _ in range(2):
            counters.spend("unknown", {"a": 1}, give_back={}, now_us=NOW, step=1)
        assert levels(counters, "a") == [(5, 11)]

    def test_an_expired_hold_is_charged(self, counters: Counters) -> None:
        """It is told once, and what is settled later counts only beyond it."""
        take(counters, "h", claim("a", 30), claim("b", 5))
        assert counters.expire(now_us=NOW + MINUTE - 1, charge=True) == []
        (ended,) = counters.expire(now_us=NOW + MINUTE, charge=True)
        assert (ended.hold, ended.owner, dict(ended.amounts), ended.charged) == ("h", "ana", {"a": 30, "b": 5}, True)
        assert counters.expire(now_us=NOW + MINUTE, charge=True) == []
        assert levels(counters, "a", "b") == [(30, 0), (5, 0)]
        counters.settle("h", {"a": 32, "b": 4}, now_us=NOW + MINUTE)
        assert levels(counters, "a", "b") == [(32, 0), (5, 0)]

    def test_an_expired_hold_is_given_back(self, counters: Counters) -> None:
        """What is settled later counts in full."""
        take(counters, "h", claim("a", 30))
        (ended,) = counters.expire(now_us=NOW + MINUTE, charge=False)
        assert (dict(ended.amounts), ended.charged) == ({"a": 30}, False)
        assert levels(counters, "a") == [(0, 0)]
        counters.settle("h", {"a": 7}, now_us=NOW + MINUTE)
        counters.settle("h", {"a": 7}, now_us=NOW + MINUTE)
        assert levels(counters, "a") == [(7, 0)]

    def test_an_owner_that_was_slow_spends_on_what_was_charged(self, counters: Counters) -> None:
        """Only beyond it is counted, and what it gives back is taken off again."""
        take(counters, "h", claim("a", 30))
        counters.expire(now_us=NOW + MINUTE, charge=True)
        counters.spend("h", {"a": 10}, give_back={"a": 5}, now_us=NOW + MINUTE, step=1)
        assert levels(counters, "a") == [(25, 0)]
        counters.spend("h", {"a": 20}, give_back={"a": 5}, now_us=NOW + MINUTE, step=2)
        assert levels(counters, "a") == [(30, 0)]

    def test_a_dead_owner_s_gauges_are_given_back_always(self, counters: Counters) -> None:
        """Charged, a slot would be missing for ever."""
        take(counters, "h", claim(f"{GAUGE}team", 2, ends_us=0), claim("a", 3))
        (ended,) = counters.expire(now_us=NOW + MINUTE, charge=True)
        assert dict(ended.amounts) == {f"{GAUGE}team": 2, "a": 3}
        assert levels(counters, f"{GAUGE}team", "a") == [(0, 0), (3, 0)]

    def test_renewing_pushes_the_expiry(self, counters: Counters) -> None:
        """Never back, by a take too; an ended or unknown hold is not renewed."""
        take(counters, "h", claim("a", 1))
        assert counters.renew("h", expires_us=NOW + 3 * MINUTE)
        assert counters.renew("h", expires_us=NOW + 2 * MINUTE)
        assert counters.expire(now_us=NOW + 3 * MINUTE - 1, charge=True) == []
        take(counters, "h", claim("a", 1), expires_us=NOW + 4 * MINUTE)
        assert counters.expire(now_us=NOW + 3 * MINUTE, charge=True) == []
        assert [each.hold for each in counters.expire(now_us=NOW + 4 * MINUTE, charge=True)] == ["h"]
        assert not counters.renew("h", expires_us=NOW + 9 * MINUTE)
        assert not counters.renew("unknown", expires_us=NOW + 9 * MINUTE)

    def test_amounts_are_exact_to_the_last_picodollar(self, counters: Counters) -> None:
        """Beyond 2**53, where doubles are not."""
        ceiling = LARGEST
        assert take(counters, "h1", claim("a", ceiling - 1, ceiling)).ok
        assert not take(counters, "h2", claim("a", 2, ceiling)).ok
        assert take(counters, "h2", claim("a", 1, ceiling)).ok
        counters.settle("h1", {"a": 2**53 + 1}, now_us=NOW)
        assert levels(counters, "a") == [(2**53 + 1, 1)]
        counters.spend("h2", {"a": 1}, give_back={}, now_us=NOW)
        assert not take(counters, "h3", claim("a", 1, 2**53 + 2)).ok
        assert take(counters, "h3", claim("a", 1, 2**53 + 3)).ok

    def test_a_replay_of_the_past_loses_nothing(self, counters: Counters) -> None:
        """Time is an argument: windows that ended years ago on the machine's clock are kept."""
        past = 1_000_000_000_000
        claims = [claim("a", 5, ends_us=past + MINUTE)]
        assert counters.take("h", claims, owner="o", now_us=past, expires_us=past + MINUTE).ok
        counters.settle("h", {"a": 5}, now_us=past)
        assert levels(counters, "a") == [(5, 0)]

    def test_what_is_in_use_is_never_forgotten(self, counters: Counters) -> None:
        """A bucket without an end, and one that is held, stay however old they are."""
        take(counters, "total", claim("t", 5, ends_us=0))
        counters.settle("total", {"t": 5}, now_us=NOW)
        late = ENDS + KEPT_US + MINUTE
        take(counters, "h", claim("a", 5), expires_us=late + MINUTE)
        assert counters.expire(now_us=late, charge=True) == []
        assert levels(counters, "t", "a") == [(5, 0), (0, 5)]

    def test_threads_share_one_ceiling(self, counters: Counters) -> None:
        """However they race, exactly as much is granted as there is."""

        def work(number: int) -> int:
            return sum(take(counters, f"h{number}-{turn}", claim("a", 3, 100)).ok for turn in range(20))

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(work, range(4))) == 33
        assert levels(counters, "a") == [(0, 99)]

    @pytest.mark.parametrize("seed", range(6))
    def test_any_sequence_leaves_what_the_plainest_store_has(self, counters: Counters, seed: int) -> None:
        """The store in memory is the rule: random steps on both, and every answer and level is equal."""
        draw, model = random.Random(seed), MemoryCounters()  # noqa: S311 - a repeatable sequence, no secret
        for turn in range(120):
            operation = _drawn(draw, NOW + turn * MINUTE // 10)
            assert _told(counters, operation) == _told(model, operation), (turn, operation)
            assert counters.read(_BUCKETS) == model.read(_BUCKETS), (turn, operation)


_BUCKETS = ("a", "b", f"{GAUGE}c")
_Operation = tuple[str, str, dict[str, int], dict[str, int], int, int, bool]


def _drawn(draw: random.Random, now_us: int) -> _Operation:
    amounts = [{name: draw.randrange(30) for name in draw.sample(_BUCKETS, draw.randint(0, 3))} for _ in range(2)]
    verb = draw.choice(["take", "take", "take", "spend", "spend", "settle", "renew", "expire"])
    return verb, draw.choice("wxyz"), amounts[0], amounts[1], now_us, draw.choice([0, 0, 1, 2, 3]), draw.random() < 0.5


def _told(counters: Counters, operation: _Operation) -> object:
    verb, hold, used, back, now_us, step, charge = operation
    if verb == "take":
        claims: Sequence[Claim] = [claim(name, amount) for name, amount in used.items()]
        try:
            return counters.take(hold, claims, owner="o", now_us=now_us, expires_us=now_us + MINUTE, step=step)
        except NotFound:
            return "ended"
    if verb == "spend":
        counters.spend(hold, used, give_back=back, now_us=now_us, step=step)
        return None
    if verb == "settle":
        counters.settle(hold, used, now_us=now_us)
        return None
    if verb == "renew":
        return counters.renew(hold, expires_us=now_us + MINUTE)
    ended = counters.expire(now_us=now_us, charge=charge)
    return [(each.hold, each.owner, dict(each.amounts), each.charged) for each in ended]
