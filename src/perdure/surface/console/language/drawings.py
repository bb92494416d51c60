"""Drawings of graphs as pictures of their own: their styles stand in them, which no page's policy allows in the page itself."""

from __future__ import annotations

from urllib.parse import quote

from perdure.core.errors import BadGraph, NotFound
from perdure.surface.console.records import Asked


def drawing_of(asked: Asked, graph: str, version: str = "", run: str = "") -> str:
    """A data URI of a graph's drawing, for `<img src>`; empty where it cannot be drawn any more.

    Args:
        asked: the request.
        graph: its name.
        version: an id, a pointer or `declared`.
        run: of a run: how far each node came.
    """
    try:
        found = asked.project.draw_graph(graph, version, run=run, form="svg")
    except (NotFound, BadGraph):
        return ""
    return f"data:image/svg+xml,{quote(found)}"
