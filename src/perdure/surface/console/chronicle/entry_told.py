"""`/ledger/{sequence}`: one entry whole, with the records that it wrote, and whether its hash fits what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perdure.core.errors import NotFound
from perdure.surface.console.asking import address
from perdure.surface.console.chronicle.cells import LEDGER, entry_address, pretty, tone, when
from perdure.surface.console.records import Asked, Cell, Table, View

if TYPE_CHECKING:
    from perdure.stores.ledger.protocols import AuditEntry
    from perdure.surface.console.board import Board

_MOST_FACTS = 200_000
_MOST_RECORDS = 200


@dataclass(frozen=True, slots=True)
class Told:
    """One entry."""

    sequence: int
    at: Cell | str
    recorded_at: Cell | str
    actor: str
    action: Cell
    subjects: tuple[Cell, ...]
    reason: str
    leads: tuple[Cell, ...]
    """What its facts speak of."""
    facts: str
    cut: bool
    records: Table
    hash: str
    previous: str
    fits: bool
    """Its hash is that of its fields, and it names the hash of the entry before."""
    newer: str
    older: str
    """Addresses of the project's entries beside it; empty at the ends."""


def entry_page(asked: Asked) -> View:
    """One entry.

    Raises:
        NotFound: no such entry of this project.
    """
    said = asked.path["sequence"]
    sequence = int(said) if said.isascii() and said.isdigit() and len(said) < 16 else 0
    with asked.project.place.stores.ledger.read() as session:
        audit = session.audit
        found = audit.list(after=sequence - 1, before=sequence + 1) if sequence else []
        if not found:
            raise NotFound(f"The ledger has no entry {said[:20]!r} of this project.", hint="Look at /ledger.")
        older = audit.list(before=sequence, newest=True, limit=1)
        newer = audit.list(after=sequence, limit=1)
    data = _told(asked.board, found[0], older, newer)
    cli = f"perdure ledger list --after {sequence - 1} --limit 1"
    return View(f"Entry {sequence:,}", data, crumbs=(LEDGER,), cli=cli)


def _told(board: Board, entry: AuditEntry, older: list[AuditEntry], newer: list[AuditEntry]) -> Told:
    facts, cut = pretty({name: said for name, said in entry.facts.items() if name != "records"}, _MOST_FACTS)
    return Told(
        sequence=entry.sequence,
        at=when(entry.at),
        recorded_at=when(entry.recorded_at),
        actor=entry.actor,
        action=Cell(entry.action, tone=tone(entry.action, entry.facts)),
        subjects=tuple(_subject(board, name) for name in entry.subject.split(",") if name),
        reason=entry.reason,
        leads=tuple(_leads(entry)),
        facts=facts,
        cut=cut,
        records=_records(entry.facts.get("records") or ()),
        hash=entry.hash,
        previous=entry.previous,
        fits=_fits(entry, older),
        newer=entry_address(newer[0].sequence) if newer else "",
        older=entry_address(older[0].sequence) if older else "",
    )


def _fits(entry: AuditEntry, older: list[AuditEntry]) -> bool:
    from perdure.stores.ledger.chain import entry_hash

    # Between two entries of this project there may be some of others.
    follows = not older or older[0].sequence != entry.sequence - 1 or older[0].hash == entry.previous
    return follows and entry_hash(entry) == entry.hash


def _subject(board: Board, name: str) -> Cell:
    tile = board.by_name.get(name)
    return Cell(name, href=address("/assets", tile.kind, name) if tile else address("/ledger", subject=name))


def _leads(entry: AuditEntry) -> list[Cell]:
    """The incident and the run that it speaks of; a run of an agent has its page elsewhere, and is not told as one of ours."""
    incident, run = entry.facts.get("incident"), entry.facts.get("run")
    found = (
        [Cell(f"incident {incident}", href=address("/incidents", incident))]
        if isinstance(incident, str) and incident
        else []
    )
    if entry.action == "runs.put" and isinstance(run, str):
        where = "/language/evals" if entry.facts.get("kind") == "eval" else "/training"
        found.append(Cell(f"run {run}", href=address(where, run)))
    return found


def _records(records: Any) -> Table:
    rows = [
        (
            str(each.get("table", "")),
            " ".join(str(part) for part in each.get("key", ())),
            str(each.get("digest") or "removed"),
        )
        for each in records[:_MOST_RECORDS]
    ]
    return Table(("Table", "Record", "Digest"), rows, "Records that it wrote", empty="It wrote none.")


__all__ = ["Told", "entry_page"]
