"""`/training/{run}`: one run whole: what it was given, what came out, by which slices, how it learned, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perdure.core.errors import NotFound
from perdure.surface.console.asking import address
from perdure.surface.console.records import Asked, Bars, Cell, Picture, Table, View
from perdure.surface.console.training.cells import (
    NONE,
    RUNS,
    asset_cell,
    run_address,
    status,
    took,
    value,
    version_cell,
    when,
)
from perdure.surface.console.training.curves import pictures
from perdure.surface.console.training.standing import became, made_by

if TYPE_CHECKING:
    from perdure.assets.version import Version
    from perdure.stores.ledger.protocols import LedgerSession, Run
    from perdure.surface.console.board import Board

_TOLD = ("version", "curves", "slices", "importance", "error", "trials", "code", "dataset", "seed", "remedy", "cpu_s")
"""Facts that have a place of their own on the page; others are told as they are kept."""
_MOST_ROWS = 100
_MOST_BARS = 30
_MOST_TEXT = 20_000


@dataclass(frozen=True, slots=True)
class Kept:
    """A fact of a run, as the ledger keeps it."""

    name: str
    text: str
    """JSON."""


@dataclass(frozen=True, slots=True)
class RunTold:
    """One run."""

    id: str
    kind: str
    asset: Cell
    status: Cell
    version: Cell | str
    started: Cell | str
    took: str
    actor: str
    error: str
    """Why it failed; empty where it did not."""
    hint: str
    made: Table
    """What made it: dataset, code, seed, remedy, rows."""
    became: Table
    """What came of its version: pointers that name it, decisions that weighed it."""
    params: Table
    metrics: Table
    slices: tuple[Table, ...]
    importance: Bars | None
    curves: tuple[Picture, ...]
    trials: Table | None
    """Of a search of parameters."""
    others: tuple[Kept, ...]
    champion_run: str
    """Address that compares it with the run that made the champion; empty where it is that, or none is known."""


def run_page(asked: Asked) -> View:
    """One run.

    Raises:
        NotFound: no such run.
    """
    with asked.project.place.stores.ledger.read() as session:
        run = session.runs.get(asked.path["run"])
        version = _version(session, run)
        outcome = became(session, asked.board, run.asset, str(run.facts.get("version", "")))
    data = _told(asked.board, run, version, outcome)
    return View(run.id, data, crumbs=(RUNS,))


def _version(session: LedgerSession, run: Run) -> Version | None:
    name = str(run.facts.get("version", ""))
    try:
        return session.registry.get_version(name) if name else None
    except NotFound:
        return None


def _told(board: Board, run: Run, version: Version | None, outcome: Table) -> RunTold:
    facts = run.facts
    error = facts.get("error") or {}
    seconds = (run.finished_at - run.started_at).total_seconds() if run.finished_at else None
    return RunTold(
        id=run.id,
        kind=run.kind,
        asset=asset_cell(board, run.asset),
        status=status(run.status),
        version=version_cell(board, run.asset, str(facts.get("version", ""))),
        started=when(run.started_at),
        took=took(seconds),
        actor=run.actor,
        error=str(error.get("message", "")) if isinstance(error, Mapping) else str(error),
        hint=str(error.get("hint", "")) if isinstance(error, Mapping) else "",
        made=made_by(run, version),
        became=outcome,
        params=_params(run.params),
        metrics=_metrics(run.metrics),
        slices=tuple(_slices(facts.get("slices"))),
        importance=_importance(facts.get("importance")),
        curves=pictures([("", facts)]),
        trials=_trials(facts.get("trials")),
        others=tuple(Kept(name, _json(said)) for name, said in facts.items() if name not in _TOLD and said),
        champion_run=_champion_run(board, run),
    )


def _params(params: Mapping[str, Any]) -> Table:
    rows = [(name, value(said)) for name, said in sorted(params.items())]
    return Table(
        ("Parameter", "Value"), rows[:_MOST_ROWS], "Parameters of the run", frozenset({1}), empty="It was given none."
    )


def _metrics(metrics: Mapping[str, float]) -> Table:
    """Metrics of training and validation side by side; others below."""
    parts = ("train", "valid")
    split = {name: name.partition("_") for name in metrics}
    names = sorted({rest for part, _, rest in split.values() if part in parts})
    rows: list[tuple[str, ...]] = [(name, *(value(metrics.get(f"{part}_{name}")) for part in parts)) for name in names]
    rows += [(name, NONE, value(metrics[name])) for name in sorted(metrics) if split[name][0] not in parts]
    return Table(("Metric", "Training", "Validation"), rows[:_MOST_ROWS], "Metrics of training and validation", frozenset({1, 2}),
                 empty="Nothing was measured: it has not ended, or failed.")  # fmt: skip


def _slices(slices: Any) -> list[Table]:
    """A table a column: its values, the worst by the first metric first."""
    tables = []
    for column, by_value in slices.items() if isinstance(slices, Mapping) else ():
        names = sorted({name for each in by_value.values() for name in each if name != "n"})
        rows = [
            (each, *(value(told.get(name)) for name in names), value(told.get("n")))
            for each, told in sorted(by_value.items(), key=lambda pair: _worst(pair[1], names))
        ]
        numeric = frozenset(range(1, len(names) + 2))
        headings = (column, *names, "rows")
        caption = f"Validation by {column}" + (f", the worst {_MOST_ROWS}" if len(rows) > _MOST_ROWS else "")
        tables.append(Table(headings, rows[:_MOST_ROWS], caption, numeric))
    return tables


def _worst(told: Mapping[str, float], names: Sequence[str]) -> float:
    of_error = next((name for name in ("mae", "log_loss", "rmse") if name in names), "")
    return -told.get(of_error or (names[0] if names else ""), 0.0)


def _importance(importance: Any) -> Bars | None:
    if not isinstance(importance, Mapping) or not importance:
        return None
    shares = sorted(((str(name), float(share)) for name, share in importance.items()), key=lambda each: -each[1])
    rest = len(shares) - _MOST_BARS
    title = "Importance of features" + (f", the first {_MOST_BARS} of {len(shares)}" if rest > 0 else "")
    rows = tuple((name, 100 * share, None) for name, share in shares[:_MOST_BARS])
    return Bars("importance", title, "%", rows)


def _trials(trials: Any) -> Table | None:
    """Trials of a search, in the order in which they were made."""
    if not isinstance(trials, Sequence) or isinstance(trials, str) or not trials:
        return None
    names = sorted({name for trial in trials for name in trial.get("params", {})})[:8]
    rows = [
        (f"{k + 1:,}", *(value(trial.get("params", {}).get(name)) for name in names), value(trial.get("value")),
         str(trial.get("state", "")))
        for k, trial in enumerate(trials[:_MOST_ROWS])
    ]  # fmt: skip
    numeric = frozenset(range(1, len(names) + 2))
    return Table(("Trial", *names, "Value", "State"), rows, "Trials of the search", numeric)


def _json(said: Any) -> str:
    text = json.dumps(said, ensure_ascii=False, indent=2, default=str)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}\n… {len(text):,} characters in all"


def _champion_run(board: Board, run: Run) -> str:
    """Compare with the run that made what answers now."""
    tile = board.by_name.get(run.asset)
    if tile is None or not tile.champion or run.kind == "eval":
        return ""
    import polars as pl

    made = board.runs.filter((pl.col("version") == tile.champion) & (pl.col("asset") == run.asset))["id"].to_list()
    if not made or run.id in made:
        return ""
    return address("/training/compare", runs=f"{made[0]},{run.id}")


__all__ = ["RunTold", "run_address", "run_page"]
