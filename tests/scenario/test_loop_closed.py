"""A gauge decays; the loop finds it, says why, repairs it, proves it, releases it, and keeps the evidence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gauges import Plant, boiler, watched

pytestmark = pytest.mark.scenario


def test_a_gauge_that_decays_is_repaired_released_step_by_step_and_healthy_again(tmp_path):
    plant = Plant(tmp_path, [watched(boiler(3))])
    first = plant.release("boiler")
    plant.run(0, 10)
    assert plant.champion() != first
    assert plant.stages() == [("shadow", 3.0), ("canary", 3.5), ("all", 4.0)]
    [incident] = plant.incidents()
    assert incident.kind == "moved"
    assert incident.closed_at is not None
    [job] = plant.jobs()
    assert (job.status, job.output["outcome"]) == ("done", "released")
    assert plant.place.stores.ledger.verify().intact
