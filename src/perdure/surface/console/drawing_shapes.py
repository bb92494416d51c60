"""Drawings that are not over time: bars, two histograms over each other, a lineage, points on a plane. `drawing.svg` chooses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup

from perdure.engines.graphs.layout import Layout, Spacing, lay_out
from perdure.surface.console.axes import span_of
from perdure.surface.console.records import Node
from perdure.surface.words import number

_EMPTY = Markup('<p class="empty">Nothing to draw for: {}.</p>')
_OPEN = Markup('<svg class="{}" viewBox="0 0 {:.0f} {:.0f}"{} role="img"><title>{}</title><desc>{}</desc>')
_ROW = 26.0
_NAMED = 300
"""So few points have their names under the pointer; more are one path a group: a point is 9 bytes."""
_BOX_HEIGHT = 44.0
_SPACING = Spacing(between=14, layers=56, passing=12)
"""Laid out downwards and then turned: `layers` is the gap from left to right."""


def bars(rows: Sequence[tuple[str, float, float | None]], *, unit: str, title: str = "") -> Markup:
    """Lengths from a common zero, the longest first or as they come; `before` is a line across its bar.

    Args:
        rows: name, value, what it was before (or None).
        unit: of all values; empty for none.
        title: what the drawing is called for who hears it.
    """
    values = [
        value
        for _, each, before in rows
        for value in (float(each), float(each if before is None else before))
        if math.isfinite(value)
    ]
    if not values:
        return _EMPTY.format(title)
    whole = all(each.is_integer() for each in values)
    low, high = min(0.0, *values), max(0.0, *values)
    span = (high - low) or 1.0
    width, right = 480.0, 76.0
    left = 18.0 + 6.9 * max(len(_short(name, 28)) for name, _, _ in rows)
    height = len(rows) * _ROW + 8

    def x(value: float) -> float:
        return round(left + (value - low) / span * (width - left - right), 1)

    told = "; ".join(f"{name}: {_figure(value, whole=whole)} {unit}".strip() for name, value, _ in rows[:20])
    parts = [_OPEN.format("bars", width, height, "", title, told)]
    parts.append(Markup('<line class="grid" x1="{}" x2="{}" y1="0" y2="{}"/>').format(x(0), x(0), height))
    for at, (name, value, before) in enumerate(rows):
        y = at * _ROW + 6
        first, last = sorted((x(0.0), x(value)))
        parts.append(
            Markup(
                '<g><title>{}</title><text class="name" x="{}" y="{}">{}</text><rect class="bar {}" x="{}" y="{}" width="{}" height="{}"/>'
            ).format(
                name,
                left - 10,
                y + 13,
                _short(name, 28),
                "down" if value < 0 else "up",
                first,
                y,
                max(last - first, 1.0),
                _ROW - 9,
            )
        )
        if before is not None and math.isfinite(before):
            parts.append(
                Markup('<line class="was" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                    x(before), x(before), y - 3, y + _ROW - 6
                )
            )
        at_x = max(last, x(before)) if before is not None and math.isfinite(before) else last
        parts.append(
            Markup('<text class="value" x="{}" y="{}">{}</text></g>').format(
                at_x + 6, y + 13, _figure(value, whole=whole)
            )
        )
    return Markup("").join([*parts, Markup("</svg>")])


def _figure(value: float, *, whole: bool) -> str:
    """A count among counts has no digits behind the point."""
    return f"{value:,.0f}" if whole else number(value)


def steps(
    reference: Sequence[float],
    current: Sequence[float],
    edges: Sequence[float],
    *,
    title: str = "",
    labels: Sequence[str] = (),
    sides: tuple[str, str] = ("reference", "current"),
) -> Markup:
    """A small multiple: the reference as a filled grey area, the current as a line over it; shares of their own sums.

    Args:
        reference: one number a bin.
        current: as many.
        edges: one more, shown at both ends; bins are drawn equally wide, for quantile bins are narrow where most rows are.
        title: what it is called for who hears it.
        labels: names of bins, where they are categories.
        sides: what the two are called.
    """
    n = len(reference)
    was, now = _shares(reference), _shares(current)
    most = max([*was, *now], default=0.0)
    if not n or not most:
        return _EMPTY.format(title)
    width, height, bottom = 240.0, 96.0, 80.0

    def outline(shares: Sequence[float]) -> str:
        at = [(k * width / n, bottom - share / most * (bottom - 6)) for k, share in enumerate(shares)]
        return " ".join(f"{x:.1f},{y:.1f} {x + width / n:.1f},{y:.1f}" for x, y in at)

    widest = max(range(n), key=lambda k: abs(now[k] - was[k]))
    where = labels[widest] if widest < len(labels) else f"bin {widest + 1} of {n}"
    told = f"Furthest apart at {where}: {was[widest]:.1%} in {sides[0]}, {now[widest]:.1%} in {sides[1]}."
    ends = (labels[0], labels[-1]) if labels else (f"{edges[0]:.4g}", f"{edges[-1]:.4g}") if edges else ("", "")
    return Markup("").join(
        [
            _OPEN.format("steps", width, height, "", title, told),
            Markup('<polygon class="reference" points="0,{} {} {},{}"/>').format(bottom, outline(was), width, bottom),
            Markup('<polyline class="current" points="{}"/>').format(outline(now)),
            Markup('<line class="grid" x1="0" x2="{}" y1="{}" y2="{}"/>').format(width, bottom, bottom),
            Markup('<text class="tick first" x="0" y="{}">{}</text>').format(height - 3, _short(ends[0], 16)),
            Markup('<text class="tick last" x="{}" y="{}">{}</text></svg>').format(
                width, height - 3, _short(ends[1], 16)
            ),
        ]
    )


def _shares(counts: Sequence[float]) -> list[float]:
    known = [max(count, 0.0) if math.isfinite(count) else 0.0 for count in counts]
    total = sum(known)
    return [count / total for count in known] if total else [0.0] * len(known)


def lineage(nodes: Sequence[Node], lines: Sequence[tuple[str, str]], *, title: str = "") -> Markup:
    """Boxes joined from left to right: what something rests on stands left of it.

    Args:
        nodes: the boxes; of one `id` once.
        lines: from a node's id to another's; what names an unknown node is left out.
        title: what it is called for who hears it.
    """
    if not nodes:
        return _EMPTY.format(title)
    known = {node.id: node for node in nodes}
    joined = _straight([line for line in lines if line[0] in known and line[1] in known])
    wide = {node.id: max(len(_short(node.text, 34)) * 8.6 + 26, len(node.kind) * 6.6 + 26, 96.0) for node in nodes}
    layout = lay_out({name: (_BOX_HEIGHT, wide[name]) for name in known}, joined, _SPACING)
    width, height = layout.height + 4, layout.width + 4
    size = Markup(' width="{:.0f}" height="{:.0f}"').format(width, height)
    named = "; ".join(f"{known[first].text} → {known[second].text}" for first, second in joined[:60])
    parts = [_OPEN.format("lineage", width, height, size, title, named or known[nodes[0].id].text)]
    parts += [Markup('<path class="way" d="{}"/>').format(_way(line, layout)) for line in joined]
    for name, node in known.items():
        box = layout.boxes[name]
        parts.append(
            Markup(
                '<g><title>{}</title><rect class="box k-{}{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="8"/>'
                '<text class="kind" x="{:.1f}" y="{:.1f}">{}</text><text class="name" x="{:.1f}" y="{:.1f}">{}</text></g>'
            ).format(
                f"{node.kind} {node.text}",
                "".join(each for each in node.kind if each.isalnum()),
                " here" if node.here else "",
                *(box.y + 2, box.x + 2, wide[name], _BOX_HEIGHT),
                *(box.y + 14, box.x + 18, node.kind),
                *(box.y + 14, box.x + 35, _short(node.text, 34)),
            )
        )
    return Markup("").join([*parts, Markup("</svg>")])


def _straight(lines: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each once, without those that would close a circle: layers have none."""
    after: dict[str, set[str]] = {}
    kept = []
    for first, second in dict.fromkeys(lines):
        reached, todo = {second}, [second]
        while todo:
            news = after.get(todo.pop(), set()) - reached
            reached |= news
            todo += news
        if first not in reached:
            after.setdefault(first, set()).add(second)
            kept.append((first, second))
    return kept


