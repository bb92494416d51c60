"""The table under each drawing: who cannot see a chart, or wants the numbers, reads it there."""

from __future__ import annotations

import math
from collections.abc import Sequence

from perdure.core.clock import from_us
from perdure.surface.console.records import Bars, Cell, Drawn, Lineage, Mark, Picture, Scatter, Steps, Table
from perdure.surface.console.thinning import thin
from perdure.surface.words import counted, instant, number

_MOST = 100
"""Rows of values in a table, and of marks: together no more than a page may hold."""


def as_table(it: Drawn) -> Table:
    """The drawing's numbers, at most 200 rows: a longer chart is thinned, what a longer list leaves out its caption tells."""
    if isinstance(it, Bars):
        return _of_bars(it)
    if isinstance(it, Steps):
        return _of_steps(it)
    if isinstance(it, Lineage):
        return _of_lineage(it)
    if isinstance(it, Scatter):
        return _of_scatter(it)
    return _of_picture(it)


def _of_picture(picture: Picture) -> Table:
    few = thin(picture, _MOST)
    unit = f", {picture.unit}" if picture.unit else ""
    banded = [bool(each.low and each.high) for each in few.series]
    headings = [picture.across or "When"]
    for each, band in zip(few.series, banded, strict=True):
        headings += [f"{each.name}{unit}", *(["from", "to"] if band else [])]
    rows: list[tuple[int, list[Cell | str]]] = []
    for k, at in enumerate(few.at_us):
        row: list[Cell | str] = [_place(at, picture.across)]
        for each, band in zip(few.series, banded, strict=True):
            row.append(_number(each.values[k]))
            row += [_number(each.low[k]), _number(each.high[k])] if band else []
        rows.append((at, [*row, ""] if few.marks else row))
    marks = sorted(few.marks, key=lambda mark: -mark.at_us)[:_MOST]
    empty = [""] * (len(headings) - 1)
    rows += [(mark.at_us, [_place(mark.at_us, picture.across), *empty, _mark(mark)]) for mark in marks]
    rows.sort(key=lambda row: -row[0] if not picture.across else row[0])
    n = max(picture.n_whole, len(picture.at_us))
    caption = f"{picture.title}, newest first" if not picture.across else picture.title
    if n > len(few.at_us):
        caption += f": {counted(n, 'value')} as the means of {len(few.at_us)} stretches"
    if len(picture.marks) > len(marks):
        caption += f"; the newest {len(marks)} of {len(picture.marks):,} things that happened"
    return Table(
        headings=(*headings, "What happened") if few.marks else tuple(headings),
        rows=tuple(tuple(row) for _, row in rows),
        caption=caption,
        numeric=frozenset(range(1, len(headings))),
        empty="Nothing was measured yet.",
    )


def _place(at: int, across: str) -> Cell | str:
    return f"{at:,}" if across else Cell(f"{instant(from_us(at))} UTC", at=from_us(at))


def _number(value: float | None) -> str:
    return number(value) if value is not None and math.isfinite(value) else "–"


def _mark(mark: Mark) -> Cell:
    until = "" if mark.until_us is None else f", until {instant(from_us(mark.until_us))} UTC"
    return Cell(f"{mark.text}{until}", href=mark.href)


def _of_bars(it: Bars) -> Table:
    with_before = any(before is not None for _, _, before in it.rows)
    unit = f", {it.unit}" if it.unit else ""
    rows = [
        (name, _number(value), *([_number(before)] if with_before else []))
        for name, value, before in it.rows[: 2 * _MOST]
    ]
    headings = ("What", f"Value{unit}", *([f"{it.was.capitalize()}{unit}"] if with_before else []))
    return Table(headings, rows, it.title, frozenset(range(1, len(headings))), empty="Nothing to show.")


def _of_steps(it: Steps) -> Table:
    names: Sequence[str] = it.labels or [
        f"{low:.4g} … {high:.4g}" for low, high in zip(it.edges[:-1], it.edges[1:], strict=True)
    ]
    was, now = sum(it.reference) or 1.0, sum(it.current) or 1.0
    rows = [
        (name, f"{a / was:.1%}", f"{b / now:.1%}", f"{b / now - a / was:+.1%}")
        for name, a, b in zip(names, it.reference, it.current, strict=True)
    ]
    unit = f", {it.unit}" if it.unit else ""
    headings = (f"{it.title}{unit}", it.sides[0].capitalize(), it.sides[1].capitalize(), "Change")
    return Table(headings, rows[: 2 * _MOST], it.title, frozenset({1, 2, 3}), empty="No rows in either.")


def _of_lineage(it: Lineage) -> Table:
    known = {node.id: node for node in it.nodes}
    rests: dict[str, list[str]] = {}
    for first, second in dict.fromkeys(it.lines):
        if first in known and second in known:
            rests.setdefault(second, []).append(known[first].text)
    rows = [
        (Cell(node.text, href=node.href), node.kind, ", ".join(rests.get(node.id, [])) or "–")
        for node in it.nodes[: 2 * _MOST]
    ]
    return Table(("Asset", "Kind", "Rests on"), rows, it.title, empty="It rests on nothing, and nothing rests on it.")


def _of_scatter(it: Scatter) -> Table:
    rows = [
        (name, it.groups[kind] if kind < len(it.groups) else str(kind), f"{x:.3f}", f"{y:.3f}")
        for (x, y), kind, name in list(zip(it.at, it.kinds, it.names, strict=True))[: 2 * _MOST]
    ]
    n = len(it.at)
    caption = it.title if n <= 2 * _MOST else f"{it.title}: the first {2 * _MOST} of {n:,} points"
    return Table(("Point", "Group", "x", "y"), rows, caption, frozenset({2, 3}), empty="No points yet.")
