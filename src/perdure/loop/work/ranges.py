"""Which rows of a source nobody uses: quarantined ranges over `_available_at`, kept in the ledger.

Nothing is deleted or copied: a range is a record, and who reads rows leaves out those inside. Intake, training,
skew and drift ask here; `loop.quarantine` is the public face. The cursor `quarantine/<source>` has the ranges
with a revision that grows with each change and the revision that the online rows follow: a process that dies
between the two leaves a difference, which the next round heals.

What surprised us: a range that is closed taints twice. What was served before the online rows were put right
used bad rows; what was served between the first good row and the moment at which they came back did not use rows
that a recomputation would now find.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

import polars as pl

from perdure.assets.model import Model
from perdure.core.canonical import plain
from perdure.core.clock import iso, parse_at
from perdure.core.errors import DeclarationError
from perdure.core.units import minutes
from perdure.loop.protocols import Workplace
from perdure.stores.ledger.protocols import Ledger

CURSOR = "quarantine/"
OPENED = "quarantine.open"
CLOSED = "quarantine.close"
ROUND = minutes(5)
"""A round's instant is its beginning; what is served while it works has a later one."""
_AVAILABLE_AT = "_available_at"
_INSTANT = pl.Datetime("us", "UTC")
_TIMES = ("start", "end", "found_at", "mended_at", "closed_at", "restored_at")


@dataclass(frozen=True, slots=True)
class QuarantinedRange:
    """Rows of one source that became available in `[start, end)` and are used by nobody."""

    source: str
    start: datetime
    """`_available_at` of the first bad row."""
    end: datetime | None
    """`_available_at` of the first good row after it; None while the range is open."""
    reason: str
    who: str
    """Actor that opened it."""
    found_at: datetime
    mended_at: datetime | None = None
    """When the online rows were put right, the last good value in place of bad ones; None: not yet."""
    closed_at: datetime | None = None
    restored_at: datetime | None = None
    """When the online rows followed the feed again after the close; None: not yet."""

    def taints(self, at: pl.Expr) -> pl.Expr:
        """Whether what was served at an instant may have used its rows."""
        return (at >= self.start) & (at < self.mended_at + ROUND if self.mended_at is not None else pl.lit(True))

    def hides(self, at: pl.Expr) -> pl.Expr:
        """Whether what was served at an instant did without rows that are used again now."""
        if self.end is None:
            return pl.lit(False)
        return (at >= self.end) & (at < self.restored_at + ROUND if self.restored_at is not None else pl.lit(True))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The record as the ledger keeps it."""
        times = {name: parse_at(value[name]) if value[name] else None for name in _TIMES}
        return cls(**{**value, **times})


@dataclass(frozen=True, slots=True)
class Ranges:
    """The ranges of one source, oldest first, and whether the online rows follow them."""

    ranges: tuple[QuarantinedRange, ...] = ()
    revision: int = 0
    applied: int = 0
    """The revision that the online rows follow."""

    @property
    def open(self) -> QuarantinedRange | None:
        """The range without an end, of which a source has at most one."""
        return next((each for each in self.ranges if each.end is None), None)

    @classmethod
    def from_json(cls, value: Any | None) -> Self:
        """As the ledger keeps them; none without a value."""
        if value is None:
            return cls()
        ranges = tuple(QuarantinedRange.from_json(each) for each in value["ranges"])
        return cls(ranges, value["revision"], value["applied"])


def read_ranges(ledger: Ledger, source: str) -> Ranges:
    """The ranges of a source with their revision."""
    with ledger.read() as session:
        return Ranges.from_json(session.cursors.get(CURSOR + source))


def all_ranges(ledger: Ledger) -> dict[str, Ranges]:
    """Source → its ranges, of the sources that ever had one; one look at the ledger."""
    with ledger.read() as session:
        kept = session.cursors.list(CURSOR)
    return {name.removeprefix(CURSOR): Ranges.from_json(value) for name, value in kept.items()}


def quarantined(ledger: Ledger, source: str) -> tuple[QuarantinedRange, ...]:
    """The quarantined ranges of a source, by name, oldest first; open and closed ones."""
    return read_ranges(ledger, source).ranges


def open_range(
    place: Workplace, source: str, start: datetime, *, reason: str, at: datetime, evidence: Mapping[str, Any]
) -> QuarantinedRange:
    """Set a source's rows aside from `start` (`_available_at`) on, until further notice; done twice it changes nothing.

    A range that is open already is kept, and begins at the earlier of both instants. The audit entry
    `quarantine.open` has the range and the evidence. Online rows follow when they are next materialised.

    Args:
        place: by whom, and under which lease.
        source: name of the source.
        start: instant from which its rows could be known and are not to be used.
        reason: in words.
        at: domain time at which it was found.
        evidence: JSON-compatible.

    Raises:
        LostLease: another worker took over; nothing is written.
    """
    with place.transaction(at, reason) as session:
        kept = Ranges.from_json(session.cursors.get(CURSOR + source))
        before = kept.open
        if before is not None and before.start <= start:
            return before
        if before is None:
            opened = QuarantinedRange(source, start, None, reason, place.actor, at)
        else:
            opened = replace(before, start=start, mended_at=None)
        others = [each for each in kept.ranges if each is not before]
        _put(session, source, replace(kept, ranges=(*others, opened), revision=kept.revision + 1))
        session.audit.append(OPENED, source, {"range": plain(opened), "evidence": plain(evidence)})
        return opened


def close_range(
    place: Workplace, source: str, end: datetime, *, reason: str, at: datetime, evidence: Mapping[str, Any]
) -> QuarantinedRange | None:
    """End the open range of a source at `end` (`_available_at` of the first good row); None when none is open.

    Raises:
        DeclarationError: `end` lies before the range's start.
        LostLease: another worker took over; nothing is written.
    """
    with place.transaction(at, reason) as session:
        kept = Ranges.from_json(session.cursors.get(CURSOR + source))
        before = kept.open
        if before is None:
            return None
        if end < before.start:
            raise DeclarationError(
                f"A quarantine of {source!r} from {iso(before.start)} cannot end before, at {iso(end)}.",
                hint="Give the instant of the first good row after the bad ones.",
            )
        closed = replace(before, end=end, closed_at=at)
        others = [each for each in kept.ranges if each is not before]
        _put(session, source, replace(kept, ranges=(*others, closed), revision=kept.revision + 1))
        session.audit.append(CLOSED, source, {"range": plain(closed), "evidence": plain(evidence)})
        return closed


def record_applied(place: Workplace, source: str, revision: int, at: datetime) -> None:
    """Note that the online rows follow a revision of the ranges since `at`; an older or known one changes nothing."""
    with place.transaction(at, "online rows put right") as session:
        kept = Ranges.from_json(session.cursors.get(CURSOR + source))
        if revision != kept.revision or kept.applied >= revision:
            return
        ranges = tuple(_followed(each, at) for each in kept.ranges)
        _put(session, source, replace(kept, ranges=ranges, applied=revision))


def _followed(each: QuarantinedRange, at: datetime) -> QuarantinedRange:
    mended = each.mended_at or at
    restored = each.restored_at or (at if each.closed_at is not None else None)
    return replace(each, mended_at=mended, restored_at=restored)


def _put(session: Any, source: str, ranges: Ranges) -> None:
    session.cursors.put(CURSOR + source, plain(ranges))


def usable_rows(place: Workplace, source: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows of a source's frame that are in no quarantined range; other rows keep their order.

    Args:
        place: whose ledger knows the ranges.
        source: name of the source.
        frame: with `_available_at`, such as a stretch of `sources/<name>`.

    Cost: one look at the ledger; the frame itself is given back where no range is known.
    """
    return outside(frame, quarantined(place.stores.ledger, source))


