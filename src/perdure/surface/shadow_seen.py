"""What a shadow version of an agent or a graph did so far, beside the runs that it did again; for who shows a version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from perdure.core.units import days
from perdure.core.usage import PICO

if TYPE_CHECKING:
    from perdure.loop.protocols import Workplace

_OVER = days(7)


@dataclass(frozen=True, slots=True)
class ShadowSeen:
    """Shadows of the last week by one version."""

    n_runs: int
    ended: Mapping[str, int]
    """Status → how many."""
    usd: float
    """That they would have cost."""
    usd_then: float
    """That the runs cost which they did again."""

    def words(self) -> str:
        """In a line.

        >>> ShadowSeen(12, {"done": 11, "failed": 1}, 0.024, 0.036).words()
        '12 runs as a shadow: 11 done, 1 failed; $0.024000, where production took $0.036000'
        """
        ended = ", ".join(f"{n:,} {status}" for status, n in sorted(self.ended.items()))
        return f"{self.n_runs:,} runs as a shadow: {ended}; ${self.usd:.6f}, where production took ${self.usd_then:.6f}"


def shadow_seen(place: Workplace, asset: str, version: str, now: datetime) -> ShadowSeen | None:
    """What the lake has of a version's shadows; None where there are none."""
    import polars as pl

    from perdure.loop.work.captured_runs import RUNS, read_runs

    lake = place.stores.lake
    if RUNS not in lake.tables():
        return None
    names = ["arm", "version", "status", "cost_pusd", "replay_of"]
    runs = read_runs(lake, asset, now - _OVER, None, names)
    shadows = runs.filter((pl.col("arm") == "shadow") & (pl.col("version") == version))
    if shadows.is_empty():
        return None
    then = runs.filter(pl.col("run_id").is_in(shadows["replay_of"].to_list()))
    ended = {str(status): int(n) for status, n in shadows.group_by("status").len().iter_rows()}
    usd, usd_then = (int(each["cost_pusd"].sum()) / PICO for each in (shadows, then))
    return ShadowSeen(shadows.height, ended, usd, usd_then)
