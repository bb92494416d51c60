"""Alias history: who moved which pointer of an asset, when, why, on which evidence, with whose yes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perdure.assets.version import PointerMove
    from perdure.stores.ledger.protocols import Answer, Approval, LedgerSession


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One move of one pointer."""

    sequence: int
    """In the ledger; moves of one release share it."""
    at: datetime
    pointer: str
    before: str | None
    """Version that it pointed at; None where there was none."""
    version: str | None
    """None: the pointer was taken away."""
    share: float
    actor: str
    reason: str
    stage: str
    """Stage of the repair that moved it; empty where a person did."""
    incident: str
    job: str
    approved_by: Sequence[Answer]
    evidence: Mapping[str, Any]


def history(session: LedgerSession, asset: str) -> list[HistoryRow]:
    """Every move of an asset's pointers, oldest first."""
    present: dict[str, str | None] = {}
    approvals = session.approvals.list(asset=asset)
    rows = []
    for move in session.pointers.history(asset):
        rows.append(_row(move, present.get(move.name), approvals))
        present[move.name] = move.version
    return rows


def _row(move: PointerMove, before: str | None, approvals: Sequence[Approval]) -> HistoryRow:
    facts = move.facts
    return HistoryRow(
        sequence=move.sequence,
        at=move.at,
        pointer=move.name,
        before=before,
        version=move.version,
        share=move.share,
        actor=move.actor,
        reason=move.reason,
        stage=str(facts.get("stage", "")),
        incident=str(facts.get("incident", "")),
        job=str(facts.get("job", "")),
        approved_by=tuple(
            answer
            for approval in approvals
            if _covers(approval, move)
            for answer in approval.answers
            if answer.approves
        ),
        evidence=facts,
    )


def _covers(approval: Approval, move: PointerMove) -> bool:
    """Whether a yes was for this move: for the job that made it, or for this release by hand."""
    if approval.status != "approved":
        return False
    job = move.facts.get("job")
    if job:
        return bool(approval.facts.get("job") == job)
    return bool(move.facts.get("approvals", {}).get(move.asset) == approval.id)
