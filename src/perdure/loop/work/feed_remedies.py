"""What the loop can do about a broken feed: set its bad rows aside, or wait for it. Nothing is learned from either.

Both mend the state under versions and make no candidate. A quarantine reaches the online rows when they are
next materialised, which every round does; `loop.quarantine.review` ends it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from perdure.assets.health import Cause
from perdure.assets.repair import Action
from perdure.core.clock import iso, parse_at
from perdure.loop.protocols import Remedy, Watched, Workplace
from perdure.loop.work.feed_causes import CONTRACT_BROKEN, PROFILE_SHIFT, STALE_FEED, UNIT_CHANGE, VOLUME_DROP
from perdure.loop.work.outcomes import captures_table, labels_table
from perdure.loop.work.ranges import open_range, read_ranges
from perdure.loop.work.versions import get_version, plan_of
from perdure.stores.lake.protocols import Span

AWAITED = "feed.await"
_CURSOR = "awaited/"


def source_remedies() -> tuple[Remedy, ...]:
    """The remedies of the kind `source`."""
    return (QuarantineSource(), AwaitFeed())


class QuarantineSource:
    """Rows from the onset on are kept in the lake and used by nobody, until the feed is right again."""

    name = "quarantine_source"
    answers: Sequence[str] = (UNIT_CHANGE, PROFILE_SHIFT, CONTRACT_BROKEN)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action for the heaviest cause that it answers; none when those rows are set aside already."""
        cause = _first(causes, self.answers)
        if cause is None:
            return []
        start, kept = parse_at(str(cause.evidence["onset"])), read_ranges(place.stores.ledger, asset.name).open
        if kept is not None and kept.start <= start:
            return []
        text = f"set rows of {asset.name} aside from {iso(start)} on, until the feed is right; serve the last good ones"
        return [Action(self.name, text, "state", {"cause": cause.name, "from": iso(start), "reason": cause.text})]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """Open the range; no candidates. The audit entry has how many captures and labels it taints so far."""
        start = parse_at(str(action.params["from"]))
        evidence = {
            "cause": action.params["cause"],
            "step": step,
            "tainted": tainted_counts(place, asset.name, start, None),
        }
        open_range(place, asset.name, start, reason=str(action.params["reason"]), at=now, evidence=evidence)
        return ()


class AwaitFeed:
    """Serving falls back as its views declare, and nothing learns, until rows come again; no range is opened."""

    name = "await_feed"
    answers: Sequence[str] = (STALE_FEED, VOLUME_DROP)

    def propose(self, place: Workplace, asset: Watched, causes: Sequence[Cause], now: datetime) -> Sequence[Action]:  # noqa: ARG002 - the Protocol's
        """One action for the heaviest cause that it answers; none when that silence was noted already."""
        cause = _first(causes, self.answers)
        if cause is None or _noted(place, asset.name) == cause.evidence["onset"]:
            return []
        owner = f" by {asset.declaration.owner}" if asset.declaration.owner else ""
        text = f"wait for {asset.name} to be mended{owner}; serving falls back and nothing learns meanwhile"
        params = {"cause": cause.name, "from": cause.evidence["onset"], "reason": cause.text}
        return [Action(self.name, text, "state", params)]

    def repair(self, place: Workplace, asset: Watched, action: Action, step: str, now: datetime) -> Sequence[str]:
        """Note it in the audit chain, once for each silence; no candidates."""
        if _noted(place, asset.name) == action.params["from"]:
            return ()
        with place.transaction(now, str(action.params["reason"])) as session:
            session.cursors.put(_CURSOR + asset.name, action.params["from"])
            session.audit.append(AWAITED, asset.name, {**action.params, "step": step})
        return ()


def _noted(place: Workplace, source: str) -> Any:
    with place.stores.ledger.read() as session:
        return session.cursors.get(_CURSOR + source)


def _first(causes: Sequence[Cause], names: Sequence[str]) -> Cause | None:
    return next((each for each in causes if each.name in names and "onset" in each.evidence), None)


def tainted_counts(
    place: Workplace, source: str, start: datetime, end: datetime | None
) -> Mapping[str, Mapping[str, Any]]:
    """Model → what was served in `[start, end)` with features of a source, and how many labels came for it.

    The rows stay where they are; readers leave them out by time. `n`, `n_keys`, `first`, `last`, `n_labels`.
    """
    lake, counts = place.stores.lake, {}
    for table in lake.tables("captures/"):
        model = table.removeprefix(captures_table(""))
        columns = ["version", "key", "prediction_id", "served_at"]
        served = lake.read(table, columns=columns, span=Span("served_at", start, end))
        versions = [each for each in served["version"].unique() if source in _sources(place, each)]
        served = served.filter(pl.col("version").is_in(versions))
        if served.is_empty():
            continue
        first, last = served["served_at"].min(), served["served_at"].max()
        assert isinstance(first, datetime)
        assert isinstance(last, datetime)
        counts[model] = {
            "n": served.height,
            "n_keys": served["key"].n_unique(),
            "first": iso(first),
            "last": iso(last),
            "n_labels": _n_labels(place, model, served),
        }
    return counts


def _sources(place: Workplace, version: str) -> Sequence[str]:
    return tuple(plan_of(get_version(place.stores.ledger, version)).sources)


def _n_labels(place: Workplace, model: str, served: pl.DataFrame) -> int:
    if place.stores.lake.version(labels_table(model)) is None:
        return 0
    labels = place.stores.lake.read(labels_table(model), columns=["prediction_id", "key"])
    of_one = pl.col("prediction_id").is_in(served["prediction_id"].to_list()).fill_null(False)
    return labels.filter(of_one | pl.col("key").is_in(served["key"].to_list()).fill_null(False)).height