def _way(line: tuple[str, str], layout: Layout) -> str:
    source, target = layout.boxes[line[0]], layout.boxes[line[1]]
    way = layout.ways[line]
    first = layout.tops.index(source.y)
    points = [(source.y + source.height + 2, way[0] + 2)]
    for n, at in enumerate(way[1:-1], first + 1):
        points += [(layout.tops[n] + 2, at + 2), (layout.tops[n] + layout.heights[n] + 2, at + 2)]
    points.append((target.y + 2, way[-1] + 2))
    path = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x, y), (to_x, to_y) in pairwise(points):
        half = (to_x - x) / 2
        path.append(f"C{x + half:.1f} {y:.1f} {to_x - half:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}")
    return "".join(path)


def scatter(
    at: Sequence[tuple[float, float]],
    kinds: Sequence[int],
    names: Sequence[str],
    *,
    title: str = "",
    groups: Sequence[str] = (),
    rings: Sequence[int] = (),
) -> Markup:
    """Points on a plane: position alone has a meaning, so it has no axes.

    Args:
        at: of each point x and y.
        kinds: of each point the place of its group in `groups`.
        names: of each point what stands under the pointer, where there are few.
        title: what it is called for who hears it.
        groups: their names, for the legend.
        rings: groups that are drawn over the others, as rings with their names.
    """
    if not at:
        return _EMPTY.format(title)
    (x0, x1), (y0, y1) = span_of_plane([x for x, _ in at]), span_of_plane([y for _, y in at])
    width, height, edge = 720.0, 420.0, 12.0

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            round(edge + (x - x0) / (x1 - x0) * (width - 2 * edge), 1),
            round(height - edge - (y - y0) / (y1 - y0) * (height - 2 * edge), 1),
        )

    counts = [
        f"{name}: {kinds.count(k):,}" if isinstance(kinds, list | tuple) else name for k, name in enumerate(groups)
    ]
    parts = [_OPEN.format("plane", width, height, "", title, f"{len(at):,} points. {'; '.join(counts)}")]
    few = len(at) <= _NAMED
    for kind in sorted(set(kinds)):
        mine = [k for k, each in enumerate(kinds) if each == kind]
        if few or kind in rings:
            parts += [
                Markup('<circle class="{}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>').format(
                    _dot(kind, rings), *place(*at[k]), 5 if kind in rings else 4, names[k]
                )
                for k in mine
            ]
        else:
            path = "".join("M{}v0".format(" ".join(map(str, place(*at[k])))) for k in mine)
            parts.append(Markup('<path class="dots s{}" d="{}"/>').format(kind % 8 + 1, path))
    listed = Markup("").join(
        Markup('<span><i class="{}" aria-hidden="true"></i>{}</span>').format(_dot(k, rings).removeprefix("dot "), name)
        for k, name in enumerate(groups)
    )
    return Markup("").join([*parts, Markup('</svg><p class="legend">'), listed, Markup("</p>")])


def _dot(kind: int, rings: Sequence[int]) -> str:
    return f"ring r{rings.index(kind) + 1}" if kind in rings else f"dot s{kind % 8 + 1}"


def span_of_plane(values: Sequence[float]) -> tuple[float, float]:
    """From the least to the greatest; a unit apart where they are one."""
    low, high = min(values), max(values)
    return (low, high) if high > low else span_of([low, low + 1.0])


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
