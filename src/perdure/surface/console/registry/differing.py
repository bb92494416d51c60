"""What differs between the version that answers and the one that would: definition, lineage, metrics, and metrics by slice."""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.core.canonical import plain
from perdure.surface.console.records import Cell, Table
from perdure.surface.console.which_better import best_of
from perdure.surface.words import number, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perdure.assets.version import Version
    from perdure.stores.ledger.protocols import Approval, Run

LONGEST = 600
"""Lines of a diff that are drawn."""
_NOTHING, _LITTLE = 1e-9, 1e-6
"""What is as near as this, or as near in parts of itself, is the same: sums of floats differ by so much."""


def diff(before: Version | None, after: Version) -> tuple[str, ...]:
    """Unified lines of definition and lineage; empty where nothing differs."""
    lines = list(
        unified_diff(
            _lines(before) if before else [],
            _lines(after),
            before.id if before else "nothing",
            after.id,
            lineterm="",
            n=2,
        )
    )
    if len(lines) > LONGEST:
        lines = [*lines[:LONGEST], f"@@ and {len(lines) - LONGEST:,} more lines @@"]
    return tuple(lines)


def text_diff(before: str, after: str, names: tuple[str, str]) -> tuple[str, ...]:
    """Unified lines of two texts."""
    return tuple(unified_diff(before.splitlines(), after.splitlines(), *names, lineterm="", n=2))


def _lines(version: Version) -> list[str]:
    shown = {"definition": version.definition, "lineage": version.lineage}
    return msgspec.json.format(msgspec.json.encode(plain(shown), order="sorted"), indent=2).decode().splitlines()


def metric_table(approval: Approval, candidate: Version | None, champion: Version | None) -> Table:
    """Measured when each was made."""
    new = dict(candidate.metrics) if candidate else dict(approval.facts.get("metrics", {}))
    old = dict(champion.metrics) if champion else {}
    rows = [(words(name), number(new.get(name)), number(old.get(name)), _change(new, old, name)) for name in new | old]
    return Table(
        ("Metric", "Candidate", "Answers now", "Difference"),
        rows[:200],
        "Metrics of the candidate beside those of what answers",
        numeric=frozenset({1, 2, 3}),
        empty="Nothing was measured when it was made.",
    )


def slice_table(made: Run | None, made_champion: Run | None) -> Table:
    """Metrics by slice on the rows that were held out, where the runs that made them kept some."""
    new, old = _slices(made), _slices(made_champion)
    rows = []
    for (column, value), metrics in new.items():
        for name, after in metrics.items():
            before = old.get((column, value), {})
            rows.append(
                (
                    f"{column}={value}",
                    words(name),
                    number(after),
                    number(before.get(name)),
                    _change(metrics, before, name),
                )
            )
    return Table(
        ("Slice", "Metric", "Candidate", "Answers now", "Difference"),
        rows[:200],
        "Metrics by slice",
        numeric=frozenset({2, 3, 4}),
        empty="No slices were measured: name columns in `slices = (...)` of the model.",
    )


def _slices(run: Run | None) -> dict[tuple[str, str], Mapping[str, float]]:
    kept: Mapping[str, Mapping[str, Mapping[str, float]]] = run.facts.get("slices", {}) if run else {}
    return {(column, value): metrics for column, by in kept.items() for value, metrics in by.items()}


def _change(after: Mapping[str, Any], before: Mapping[str, Any], name: str) -> Cell | str:
    """How far the candidate is from what answers, and whether that is better where it is known which way is."""
    a, b = after.get(name), before.get(name)
    if not (isinstance(a, int | float) and isinstance(b, int | float)):
        return ""
    best, told = best_of(name), f"{a - b:+,.4g}"
    if abs(a - b) <= max(_NOTHING, _LITTLE * max(abs(a), abs(b))):
        return "same"
    if best is None:
        return told
    better = best([a, b]) == a
    return Cell(f"{told} · {'better' if better else 'worse'}", tone="good" if better else "bad")
