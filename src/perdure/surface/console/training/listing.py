"""`/training`: every run of the ledger in one list, filtered while one types, sorted by any column, ticked to be compared.

All of it is read from the board's frame: no store is asked. The filter is a form, so that it works without scripts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from perdure.core.errors import BadRequest, nearest
from perdure.surface.console.asking import address, behind, text, whole
from perdure.surface.console.records import Asked, Cell, View
from perdure.surface.console.training.cells import asset_cell, run_address, status, took, value, version_cell, when
from perdure.surface.console.training.columns import choosable, column_of, is_numeric, shown, telling
from perdure.surface.console.training.filtering import Wanted, found

if TYPE_CHECKING:
    import polars as pl

    from perdure.surface.console.board import Board

_LIMIT = 100
_CHOSEN = "c."
"""Before a column's name in the query: `c.metrics.valid_mae=on` chooses it."""
_LEADING = ("started_at", "asset", "kind", "status", "seconds")
_MOST_CHOSEN, _MOST_OFFERED, _MOST_SUGGESTED = 20, 200, 50


@dataclass(frozen=True, slots=True)
class Heading:
    """Above a column, with the address that sorts by it."""

    text: str
    href: str
    order: str
    """`ascending`, `descending`, or `none`."""
    numeric: bool


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run: `cells` stand under the headings after the first."""

    id: str
    href: str
    comparable: bool
    cells: tuple[Cell | str, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A parameter or a metric that can be shown."""

    name: str
    text: str
    group: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """The list of runs."""

    wanted: Wanted
    kinds: tuple[str, ...]
    statuses: tuple[str, ...]
    assets: tuple[str, ...]
    """Suggestions; none where there are too many."""
    notes: tuple[str, ...]
    n_all: int
    n_found: int
    first: int
    """Place of the first run that is shown, from 1; 0: none is."""
    headings: tuple[Heading, ...]
    runs: tuple[RunLine, ...]
    columns: tuple[Column, ...]
    pinned: tuple[str, ...]
    """Names of columns that somebody chose, which go on with every address of the page."""
    more: str
    empty: str


def runs_page(asked: Asked) -> View:
    """The runs that are asked for."""
    runs, wanted = asked.board.runs, _wanted(asked)
    chosen = _chosen(asked.query, runs.columns)
    kept = found(runs, wanted)
    names = [*_LEADING, *(chosen or telling(kept.runs))]
    skip = whole(asked.query, "skip", 0, most=10_000_000)
    page = kept.runs.slice(skip, _LIMIT)
    data = Listing(
        wanted=wanted,
        kinds=_values(runs, "kind"),
        statuses=_values(runs, "status"),
        assets=_suggested(runs),
        notes=kept.notes,
        n_all=runs.height,
        n_found=kept.runs.height,
        first=skip + 1 if page.height else 0,
        headings=tuple(_heading(runs, name, wanted, chosen) for name in names),
        runs=tuple(_line(asked.board, row, names) for row in page.iter_rows(named=True)),
        columns=_offered(runs, names),
        pinned=tuple(chosen),
        more=_here(wanted, chosen, skip=skip + _LIMIT) if skip + _LIMIT < kept.runs.height else "",
        empty=behind(skip, _empty(runs.height)),
    )
    return View("Runs", data, cli=_cli(wanted), live=("work",))


def _wanted(asked: Asked) -> Wanted:
    query = asked.query
    sort = _sort(text(query, "sort"), asked.board.runs.columns)
    return Wanted(text(query, "asset"), text(query, "kind"), text(query, "status"), text(query, "q"), sort)


def _sort(said: str, columns: Sequence[str]) -> str:
    """The column to sort by, by its whole name.

    Raises:
        BadRequest: no run has it.
    """
    if not said:
        return ""
    name = column_of(columns, said.removeprefix("-"))
    if name is None:
        near = nearest(said.removeprefix("-"), columns)
        hint = f"Did you mean {near!r}?" if near else "Sort by one of the table's columns."
        raise BadRequest(f"No run has a column {said.removeprefix('-')!r} to sort by.", hint=hint)
    return f"-{name}" if said.startswith("-") else name


def _chosen(query: Mapping[str, str], columns: Sequence[str]) -> list[str]:
    """Columns that were chosen; one that no run has any more is left out."""
    said = [name.removeprefix(_CHOSEN) for name in query if name.startswith(_CHOSEN)]
    return [name for each in said if (name := column_of(columns, each)) is not None][:_MOST_CHOSEN]


def _values(runs: pl.DataFrame, name: str) -> tuple[str, ...]:
    return tuple(sorted(runs[name].unique().to_list()))


def _suggested(runs: pl.DataFrame) -> tuple[str, ...]:
    names = runs["asset"].unique()
    return tuple(sorted(names.to_list())) if len(names) <= _MOST_SUGGESTED else ()


def _heading(runs: pl.DataFrame, name: str, wanted: Wanted, chosen: Sequence[str]) -> Heading:
    down = f"-{name}"
    order = {name: "ascending", down: "descending"}.get(wanted.sort, "none")
    if not wanted.sort and name == "started_at":
        order = "descending"
    sort = down if order == "ascending" else name
    again = Wanted(wanted.asset, wanted.kind, wanted.status, wanted.q, sort)
    return Heading(shown(name), _here(again, chosen), order, is_numeric(runs.schema[name]))


def _line(board: Board, row: Mapping[str, Any], names: Sequence[str]) -> RunLine:
    cells = tuple(_cell(board, row, name) for name in names)
    return RunLine(row["id"], run_address(row["kind"], row["id"]), row["kind"] != "eval", cells)


def _cell(board: Board, row: Mapping[str, Any], name: str) -> Cell | str:
    said = row[name]
    if name == "started_at":
        return when(said)
    if name == "seconds":
        return took(said)
    if name == "status":
        return status(said)
    if name == "asset":
        return asset_cell(board, said)
    if name == "version":
        return version_cell(board, row["asset"], said)
    return value(said)


def _offered(runs: pl.DataFrame, names: Sequence[str]) -> tuple[Column, ...]:
    offered = choosable(runs)[:_MOST_OFFERED]
    return tuple(Column(name, shown(name), name.partition(".")[0], name in names) for name in ["version", *offered])


def _here(wanted: Wanted, chosen: Sequence[str], skip: int = 0) -> str:
    """The page's address with what was chosen."""
    return address("/training", **asdict(wanted), **{_CHOSEN + name: "on" for name in chosen}, skip=skip or "")


def _empty(n_all: int) -> str:
    if n_all:
        return "No run is so. Leave out a word of the filter."
    return "Nothing was trained yet. `perdure train MODEL` trains a model and keeps the run here."


def _cli(wanted: Wanted) -> str:
    from shlex import quote

    return f"perdure runs {quote(wanted.asset)}" if wanted.asset else "perdure runs"
