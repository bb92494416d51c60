"""What an incident is called: by the first cause that was found of it, whenever that was."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from perdure.assets.health import Cause
from perdure.core.units import days
from perdure.loop.incidents import UNKNOWN, open_incident
from perdure.loop.situation import Symptom
from perdure.testing.toy import Gauge, level, watch

T0 = datetime(2025, 1, 1, tzinfo=UTC)
BROKEN = [Symptom("level <= 20", "broken", "level", 30.0, 29.0, 31.0, 9, "", "", "", "", "")]


def _cause(name):
    return Cause(name, 1.0, {}, f"It is {name}.")


@pytest.fixture
def told(place):
    """The asset's incident after a round that found these causes."""

    def tell(*causes):
        with place.stores.ledger.transaction(actor="test", at=T0) as session:
            return open_incident(session, watch(Gauge("boiler", {}), level(over=days(1)) <= 20.0), BROKEN, causes)

    return tell


def test_the_first_cause_that_is_found_names_an_incident_and_no_later_one_does(told):
    first = told()
    assert first.kind == UNKNOWN
    named = told(_cause("leak"))
    assert (named.id, named.kind) == (first.id, "leak")
    assert told(_cause("frost")).kind == told().kind == "leak"
