"""Observing, on the toy kind: when, what is kept, how it is judged."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from perdure.assets.health import State
from perdure.assets.objective import SignalSpec
from perdure.assets.repair import Trial
from perdure.assets.version import Pointer
from perdure.core.errors import BadObjective, LostLease, NotFound
from perdure.core.units import days, hours
from perdure.loop.observe import Observer
from perdure.testing.toy import TOY, Gauge, level, toy_kind, watch

T0 = datetime(2025, 1, 1, tzinfo=UTC)
HOURLY = {T0 + hours(hour): 20.0 + hour / 10 for hour in range(24 * 10)}
GAUGE = Gauge("boiler", HOURLY, target=20.0, margin=0.5)


@pytest.fixture
def observer(place):
    return Observer(place, {TOY: toy_kind()})


def values(findings):
    return [finding.reading.value for finding in findings]


def test_an_objective_is_due_at_once_and_then_each_seventh_of_its_window(observer):
    asset = watch(GAUGE, level(over=days(7)) <= 30.0)
    measured = [hour for hour in range(0, 24 * 4, 3) if observer.run([asset], T0 + hours(hour)).findings]
    assert measured == [0, 24, 48, 72]


def test_a_short_window_is_measured_once_a_window_and_never_more_than_hourly(observer):
    asset = watch(GAUGE, level(over=hours(1)) <= 30.0)
    minutes = range(0, 200, 10)
    assert [at for at in minutes if observer.run([asset], T0 + timedelta(minutes=at)).findings] == [0, 60, 120, 180]


def test_objectives_of_one_asset_are_due_each_on_its_own(observer):
    asset = watch(GAUGE, level(over=days(7)) <= 30.0, level(over=days(1)) <= 30.0)
    found = {hour: len(observer.run([asset], T0 + hours(hour)).findings) for hour in (0, 4, 8, 24)}
    assert found == {0: 2, 4: 1, 8: 1, 24: 2}


def test_a_finding_is_kept_as_a_reading_with_its_window_interval_and_size(observer, place):
    [finding] = observer.run([watch(GAUGE, level(over=days(1)) <= 30.0)], T0 + days(2)).findings
    [kept] = place.stores.readings.list("boiler")
    assert kept == finding.reading
    assert (kept.window_start, kept.window_end, kept.n) == (T0 + days(1), T0 + days(2), 24)
    assert kept.value == 24.8
    assert (kept.low, kept.high) == (24.3, 25.3)


@pytest.mark.parametrize(
    ("bound", "state"),
    [(25.3, State.HEALTHY), (25.0, State.UNSURE), (24.3, State.UNSURE), (24.2, State.BROKEN)],
)
def test_a_reading_is_judged_by_its_whole_interval(observer, bound, state):
    """The gauge shows 24.8 ± 0.5."""
    [finding] = observer.run([watch(GAUGE, level(over=days(1)) <= bound)], T0 + days(2)).findings
    assert finding.state is state


def test_nothing_to_measure_is_no_finding_and_is_not_asked_again_before_it_is_due(observer, place):
    asset = watch(Gauge("boiler", {}), level(over=days(7)) <= 30.0)
    assert observer.run([asset], T0).findings == []
    assert place.stores.readings.list("boiler") == []
    late = watch(GAUGE, level(over=days(7)) <= 30.0)
    assert observer.run([late], T0 + hours(23)).findings == []
    assert len(observer.run([late], T0 + hours(24)).findings) == 1


def test_twice_at_one_instant_is_once(observer, place):
    asset = watch(GAUGE, level(over=days(1)) <= 30.0)
    assert len(observer.run([asset], T0 + days(1)).findings) == 1
    assert observer.run([asset], T0 + days(1)).findings == []
    assert len(place.stores.readings.list("boiler")) == 1


def test_an_earlier_instant_measures_nothing_again(observer, place):
    asset = watch(GAUGE, level(over=days(1)) <= 30.0)
    observer.run([asset], T0 + days(5))
    assert observer.run([asset], T0 + days(2)).findings == []
    assert observer.run([asset], T0 + days(5)).findings == []
    assert len(place.stores.readings.list("boiler")) == 1


def test_an_asset_stays_broken_until_it_is_measured_again_also_over_a_restart(observer, reopen):
    """So a round knows who is ill without reading anything but what each objective last said."""
    asset = watch(GAUGE, level(over=days(7)) <= 24.0)
    seen = {day: observer.run([asset], T0 + days(day)).broken for day in (1, 3)}
    assert seen == {1: set(), 3: {"boiler"}}
    again = Observer(reopen(), {TOY: toy_kind()}).run([asset], T0 + days(3) + hours(1))
    assert (again.findings, again.broken) == ([], {"boiler"})


def test_an_objective_that_is_not_declared_any_more_breaks_nothing(observer):
    observer.run([watch(GAUGE, level(over=days(7)) <= 24.0)], T0 + days(3))
    assert observer.run([watch(GAUGE, level(over=days(7)) <= 99.0)], T0 + days(3)).broken == set()


def test_two_observers_of_equal_stores_find_the_same(tmp_path, place, reopen):
    """Deterministic in the stores' content and the instants, whoever observes."""
    asset = watch(GAUGE, level(over=days(7)) <= 21.0, level(over=hours(2)) >= 20.5)
    instants = [T0 + hours(hour) for hour in range(0, 60, 2)]
    one = [finding for at in instants for finding in Observer(place, {TOY: toy_kind()}).run([asset], at).findings]
    twin = replace(asset, name="twin")
    two = [finding for at in instants for finding in Observer(reopen(), {TOY: toy_kind()}).run([twin], at).findings]
    assert len(one) == 33
    assert [replace(each, asset="boiler", reading=replace(each.reading, asset="boiler")) for each in two] == one


