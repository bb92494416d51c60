"""What is on record of judges that were asked about production: runs of the kind `online`, and what a day has cost.

A run is one batch of answers of one prompt. It is on record as `running` before anybody is asked, so that what a killed worker had paid
for is found again under its id, and counted. Runs of a prompt go by a name of their own, for lists of its evals stay short.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from perdure.core.canonical import content_hash
from perdure.core.clock import iso
from perdure.core.units import hours, minutes
from perdure.loop.protocols import Workplace
from perdure.loop.work.evals.running import ONLINE
from perdure.stores.ledger.protocols import Run

_SPENT = "online/spent"
"""The cursor with what a day has cost, all prompts together."""
_SOONEST, _LATEST = minutes(5), hours(1)
_A_WINDOW = 24
"""Batches of a window, at least; ours, without a source."""


def pace_of(window: timedelta) -> timedelta:
    """How long new answers wait for each other: a part of the window, between five minutes and an hour.

    >>> pace_of(hours(12))
    datetime.timedelta(seconds=1800)
    """
    return min(_LATEST, max(_SOONEST, window / _A_WINDOW))


def newest_round(place: Workplace, prompt: str) -> Run | None:
    """The newest run of a prompt; None where there was none."""
    with place.stores.ledger.read() as session:
        return next(iter(session.runs.list(_recorded_as(prompt), limit=1)), None)


def stopped_by(place: Workplace, prompt: str) -> str:
    """What ended the newest batch of a prompt before its end, in words; empty where nothing did."""
    newest = newest_round(place, prompt)
    return "" if newest is None else str(newest.facts.get("partial", ""))


def is_due(newest: Run | None, now: datetime, window: timedelta, limit_pusd: int) -> bool:
    """Whether judges are to be asked again.

    A batch that was killed goes on, and one behind which more waits is followed by the next. After a day's money is spent, the next day
    or another budget is waited for; after all else the pace.
    """
    if newest is None or newest.finished_at is None:
        return True
    if newest.facts.get("spent_out"):
        return _day(newest.finished_at) != _day(now) or newest.facts["limit_pusd"] != limit_pusd
    if newest.facts.get("n_waiting") and not newest.facts.get("partial"):
        return True
    return now - newest.finished_at >= pace_of(window)


def begin(place: Workplace, prompt: str, version: str, newest: Run | None, now: datetime) -> Run:
    """The run of the next batch: that of a killed worker, else a new one."""
    if newest is not None and newest.finished_at is None:
        return newest
    made = f"onl_{content_hash([prompt, version, iso(now)])[:17]}"
    record = Run(made, ONLINE, _recorded_as(prompt), "running", now, facts={"version": version}, actor=place.actor)
    with place.transaction(now, f"judges are asked about {prompt}") as session:
        return session.runs.put(record)


def finish(place: Workplace, record: Run, now: datetime, spent_pusd: int, facts: Mapping[str, Any]) -> None:
    """A batch is at its end, and what it cost is the day's: one transaction."""
    metrics = {"n_answers": float(facts["n_answers"]), "spent_pusd": float(spent_pusd)}
    total = spent_today(place, now) + spent_pusd
    with place.transaction(now, "judges were asked about production") as session:
        session.runs.put(replace(record, status="done", finished_at=now, metrics=metrics, facts=dict(facts)))
        session.cursors.put(_SPENT, {"day": _day(now), "pusd": total})


def spent_today(place: Workplace, now: datetime) -> int:
    """What judges of production cost in the day of `now`, as far as batches are at their end; picodollars."""
    with place.stores.ledger.read() as session:
        kept = session.cursors.get(_SPENT)
    return int(kept["pusd"]) if kept is not None and kept["day"] == _day(now) else 0


def _recorded_as(prompt: str) -> str:
    return f"{ONLINE}:{prompt}"


def _day(at: datetime) -> str:
    return at.astimezone(UTC).date().isoformat()
