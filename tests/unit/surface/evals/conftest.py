"""Evals to show: sixty cases of two versions, some answers of which are hostile."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perdure.assets.health import Verdict
from perdure.assets.suite import Case
from perdure.core.clock import parse_at
from perdure.core.stats.intervals import Interval
from perdure.core.usage import PICO
from perdure.core.verdict import Comparison
from perdure.stores.results.protocols import RunRow
from perdure.surface.eval_rows import Looked, Texts, cases_told, scorers_told, sides_told
from perdure.surface.eval_told import EvalTold

OLD, NEW = "answer@1111", "answer@2222"


def row(number: int, subject: str, score: float | None, **fields: object) -> RunRow:
    """A row of a case, with one scorer unless `scores` says otherwise."""
    scores = fields.pop("scores", [("exact", score, "scored", "" if score else "expected 'seven'")])
    given = {
        "case": f"d{number}",
        "case_id": f"case-{number}",
        "cluster": f"k{number // 2}",
        "sample": 0,
        "subject": subject,
        "answer": f"{subject}/{number}",
        "scores": scores,
        "score": score,
        "usage": None,
        "cost_pusd": PICO // 1000,
        "spent_pusd": 0,
        "latency_us": 40_000 + number,
        "tags": ["odd"] if number % 2 else ["even"],
    }
    return RunRow(**{**given, **fields})  # type: ignore[arg-type]


def told(rows: list[RunRow], texts: Texts | None = None, **fields: object) -> EvalTold:
    """An eval of rows, as its run would tell it."""
    subjects = tuple(dict.fromkeys(each.subject for each in rows))
    looked = Looked(subjects, frozenset({"helpful"}))
    cases = cases_told(rows, looked, texts or Texts())
    given = {
        "suite": "refunds",
        "version": "s1",
        "run": "r_1",
        "at": parse_at("2026-05-01T10:00:00Z"),
        "sides": sides_told(rows, subjects),
        "scorers": scorers_told(rows, looked),
        "cases": cases,
        "n_cases": len(cases),
        "n_clusters": len({each.cluster for each in cases}),
        "took_s": 1.25,
        "spent_usd": 0.06,
    }
    return EvalTold(**{**given, **fields})  # type: ignore[arg-type]


WORSE = Verdict("quality", Comparison.WORSE, False, "worse by 20 points, 95% 10 to 30")
UNSURE = Verdict("cost", Comparison.NOT_ENOUGH_EVIDENCE, False, "not enough evidence: about 140 more cases")
FINE = Verdict("answers", Comparison.EQUIVALENT, True, "equivalent within 2 points")


@pytest.fixture
def worse() -> EvalTold:
    """Sixty cases, of which the new version loses a dozen and wins two."""
    rows = [row(n, OLD, 0.0 if n in (1, 2) else 1.0) for n in range(60)]
    rows += [row(n, NEW, 0.0 if 10 <= n < 22 else 1.0) for n in range(60)]
    cases = {f"d{n}": Case(f"case-{n}", {"question": f"What is {n}?"}, expected="seven") for n in range(60)}
    return told(
        rows,
        Texts(cases, {f"{side}/{n}": f"It is {n}." for n in range(60) for side in (OLD, NEW)}),
        comparison=Comparison.WORSE,
        difference=Interval(-0.1667, -0.27, -0.06, 60),
        text="worse by 16.7 points",
        gates=(WORSE, UNSURE, FINE),
    )


@pytest.fixture
def rows() -> Callable[..., RunRow]:
    """Makes a row."""
    return row
