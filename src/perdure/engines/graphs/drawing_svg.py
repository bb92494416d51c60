"""Graphs as SVG that stands on its own: no font, no script, light and dark by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise

from perdure.engines.graphs.layout import Layout, Spacing, lay_out
from perdure.engines.graphs.picturing import ENTRY, EXIT, Card, Line, Picture

_SPACING = Spacing(between=36, layers=66, passing=24)
_EDGE = 28
_LINE = 16
_SHARES = (0.5, 0.68, 0.34, 0.82, 0.2)
"""Where along a line its label may stand."""
_LABEL = 15.0
"""Height that a label takes."""
_COLOURS = {
    "prompt": "#7c5cff",
    "search": "#0e9f8e",
    "predict": "#2f7de1",
    "features": "#5b8c2a",
    "agent": "#c2479b",
    "tool": "#d9822b",
    "rule": "#8a8f98",
    "python": "#b8930b",
    "input": "#6b7280",
    "output": "#6b7280",
}
_MARKS = {
    "done": "✓",
    "failed": "✕",
    "stood in": "↺",
    "waiting": "…",
    "running": "▸",
    "skipped": "–",
    "not run": "–",
    "refused": "✕",
}
_STYLE = """
svg{font-family:ui-sans-serif,system-ui,"Segoe UI",Helvetica,Arial,sans-serif;background:#fbfbfd}
.card{fill:#fff;stroke:#d5d8e0}.name{font-weight:600;font-size:14px;fill:#1c2030}.kind{font-size:10.5px;font-weight:600}
.more{font:11px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#5a6072}
.line{fill:none;stroke:#a2a8b8;stroke-width:1.5}.head{fill:#a2a8b8}.fallback{stroke:#d64545;stroke-dasharray:2 4}
.condition{stroke-dasharray:6 4}.after{stroke-dasharray:1 5;stroke-linecap:round}.headfallback{fill:#d64545}
.label{font:10.5px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#5a6072;
stroke:#fbfbfd;stroke-width:4px;paint-order:stroke;stroke-linejoin:round}.labelfallback{fill:#d64545}
.failed,.refused{stroke:#d64545;stroke-width:2;fill:#fff5f5}.waiting{stroke:#d9822b;stroke-width:2}
.done{stroke:#57a773}.stoodin{stroke:#d9822b;stroke-width:2}.skipped,.notrun{stroke-dasharray:4 4;opacity:.65}
.tfailed,.trefused{fill:#c53030}.tdone{fill:#2f7d4f}.twaiting,.tstoodin{fill:#b4621a}
@media(prefers-color-scheme:dark){svg{background:#14161d}.card{fill:#1d212c;stroke:#3a4052}.name{fill:#eef0f6}
.more,.label{fill:#a8aec0}.label{stroke:#14161d}.failed,.refused{fill:#2c1a1e}.labelfallback{fill:#f07a7a}.done{stroke:#57a773}
.failed,.refused{stroke:#d64545}.waiting,.stoodin{stroke:#d9822b}.tfailed,.trefused{fill:#f07a7a}.tdone{fill:#7fcf9b}}
""".strip()


def svg(found: Picture) -> str:
    """The drawing; about 1 KB a node."""
    sizes = {name: _size(card) for name, card in found.cards.items()}
    lines = [line for line in found.lines if line.source in sizes and line.target in sizes]
    layout = lay_out(sizes, [(line.source, line.target) for line in lines], _SPACING)
    spare = max((_words(label, 6.5) for line in lines for label in line.labels), default=0.0) / 2
    width, height = layout.width + 2 * _EDGE + spare, layout.height + 2 * _EDGE
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    title = escape(found.title, quote=True)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="Graph {title}">',
        f"<title>{escape(found.title)}</title><style>{_STYLE}</style><defs>{_head('')}{_head('fallback')}</defs>",
        f'<g transform="translate({_EDGE},{_EDGE})">',
        *(_way(line, layout) for line in lines),
        *(_card(card, layout, name) for name, card in found.cards.items()),
        *_labels(lines, layout),
        "</g></svg>",
    ]
    return "\n".join(parts) + "\n"


def _head(kind: str) -> str:
    return (
        f'<marker id="head{kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path class="head{kind}" d="M0 0L8 4L0 8z"/></marker>'
    )


def _words(text: str, each: float) -> float:
    return len(text) * each


def _size(card: Card) -> tuple[float, float]:
    title = _words(card.name, 8.6) + _words(card.kind, 7.4) + 58
    widest = max((_words(text, 6.9) + 34 for text in _more(card)), default=0.0)
    return max(title, widest, 132.0), 36.0 + _LINE * len(_more(card))


def _more(card: Card) -> list[str]:
    told = f"{_MARKS.get(card.state, '')} {card.told or card.state}".strip() if card.state else ""
    return [text for text in (card.of, *card.terms, told) if text]


def _card(card: Card, layout: Layout, name: str) -> str:
    box, colour = layout.boxes[name], _COLOURS[card.kind]
    state = card.state.replace(" ", "")
    rounded = 16 if name in (ENTRY, EXIT) else 8
    parts = [
        f'<g transform="translate({box.x:.1f},{box.y:.1f})">',
        f'<rect class="card {state}" width="{box.width:.1f}" height="{box.height:.1f}" rx="{rounded}"/>',
        f'<rect x="10" y="11" width="4" height="{box.height - 22:.1f}" rx="2" fill="{colour}"/>',
        f'<text class="name" x="22" y="24">{escape(card.name)}</text>',
    ]
    if card.kind != card.name:
        parts.append(
            f'<text class="kind" x="{box.width - 12:.1f}" y="23.5" text-anchor="end" fill="{colour}">{card.kind}</text>'
        )
    more = _more(card)
    for n, text in enumerate(more):
        kind = f"more t{state}" if card.state and n == len(more) - 1 else "more"
        parts.append(f'<text class="{kind}" x="22" y="{42 + n * _LINE}">{escape(text)}</text>')
    return "".join([*parts, "</g>"])


def _points(line: Line, layout: Layout) -> list[tuple[float, float]]:
    """From the lower edge of its source, through the layers that it passes, to the upper edge of its target."""
    source, target = layout.boxes[line.source], layout.boxes[line.target]
    way = layout.ways[line.source, line.target]
    first = layout.tops.index(source.y)
    points = [(way[0], source.y + source.height)]
    for n, x in enumerate(way[1:-1], first + 1):
        points += [(x, layout.tops[n]), (x, layout.tops[n] + layout.heights[n])]
    return [*points, (way[-1], target.y - 1)]


def _way(line: Line, layout: Layout) -> str:
    points = _points(line, layout)
    path = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x, y), (to_x, to_y) in pairwise(points):
        bend = (to_y - y) / 2
        path.append(f"C{x:.1f} {y + bend:.1f} {to_x:.1f} {to_y - bend:.1f} {to_x:.1f} {to_y:.1f}")
    kind = "fallback" if line.kind == "fallback" else ""
    return f'<path class="line {line.kind}" d="{"".join(path)}" marker-end="url(#head{kind})"/>'


def _labels(lines: Sequence[Line], layout: Layout) -> Iterator[str]:
    """What goes along each line, between two layers: above its end, or further back where others stand there already."""
    taken: list[tuple[float, float, float]] = []
    for line in lines:
        if not line.labels:
            continue
        between = list(pairwise(_points(line, layout)))[::-2]
        text = ", ".join(line.labels)
        text = text if len(text) <= 40 else f"{text[:39]}…"
        half = _words(text, 6.5) / 2
        places = [_on_curve(share, start, end) for start, end in between for share in _SHARES]
        at_x, at_y = max(places, key=lambda place: min(_apart(place, half, taken), 1.0))
        taken.append((at_x, at_y, half))
        kind = "label labelfallback" if line.kind == "fallback" else "label"
        yield f'<text class="{kind}" x="{at_x:.1f}" y="{at_y + 3.5:.1f}" text-anchor="middle">{escape(text)}</text>'


def _apart(place: tuple[float, float], half: float, taken: Sequence[tuple[float, float, float]]) -> float:
    """How far a label stands from those that stand already: 1 and more where it touches none; the first place of the farthest is taken."""
    return min(
        (max(abs(place[1] - y) / _LABEL, abs(place[0] - x) / (half + other + _LABEL / 2)) for x, y, other in taken),
        default=1.0,
    )


def _on_curve(share: float, start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """A point of the curve that `_way` draws."""
    (x, y), (to_x, to_y), left = start, end, 1 - share
    bend = (to_y - y) / 2
    weights = (left**3, 3 * left**2 * share, 3 * left * share**2, share**3)
    across, down = (x, x, to_x, to_x), (y, y + bend, to_y - bend, to_y)
    return (
        sum(weight * each for weight, each in zip(weights, across, strict=True)),
        sum(weight * each for weight, each in zip(weights, down, strict=True)),
    )
