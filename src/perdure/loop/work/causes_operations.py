"""The cause `operational`: the model is what it was, and what runs around it is not.

Answers without a value, answers that are all alike and answers of a version that no pointer names explain any
error, and outweigh drift. A slow server or lost captures explain no error: beside a broken error objective
they are only noted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from perdure.assets.health import Cause as RankedCause
from perdure.assets.health import Finding, State
from perdure.assets.version import CHAMPION
from perdure.core.clock import iso
from perdure.core.stats import proportion_interval
from perdure.core.units import days, hours
from perdure.loop.damage import CAPTURE
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.healthy import healthy_outcomes
from perdure.loop.work.recent import Recent, Recents, is_error, signal_of

OPERATIONAL = "operational"

_REAL, _NOTED = 0.9, 0.2
_SLOW = 0.86
"""A slow server, or lost captures, where nothing says that predictions got worse."""
_FEW = 0.01
_ALIKE = 0.95
_ENOUGH_ROWS = 50
_SWAPPED = hours(1)
"""After a pointer has moved, every server has swapped its table."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong around the model."""

    what: str
    text: str
    weight: float
    facts: Mapping[str, Any]


class Operational:
    """Weighs what is wrong with serving and capturing."""

    name = OPERATIONAL

    def __init__(self, recents: Recents) -> None:
        self._recents = recents

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """0.9 where answers themselves are wrong; for the rest 0.86, or 0.2 beside a broken error objective."""
        erring = any(finding.state is State.BROKEN and is_error(finding) for finding in findings)
        troubles = [*_slow(findings, erring), *_open_incidents(place, asset, erring)]
        recent = self._recents.of(place, asset, findings, now)
        if recent is not None and recent.served.height >= _ENOUGH_ROWS:
            troubles += [*_valueless(recent), *_alike(recent), *_unexpected(recent)]
        if not troubles:
            return None
        troubles.sort(key=lambda trouble: (-trouble.weight, trouble.what))
        evidence = {trouble.what: dict(trouble.facts) for trouble in troubles}
        return RankedCause(self.name, troubles[0].weight, evidence, " ".join(each.text for each in troubles[:2]))


def _slow(findings: Sequence[Finding], erring: bool) -> Iterator[Trouble]:
    for finding in findings:
        if finding.state is State.BROKEN and signal_of(finding.reading.signal).startswith("latency_ms"):
            reading = finding.reading
            text = f"Requests are slow: {finding.objective} is broken at {reading.value or 0.0:.3g} ms over {reading.n} requests."
            facts = {"objective": finding.objective, "value_ms": reading.value, "n": reading.n}
            yield Trouble("latency", text, _NOTED if erring else _SLOW, facts)


def _open_incidents(place: Workplace, asset: Watched, erring: bool) -> Iterator[Trouble]:
    """Losses and damage of captures, and blobs of this asset that are gone."""
    with place.stores.ledger.read() as session:
        incidents = [each for each in session.incidents.list(open_only=True) if _is_operational(each.kind)]
    for incident in incidents:
        if incident.asset in (CAPTURE, asset.name):
            facts = {"incident": incident.id, "opened_at": iso(incident.opened_at)}
            yield Trouble(incident.kind, f"{incident.summary.rstrip('.')}.", _NOTED if erring else _SLOW, facts)


def _is_operational(kind: str) -> bool:
    return kind.startswith(("capture_", "blob_"))


def _valueless(recent: Recent) -> Iterator[Trouble]:
    predictions = recent.served["prediction"]
    n, n_nothing = len(predictions), int((~predictions.is_finite().fill_null(value=False)).sum())
    if proportion_interval(n_nothing, n).low > _FEW:
        text = f"{n_nothing} of {n} answers had no value."
        yield Trouble("no_value", text, _REAL, {"n": n, "n_without_value": n_nothing})


def _alike(recent: Recent) -> Iterator[Trouble]:
    """Nearly all answers of the newest day are one number, as they never were on healthy rows."""
    last = recent.own["served_at"].max() if recent.own.height else None
    if not isinstance(last, datetime):
        return
    newest = recent.own.filter(pl.col("served_at") > last - days(1))["prediction"].drop_nulls().to_numpy()
    if len(newest) < _ENOUGH_ROWS:
        return
    distinct, counts = np.unique(newest, return_counts=True)
    share, value = float(counts.max() / len(newest)), float(distinct[int(counts.argmax())])
    healthy, _ = healthy_outcomes(recent)
    usual = float(np.unique(healthy.prediction, return_counts=True)[1].max() / len(healthy)) if len(healthy) else 1.0
    if np.isfinite(value) and share >= _ALIKE and usual < share / 2.0:
        text = f"{share:.0%} of the newest {len(newest)} answers are {value:g}; on healthy rows {usual:.0%} are alike."
        yield Trouble("all_alike", text, _REAL, {"ratio": round(share, 4), "value": value, "usual": round(usual, 4)})


def _unexpected(recent: Recent) -> Iterator[Trouble]:
    """Rows that the champion answered by another version than the pointer names."""
    with recent.place.stores.ledger.read() as session:
        moves = [move for move in session.pointers.history(recent.asset.name) if move.name == CHAMPION]
    moved_at = max((move.at for move in moves), default=recent.window[0])
    late = recent.served.filter((pl.col("arm") == CHAMPION) & (pl.col("served_at") >= moved_at + _SWAPPED))
    others = late.filter(pl.col("version") != recent.champion.id)
    if late.height and proportion_interval(others.height, late.height).low > _FEW:
        versions = sorted(others["version"].unique().to_list())
        text = (
            f"{others.height} of {late.height} rows since {iso(moved_at)} were answered by {', '.join(versions)}, "
            f"though the champion is {recent.champion.id}: is a server cut off from the ledger?"
        )
        yield Trouble(
            "unexpected_version", text, _REAL, {"n": late.height, "n_others": others.height, "versions": versions}
        )
