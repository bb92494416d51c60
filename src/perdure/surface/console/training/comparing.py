"""`/training/compare?runs=a,b,c`: runs side by side.

Parameters that differ come first, metrics have the best marked, curves lie over each other, and a parameter is drawn against a metric
among all runs of their assets.

Runs are named by `runs`, or ticked in the list: a form sends `r.RUN=on` for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perdure.core.errors import BadRequest
from perdure.stores.ledger.protocols import Run
from perdure.surface.console.asking import address, text
from perdure.surface.console.records import Asked, Cell, Picture, Table, View
from perdure.surface.console.training.against import Against, against
from perdure.surface.console.training.cells import (
    NONE,
    RUNS,
    asset_cell,
    run_address,
    status,
    value,
    version_cell,
    when,
)
from perdure.surface.console.training.curves import pictures
from perdure.surface.console.which_better import best_of

MOST = 8
"""Runs at once: as many as there are colours."""
TICKED = "r."
_FACTS = {"dataset": "Dataset", "code": "Code", "seed": "Seed", "remedy": "Remedy", "cpu_s": "CPU of the fit, s"}
_MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class Compared:
    """Runs side by side."""

    runs: Table
    ids: tuple[str, ...]
    left_out: str
    """What was asked for and is not here, in words."""
    n_different: int
    different: Table
    """Parameters and facts that differ."""
    same: Table
    metrics: Table
    curves: tuple[Picture, ...]
    against: Against | None


def compare_page(asked: Asked) -> View:
    """The runs that are asked for.

    Raises:
        BadRequest: fewer than two.
        NotFound: no such run.
    """
    names = _asked(asked.query)
    if len(names) < 2:
        raise BadRequest(
            "Two runs or more are compared.",
            hint="Tick them in the list of runs, or write /training/compare?runs=RUN,RUN.",
        )
    with asked.project.place.stores.ledger.read() as session:
        runs = [session.runs.get(name) for name in names[:MOST]]
    data = Compared(
        runs=_heads(asked, runs),
        ids=tuple(run.id for run in runs),
        left_out=f"{len(names) - MOST} more were named; {MOST} are compared at once." if len(names) > MOST else "",
        n_different=len(_different(runs)),
        different=_table(runs, _different(runs), "What differs between them", "Nothing differs but what came out."),
        same=_table(runs, _same(runs), "What is the same in all", "Nothing is the same in all of them."),
        metrics=_metrics(runs),
        curves=pictures([(_letter(k), run.facts) for k, run in enumerate(runs)]),
        against=against(asked.board.runs, runs, text(asked.query, "x"), text(asked.query, "y")),
    )
    return View(f"{len(runs)} runs compared", data, crumbs=(RUNS,))


def _asked(query: Mapping[str, str]) -> list[str]:
    listed = [name.strip() for name in text(query, "runs", most=2_000).split(",")]
    ticked = [name.removeprefix(TICKED) for name in query if name.startswith(TICKED)]
    return list(dict.fromkeys(name for name in (*listed, *ticked) if name))


def _letter(place: int) -> str:
    """How a run is called in headings and legends.

    >>> _letter(0), _letter(2)
    ('A', 'C')
    """
    return chr(ord("A") + place)


def _heads(asked: Asked, runs: Sequence[Run]) -> Table:
    rows = [
        (
            _letter(k),
            Cell(run.id, href=run_address(run.kind, run.id)),
            asset_cell(asked.board, run.asset),
            status(run.status),
            version_cell(asked.board, run.asset, str(run.facts.get("version", ""))),
            when(run.started_at),
        )
        for k, run in enumerate(runs)
    ]
    return Table(("Called", "Run", "Asset", "Status", "Version", "Started"), rows, "The runs that are compared")


def _said(run: Run) -> dict[str, Any]:
    """What it was given, by its words: parameters, then what made it."""
    return {**run.params, **{words: run.facts[name] for name, words in _FACTS.items() if run.facts.get(name)}}


def _lines(runs: Sequence[Run]) -> dict[str, list[str]]:
    said = [_said(run) for run in runs]
    names = list(dict.fromkeys(name for each in said for name in each))
    return {name: [value(each[name]) if name in each else NONE for each in said] for name in names}


def _different(runs: Sequence[Run]) -> dict[str, list[str]]:
    return {name: values for name, values in _lines(runs).items() if len(set(values)) > 1}


def _same(runs: Sequence[Run]) -> dict[str, list[str]]:
    return {name: values[:1] for name, values in _lines(runs).items() if len(set(values)) == 1}


def _table(runs: Sequence[Run], lines: Mapping[str, Sequence[str]], caption: str, empty: str) -> Table:
    letters = [_letter(k) for k in range(len(runs))]
    wide = max((len(values) for values in lines.values()), default=0)
    headings = ("What", *letters) if wide > 1 else ("What", "Value")
    rows = [(name, *(_marked(each, values) for each in values)) for name, values in lines.items()]
    return Table(headings, rows[:_MOST_ROWS], caption, frozenset(range(1, len(headings))), empty=empty)


def _marked(said: str, values: Sequence[str]) -> Cell | str:
    """What differs from the first run's is marked."""
    return Cell(said, tone="warn") if len(values) > 1 and said != values[0] else said


def _metrics(runs: Sequence[Run]) -> Table:
    names = sorted(
        {name for run in runs for name in run.metrics}, key=lambda name: (not name.startswith("valid"), name)
    )
    headings = ("Metric", *(_letter(k) for k in range(len(runs))))
    rows = [_metric(name, [run.metrics.get(name) for run in runs]) for name in names]
    return Table(headings, rows[:_MOST_ROWS], "Metrics side by side", frozenset(range(1, len(headings))),
                 empty="None of them measured anything.")  # fmt: skip


def _metric(name: str, values: Sequence[float | None]) -> tuple[Cell | str, ...]:
    """The values, the best marked where it is known which way is better, and how far the others are from the first."""
    known = [each for each in values if each is not None]
    best = best_of(name)
    top = best(known) if best is not None and len(set(known)) > 1 else None
    # Of what goes below zero a share of change says nothing.
    first = values[0] if min(known, default=0.0) > 0 else None
    return (name, *(_measured(each, first, top) for each in values))


def _measured(said: float | None, first: float | None, top: float | None) -> Cell | str:
    if said is None:
        return NONE
    change = "" if first is None or said == first or not first else f" ({100 * (said - first) / abs(first):+.1f}%)"
    shown = f"{value(said)}{change}"
    return Cell(f"{shown} · best", tone="good") if said == top else shown


def compare_address(runs: Sequence[str]) -> str:
    """Where runs stand side by side."""
    return address("/training/compare", runs=",".join(runs))


__all__ = ["MOST", "TICKED", "Compared", "compare_address", "compare_page"]
