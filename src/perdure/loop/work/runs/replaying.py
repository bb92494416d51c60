"""Recorded runs done again with something changed, within a bound, and kept: once replayed, a run's outcome is read from the ledger.

Blame and gates call it. A replay may ask models, so what came of it is kept as a run of the ledger under the digest of what was asked: a
step that is done again after a crash, and a gate that judges twice, pay for nothing twice and say the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from perdure.core.canonical import content_hash
from perdure.core.errors import DeclarationError, NotFound, NotReady
from perdure.core.ports import Replays
from perdure.core.runs import ReplayAsked
from perdure.loop.protocols import Workplace
from perdure.loop.work.runs.outcomes import Goodness
from perdure.loop.work.runs.reading import Seen
from perdure.stores.ledger.protocols import Run

KIND = "replay"
"""Kind of the ledger's runs that hold what came of replays."""
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a replay."""

    run: str
    value: float
    """How well it did, 0 to 1."""
    cost_pusd: int
    n_unknown: int
    """Effects that it asked for and that stand in no record."""


@dataclass(frozen=True, slots=True)
class Redone:
    """What came of some replays; `why_not`: why there are none."""

    outcomes: tuple[Outcome, ...] = ()
    why_not: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Redo:
    """Runs to be done again, each with its swaps: the same for all, or of each its own."""

    asset: str
    runs: Sequence[Seen]
    swaps: Mapping[str, Mapping[str, str]]
    """By id of a run."""
    goodness: Goodness
    measure: str
    """The objective in words: another one has other outcomes."""


def replay(place: Workplace, redo: Redo, now: datetime) -> Redone:
    """The outcomes, in the order of the runs; those that are kept already are read.

    A swap that names what is not there, or what cannot be loaded, gives none and says why.
    """
    if place.open_replays is None:
        return Redone(why_not="nothing here replays runs")
    if not redo.runs:
        return Redone(why_not="no recorded run to replay")
    key = content_hash([redo.asset, redo.measure, [[seen.run.id, redo.swaps[seen.run.id]] for seen in redo.runs]])
    run_id = f"run_{key[:17]}"
    kept = _kept(place, run_id)
    if kept is not None:
        return kept
    try:
        found = Redone(tuple(asyncio.run(_all(place.open_replays(), redo))))
    except (NotFound, NotReady, DeclarationError) as error:
        found = Redone(why_not=error.message.rstrip("."))
    facts = {
        "outcomes": [[each.run, each.value, each.cost_pusd, each.n_unknown] for each in found.outcomes],
        "why_not": found.why_not,
        "measure": redo.measure,
        "swaps": [dict(each) for each in _distinct(redo.swaps.values())][:5],
    }
    with place.transaction(now, "replay") as session:
        session.runs.put(Run(run_id, KIND, redo.asset, "done", now, now, facts=facts, actor=place.actor))
    return found


def _distinct(swaps: Iterable[Mapping[str, str]]) -> list[Mapping[str, str]]:
    found: dict[str, Mapping[str, str]] = {}
    for each in swaps:
        found.setdefault(content_hash(dict(each)), {name: value[:200] for name, value in each.items()})
    return list(found.values())


def _kept(place: Workplace, run_id: str) -> Redone | None:
    with place.stores.ledger.read() as session:
        try:
            run = session.runs.get(run_id)
        except NotFound:
            return None
    if run.facts["why_not"]:
        return None  # what could not be loaded then may be there now
    return Redone(tuple(Outcome(str(i), float(v), int(c), int(u)) for i, v, c, u in run.facts["outcomes"]))


async def _all(replays: Replays, redo: Redo) -> list[Outcome]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(seen: Seen) -> Outcome:
        async with gate:
            asked = ReplayAsked(run=seen.run, steps=tuple(seen.steps), swaps=redo.swaps[seen.run.id])
            done = await replays.replay(asked)
        value = redo.goodness.replayed(seen, done)
        return Outcome(seen.run.id, float(value), done.run.cost_pusd, len(done.unknown))

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(seen)) for seen in redo.runs]
    except* (NotFound, NotReady, DeclarationError) as failed:
        raise failed.exceptions[0] from None
    finally:
        await replays.close()
    return [task.result() for task in tasks]
