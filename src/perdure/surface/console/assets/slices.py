"""How an asset does by slice: newest readings beside those of all rows, and what was measured on rows held out."""

from __future__ import annotations

from dataclasses import dataclass

from perdure.surface.console.assets.known import Head, Known, asset_of, head_of, page_of
from perdure.surface.console.assets.readings import measured_table, newest_of, width_words
from perdure.surface.console.assets.versions import run_of, slices_table
from perdure.surface.console.records import Asked, Bars, Table, View

_MOST = 40


@dataclass(frozen=True, slots=True)
class Slices:
    """The page."""

    head: Head
    pictures: tuple[Bars, ...]
    """One a signal and window: the slices, with a line where all rows are."""
    readings: Table
    held_out: Table


def view(asked: Asked) -> View:
    """`/assets/{kind}/{name}/slices`."""
    known = asset_of(asked)
    facts = run_of(asked, known.champion)[1] if known.champion else {}
    data = Slices(
        head=head_of(asked, known, "slices"),
        pictures=_pictures(asked, known),
        readings=measured_table(asked, known, sliced=True),
        held_out=slices_table(facts.get("slices") or {}),
    )
    return page_of(known, data, "slices", cli=f"perdure card {known.name}" if known.kind == "model" else "")


def _pictures(asked: Asked, known: Known) -> tuple[Bars, ...]:
    newest = newest_of(asked, known)
    whole = {(each.signal, each.width_us): each.value for each in newest if not each.slice}
    found: dict[tuple[str, int, str], list[tuple[str, float, float | None]]] = {}
    for each in newest:
        if each.slice and each.value is not None:
            key = (each.signal, each.width_us, each.unit)
            found.setdefault(key, []).append((each.slice, each.value, whole.get((each.signal, each.width_us))))
    return tuple(
        Bars(
            f"slices-{at}",
            f"{signal} over {width_words(width)}, by slice",
            unit,
            sorted(rows, key=lambda row: -row[1])[:_MOST],
            was="all rows",
        )
        for at, ((signal, width, unit), rows) in enumerate(found.items())
    )
