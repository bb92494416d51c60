"""How the census of an index of others is asked for and told to a person. `index census` comes here where it is given an address."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.markup import escape

from perdure.core.errors import BadRequest
from perdure.surface.cli.printing import Column, Fitted, of_rows, print_json, put

if TYPE_CHECKING:
    from perdure.engines.retrieval.foreign_census import ForeignCensus
    from perdure.surface.foreign import ForeignAsked

_SHOWN = 20
_SKEWS = {
    "kind": Column("skew", ()),
    "document": Column("document", ()),
    "why": Column("why", (), spare=1),
    "row": Column("row", (), spare=2),
}


def census(address: str, source: Path | None, asked: ForeignAsked, *, as_json: bool) -> None:
    """Take the census of an index of others, and tell it.

    Raises:
        BadRequest: nobody said what it was made from.
    """
    from perdure.surface.foreign import census_foreign

    if source is None:
        raise BadRequest("What was it made from?", hint=f"perdure index census '{address}' --source FOLDER")
    told(census_foreign(address, source, asked), as_json=as_json)


def told(found: ForeignCensus, *, as_json: bool) -> None:
    """What a census of an index of others found."""
    if as_json:
        return print_json({**msgspec.to_builtins(found), "counts": found.counts()})
    wrong = ", ".join(f"{kind} {n}" for kind, n in found.counts().items() if n)
    put(f"[bold]{found.tool}:{escape(found.collection)}[/]  {f'[red]{wrong}[/]' if wrong else '[green]whole[/]'}")
    put(
        f"  {found.n_source:,} documents at {escape(found.source)}, {found.n_rows:,} rows read, {found.n_asked:,} searched "
        f"by their own vectors; rows name documents by {escape(found.mapped_by or 'nothing')}; {found.cpu_s:,.1f} s CPU"
    )
    if found.n_rows != found.n_told:
        put(f"  [yellow]{found.tool} counts {found.n_told:,} rows.[/]")
    if not found.whole:
        put("  [red]The source did not answer whole:[/] nothing is said of what it lacks.")
    for note in found.notes:
        put(f"  [yellow]{escape(note)}[/]")
    if found.troubles:
        put(f"  {len(found.troubles)} documents cannot be read: nothing is said of their rows.")
    cells = [
        {
            "kind": f"[red]{skew.kind}[/]",
            "document": escape(skew.document),
            "why": escape(skew.why),
            "row": escape(skew.row),
        }
        for skew in found.skews[:_SHOWN]
    ]
    if cells:
        put("", Fitted(of_rows(_SKEWS, cells)))
    if len(found.skews) > _SHOWN:
        put(f"  … and {len(found.skews) - _SHOWN:,} more: --json tells all.")
    return None
