"""`/ledger/verify`: the whole chain recomputed, in a thread of its own, while pages go on.

One verification of a ledger runs at a time. What came of it is an entry of the chain, so the last result is there after a restart, too,
and in everybody's console. What surprised us: 84,000 entries take seven seconds, in which a page would have timed out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from perdure.core.clock import machine_now, monotonic_s
from perdure.core.errors import PerdureError
from perdure.serve.boundary import contained
from perdure.surface.console.chronicle.cells import LEDGER, entry_address, when
from perdure.surface.console.records import Asked, Cell, Done, Table, View

if TYPE_CHECKING:
    from perdure.stores.ledger.protocols import AuditEntry, ChainReport, Ledger

ACTION, SUBJECT = "ledger.verified", "ledger"
_MOST_SHOWN = 20
_ADDRESS = "/ledger/verify"


@dataclass(slots=True)
class Verifying:
    """One verification on its way. The thread that verifies writes it, pages read it."""

    n_all: int
    by: str
    began_at: datetime
    """Machine time."""
    n_done: int = 0
    over: bool = False
    problem: str = ""
    """Why it came to no result."""

    def told(self, n_done: int) -> None:
        """How far it is."""
        self.n_done = n_done


_RUNNING: WeakKeyDictionary[object, Verifying] = WeakKeyDictionary()
_LOCK = Lock()


@dataclass(frozen=True, slots=True)
class Result:
    """What a verification came to."""

    at: Cell | str
    by: str
    intact: bool
    n_entries: int
    text: str
    head: str
    """Hash of the newest entry then. Noted elsewhere, it reveals even a chain that was rewritten as a whole."""
    seconds: float
    href: str


@dataclass(frozen=True, slots=True)
class Verification:
    """How the chain stands."""

    sequence: int
    """Of the newest entry."""
    running: bool
    n_done: int
    n_all: int
    began_at: Cell | str
    by: str
    problem: str
    last: Result | None
    n_since: int
    """Entries that were written since the last verification, beside its own."""
    past: Table
    may: bool
    who_may: str


def verify_page(asked: Asked) -> View:
    """How far a verification is, and what the last ones came to."""
    ledger = asked.project.place.stores.ledger
    now = _RUNNING.get(ledger)
    running = now is not None and not now.over  # before the entries are read: one that is over has left its own
    with ledger.read() as session:
        entries = session.audit.list(subject=SUBJECT, actions=(ACTION,), newest=True, limit=_MOST_SHOWN)
    sequence = ledger.sequence()
    last = _result(entries[0]) if entries else None
    data = Verification(
        sequence=sequence,
        running=running,
        n_done=now.n_done if now else 0,
        n_all=now.n_all if now else 0,
        began_at=when(now.began_at if now else None),
        by=now.by if now else "",
        problem=now.problem if now else "",
        last=last,
        n_since=max(sequence - entries[0].sequence, 0) if entries else sequence,
        past=_past(entries),
        may=asked.person.may("note"),
        who_may="Verifying leaves an entry: it takes the role scientist, engineer, reviewer or admin.",
    )
    return View("Verification", data, crumbs=(LEDGER,), cli="perdure ledger verify", live=("ledger",))


def verify(asked: Asked) -> Done:
    """Begin a verification, or say that one is on its way."""
    ledger, by, now = asked.project.place.stores.ledger, asked.person.name, asked.now
    with _LOCK:
        running = _RUNNING.get(ledger)
        if running is not None and not running.over:
            return Done("A verification is on its way already.", _ADDRESS, {"running": True})
        begun = Verifying(ledger.sequence(), by, machine_now())
        _RUNNING[ledger] = begun
    Thread(target=_run, args=(ledger, begun, now), name="perdure-console-verify", daemon=True).start()
    return Done(f"The verification of {begun.n_all:,} entries has begun.", _ADDRESS, {"running": True})


def _run(ledger: Ledger, begun: Verifying, now: datetime) -> None:
    def work() -> str:
        start = monotonic_s()
        report = ledger.verify(begun.told)
        with ledger.transaction(actor=begun.by, at=now, reason="verification") as session:
            session.audit.append(ACTION, SUBJECT, _facts(report, monotonic_s() - start))
        return ""

    begun.problem = contained(work, _problem)
    begun.over = True


def _problem(error: Exception) -> str:
    """Why it failed: what is ours is told, of anything else its kind."""
    return str(error) if isinstance(error, PerdureError) else f"It failed: {type(error).__name__}."


def _facts(report: ChainReport, seconds: float) -> Mapping[str, Any]:
    return {
        "intact": report.intact,
        "n_entries": report.n_entries,
        "broken_at": report.broken_at,
        "text": report.text,
        "head": report.head,
        "seconds": round(seconds, 3),
    }


def _result(entry: AuditEntry) -> Result:
    facts = entry.facts
    return Result(
        at=when(entry.recorded_at),
        by=entry.actor,
        intact=bool(facts["intact"]),
        n_entries=int(facts["n_entries"]),
        text=str(facts["text"]),
        head=str(facts["head"]),
        seconds=float(facts["seconds"]),
        href=entry_address(entry.sequence),
    )


def _past(entries: list[AuditEntry]) -> Table:
    rows = [
        (
            each.at,
            _whole(each.intact),
            f"{each.n_entries:,}",
            each.by,
            f"{each.seconds:.1f} s",
            Cell("entry", href=each.href),
        )
        for each in map(_result, entries)
    ]
    headings = ("When", "It was", "Entries", "By", "Took", "Where")
    return Table(headings, rows, "Verifications, newest first", frozenset({2, 4}), empty="Nobody verified it here yet.")


def _whole(intact: bool) -> Cell:
    return Cell("intact", tone="good") if intact else Cell("broken", tone="bad")
