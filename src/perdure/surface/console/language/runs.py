"""`/language/runs`: runs of agents and graphs, newest first, by what runs and by how they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote
from typing import get_args

from perdure.core.runs import RunRecord, RunStatus
from perdure.core.usage import PICO
from perdure.surface.console.asking import address, one_of, text
from perdure.surface.console.language.cells import NONE, OVERVIEW, at_us, count, ms, page_of, usd
from perdure.surface.console.records import Asked, Cell, Table, Tone, View
from perdure.surface.runs_kept import Chosen, list_runs

_PAGE = 50
STATUSES: tuple[RunStatus, ...] = get_args(RunStatus)
TONES: dict[str, Tone] = {
    "running": "info",
    "waiting": "warn",
    "done": "good",
    "limited": "warn",
    "failed": "bad",
    "cancelled": "mute",
}
_EMPTY = "No such run: perdure agent run NAME TASK begins one, perdure graph run NAME too."


@dataclass(frozen=True, slots=True)
class RunsPage:
    """The whole page."""

    asset: str
    assets: tuple[str, ...]
    status: str
    statuses: tuple[str, ...]
    below: bool
    runs: Table


def view(asked: Asked) -> View:
    """The page."""
    project = asked.project.project
    assets = tuple(sorted({*project.agents, *project.graphs}))
    asset, status = text(asked.query, "asset", most=200), one_of(asked.query, "status", STATUSES)
    below = one_of(asked.query, "below", ("yes",)) == "yes"
    before = text(asked.query, "before", most=200)
    statuses = tuple(each for each in STATUSES if each == status)
    found = list_runs(asked.project, Chosen(asset, statuses, limit=_PAGE + 1, below=below, before=before))
    more = address(
        "/language/runs",
        asset=asset,
        status=status,
        below="yes" if below else "",
        before=found[_PAGE - 1].id if len(found) > _PAGE else "",
    )
    table = table_of(found[:_PAGE], more if len(found) > _PAGE else "")
    cli = "perdure agent runs" + (f" {quote(asset)}" if asset else "") + (f" --status {status}" if status else "")
    return View("Runs", RunsPage(asset, assets, status, STATUSES, below, table), (OVERVIEW,), cli)


def table_of(runs: Sequence[RunRecord], more: str = "", empty: str = _EMPTY) -> Table:
    """Runs in rows."""
    return Table(
        headings=("Run", "Of", "Status", "Began", "Took", "Steps", "Tokens", "Cost", "Version", "Why"),
        rows=[_row(each) for each in runs],
        caption="Runs, newest first",
        numeric=frozenset({4, 5, 6, 7}),
        more=more,
        empty=empty,
    )


def cost_of(run: RunRecord) -> str:
    """What a run cost; a mark where a part of it has no known price."""
    if run.unpriced and not run.cost_pusd:
        return NONE
    return usd(run.cost_pusd / PICO) + ("+?" if run.unpriced else "")


def _row(run: RunRecord) -> tuple[Cell | str, ...]:
    return (
        Cell(run.id, address("/language/runs", run.id)),
        Cell(run.asset, page_of(run.kind, run.asset)),
        Cell(run.status, tone=TONES[run.status]),
        at_us(run.began_us),
        ms((run.ended_us - run.began_us) / 1000.0) if run.ended_us else NONE,
        count(run.n_steps),
        count(run.n_tokens),
        cost_of(run),
        f"{run.version}" + (f" ({run.arm})" if run.arm and run.arm != "champion" else ""),
        run.why or NONE,
    )
