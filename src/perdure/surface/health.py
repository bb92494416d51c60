"""How healthy an asset is: each objective with its newest reading, judged."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from perdure.surface.records import Health

if TYPE_CHECKING:
    from perdure.loop.protocols import Watched
    from perdure.stores.telemetry.protocols import Readings


def health_of(readings: Readings, asset: Watched, now: datetime) -> list[Health]:
    """One row an objective, and one a slice where it asks for slices."""
    from perdure.loop.observe import cadence

    latest = readings.latest(asset.name)
    rows: list[Health] = []
    for objective in asset.healthy:
        measured = [reading for reading in latest if objective.measured_by(reading)]
        newest = max((reading.at for reading in measured), default=None)
        if newest is None:
            rows.append(Health(objective.text(), objective.stakeholder, "not measured", None))
        for reading in measured:
            # A slice that is not among the newest readings has gone.
            if reading.at == newest:
                stale = now - newest > 2 * cadence(objective.spec)
                state = "stale" if stale else objective.judge(reading).state.value
                rows.append(Health(objective.text(), objective.stakeholder, state, reading))
    return rows
