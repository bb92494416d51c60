"""Runs of suites, newest first: which there are is on the board, what each was is read for the rows that are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice

import polars as pl

from perdure.core.usage import PICO
from perdure.loop.work.evals.running import KIND, VERDICT
from perdure.stores.ledger.protocols import Run
from perdure.surface.console.asking import address, one_of, text, whole
from perdure.surface.console.language.cells import OVERVIEW, at, count, page_of, usd
from perdure.surface.console.language.gated import TONES, Word, comparison_in, words_of
from perdure.surface.console.records import Asked, Cell, Table, Tone, View

_PAGE = 50
_LOOKED_AT = 400
"""Runs whose facts are read at most to fill a table that only some of them belong to."""
_STATUS: dict[str, Tone] = {"done": "good", "partial": "warn", "running": "info", "failed": "bad"}
_EMPTY = "No suite was run yet: perdure eval run; two versions beside each other: perdure eval compare PROMPT"


@dataclass(frozen=True, slots=True)
class EvalList:
    """Runs of suites."""

    runs: Table
    suite: str
    suites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """So many rows, from where on, and the address of those after them."""

    n: int
    after: int = 0
    more: str = ""


def view(asked: Asked) -> View:
    """`/language/evals`."""
    after = whole(asked.query, "after", 0, most=1_000_000)
    suites = tuple(sorted(asked.project.project.suites))
    suite = one_of(asked.query, "suite", suites) if text(asked.query, "suite") else ""
    more = address("/language/evals", suite=suite, after=after + _PAGE)
    ids = _ids(asked, _asset_of(asked, suite))
    table = _table(asked, ids, Part(_PAGE, after, more), lambda run: _is_of(run, suite))
    return View("Evals", EvalList(table, suite, suites), (OVERVIEW,), "perdure eval list", ("ledger",))


def newest_evals(asked: Asked, n: int) -> Table:
    """The newest runs of any suite."""
    return _table(asked, _ids(asked, ""), Part(n, 0, "/language/evals"), lambda run: run.kind == KIND)


def evals_of(asked: Asked, asset: str, n: int, versions: AbstractSet[str] = frozenset()) -> Table:
    """The newest runs that asked a prompt or route; with `versions` only those that asked each of them."""
    return _table(asked, _ids(asked, asset), Part(n), lambda run: versions <= set(run.facts["subjects"]))


def evals_in(asked: Asked, suite: str, n: int) -> Table:
    """The newest runs of a suite."""
    more = address("/language/evals", suite=suite)
    return _table(asked, _ids(asked, _asset_of(asked, suite)), Part(n, 0, more), lambda run: _is_of(run, suite))


def _is_of(run: Run, suite: str) -> bool:
    return not suite or run.facts["suite"] == suite


def _asset_of(asked: Asked, suite: str) -> str:
    """What the ledger keeps runs of a suite under."""
    found = asked.project.project.suites.get(suite)
    return "" if found is None else found.prompt or found.route


def _ids(asked: Asked, asset: str) -> Sequence[str]:
    runs = asked.board.runs
    if runs.is_empty():
        return []
    mine = pl.col("kind") == KIND
    return runs.filter(mine & (pl.col("asset") == asset) if asset else mine)["id"].to_list()


def _table(asked: Asked, ids: Sequence[str], part: Part, wanted: Callable[[Run], bool]) -> Table:
    with asked.project.place.stores.ledger.read() as session:
        found = (session.runs.get(each) for each in ids[: part.after + part.n + _LOOKED_AT])
        shown = list(islice((run for run in found if wanted(run)), part.after, part.after + part.n + 1))
        words = {asset: words_of(session, asset) for asset in {run.asset for run in shown if _is_gates(run)}}
    return Table(
        headings=("Run", "Suite", "Versions", "Verdict", "Began", "Answers", "Spent", "Status"),
        rows=[_row(run, words.get(run.asset, ())) for run in shown[: part.n]],
        caption="Runs of suites, newest first",
        numeric=frozenset({5, 6}),
        more=part.more if len(shown) > part.n else "",
        empty=_EMPTY,
    )


def _is_gates(run: Run) -> bool:
    """Two versions and no verdict of its own: a gate asked for it, and said in the chain what it found."""
    return len(run.facts["subjects"]) > 1 and not run.facts.get(VERDICT)


def _row(run: Run, words: tuple[Word, ...]) -> tuple[Cell | str, ...]:
    subjects = list(run.facts["subjects"])
    status = "running" if run.status == "running" else "partial" if run.facts.get("partial") else run.status
    verdict = str((run.facts.get(VERDICT) or {}).get("comparison", "")) or comparison_in(words, run.id)
    suite = str(run.facts["suite"])
    return (
        Cell(run.id, address("/language/evals", run.id)),
        Cell(suite, page_of("suite", suite)),
        _versions(subjects),
        Cell(verdict, tone=TONES.get(verdict, "mute")) if verdict else "measured alone" if len(subjects) == 1 else "",
        at(run.started_at),
        count(int(run.metrics.get("n_answers", 0))),
        usd(run.metrics.get("spent_pusd", 0.0) / PICO),
        Cell(status, tone=_STATUS.get(status, "mute")),
    )


def _versions(subjects: Sequence[str]) -> str:
    """Versions in few words: the name once, where they share it.

    >>> _versions(["answer@a1", "answer@b2"]), _versions(["answer@a1"])
    ('answer: a1 → b2', 'answer@a1')
    """
    names = {each.partition("@")[0] for each in subjects[:2]}
    if len(subjects) < 2 or len(names) > 1:
        return " → ".join(subjects[:2])
    return f"{names.pop()}: {' → '.join(each.partition('@')[2] for each in subjects[:2])}"
