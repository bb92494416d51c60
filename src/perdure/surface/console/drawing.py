"""Charts as SVG that stands in a page without scripts, as JSON for the script that takes its place, and as the table under it.

The filters `svg`, `points` and `as_table` of `macros.html`. Colours are classes (`s1` … `s8`, `bound`, `band`) of `static/css/pictures.css`,
sizes are attributes: the page's policy forbids `style`. What surprised us: a drawing with `role="img"` may hold no links
(who hears the page never reaches them), so the links of marks stand in the table.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from msgspec.json import encode

from perdure.core.clock import from_us
from perdure.surface.console.axes import instants, span_of
from perdure.surface.console.drawing_shapes import bars, lineage, scatter, steps
from perdure.surface.console.drawing_tables import as_table
from perdure.surface.console.records import Bars, Drawn, Lineage, Mark, Picture, Scatter, Series, Steps
from perdure.surface.report.chart import ticks
from perdure.surface.words import number

__all__ = ["as_table", "bars", "lineage", "points", "scatter", "steps", "svg"]

_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 16.0, 22.0, 24.0
_FEW = 40
"""So many marks have a line through the plot; of more the shapes alone tell."""
_DOTS = 60
"""So few values are drawn as dots too: a value without neighbours is seen no other way."""
_N_COLOURS = 8
_GREATEST, _LEAST = 1e300, 1e-11
"""Values beyond the one are not drawn, those within the other are drawn as one: numbers of ticks are round to 12 places."""


def svg(it: Drawn, *, width: int = 720, height: int = 240) -> Markup:
    """The drawing of a record: an `svg` with `role="img"`, a title and a description; a sentence where there is nothing.

    Args:
        it: what to draw.
        width: in CSS pixels of the drawing's own frame; it is shown as wide as its place.
        height: of a chart over time; others take what they need.
    """
    if isinstance(it, Bars):
        return bars(it.rows, unit=it.unit, title=it.title)
    if isinstance(it, Steps):
        return steps(it.reference, it.current, it.edges, title=it.title, labels=it.labels, sides=it.sides)
    if isinstance(it, Lineage):
        return lineage(it.nodes, it.lines, title=it.title)
    if isinstance(it, Scatter):
        return scatter(it.at, it.kinds, it.names, title=it.title, groups=it.groups, rings=it.rings)
    return _over_time(it, float(width), float(height))


def points(picture: Picture) -> Markup:
    """The chart's numbers as JSON for `pictures.js`: columns, x in seconds (or whole numbers of `across`).

    Safe inside a `script` element: `<`, `>`, `&` and the two line ends that JSON knows and scripts do not stand escaped.
    """
    over_time = not picture.across
    told = {
        "title": picture.title,
        "unit": picture.unit,
        "across": picture.across,
        "x": [at / 1e6 for at in picture.at_us] if over_time else list(picture.at_us),
        "series": [
            {"name": each.name, "values": _finite(each.values), "low": _finite(each.low), "high": _finite(each.high)}
            for each in picture.series
        ],
        "bound": _bound(picture),
        "bound_text": picture.bound_text,
        "marks": [
            {
                "text": mark.text,
                "at": mark.at_us / 1e6,
                "until": None if mark.until_us is None else mark.until_us / 1e6,
                "tone": mark.tone,
                "shape": mark.shape,
            }
            for mark in picture.marks
        ],
    }
    text = encode(told).decode()
    for each in "<>&\u2028\u2029":
        text = text.replace(each, f"\\u{ord(each):04x}")
    return Markup(text)  # noqa: S704 - JSON with every character escaped that could end the element


def _finite(values: Sequence[float | None]) -> list[float | None]:
    """What can be drawn: no axis is as long as the greatest of all numbers."""
    return [value if value is not None and abs(value) <= _GREATEST else None for value in values]


def _bound(picture: Picture) -> float | None:
    return _finite([picture.bound])[0]


class _Frame:
    """Where an instant and a value lie."""

    def __init__(self, picture: Picture, width: float, height: float) -> None:
        self.width, self.height = width, height
        known = [
            value
            for each in picture.series
            for values in (each.values, each.low, each.high)
            for value in _finite(values)
            if value is not None
        ]
        bound = _bound(picture)
        if bound is not None:
            known.append(bound)
        low, high = span_of(known)
        # Neighbours so close that no round number lies between them are drawn as one.
        found = ticks(low, high, 4) if high - low > _LEAST else []
        self.ticks = found if len(found) > 1 and found[-1] > found[0] else [low, low + 1.0]
        self.start, self.end = min(picture.at_us), max(picture.at_us)
        self.left, self.right, self.bottom = _LEFT, width - _RIGHT, height - _BOTTOM

    def x(self, at: int) -> float:
        share = 0.5 if self.end == self.start else (at - self.start) / (self.end - self.start)
        return round(self.left + min(max(share, 0.0), 1.0) * (self.right - self.left), 1)

    def y(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return round(self.bottom - (value - low) / (high - low) * (self.bottom - _TOP), 1)


def _over_time(picture: Picture, width: float, height: float) -> Markup:
    if not any(value is not None for each in picture.series for value in _finite(each.values)):
        return Markup('<p class="empty">Nothing was measured for: {}.</p>').format(picture.title)
    frame = _Frame(picture, width, height)
    parts = [
        Markup('<svg class="chart" viewBox="0 0 {:.0f} {:.0f}" role="img"><title>{}</title><desc>{}</desc>').format(
            width, height, picture.title, _told(picture)
        ),
        *_spans(frame, picture.marks),
        *_axes(frame, picture),
    ]
    for at, series in enumerate(picture.series):
        parts += _series(frame, picture.at_us, series, f"s{at % _N_COLOURS + 1}")
    bound = _bound(picture)
    if bound is not None:
        y = frame.y(bound)
        words = picture.bound_text or f"bound {number(bound)}"
        parts.append(
            Markup(
                '<line class="bound" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="bound" x="{}" y="{}">{}</text>'
            ).format(frame.left, frame.right, y, y, frame.right, max(y - 5, 10.0), words)
        )
    parts += _marks(frame, picture.marks)
    return Markup("").join([*parts, Markup("</svg>"), legend([each.name for each in picture.series])])


def _told(picture: Picture) -> str:
    """What the drawing shows, in a sentence a line."""
    told = []
    for each in picture.series:
        known = [value for value in _finite(each.values) if value is not None]
        if known:
            told.append(
                f"{each.name}: {number(known[-1])} {picture.unit} at the end, "
                f"from {number(min(known))} to {number(max(known))}.".replace("  ", " ")
            )
    if _bound(picture) is not None:
        told.append(f"Bound: {picture.bound_text or number(picture.bound)}.")
    if picture.marks:
        told.append(f"{len(picture.marks):,} things happened; the table names them.")
    return " ".join(told)


def _axes(frame: _Frame, picture: Picture) -> list[Markup]:
    parts = []
    for tick in frame.ticks:
        y = frame.y(tick)
        parts.append(
            Markup(
                '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="tick y" x="{}" y="{}">{:g}</text>'
            ).format(frame.left, frame.right, y, y, frame.left - 8, y + 4, tick)
        )
    below = frame.height - 7
    for at, words in _across(picture):
        x = frame.x(at)
        if frame.left + 12 <= x <= frame.right - 20:
            parts.append(Markup('<text class="tick x" x="{}" y="{}">{}</text>').format(x, below, words))
    return parts


def _across(picture: Picture) -> list[tuple[int, str]]:
    start, end = min(picture.at_us), max(picture.at_us)
    if not picture.across:
        return instants(start, end)
    return [(round(each), f"{each:,.0f} {picture.across}") for each in ticks(start, max(end, start + 1), 6)]


def _runs(values: Sequence[float | None]) -> list[tuple[int, int]]:
    """First and last + 1 of each stretch without a hole."""
    runs, start = [], None
    for at, value in enumerate([*values, None]):
        if value is not None and start is None:
            start = at
        elif value is None and start is not None:
            runs.append((start, at))
            start = None
    return runs


def _series(frame: _Frame, at_us: Sequence[int], series: Series, colour: str) -> list[Markup]:
    parts = []
    low, high, values = _finite(series.low), _finite(series.high), _finite(series.values)
    if low and high:
        both = [a if a is not None and b is not None else None for a, b in zip(low, high, strict=True)]
        for first, last in _runs(both):
            edge = [f"{frame.x(at_us[k])},{frame.y(high[k] or 0.0)}" for k in range(first, last)]
            edge += [f"{frame.x(at_us[k])},{frame.y(low[k] or 0.0)}" for k in range(last - 1, first - 1, -1)]
            parts.append(Markup('<polygon class="band {}" points="{}"/>').format(colour, " ".join(edge)))
    for first, last in _runs(values):
        path = " ".join(f"{frame.x(at_us[k])},{frame.y(values[k] or 0.0)}" for k in range(first, last))
        parts.append(Markup('<polyline class="line {}" points="{}"/>').format(colour, path))
    if sum(value is not None for value in values) <= _DOTS:
        for at, value in zip(at_us, values, strict=True):
            if value is not None:
                words = f"{series.name}: {number(value)}" + (
                    "" if at < _DAYS_OF_NUMBERS else f", {from_us(at):%d %b %Y %H:%M} UTC"
                )
                parts.append(
                    Markup('<circle class="dot {}" cx="{}" cy="{}" r="2.5"><title>{}</title></circle>').format(
                        colour, frame.x(at), frame.y(value), words
                    )
                )
    return parts


_DAYS_OF_NUMBERS = 86_400_000_000
"""What is less is no instant of ours, but a number of trees or epochs."""


def _spans(frame: _Frame, marks: Sequence[Mark]) -> list[Markup]:
    """Stretches, behind everything else."""
    parts = []
    for mark in marks:
        if mark.until_us is None or mark.until_us < frame.start or mark.at_us > frame.end:
            continue
        x = frame.x(mark.at_us)
        parts.append(
            Markup('<rect class="span {}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
                mark.tone, x, _TOP, max(round(frame.x(mark.until_us) - x, 1), 1.0), frame.bottom - _TOP, mark.text
            )
        )
    return parts


def _marks(frame: _Frame, marks: Sequence[Mark]) -> list[Markup]:
    seen = [mark for mark in marks if frame.start <= mark.at_us <= frame.end]
    parts = []
    for mark in seen:
        x, y = frame.x(mark.at_us), _TOP - 9
        parts.append(Markup('<g class="mark {}"><title>{}</title>').format(mark.tone, mark.text))
        if len(seen) <= _FEW and mark.until_us is None:
            parts.append(Markup('<line x1="{}" x2="{}" y1="{}" y2="{}"/>').format(x, x, _TOP, frame.bottom))
        parts += [_shape(mark.shape, x, y), Markup("</g>")]
    return parts


def _shape(shape: str, x: float, y: float) -> Markup:
    if shape in ("release", "back"):
        up = 5 if shape == "release" else -5
        return Markup('<polygon points="{},{} {},{} {},{}"/>').format(x - 5, y + up, x + 5, y + up, x, y - up)
    if shape == "incident":
        return Markup('<circle cx="{}" cy="{}" r="5"/>').format(x, y)
    half = 4 if shape == "fault" else 1
    return Markup('<rect x="{}" y="{}" width="{}" height="10"/>').format(x - half, y - 5, 2 * half)


def legend(names: Sequence[str]) -> Markup:
    """Names beside the colours of their series, in order."""
    return Markup('<p class="legend">{}</p>').format(
        Markup("").join(
            Markup('<span><i class="s{}" aria-hidden="true"></i>{}</span>').format(at % _N_COLOURS + 1, name)
            for at, name in enumerate(names)
        )
    )
