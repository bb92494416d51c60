"""`/ledger/quarantine`: ranges of sources that nobody uses, with what had used them; and rows that broke their contract, with why.

Ranges are the loop's decisions, kept in the ledger. Refused rows are in the lake's table `quarantine`, of sources and of requests.
What a row holds is shown to who may see bodies; which field was wrong, and how, to everybody who may look.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from perdure.core.units import days
from perdure.surface.console.asking import address, text
from perdure.surface.console.chronicle.cells import LEDGER, NONE, entry_address, when
from perdure.surface.console.records import Asked, Cell, Table, View
from perdure.surface.words import counted

if TYPE_CHECKING:
    import polars as pl

    from perdure.loop.work.ranges import QuarantinedRange
    from perdure.stores.lake.protocols import Lake
    from perdure.stores.ledger.protocols import AuditEntry

_SINCE: timedelta = days(90)
_MOST_RANGES, _MOST_ROWS, _MOST_ORIGINS = 100, 50, 100
_MOST_TEXT = 600


@dataclass(frozen=True, slots=True)
class RangeTold:
    """Rows of one source that nobody uses."""

    source: Cell
    is_open: bool
    start: Cell | str
    """From when the first bad row could be known."""
    end: Cell | str
    """From when the first good row after it could be known."""
    reason: str
    used: tuple[str, ...]
    """What had been served with such rows."""
    who: str
    found_at: Cell | str
    mended_at: Cell | str
    """When the last good values were put in the place of bad ones."""
    closed_at: Cell | str
    entry: str
    """Address of the ledger's newest entry about it; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Refused:
    """One row that broke its contract."""

    at: Cell | str
    origin: Cell
    errors: tuple[str, ...]
    row: str
    """As it came, as JSON; empty for who may not see bodies."""


@dataclass(frozen=True, slots=True)
class QuarantineTold:
    """What is set aside."""

    n_open: int
    ranges: tuple[RangeTold, ...]
    """Newest first, at most 100."""
    since: datetime
    n_refused: int
    """In the newest 90 days."""
    by_origin: Table
    by_reason: Table
    origin: str
    refused: tuple[Refused, ...]
    bodies: bool


def quarantine_page(asked: Asked) -> View:
    """Ranges, and refused rows of all origins or of one."""
    from perdure.loop.work.ranges import CLOSED, OPENED, all_ranges

    stores, origin = asked.project.place.stores, text(asked.query, "origin")
    ranges = [each for told in all_ranges(stores.ledger).values() for each in told.ranges]
    ranges.sort(key=lambda each: each.found_at, reverse=True)
    with stores.ledger.read() as session:
        entries = session.audit.list(actions=(OPENED, CLOSED), newest=True, limit=2 * _MOST_RANGES)
    refused = _refused(stores.lake, asked.now)
    of_origin = refused if not origin else refused.filter(refused["origin"] == origin)
    bodies = asked.person.may("bodies")
    data = QuarantineTold(
        n_open=sum(each.end is None for each in ranges),
        ranges=_ranges(ranges, entries),
        since=asked.now - _SINCE,
        n_refused=refused.height,
        by_origin=_by_origin(refused),
        by_reason=_by_reason(of_origin),
        origin=origin,
        refused=tuple(_row(row, bodies=bodies) for row in of_origin.head(_MOST_ROWS).iter_rows(named=True)),
        bodies=bodies,
    )
    return View("Quarantine", data, crumbs=(LEDGER,), live=("incidents",))


def _ranges(ranges: Sequence[QuarantinedRange], entries: Sequence[AuditEntry]) -> tuple[RangeTold, ...]:
    from perdure.core.clock import iso

    newest: dict[tuple[str, str], AuditEntry] = {}
    for entry in entries:
        newest.setdefault((entry.subject, str(entry.facts.get("range", {}).get("start"))), entry)
    return tuple(_range(each, newest.get((each.source, iso(each.start)))) for each in ranges[:_MOST_RANGES])


