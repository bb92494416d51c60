"""Line charts as SVG text: axes with round ticks, months on the x axis, bands, a bound, a legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape

from perdure.core.clock import to_us

WIDTH, HEIGHT = 920, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 44, 30, 34
COLOURS = ("#2f6feb", "#d9730d", "#2e9e6b", "#b0459b", "#8a6d1d", "#5b6478")


@dataclass(frozen=True, slots=True)
class Point:
    """One value with its interval; without one, `low` and `high` equal the value."""

    at: datetime
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Line:
    """A named series."""

    name: str
    points: Sequence[Point]
    band: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """What to draw. `bound` is a dashed horizontal line with its own label."""

    title: str
    unit: str
    lines: Sequence[Line]
    bound: float | None = None
    bound_name: str = ""
    events: Sequence[tuple[datetime, str]] = field(default_factory=tuple)


def ticks(low: float, high: float, n: int = 5) -> list[float]:
    """Round values that span `[low, high]` in about `n` steps of 1, 2 or 5 times a power of ten.

    >>> ticks(0, 18)
    [0.0, 5.0, 10.0, 15.0, 20.0]
    """
    span = max(high - low, 1e-12)
    power = 10.0 ** math.floor(math.log10(span / n))
    step = next(factor * power for factor in (1, 2, 5, 10) if span / (factor * power) <= n)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(k * step, 12) for k in range(first, last + 1)]


class _Frame:
    """Maps instants and values to the drawing's coordinates."""

    def __init__(self, chart: Chart) -> None:
        points = [point for line in chart.lines for point in line.points]
        self.start_us = min(to_us(point.at) for point in points)
        self.end_us = max([self.start_us + 1, *(to_us(point.at) for point in points)])
        highest = max([point.high for point in points] + ([chart.bound] if chart.bound is not None else []))
        self.ticks = ticks(min(0.0, *(point.low for point in points)), highest if highest > 0 else 1.0)

    def x(self, at: datetime) -> float:
        share = (to_us(at) - self.start_us) / (self.end_us - self.start_us)
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        share = (value - low) / (high - low)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)


def svg(chart: Chart) -> str:
    """The chart as an SVG element; a note in its place when there is nothing to draw."""
    if not any(line.points for line in chart.lines):
        return f'<p class="empty">Nothing was measured for: {escape(chart.title)}.</p>'
    frame = _Frame(chart)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.title)}">',
        *_grid(frame, chart.unit),
        *_months(frame),
    ]
    for at, line in enumerate(chart.lines):
        parts += _drawn(frame, line, COLOURS[at % len(COLOURS)])
    if chart.bound is not None:
        y = frame.y(chart.bound)
        parts.append(f'<line class="bound" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="bound" x="{WIDTH - _RIGHT}" y="{y - 5}">{escape(chart.bound_name)}</text>')
    for moment, text in chart.events:
        x = frame.x(moment)
        parts.append(f'<line class="event" x1="{x}" x2="{x}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>')
        parts.append(f'<text class="event" x="{x + 4}" y="{_TOP + 10}">{escape(text)}</text>')
    return "\n".join([*parts, "</svg>", _legend(chart)])


def _grid(frame: _Frame, unit: str) -> list[str]:
    parts = []
    for tick in frame.ticks:
        y = frame.y(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick y" x="{_LEFT - 8}" y="{y + 4}">{tick:g}</text>')
    parts.append(f'<text class="unit" x="{_LEFT - 30}" y="{_TOP - 14}">{escape(unit)}</text>')
    return parts


def _months(frame: _Frame) -> list[str]:
    from perdure.core.clock import from_us

    at = from_us(frame.start_us)
    month = datetime(at.year, at.month, 1, tzinfo=at.tzinfo)
    parts = []
    while to_us(month) <= frame.end_us:
        if to_us(month) >= frame.start_us:
            x = frame.x(month)
            parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>')
            parts.append(f'<text class="tick x" x="{x}" y="{HEIGHT - _BOTTOM + 18}">{month:%b %Y}</text>')
        month = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
    return parts


def _drawn(frame: _Frame, line: Line, colour: str) -> list[str]:
    parts = []
    if line.band and len(line.points) > 1:
        upper = [f"{frame.x(point.at)},{frame.y(point.high)}" for point in line.points]
        lower = [f"{frame.x(point.at)},{frame.y(point.low)}" for point in reversed(line.points)]
        parts.append(f'<polygon fill="{colour}" opacity="0.18" points="{" ".join(upper + lower)}"/>')
    path = " ".join(f"{frame.x(point.at)},{frame.y(point.value)}" for point in line.points)
    parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>')
    parts += [
        f'<circle cx="{frame.x(point.at)}" cy="{frame.y(point.value)}" r="2.4" fill="{colour}">'
        f"<title>{escape(line.name)}, {point.at:%d %b %Y}: {point.value:.3g}</title></circle>"
        for point in line.points
    ]
    return parts


def _legend(chart: Chart) -> str:
    items = [
        f'<span><i style="background:{COLOURS[at % len(COLOURS)]}"></i>{escape(line.name)}</span>'
        for at, line in enumerate(chart.lines)
    ]
    return f'<p class="legend">{"".join(items)}</p>'