def outside(frame: pl.DataFrame, ranges: Sequence[QuarantinedRange]) -> pl.DataFrame:
    """The rows whose `_available_at` is in none of the ranges; rows of unknown time are kept."""
    if not ranges or frame.is_empty():
        return frame
    at = pl.col(_AVAILABLE_AT)
    inside = [(at >= each.start) & (at < each.end if each.end is not None else pl.lit(True)) for each in ranges]
    return frame.filter(~pl.any_horizontal(inside).fill_null(False))


def untainted(place: Workplace, model: type[Model], frame: pl.DataFrame, at: str) -> pl.DataFrame:
    """The captured rows that were not served with quarantined rows of a source of the model's features.

    A row is tainted from a range's start until the online rows were put right.

    Args:
        place: whose ledger knows the ranges.
        model: its declared features tell which sources matter.
        frame: captured rows.
        at: column with the instant at which each was served, such as `served_at`.
    """
    sources = {view.source.name for view in model.features if view.source is not None}
    return untainted_by(place, sources, frame, at)


def untainted_by(place: Workplace, sources: Iterable[str], frame: pl.DataFrame, at: str) -> pl.DataFrame:
    """`untainted` where the sources are known by name, such as those of a version's plan."""
    return _without(frame, [each.taints(pl.col(at)) for each in _of(place, sources)])


def recomputable(place: Workplace, sources: Iterable[str], frame: pl.DataFrame, at: str) -> pl.DataFrame:
    """The captured rows whose features today's usable rows explain.

    Those that were served with quarantined rows are left out, and those that were served without rows which
    are usable since.
    """
    tests = [each.taints(pl.col(at)) | each.hides(pl.col(at)) for each in _of(place, sources)]
    return _without(frame, tests)


def _of(place: Workplace, sources: Iterable[str]) -> list[QuarantinedRange]:
    wanted, known = set(sources), all_ranges(place.stores.ledger)
    return [each for name in sorted(wanted & known.keys()) for each in known[name].ranges]


def _without(frame: pl.DataFrame, tests: Sequence[pl.Expr]) -> pl.DataFrame:
    return frame.filter(~pl.any_horizontal(tests).fill_null(False)) if tests and frame.height else frame
