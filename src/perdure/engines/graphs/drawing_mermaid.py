"""Graphs in Mermaid's words, as Markdown pages draw them."""

from __future__ import annotations

from collections.abc import Mapping

from perdure.engines.graphs.picturing import ENTRY, EXIT, Card, Picture

_SHAPES: Mapping[str, tuple[str, str]] = {
    "rule": ("{{", "}}"),
    "search": ("[(", ")]"),
    "features": ("[(", ")]"),
    "agent": ("[[", "]]"),
    "input": ("([", "])"),
    "output": ("([", "])"),
}
_ARROWS = {"data": "-->", "condition": "-.->", "after": "-.->", "fallback": "-.->"}
_CLASSES = """
    classDef failed stroke:#d64545,stroke-width:2px
    classDef done stroke:#57a773
    classDef waiting stroke:#d9822b,stroke-width:2px
    classDef skipped stroke-dasharray:4 4
""".strip("\n")
_CLASS_OF = {"failed": "failed", "refused": "failed", "done": "done", "stood in": "waiting", "waiting": "waiting",
             "running": "waiting", "skipped": "skipped", "not run": "skipped"}  # fmt: skip


def mermaid(found: Picture) -> str:
    """The drawing as a flowchart, from the top down."""
    ids = {name: f"n{at}" for at, name in enumerate(found.cards)}
    told = ["flowchart TD"]
    for name, card in found.cards.items():
        opened, closed = _SHAPES.get(card.kind, ("[", "]"))
        told.append(f'    {ids[name]}{opened}"{_inside(card, is_end=name in (ENTRY, EXIT))}"{closed}')
    for line in found.lines:
        if line.source in ids and line.target in ids:
            label = f'|"{_quoted(", ".join(line.labels))}"|' if line.labels else ""
            told.append(f"    {ids[line.source]} {_ARROWS[line.kind]}{label} {ids[line.target]}")
    states = [(ids[name], _CLASS_OF[card.state]) for name, card in found.cards.items() if card.state]
    if states:
        told += [_CLASSES, *(f"    class {one} {state}" for one, state in states)]
    return "\n".join(told) + "\n"


def _inside(card: Card, *, is_end: bool) -> str:
    told = [f"<b>{_quoted(card.name)}</b>{'' if is_end else f' · {card.kind}'}"]
    told += [_quoted(each) for each in (card.of, *card.terms, card.told or card.state) if each]
    return "<br/>".join(told)


def _quoted(text: str) -> str:
    """Text that Mermaid reads as text, whatever stands in it."""
    for sign, instead in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;"), ("`", "#96;")):
        text = text.replace(sign, instead)
    return text