def test_an_objective_that_is_added_later_is_measured_at_once(observer):
    observer.run([watch(GAUGE, level(over=days(7)) <= 30.0)], T0)
    both = watch(GAUGE, level(over=days(7)) <= 30.0, level(over=days(3)) <= 30.0)
    assert [finding.objective for finding in observer.run([both], T0 + hours(1)).findings] == ["level over 3d <= 30"]


def test_a_bound_that_is_changed_is_judged_at_once(observer):
    observer.run([watch(GAUGE, level(over=days(7)) <= 30.0)], T0)
    assert len(observer.run([watch(GAUGE, level(over=days(7)) <= 29.0)], T0 + hours(1)).findings) == 1


def test_what_was_measured_is_remembered_over_a_restart(observer, reopen):
    asset = watch(GAUGE, level(over=days(7)) <= 30.0)
    assert len(observer.run([asset], T0).findings) == 1
    again = Observer(reopen(), {TOY: toy_kind()})
    assert again.run([asset], T0 + hours(23)).findings == []
    assert len(again.run([asset], T0 + hours(24)).findings) == 1


def test_a_kill_between_reading_and_cursor_measures_again_and_keeps_one_reading(place, reopen, lease):
    """The lease stands for the kill: it is lost, so the cursor is not written."""
    asset = watch(GAUGE, level(over=days(7)) <= 30.0)
    place.stores.leases.release(lease)
    with pytest.raises(LostLease):
        Observer(place, {TOY: toy_kind()}).run([asset], T0, lease)
    assert len(Observer(reopen(), {TOY: toy_kind()}).run([asset], T0).findings) == 1
    assert len(place.stores.readings.list("boiler")) == 1


def test_an_unknown_signal_is_told_with_the_nearest(observer):
    wrong = watch(GAUGE, SignalSpec("levle", days(1)) <= 1.0)
    with pytest.raises(BadObjective, match=r"toy 'boiler' has an objective on 'levle'.*Did you mean 'level'\?"):
        observer.run([wrong], T0)


def test_a_signal_without_any_likeness_is_told_with_the_known_ones(observer):
    with pytest.raises(BadObjective, match="Known: level"):
        observer.run([watch(GAUGE, SignalSpec("mae", days(1)) <= 1.0)], T0)


def test_an_asset_of_a_kind_that_nobody_registered_stops_no_other(observer, place):
    ghost = replace(watch(Gauge("valve", HOURLY), level(over=days(1)) <= 30.0), kind="ghost")
    with pytest.raises(NotFound, match=r"kind.*'ghost'"):
        observer.run([ghost, watch(GAUGE, level(over=days(1)) <= 30.0)], T0)
    assert len(place.stores.readings.list("boiler")) == 1


def test_one_objective_that_cannot_be_measured_stops_no_other_and_stays_due(observer, place):
    broken = watch(Gauge("valve", HOURLY), SignalSpec("pressure", days(1)) <= 1.0, level(over=days(1)) <= 30.0)
    fine = watch(GAUGE, level(over=days(1)) <= 30.0)
    for _ in range(2):
        with pytest.raises(BadObjective):
            observer.run([broken, fine], T0)
    assert len(place.stores.readings.list("valve")) == len(place.stores.readings.list("boiler")) == 1


def test_a_release_is_what_is_measured_from_then_on(observer, place):
    """The whole way of repair by hand: the candidate's offset brings the gauge back to its target."""
    kind, now = toy_kind(), T0 + days(3)
    asset = watch(GAUGE, level(over=days(1)) <= 23.0)
    [finding] = observer.run([asset], now).findings
    assert finding.state is State.BROKEN
    [cause] = [each.weigh(place, asset, [finding], now) for each in kind.causes]
    [remedy] = kind.remedies
    assert cause is not None
    assert cause.name in remedy.answers
    [action] = remedy.propose(place, asset, [cause], now)
    [candidate] = remedy.repair(place, asset, action, "step", now)
    verdicts = [gate.judge(place, asset, Trial(candidate, None), now) for gate in kind.gates]
    assert [verdict.passed for verdict in verdicts] == [True, True]
    with place.stores.ledger.transaction(actor="test", at=now) as session:
        session.pointers.set([Pointer("boiler", "champion", candidate)])
    [healed] = observer.run([asset], now + hours(4)).findings
    assert healed.state is State.HEALTHY
    assert healed.reading.version == candidate