def _range(each: QuarantinedRange, entry: AuditEntry | None) -> RangeTold:
    tainted = entry.facts.get("evidence", {}).get("tainted", {}) if entry else {}
    return RangeTold(
        source=Cell(each.source, href=address("/ledger/feeds", source=each.source)),
        is_open=each.end is None,
        start=when(each.start),
        end=when(each.end),
        reason=each.reason,
        used=tuple(_used(name, said) for name, said in sorted(tainted.items())),
        who=each.who,
        found_at=when(each.found_at),
        mended_at=when(each.mended_at),
        closed_at=when(each.closed_at),
        entry=entry_address(entry.sequence) if entry else "",
    )


def _used(model: str, said: Mapping[str, Any]) -> str:
    """What was served with such rows.

    >>> _used("air_time", {"n": 168, "n_labels": 9})
    'air_time: 168 predictions, 9 labels'
    """
    return f"{model}: {counted(int(said.get('n', 0)), 'prediction')}, {counted(int(said.get('n_labels', 0)), 'label')}"


def _refused(lake: Lake, now: datetime) -> pl.DataFrame:
    """Refused rows of the newest 90 days, newest first."""
    import polars as pl

    from perdure.loop.work.captured import QUARANTINE
    from perdure.stores.lake.protocols import Span

    columns = ["at", "origin", "errors", "row"]
    if lake.version(QUARANTINE) is None:
        return pl.DataFrame(schema={"at": pl.Datetime("us", "UTC"), **dict.fromkeys(columns[1:], pl.String)})
    span = Span("at", now - _SINCE, now + days(1))
    return lake.read(QUARANTINE, columns=columns, span=span).sort(
        "at", "origin", "row", descending=[True, False, False]
    )


def _by_origin(refused: pl.DataFrame) -> Table:
    import polars as pl

    counted_by = refused.group_by("origin").agg(pl.len().alias("n"), pl.col("at").max().alias("at"))
    rows = [
        (
            Cell(_words(row["origin"]), href=address("/ledger/quarantine", origin=row["origin"])),
            f"{row['n']:,}",
            when(row["at"]),
        )
        for row in counted_by.sort("n", "origin", descending=[True, False]).head(_MOST_ORIGINS).iter_rows(named=True)
    ]
    headings = ("Where from", "Rows", "Newest")
    return Table(headings, rows, "Refused rows by where they came from", frozenset({1}), empty="No row was refused.")


def _by_reason(refused: pl.DataFrame) -> Table:
    """Which fields were wrong, and how, the most first."""
    counts: dict[tuple[str, str], int] = {}
    for said, n in refused["errors"].value_counts().iter_rows():
        for error in _errors(said):
            key = (str(error.get("field", NONE)), str(error.get("type", NONE)))
            counts[key] = counts.get(key, 0) + int(n)
    most = sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:_MOST_ORIGINS]
    rows = [(field, kind.replace("_", " "), f"{n:,}") for (field, kind), n in most]
    return Table(
        ("Field", "What was wrong", "Rows"), rows, "Why rows were refused", frozenset({2}), empty="No row was refused."
    )


def _row(row: Mapping[str, Any], *, bodies: bool) -> Refused:
    errors = _errors(row["errors"])
    told = tuple(
        f"{each.get('field', NONE)}: {each.get('message' if bodies else 'type', NONE)}" for each in errors[:20]
    )
    origin = Cell(_words(row["origin"]), href=address("/ledger/quarantine", origin=row["origin"]))
    return Refused(when(row["at"]), origin, told, _cut(row["row"] or "") if bodies else "")


def _errors(said: str | None) -> list[Mapping[str, Any]]:
    """What was wrong, as the contract told it; nothing where the text is none of ours."""
    try:
        found = json.loads(said or "[]")
    except ValueError:
        return []
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def _words(origin: str) -> str:
    """Where rows came from, in words.

    >>> _words("source:weather"), _words("request:air_time")
    ('weather', 'requests to air_time')
    """
    kind, _, name = origin.partition(":")
    return f"requests to {name}" if kind == "request" else name or origin


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]} …"
