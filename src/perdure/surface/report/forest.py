"""Intervals side by side as SVG text: a line with its value a row, on one axis. The page's tables tell the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from perdure.core.stats.intervals import Interval
from perdure.surface.eval_told import shortened
from perdure.surface.report.chart import ticks

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP, _BOTTOM = 720, 220, 24, 26, 8, 28


@dataclass(frozen=True, slots=True)
class Row:
    """One interval; `side` numbers the version that it is of, for its colour."""

    name: str
    found: Interval
    side: int = 0


@dataclass(frozen=True, slots=True)
class Forest:
    """What is drawn. Values are in the axis' own unit: 0.9 is 90 %."""

    title: str
    rows: Sequence[Row]
    text: Callable[[float], str]
    """A value as it stands at the axis."""
    zero: bool = False
    """Differences: 0 is drawn, and stays in view."""
    margin: float = 0.0
    """Around 0: what counts as none."""


def forest(drawn: Forest) -> str:
    """The picture; a sentence in its place where there is no interval."""
    if not drawn.rows:
        return '<p class="none">Too few cases or clusters for an interval.</p>'
    low, high = min(row.found.low for row in drawn.rows), max(row.found.high for row in drawn.rows)
    if drawn.zero:
        low, high = min(low, -drawn.margin), max(high, drawn.margin)
    marks = ticks(low, high)
    height = _TOP + _ROW * len(drawn.rows) + _BOTTOM
    parts = [f'<svg class="forest" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(drawn.title)}">']
    x = _axis(marks[0], marks[-1])
    bottom = height - _BOTTOM
    if drawn.zero and drawn.margin:
        left, right = x(-drawn.margin), x(drawn.margin)
        parts.append(
            f'<rect class="margin" x="{left}" y="{_TOP}" width="{right - left:.1f}" height="{bottom - _TOP}"/>'
        )
    for mark in marks:
        kind = "zero" if drawn.zero and mark == 0.0 else "grid"
        parts.append(f'<line class="{kind}" x1="{x(mark)}" x2="{x(mark)}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(f'<text class="x" x="{x(mark)}" y="{height - 10}">{escape(drawn.text(mark))}</text>')
    for at, row in enumerate(drawn.rows):
        parts += _row(row, _TOP + _ROW * at + _ROW // 2, x, drawn.text)
    return "\n".join([*parts, "</svg>"])


def _axis(low: float, high: float) -> Callable[[float], float]:
    return lambda value: round(_LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT), 1)


def _row(row: Row, y: int, x: Callable[[float], float], text: Callable[[float], str]) -> list[str]:
    found = row.found
    told = f"{row.name}: {text(found.value)}, {text(found.low)} to {text(found.high)}"
    return [
        f'<g class="side{row.side}"><title>{escape(shortened(told))}</title>',
        f'<text class="lane" x="{_LEFT - 12}" y="{y + 4}">{escape(shortened(row.name, 32))}</text>',
        f'<line class="bar" x1="{x(found.low)}" x2="{x(found.high)}" y1="{y}" y2="{y}"/>',
        f'<circle cx="{x(found.value)}" cy="{y}" r="5"/></g>',
    ]
