"""What is going on this minute: open incidents with what is done about each, the loop's work, releases with their shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from perdure.assets.version import CHAMPION
from perdure.surface.console.asking import address
from perdure.surface.console.records import Cell, Table
from perdure.surface.governance.doing import job_text
from perdure.surface.words import words

if TYPE_CHECKING:
    from perdure.stores.ledger.protocols import AuditEntry
    from perdure.surface.console.board import Board

_N_INCIDENTS, _N_JOBS, _N_ENTRIES, _N_RELEASES = 10, 10, 8, 15
_DETAILS = ("jobs.", "runs.", "incidents.update", "reviews.", "session.", "bodies.")
"""Actions that are steps of others: the ledger's own page has them all."""
_SAID = {
    "loop.decide": "decided",
    "loop.verify": "candidates judged",
    "loop.outcome": "repair ended",
    "loop.pause": "paused",
    "loop.resume": "resumed",
    "pointers.set": "pointer moved",
    "pointers.remove": "pointer taken away",
    "incidents.open": "incident opened",
    "incidents.close": "incident closed",
    "approvals.ask": "person asked",
    "approvals.answer": "person answered",
    "registry.put_asset": "declared",
    "registry.put_version": "version registered",
}
"""Action → in words."""


@dataclass(frozen=True, slots=True)
class Loop:
    """What the loop does."""

    runs: bool
    holder: str
    told: str
    round_at: datetime | None
    """None: it has made no round yet."""
    jobs: Table
    entries: Table


def incidents_of(board: Board) -> Table:
    """Open incidents, the newest first: those that have been open long are in the inbox of whoever has them."""
    rows = [
        (
            Cell(each.asset, href=address("/incidents", each.id)),
            Cell(words(each.kind), tone="bad"),
            Cell("", at=each.opened_at),
            board.doing.get(each.id, "nothing yet"),
        )
        for each in reversed(board.incidents[-_N_INCIDENTS:])
    ]
    return Table(
        ("Asset", "What broke", "Since", "What is done about it"),
        rows,
        "Open incidents",
        more=address("/incidents") if len(board.incidents) > _N_INCIDENTS else "",
        empty="No incident is open. Those of the past, and how they ended: `perdure incidents --all`",
    )


def loop_of(board: Board) -> Loop:
    """Who runs it, what it works on, what it wrote down last."""
    told = f"{board.holder} runs the loop." if board.holder else "Nobody runs the loop now. Start it with: perdure up"
    jobs = [
        (
            _asset(board, job.subject),
            Cell(job.status, tone="warn" if job.error else "info"),
            Cell("", at=job.started_at),
            job_text(job),
        )
        for job in board.jobs[:_N_JOBS]
    ]
    return Loop(
        bool(board.holder),
        board.holder,
        told,
        board.round,
        Table(
            ("Asset", "State", "Since", "What"),
            jobs,
            "Work of the loop",
            empty="No repair or release is at work.",
        ),
        Table(
            ("When", "What", "About", "By", "Why"),
            [_entry(board, each) for each in _told(board.recent)],
            "What was decided and done last",
            more=address("/ledger"),
            empty="The ledger is empty. Declare something, then: `perdure apply`",
        ),
    )


def releases_of(board: Board) -> Table:
    """Every pointer beside a champion that has a share of the traffic."""
    moving = [tile for tile in board.tiles if tile.moving]
    rows = [
        (
            Cell(tile.name, href=address("/assets", tile.kind, tile.name)),  # where the brakes are
            pointer.name,
            Cell(pointer.version, href=address("/assets", tile.kind, tile.name, "versions", pointer.version)),
            Cell(f"{pointer.share:.0%}", value=pointer.share),
            tile.champion or "nothing before",
            _goes_on(board, tile.name),
        )
        for tile in moving[:_N_RELEASES]
        for pointer in board.pointers.get(tile.name, ())
        if pointer.name != CHAMPION and pointer.share > 0
    ]
    return Table(
        ("Asset", "Pointer", "Version", "Share", "Against", "How it goes on"),
        rows,
        "Releases under way",
        numeric=frozenset({3}),
        more=address("/assets") if len(moving) > _N_RELEASES else "",
        empty="No release is under way. A candidate is released by the loop, or by: `perdure apply --release`",
    )


def _told(recent: Sequence[AuditEntry]) -> list[AuditEntry]:
    return [entry for entry in recent if not entry.action.startswith(_DETAILS)][:_N_ENTRIES]


def _goes_on(board: Board, asset: str) -> str:
    job = next((each for each in board.jobs if each.subject == asset), None)
    return job_text(job) if job else "set by hand"


def _entry(board: Board, entry: AuditEntry) -> tuple[Cell | str, ...]:
    first = entry.subject.partition(",")[0]
    about = _asset(board, entry.subject) if first == entry.subject else Cell(entry.subject)
    return (
        Cell("", at=entry.at),
        _SAID.get(entry.action, words(entry.action.replace(".", " "))),
        about,
        entry.actor,
        entry.reason or "–",
    )


def _asset(board: Board, name: str) -> Cell:
    tile = board.by_name.get(name)
    return Cell(name, href=address("/assets", tile.kind, name) if tile else "")
