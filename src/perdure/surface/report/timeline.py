"""The plot of two errors over time with what happened: faults as shaded stretches, incidents and releases in lanes.

Drawn as SVG text. Colours are classes of the page's style sheet, so that it is as readable in the dark.
Every mark has a title, which a browser shows under the pointer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from html import escape

from perdure.surface.report.chart import ticks

WIDTH = 960
_LEFT, _RIGHT, _TOP, _PLOT = 66, 16, 34, 270
_LANE = 22
_AXIS = 26

_FEW_MOVES = 40
"""So many releases have a line through the plot; of more the lane alone tells."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One error by day. `style` is a class of the page: `frozen` or `managed`."""

    name: str
    style: str
    points: Sequence[tuple[date, float, int]]
    """Day, value, rows behind it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened. `style`: `release`, `back`, `fault`, `source` or `model`."""

    text: str
    style: str
    start: datetime
    end: datetime | None = None
    """None: an instant, or not over."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """What to draw."""

    title: str
    unit: str
    curves: Sequence[Curve]
    faults: Sequence[Mark] = ()
    incidents: Sequence[Mark] = ()
    moves: Sequence[Mark] = ()
    bound: float | None = None
    bound_name: str = ""
    end: datetime | None = field(default=None)
    """The last instant; without it, the last day of the curves."""


class _Frame:
    """Where an instant and a value lie in the drawing."""

    def __init__(self, timeline: Timeline) -> None:
        days = [day for curve in timeline.curves for day, _, _ in curve.points]
        values = [value for curve in timeline.curves for _, value, _ in curve.points]
        self.start = _midnight(min(days))
        last = _midnight(max(days)) + timedelta(days=1)
        self.end = last if timeline.end is None else max(last, timeline.end)
        self.ticks = ticks(0.0, max([*values, timeline.bound or 0.0]) or 1.0)
        self.rows = _packed(timeline.incidents, self.end)
        self.bottom = _TOP + _PLOT
        self.moves_at = self.bottom + _AXIS + _LANE / 2
        self.incidents_at = self.bottom + _AXIS + _LANE + 4
        n_rows = max(self.rows, default=-1) + 1
        self.height = round(self.incidents_at + max(n_rows, 1) * (_LANE - 6) + 8)

    def x(self, at: datetime) -> float:
        share = (min(max(at, self.start), self.end) - self.start) / (self.end - self.start)
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        return round(self.bottom - value / self.ticks[-1] * _PLOT, 1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _packed(marks: Sequence[Mark], end: datetime) -> list[int]:
    """The row of each stretch, so that none lies over another; the fewest rows from the top."""
    free: list[datetime] = []
    rows = []
    for mark in marks:
        row = next((at for at, until in enumerate(free) if until <= mark.start), len(free))
        free[row : row + 1] = [(mark.end or end) + timedelta(days=1)]
        rows.append(row)
    return rows


def draw(timeline: Timeline) -> str:
    """The plot as an SVG element with its legend; a note in its place when there is nothing to draw."""
    if not any(curve.points for curve in timeline.curves):
        return f'<p class="empty">Nothing was measured for: {escape(timeline.title)}.</p>'
    frame = _Frame(timeline)
    parts = [
        f'<svg class="timeline" viewBox="0 0 {WIDTH} {frame.height}" role="img" aria-label="{escape(timeline.title)}">',
        *_faults(frame, timeline.faults),
        *_axes(frame, timeline.unit),
        *_bound(frame, timeline),
        *(part for curve in timeline.curves for part in _curve(frame, curve, timeline.unit)),
        *_moves(frame, timeline.moves),
        *_incidents(frame, timeline.incidents),
        "</svg>",
        _legend(timeline),
    ]
    return "\n".join(parts)


def _faults(frame: _Frame, faults: Sequence[Mark]) -> list[str]:
    parts = []
    for fault in faults:
        x, width = frame.x(fault.start), round(frame.x(fault.end or frame.end) - frame.x(fault.start), 1)
        if width <= 0:
            continue
        parts.append(
            f'<g><title>{escape(fault.text)}</title><rect class="fault" x="{x}" y="{_TOP}" width="{width}" '
            f'height="{_PLOT}"/></g>'
        )
    shown = [fault for fault in faults if frame.start <= fault.start < frame.end]
    if shown:
        x = max(frame.x(fault.end or frame.end) for fault in shown)
        anchor = "end" if x > WIDTH / 2 else "start"
        parts.append(f'<text class="fault" x="{x}" y="{_TOP - 8}" style="text-anchor:{anchor}">injected fault</text>')
    return parts


def _axes(frame: _Frame, unit: str) -> list[str]:
    parts = [f'<text class="unit" x="4" y="{_TOP - 14}">{escape(unit)}</text>']
    for tick in frame.ticks:
        y = frame.y(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="y" x="{_LEFT - 8}" y="{y + 4}">{tick:g}</text>')
    month = datetime(frame.start.year, frame.start.month, 1, tzinfo=UTC)
    while month < frame.end:
        following = (month + timedelta(days=32)).replace(day=1)
        if month >= frame.start:
            x = frame.x(month)
            parts.append(f'<line class="month" x1="{x}" x2="{x}" y1="{_TOP}" y2="{frame.height - 6}"/>')
        first, last = frame.x(max(month, frame.start)), frame.x(min(following, frame.end))
        if last - first > 30:
            name = f"{month:%b}" if month > frame.start else f"{month:%b %Y}"
            parts.append(f'<text class="x" x="{(first + last) / 2:.1f}" y="{frame.bottom + 17}">{name}</text>')
        month = following
    return parts


def _bound(frame: _Frame, timeline: Timeline) -> list[str]:
    if timeline.bound is None:
        return []
    y = frame.y(timeline.bound)
    return [
        f'<line class="bound" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>',
        f'<text class="bound" x="{WIDTH - _RIGHT - 4}" y="{y - 5}">{escape(timeline.bound_name)}</text>',
    ]


def _curve(frame: _Frame, curve: Curve, unit: str) -> list[str]:
    noon = timedelta(hours=12)
    at = [(frame.x(_midnight(day) + noon), frame.y(value)) for day, value, _ in curve.points]
    path = " ".join(f"{x},{y}" for x, y in at)
    parts = [f'<polyline class="curve {curve.style}" points="{path}"/>']
    for (x, y), (day, value, n) in zip(at, curve.points, strict=True):
        text = f"{curve.name}, 7 days to {day:%d %b %Y}: {value:.2f} {unit}, {n:,} rows"
        parts.append(
            f'<circle class="dot {curve.style}" cx="{x}" cy="{y}" r="4"><title>{escape(text)}</title></circle>'
        )
    return parts


def _moves(frame: _Frame, moves: Sequence[Mark]) -> list[str]:
    y = frame.moves_at
    parts = [f'<text class="lane" x="{_LEFT - 8}" y="{y + 4}">releases</text>']
    few = len(moves) <= _FEW_MOVES
    half = 5.5 if few else 3.0
    for move in moves:
        x, up = frame.x(move.start), 1 if move.style == "release" else -1
        shape = f"{x - half},{y + 5 * up} {x + half},{y + 5 * up} {x},{y - 5 * up}"
        line = f'<line class="move {move.style}" x1="{x}" x2="{x}" y1="{_TOP}" y2="{y - 6}"/>' if few else ""
        parts.append(f'<g><title>{escape(move.text)}</title>{line}<polygon class="{move.style}" points="{shape}"/></g>')
    return parts


def _incidents(frame: _Frame, incidents: Sequence[Mark]) -> list[str]:
    parts = [f'<text class="lane" x="{_LEFT - 8}" y="{frame.incidents_at + 9}">incidents</text>']
    for mark, row in zip(incidents, frame.rows, strict=True):
        x, end = frame.x(mark.start), frame.x(mark.end or frame.end)
        y = frame.incidents_at + row * (_LANE - 6)
        parts.append(
            f'<g><title>{escape(mark.text)}</title><rect class="incident {mark.style}" x="{x}" y="{y}" '
            f'width="{max(end - x, 4):.1f}" height="10" rx="3"/></g>'
        )
    return parts


def _legend(timeline: Timeline) -> str:
    items = [f'<span><i class="line {curve.style}"></i>{escape(curve.name)}</span>' for curve in timeline.curves]
    named = [
        ("release", "▲", "release", timeline.moves),
        ("back", "▼", "rollback", timeline.moves),
    ]
    items += [
        f'<span><b class="{style}">{sign}</b>{text}</span>'
        for style, sign, text, marks in named
        if any(mark.style == style for mark in marks)
    ]
    for style, text in (("model", "incident of the model"), ("source", "incident of a source")):
        if any(mark.style == style for mark in timeline.incidents):
            items.append(f'<span><i class="{style}"></i>{text}</span>')
    if timeline.faults:
        items.append('<span><i class="fault"></i>fault injected by the demo</span>')
    return f'<p class="legend">{"".join(items)}</p>'
