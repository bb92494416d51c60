"""Who spends it: the one cause of a team's ill health, so that the person who is asked knows where to look."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from perdure.assets.health import Cause as RankedCause
from perdure.assets.health import Finding, State
from perdure.core.usage import PICO
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.teams.signals import over_of, read_spent

SPENDER = "spender"
_SURE = 0.9
"""Weight where one key on one route explains all of the increase; who it is, is counted, why it does so is not known."""


class Spender:
    """The key and route that spend most more than in the time before."""

    name = SPENDER

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """By the share of the increase that they explain; None where nothing costs more than before."""
        broken = [finding.reading for finding in findings if finding.state is State.BROKEN]
        if not broken:
            return None
        over = over_of(broken)
        calls = read_spent(place, asset.declaration.name, now - 2 * over, now)
        recent = pl.col("served_at") >= now - over
        cost = pl.col("cost_pusd").cast(pl.Float64) / PICO
        spent = calls.group_by("key", "route").agg(
            cost.filter(recent).sum().alias("usd"),
            cost.filter(~recent).sum().alias("before_usd"),
            recent.sum().alias("n"),
        )
        more = spent.with_columns((pl.col("usd") - pl.col("before_usd")).alias("more")).filter(pl.col("more") > 0.0)
        if more.is_empty():
            return None
        most = more.sort(["more", "key", "route"], descending=[True, False, False]).row(0, named=True)
        share = most["more"] / more["more"].sum()
        evidence = {
            "key": most["key"],
            "route": most["route"],
            "spent_usd": round(most["usd"], 6),
            "before_usd": round(most["before_usd"], 6),
            "n_calls": int(most["n"]),
            "share_of_increase": round(share, 4),
            "over_h": over.total_seconds() / 3600.0,
        }
        text = (
            f"key {most['key']} on route {most['route']} spent ${most['usd']:.2f} in {int(most['n'])} calls, "
            f"against ${most['before_usd']:.2f} in the time before: {share:.0%} of the increase"
        )
        return RankedCause(self.name, _SURE * share, evidence, text)
