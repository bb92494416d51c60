"""The newest rows that a model answered, as they were captured: reached only by who may see bodies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from perdure.core.clock import iso
from perdure.surface.console.asking import address, instant
from perdure.surface.console.assets.known import Head, Known, head_of, model_of, page_of, version_cell
from perdure.surface.console.records import Asked, Cell, Table, View
from perdure.surface.words import instant as told
from perdure.surface.words import number

_PAGE = 50
_WIDTHS = (timedelta(hours=1), timedelta(days=1), timedelta(days=7), timedelta(days=60), None)
"""How far back is looked, until a page is full: a busy model fills it in an hour, an idle one in weeks."""
_COLUMNS = ("key", "version", "latency_us", "row", "prediction")
_CHARACTERS = 160
"""Of a row in the list."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """The page."""

    head: Head
    predictions: Table


def view(asked: Asked) -> View:
    """`/assets/{kind}/{name}/predictions?before=`.

    Raises:
        NotFound: it is no model.
    """
    known = model_of(asked)
    before = instant(asked.query, "before", asked.board.at + timedelta(microseconds=1))
    found = _newest(asked, known.name, before)
    table = Table(
        ("Prediction", "Served", "Answer", "Key", "Row", "Version", "Took"),
        [_row(known, each) for each in found],
        "Captured predictions, newest first",
        numeric=frozenset({2, 6}),
        more=known.at("predictions", before=iso(found[-1]["served_at"])) if len(found) == _PAGE else "",
        empty="Nothing was captured yet: a row stands here some seconds after it was answered. "
        f"Ask by POST /v1/models/{known.name}/predict.",
    )
    return page_of(known, Predictions(head_of(asked, known, "predictions"), table), "predictions")


def _newest(asked: Asked, model: str, before: datetime) -> list[dict[str, Any]]:
    from perdure.loop.work.outcomes import read_captures

    lake, found = asked.project.place.stores.lake, []
    for width in _WIDTHS:
        rows = read_captures(lake, model, None if width is None else before - width, before, _COLUMNS)
        found = rows.tail(_PAGE).reverse().to_dicts() if not rows.is_empty() else []
        if len(found) == _PAGE:
            break
    return found


def _row(known: Known, row: dict[str, Any]) -> tuple[Cell | str, ...]:
    at, asked_with = row["served_at"], str(row["row"] or "")
    short = asked_with if len(asked_with) <= _CHARACTERS else f"{asked_with[:_CHARACTERS]}…"
    return (
        Cell(row["prediction_id"], href=address("/predictions", known.name, row["prediction_id"], at=iso(at))),
        Cell(f"{told(at)} UTC", at=at),
        Cell(number(row["prediction"]), value=row["prediction"]),
        row["key"] or "–",
        short or "–",
        version_cell(known, row["version"]),
        f"{row['latency_us'] / 1000:.2f} ms",
    )
