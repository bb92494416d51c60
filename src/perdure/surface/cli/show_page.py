"""A page of the console as text: its record from top to bottom. Tables stand as tables, charts as the tables behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.padding import Padding

from perdure.core.clock import iso
from perdure.surface.cli import printing
from perdure.surface.cli.printing import print_json, put
from perdure.surface.console.drawing import as_table
from perdure.surface.console.records import Bars, Cell, Lineage, Picture, Scatter, Steps, Table
from perdure.surface.words import instant, words

if TYPE_CHECKING:
    from perdure.surface.console.records import View

_DRAWN = (Picture, Bars, Steps, Lineage, Scatter)
_UNSAID = ("id", "href", "more", "tabs", "action", "duties", "assets", "measures", "zones", "dimensions")
"""Last words of names of fields that only a browser needs: addresses, and what forms let one choose."""
_CHOSEN = ("chosen", "current")
"""Names of fields that say which of several views one is looking at."""


def page(view: View, at: datetime, *, as_json: bool) -> None:
    """Print a view and the instant that it is as of; as JSON it is the page's twin."""
    if as_json:
        from perdure.surface.console.twins import plain_of

        return print_json({"title": view.title, "data": plain_of(view.data), "cli": view.cli, "as_of": iso(at)})
    put(f"[bold]{escape(view.title)}[/]  [dim]{instant(at)} UTC[/]")
    for line in _told("", view.data):
        put(line)
    return None


def _told(name: str, value: Any) -> Iterator[Any]:
    """What stands of one field, with an empty line before what takes more than one."""
    if name.rpartition("_")[2] in _UNSAID:
        return
    if isinstance(value, _DRAWN):
        yield from _of_table(as_table(value))
    elif isinstance(value, Table):
        yield from _of_table(value)
    elif is_dataclass(value) and not isinstance(value, Cell):
        yield from _of_record(value)
    elif isinstance(value, Mapping):
        yield from (line for key, each in value.items() for line in _told(str(key), each))
    elif isinstance(value, tuple | list | frozenset | set):
        yield from _of_many(name, list(value))
    elif (said := _plain(value)) and not said.startswith("/"):
        yield f"[dim]{escape(words(name))}[/]  {escape(said)}"


def _of_record(value: Any) -> Iterator[Any]:
    """Its single values first, one a line; then what is long. Nothing of a link to another view of the same."""
    if any(each.name in _CHOSEN for each in fields(value)):
        return
    named = [(each.name, getattr(value, each.name)) for each in fields(value)]
    for many in (False, True):
        for name, each in named:
            if _is_many(each) == many:
                yield from _told(name, each)


def _of_many(name: str, values: list[Any]) -> Iterator[Any]:
    if all(not _is_many(each) for each in values):
        said = [text for text in map(_plain, values) if text]
        if said:
            yield ""
            yield f"[dim]{escape(words(name))}[/]"
            yield from (Padding(escape(each), (0, 0, 0, 2), expand=False) for each in said)
        return
    for each in values:
        yield from _told(name, each)


def _of_table(it: Table) -> Iterator[Any]:
    yield ""
    yield f"[bold]{escape(it.caption)}[/]"
    if not it.rows:
        yield escape(it.empty)
        return
    made = printing.table(*(escape(each) for each in it.headings))
    for k in it.numeric & frozenset(range(len(it.headings))):
        made.columns[k].justify = "right"
    for row in it.rows:
        made.add_row(*(escape(_plain(each)) for each in row))
    yield made
    if it.more:
        yield f"[dim]perdure look {escape(it.more)}[/]"


def _is_many(value: Any) -> bool:
    return not isinstance(value, Cell) and (
        is_dataclass(value) or isinstance(value, tuple | list | frozenset | Mapping)
    )


def _plain(value: Any) -> str:
    if isinstance(value, Cell):
        return instant(value.at) if value.at else value.text
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, int | float):
        return f"{value:,}"
    return "" if value is None else str(value)
