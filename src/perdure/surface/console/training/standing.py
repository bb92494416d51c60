"""What made a run, and what became of the version it made: from the version's lineage, the pointers and the loop's outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from perdure.core.clock import parse_at
from perdure.core.errors import DeclarationError
from perdure.surface.console.asking import address
from perdure.surface.console.records import Cell, Table
from perdure.surface.console.training.cells import NONE, value, when
from perdure.surface.words import words

if TYPE_CHECKING:
    from perdure.assets.version import Version
    from perdure.stores.ledger.protocols import AuditEntry, LedgerSession, Run
    from perdure.surface.console.board import Board

_OUTCOME = "loop.outcome"
_MOST_OUTCOMES = 20
_OF_COUNTS = {"n_train": "Training rows", "n_valid": "Validation rows"}
_OF_FACTS = {"dataset": "Dataset", "code": "Code", "seed": "Seed", "remedy": "Remedy", "cpu_s": "CPU of the fit"}
_OF_LINEAGE = {"rows": "Rows fitted on", "watermark": "Rows known until", "warm_start": "Went on from",
               "remedy_params": "Remedy's parameters", "views": "Feature views"}  # fmt: skip


def made_by(run: Run, version: Version | None) -> Table:
    """What a run was made of, a line each."""
    rows: list[tuple[Cell | str, ...]] = [("By", run.actor)]
    for name, text in _OF_FACTS.items():
        if (said := run.facts.get(name)) not in (None, ""):
            rows.append((text, f"{value(said)} s" if name == "cpu_s" else value(said)))
    lineage = version.lineage if version else {}
    for name, text in _OF_LINEAGE.items():
        if lineage.get(name):
            rows += _lineage(name, text, lineage[name])
    counts = _counts(run.facts)
    rows += [(text, value(counts[name])) for name, text in _OF_COUNTS.items() if name in counts]
    return Table(("What", "Value"), rows, "What made the run")


def _counts(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    card = facts.get("card")
    counts = card.get("counts") if isinstance(card, Mapping) else None
    return counts if isinstance(counts, Mapping) else {}


def _lineage(name: str, text: str, said: Any) -> list[tuple[Cell | str, ...]]:
    """Lines of one part of a version's lineage."""
    if name == "rows" and isinstance(said, Mapping):
        ends = [(words, said.get(end)) for words, end in (("Rows from", "start"), ("Rows until", "end"))]
        return [(words, _instant(each)) for words, each in ends if each]
    return [(text, _instant(said) if name == "watermark" else value(said))]


def _instant(said: Any) -> Cell | str:
    """An instant as the lineage keeps it; what is none stays as it is."""
    try:
        return when(parse_at(str(said)))
    except DeclarationError:
        return value(said)


def became(session: LedgerSession, board: Board, asset: str, version: str) -> Table:
    """What names the version now, and which repairs weighed it, newest first."""
    rows: list[tuple[Cell | str, ...]] = []
    if version:
        named = [pointer for pointer in board.pointers.get(asset, ()) if pointer.version == version]
        rows += [(Cell(each.name, tone="good"), f"{100 * each.share:g}% of its traffic", NONE) for each in named]
        rows += [_outcome(entry, version) for entry in _outcomes(session, asset, version)]
    empty = "No pointer names its version, and no repair weighed it."
    return Table(("What", "Why", "When"), rows, "What became of the version", empty=empty)


def _outcomes(session: LedgerSession, asset: str, version: str) -> list[AuditEntry]:
    entries = session.audit.list(subject=asset, actions=(_OUTCOME,), newest=True)
    return [entry for entry in entries if version in (entry.facts.get("candidates") or ())][:_MOST_OUTCOMES]


def _outcome(entry: AuditEntry, version: str) -> tuple[Cell | str, ...]:
    won = entry.facts.get("winner") == version
    said = words(str(entry.facts.get("outcome", "")))
    incident = str(entry.facts.get("incident", ""))
    text = (
        f"repair {said}, by this version"
        if won
        else f"repair {said}; another was taken"
        if _taken(entry)
        else f"repair {said}"
    )
    why = str(entry.facts.get("why", ""))
    told = Cell(text, href=address("/incidents", incident) if incident else address("/ledger", str(entry.sequence)))
    return (told, why, when(entry.at))


def _taken(entry: AuditEntry) -> bool:
    return bool(entry.facts.get("winner"))
