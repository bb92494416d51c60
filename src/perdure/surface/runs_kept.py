"""Runs as they are kept: in the store of runs while they go on and for some weeks after, in the lake for good.

Verbs read them here, by an id or how it begins; the store first, for it has what was said whole, and the lake what its asset keeps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from perdure.core.clock import to_us
from perdure.core.errors import BadRequest, NotFound
from perdure.core.runs import ENDED, RunStatus
from perdure.stores.runs.protocols import Told, Wanted

if TYPE_CHECKING:
    from perdure.core.runs import RunRecord, Wait
    from perdure.stores.runs.sqlite import SqliteRuns
    from perdure.surface.opened import Opened

_PAGE = 200
_ID = "run_"


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which runs; every member that is given narrows them."""

    asset: str = ""
    statuses: Sequence[RunStatus] = ()
    since: datetime | None = None
    """Begun at this instant or later; with `until`, asked for."""
    until: datetime | None = None
    """Asked for at this instant of the domain's time at the latest."""
    limit: int = 50
    below: bool = False
    """Those that runs began, too."""
    before: str = ""
    """Begun before the run of this id: the next page."""


@contextmanager
def opened_runs(opened: Opened, *, made: bool = False) -> Iterator[SqliteRuns | None]:
    """The project's store of runs; None where no run was ever begun, unless it is to be made."""
    from perdure.surface.compose import stores_root
    from perdure.surface.compose_runs_kept import find_runs, open_runs

    root = stores_root(opened.folder, opened.settings)
    runs = open_runs(root, opened.settings) if made else find_runs(root, opened.settings)
    try:
        yield runs
    finally:
        if runs is not None:
            runs.close()


def list_runs(opened: Opened, chosen: Chosen) -> list[RunRecord]:
    """Runs, newest first; of those that left the store already, what the lake has."""
    found = list(_of_store(opened, chosen))
    if len(found) < chosen.limit:
        known = {run.id for run in found}
        found += [run for run in _of_lake(opened, chosen) if run.id not in known]
    return sorted(found, key=lambda run: (run.began_us, run.id), reverse=True)[: chosen.limit]


def get_run(opened: Opened, run: str) -> Told:
    """A run with its journal, by its id or how that begins.

    Raises:
        NotFound: there is none.
        BadRequest: several begin so.
    """
    from perdure.loop.work.captured_runs import read_told

    whole = run if run.startswith(_ID) else f"{_ID}{run}"
    with opened_runs(opened) as runs:
        if runs is not None:
            found = _beginning(runs, whole)
            if len(found) > 1:
                raise BadRequest(f"{len(found)} runs begin with {run!r}.", hint=f"Such as {found[0]} and {found[1]}.")
            if found:
                return runs.get(found[0])
    try:
        return read_told(opened.place.stores.lake, whole)
    except NotFound as error:
        raise NotFound(f"There is no run {run!r}.", hint="perdure agent runs lists them.") from error


def waiting(opened: Opened) -> list[tuple[RunRecord, Wait]]:
    """Open questions with their runs, those first that were asked first."""
    found: list[tuple[RunRecord, Wait]] = []
    with opened_runs(opened) as runs:
        for run in () if runs is None else _pages(runs, Wanted(waiting=True, limit=_PAGE)):
            assert runs is not None
            found += [(run, wait) for wait in runs.get(run.id).waits if wait.answer is None]
    return sorted(found, key=lambda pair: (pair[1].asked_us, pair[1].id))


def told_runs(opened: Opened, chosen: Chosen) -> list[Told]:
    """Runs that are over with their journals, oldest first: for replays."""
    over = replace(chosen, statuses=chosen.statuses or tuple(sorted(ENDED)))
    return [get_run(opened, run.id) for run in reversed(list_runs(opened, over))]


def _of_store(opened: Opened, chosen: Chosen) -> Iterator[RunRecord]:
    since_us = 0 if chosen.since is None else to_us(chosen.since)
    with opened_runs(opened) as runs:
        if runs is None:
            return
        wanted = Wanted(
            asset=chosen.asset,
            statuses=chosen.statuses,
            parent=None if chosen.below else "",
            before=chosen.before,
            limit=_PAGE,
        )
        pages = _pages(runs, wanted)
        if chosen.until is not None:  # runs stand in the order in which they were begun: a domain's time may be any
            until_us = to_us(chosen.until)
            yield from islice((run for run in pages if since_us <= run.served_us <= until_us), chosen.limit)
            return
        yield from takewhile(lambda run: run.began_us >= since_us, islice(pages, chosen.limit))


def _beginning(runs: SqliteRuns, whole: str) -> list[str]:
    """Ids that begin so, two at most: one that is whole stands for itself."""
    page = runs.list(Wanted(before=f"{whole}~", replays=None, limit=2))
    found = [each.id for each in page if each.id.startswith(whole)]
    return [whole] if whole in found else found


def _pages(runs: SqliteRuns, wanted: Wanted) -> Iterator[RunRecord]:
    while True:
        page = runs.list(wanted)
        yield from page
        if len(page) < wanted.limit:
            return
        wanted = replace(wanted, before=page[-1].id)


def _of_lake(opened: Opened, chosen: Chosen) -> list[RunRecord]:
    from perdure.loop.work.captured_runs import RUN_STEPS_SCHEMA, RUNS, read_runs, told_of

    lake = opened.place.stores.lake
    if RUNS not in lake.tables():
        return []
    import polars as pl

    end = None if chosen.until is None else chosen.until + timedelta(microseconds=1)
    rows = read_runs(lake, chosen.asset or None, chosen.since, end).filter(pl.col("arm") != "shadow")
    if chosen.statuses:
        rows = rows.filter(pl.col("status").is_in(list(chosen.statuses)))
    if not chosen.below:
        rows = rows.filter(pl.col("parent") == "")
    if chosen.before:
        rows = rows.filter(pl.col("run_id") < chosen.before)
    newest = rows.sort("began_at", "run_id", descending=True).head(chosen.limit)
    return [each.run for each in told_of(newest, pl.DataFrame(schema=RUN_STEPS_SCHEMA))]
