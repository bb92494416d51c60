"""`/ledger`: the chain of everything that was decided and done, newest first, by subject, action and actor.

Subject and action are found by the ledger's indexes. An actor is not: entries are read back until a page is full, at most 2,000 of
them, and a page that found fewer says how far it looked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.surface.console.asking import address, text, whole
from perdure.surface.console.chronicle.cells import entry_address, pretty, tone, when
from perdure.surface.console.records import Asked, Cell, View

if TYPE_CHECKING:
    from perdure.stores.ledger.protocols import Audit, AuditEntry

_LIMIT = 50
_STEP, _MOST_LOOKED_AT = 500, 2_000
_MOST_FACTS = 2_000
_LARGEST = 10**15


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries."""

    subject: str
    action: str
    """Whole, or its beginning with a dot at its end, such as `loop.`."""
    actor: str
    after: int
    before: int
    """0: up to the newest."""


@dataclass(frozen=True, slots=True)
class Line:
    """One entry with its facts folded."""

    sequence: int
    href: str
    at: Cell | str
    actor: str
    action: Cell
    subjects: tuple[Cell, ...]
    reason: str
    facts: str
    cut: bool
    """Its facts are longer: the entry's own page has them."""


@dataclass(frozen=True, slots=True)
class Entries:
    """A page of the chain."""

    wanted: Wanted
    newest: int
    """Sequence number of the ledger's newest entry."""
    lines: tuple[Line, ...]
    actions: tuple[str, ...]
    actors: tuple[str, ...]
    """Suggestions, from the newest entries."""
    more: str
    looked_to: int
    """0, or how far back was looked where the page is not full and there may be more."""
    empty: str


def ledger_page(asked: Asked) -> View:
    """The entries that are asked for."""
    query = asked.query
    wanted = Wanted(
        text(query, "subject"),
        text(query, "action", most=100),
        text(query, "actor", most=100),
        whole(query, "after", 0, most=_LARGEST),
        whole(query, "before", 0, most=_LARGEST),
    )
    ledger = asked.project.place.stores.ledger
    with ledger.read() as session:
        found, looked_to = _found(session.audit, wanted)
    last = found[-1].sequence if found else 0
    before = last if len(found) == _LIMIT else looked_to
    data = Entries(
        wanted=wanted,
        newest=ledger.sequence(),
        lines=tuple(_line(entry) for entry in found),
        actions=tuple(sorted({entry.action for entry in asked.board.recent})),
        actors=tuple(sorted({entry.actor for entry in asked.board.recent})),
        more=_here(wanted, before) if before > wanted.after + 1 else "",
        looked_to=looked_to if len(found) < _LIMIT else 0,
        empty=_empty(wanted),
    )
    cli = f"perdure ledger list --after {max(last - 1, 0)} --limit {_LIMIT}"
    return View("Ledger", data, cli=cli, live=("ledger",))


def _found(audit: Audit, wanted: Wanted) -> tuple[list[AuditEntry], int]:
    """Entries, newest first, and the last that was looked at where more may lie before it; 0: there is none."""
    found: list[AuditEntry] = []
    before, n_looked_at = wanted.before or None, 0
    actions = (wanted.action,) if wanted.action and not wanted.action.endswith(".") else ()
    by_hand = bool(wanted.actor) or (bool(wanted.action) and not actions)
    limit = _STEP if by_hand else _LIMIT
    while n_looked_at < _MOST_LOOKED_AT:
        page = audit.list(after=wanted.after, before=before, limit=limit, subject=wanted.subject or None,
                          actions=actions, newest=True)  # fmt: skip
        found += [entry for entry in page if _is_wanted(entry, wanted)]
        n_looked_at += len(page)
        if len(found) >= _LIMIT or len(page) < limit:
            return found[:_LIMIT], 0
        before = page[-1].sequence
    return found, before or 0


def _is_wanted(entry: AuditEntry, wanted: Wanted) -> bool:
    if wanted.actor and entry.actor != wanted.actor:
        return False
    return not wanted.action.endswith(".") or entry.action.startswith(wanted.action)


def _line(entry: AuditEntry) -> Line:
    facts, cut = pretty({name: said for name, said in entry.facts.items() if name != "records"}, _MOST_FACTS)
    return Line(
        sequence=entry.sequence,
        href=entry_address(entry.sequence),
        at=when(entry.at),
        actor=entry.actor,
        action=Cell(entry.action, tone=tone(entry.action, entry.facts)),
        subjects=tuple(_subjects(entry.subject)),
        reason=entry.reason,
        facts="" if facts == "{}" else facts,
        cut=cut,
    )


def _subjects(subject: str) -> Sequence[Cell]:
    names = [name for name in subject.split(",") if name]
    return [Cell(name, href=address("/ledger", subject=name)) for name in names[:20]]


def _here(wanted: Wanted, before: int) -> str:
    return address("/ledger", subject=wanted.subject, action=wanted.action, actor=wanted.actor,
                   after=wanted.after or "", before=before)  # fmt: skip


def _empty(wanted: Wanted) -> str:
    if wanted == Wanted("", "", "", 0, 0):
        return "Nothing was decided yet. `perdure up` starts the loop, and every decision of it and of people is kept here."
    return "No entry is so. Leave out a part of the filter."
