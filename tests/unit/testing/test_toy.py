"""The toy kind: four honest recipes, each deterministic."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from perdure.assets.health import Comparison, Finding, State
from perdure.assets.project import Project
from perdure.core.errors import NotFound, NotReady
from perdure.core.settings import Settings
from perdure.core.units import days, hours
from perdure.surface.sdk import Perdure
from perdure.testing.toy import Closer, Gauge, Level, Moved, Recalibrate, level, toy_kind, watch

T0 = datetime(2025, 1, 1, tzinfo=UTC)
DAY = level(over=days(1))


@pytest.fixture
def place(tmp_path):
    return Perdure(tmp_path, Settings(), project=Project("toys")).place


def gauge(*values, target=20.0, margin=1.0):
    return watch(Gauge("boiler", [(T0 + hours(n), each) for n, each in enumerate(values)], target, margin), DAY <= 25.0)


def broken(place, asset, now):
    [reading] = Level().observe(place, asset, DAY, now)
    return [Finding("boiler", "level over 1d <= 25", State.BROKEN, reading)]


def test_points_may_be_a_mapping_or_pairs_in_any_order(place):
    pairs = [(T0 + hours(2), 7.0), (T0 + hours(1), 5.0)]
    for points in (pairs, dict(pairs)):
        [reading] = Level().observe(place, watch(Gauge("boiler", points)), DAY, T0 + hours(3))
        assert (reading.value, reading.n) == (7.0, 2)


def test_a_window_takes_its_end_in_and_leaves_its_beginning_out(place):
    asset = gauge(1.0, 2.0, 3.0)
    two = level(over=hours(2))
    [reading] = Level().observe(place, asset, two, T0 + hours(2))
    assert (reading.value, reading.n) == (3.0, 2)
    assert Level().observe(place, asset, two, T0 + hours(4)) == []


def test_a_gauge_that_moved_further_than_its_margin_has_a_cause(place):
    asset, now = gauge(20.0, 22.0, 30.0), T0 + hours(2)
    cause = Moved().weigh(place, asset, broken(place, asset, now), now)
    assert cause is not None
    assert (cause.evidence["moved_by"], cause.weight) == (10.0, 0.9)


def test_a_steady_gauge_and_healthy_findings_have_no_cause(place):
    asset, now = gauge(30.0, 30.5), T0 + hours(1)
    assert Moved().weigh(place, asset, broken(place, asset, now), now) is None
    assert Moved().weigh(place, asset, [], now) is None


def test_a_repair_that_is_done_again_makes_the_same_candidate(place):
    asset, now = gauge(20.0, 30.0), T0 + hours(1)
    first = Recalibrate().repair(place, asset, "step", now)
    assert Recalibrate().repair(place, asset, "step", now + hours(5)) == first
    with place.stores.ledger.read() as session:
        [version] = session.registry.list_versions("boiler")
    assert (version.definition, version.created_at) == ({"offset": -10.0}, now)


def test_a_gauge_that_showed_nothing_has_no_candidate_and_no_verdict(place):
    asset = gauge(20.0)
    assert Recalibrate().repair(place, asset, "step", T0 - hours(1)) == []
    [candidate] = Recalibrate().repair(place, asset, "step", T0)
    with pytest.raises(NotReady):
        Closer().judge(place, asset, candidate, None, T0 - hours(1))


def test_the_gate_tells_better_worse_and_not_enough_apart(place):
    at_30, at_21 = T0, T0 + hours(1)
    asset = gauge(30.0, 21.0)
    [for_30] = Recalibrate().repair(place, asset, "a", at_30)
    [for_21] = Recalibrate().repair(place, asset, "b", at_21)
    found = {
        (candidate, incumbent): Closer().judge(place, asset, candidate, incumbent, at_30).comparison
        for candidate, incumbent in [(for_30, None), (for_21, for_30), (for_21, None)]
    }
    assert list(found.values()) == [Comparison.BETTER, Comparison.WORSE, Comparison.NOT_ENOUGH_EVIDENCE]


def test_an_unknown_candidate_is_not_found(place):
    with pytest.raises(NotFound):
        Closer().judge(place, gauge(20.0), "boiler@nothing", None, T0)


def test_the_kind_has_one_recipe_of_each_sort():
    kind = toy_kind()
    assert (list(kind.signals), [each.name for each in (*kind.causes, *kind.remedies, *kind.gates)]) == (
        ["level"],
        ["moved", "recalibrate", "closer"],
    )
