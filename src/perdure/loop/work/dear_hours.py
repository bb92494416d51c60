"""Hours that cost what no such hour did: the signal `cost_anomaly` of teams and of routes.

Calls of shadows and probes are nobody's, and are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from perdure.assets.health import Reading
from perdure.assets.objective import SignalSpec
from perdure.core.clock import iso
from perdure.core.units import days
from perdure.engines.spend import Rule, anomalies
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.calls import read_calls
from perdure.loop.work.readings import exactly, reading_of

_NOBODYS = ("shadow", "probe")
_WORST = 5


class CostAnomaly:
    """How far the dearest hour of the window is above the same hours of the weeks before.

    Args:
        of: the column that the asset is a value of: `team` or `route`.
    """

    name = "cost_anomaly"

    def __init__(self, of: str) -> None:
        self._of = of

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading over the window's whole hours; none while the asset's first call is younger than two weeks."""
        rule, start = Rule(threshold=0.0), now - spec.over
        name = asset.declaration.name
        calls = read_calls(place.stores.lake, None, start - days(7 * rule.weeks), now, [self._of, "arm", "cost_pusd"])
        # A team's evals are its own doing; to a route they are nobody's.
        left_out = _NOBODYS if self._of == "team" else (*_NOBODYS, "eval")
        own = calls.filter((pl.col(self._of) == name) & ~pl.col("arm").is_in(left_out))
        if own.is_empty() or own["served_at"][0] > start - days(7 * rule.history_weeks):
            return []
        found = anomalies(own, start, now, rule=rule).filter(pl.col("score") > 0.0).sort("score", descending=True)
        hours = [
            {"hour": iso(row["hour"]), **{name: round(row[name], 6) for name in ("cost_usd", "expected_usd", "score")}}
            for row in found.head(_WORST).iter_rows(named=True)
        ]
        n = own.filter(pl.col("served_at") >= start).height
        dearest = exactly(float(found["score"][0]) if hours else 0.0, n)
        return [reading_of(asset, spec, now, dearest, unit="deviations", facts={"hours": hours})]
