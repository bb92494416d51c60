"""`/language/searches/{id}`: one search of an index as it was captured, for calls and runs to lead to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from perdure.core.errors import NotFound
from perdure.loop.work.captured_searches import SEARCHES, SEARCHES_SCHEMA
from perdure.stores.lake.protocols import Span
from perdure.surface.console.asking import address
from perdure.surface.console.language.cells import NONE, OVERVIEW, ms, page_of
from perdure.surface.console.language.seen import note_seen
from perdure.surface.console.records import Asked, Cell, Table, View
from perdure.surface.words import number, words


@dataclass(frozen=True, slots=True)
class SearchedPage:
    """The whole page."""

    id: str
    index: str
    index_page: str
    version: str
    arm: str
    generation: int
    seen_at: datetime | None
    served_at: datetime
    took: str
    query: str
    """Empty: it is not kept."""
    again: str
    """Address that asks the same now."""
    mode: str
    k: int
    hits: Table
    dropped: Table


def view(asked: Asked) -> View:
    """The page.

    Raises:
        NotFound: none was recorded under it.
    """
    wanted = asked.path["id"]
    row = _row(asked, wanted)
    note_seen(asked, "search", wanted)
    query, page = row["query"] or "", page_of("index", row["index"])
    hits = zip(row["documents"] or (), row["scores"] or (), row["cosines"] or (), strict=False)
    dropped = zip(
        row["dropped_documents"] or (), row["dropped_reasons"] or (), row["dropped_marked"] or (), strict=False
    )
    data = SearchedPage(
        id=wanted,
        index=row["index"],
        index_page=page,
        version=row["version"],
        arm=row["arm"],
        generation=row["generation"],
        seen_at=row["seen_at"],
        served_at=row["served_at"],
        took=ms(row["latency_us"] / 1000.0),
        query=query,
        again=address(page + "/search", q=query, mode=row["mode"]) if query else "",
        mode=row["mode"],
        k=row["k"],
        hits=Table(
            ("#", "Document", "Score", "By vector"),
            [
                (f"{rank}", document, number(score), NONE if cosine is None else f"{cosine:.3f}")
                for rank, (document, score, cosine) in enumerate(hits, 1)
            ],
            "Chunks that were given",
            numeric=frozenset({2, 3}),
            empty="Nothing was found.",
        ),
        dropped=Table(
            ("Document", "Why", "What was done"),
            [
                (document or NONE, Cell(words(reason), tone="warn"), "given, with the mark" if marked else "left out")
                for document, reason, marked in dropped
            ],
            "What the record did not vouch for",
            empty="Nothing was left out.",
        ),
    )
    crumbs = (OVERVIEW, ("Indexes", "/language/indexes"), (row["index"], page))
    return View("Search", data, crumbs, f"perdure index show {row['index']}")


def _row(asked: Asked, wanted: str) -> dict[str, Any]:
    lake = asked.project.place.stores.lake
    if SEARCHES in lake.tables():
        # Ids first: lists of hits are wide, and only one row of them is wanted.
        known = lake.read(SEARCHES, columns=["search_id", "served_at"]).filter(pl.col("search_id") == wanted)
        if known.height:
            begun = known["served_at"][-1]
            span = Span("served_at", begun, begun + timedelta(microseconds=1))
            rows = lake.read(SEARCHES, columns=[each for each in SEARCHES_SCHEMA if each != "batch"], span=span)
            return rows.filter(pl.col("search_id") == wanted).to_dicts()[-1]
    raise NotFound(f"No search {wanted!r} was recorded.", hint="Servers record searches; rounds bring them here.")
