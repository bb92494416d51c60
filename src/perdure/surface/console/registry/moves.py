"""Alias history: who moved which pointer of an asset, when, why, on which evidence, with whose yes; and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from perdure.surface.console.asking import address, behind, whole
from perdure.surface.console.questions import asset_address, version_address
from perdure.surface.console.records import Cell, Table, View
from perdure.surface.governance.card_text import model_of
from perdure.surface.words import instant, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perdure.surface.console.records import Asked
    from perdure.surface.governance.history import HistoryRow

PAGE = 50
_N_BACK = 8


@dataclass(frozen=True, slots=True)
class Stands:
    """Where a pointer stands now."""

    pointer: str
    version: str
    href: str
    share: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """What the page draws."""

    asset: str
    asset_href: str
    kind: str
    n_moves: int
    stands: tuple[Stands, ...]
    back: tuple[str, ...]
    """Versions that a way back may lead to, the newest first; empty where a roll-back is not of this asset."""
    back_href: str
    card_of: str
    """The model whose card it is; empty for anything else."""
    rows: Table


def show_history(asked: Asked) -> View:
    """Every move, newest first; `at` is how many are before."""
    name, first = asked.path["name"], whole(asked.query, "at", 0, most=10**6)
    moves = asked.project.history(name)[::-1]
    tile = asked.board.by_name.get(name)
    card_of = model_of(name)
    kind = tile.kind if tile else "card" if card_of else ""
    rest = address("/registry", name, "history", at=first + PAGE) if len(moves) > first + PAGE else ""
    href = asset_address(asked, name)
    back = _back(moves) if tile and tile.declared else ()
    data = HistoryPage(
        asset=name,
        asset_href=href,
        kind=kind,
        n_moves=len(moves),
        stands=_stands(asked, kind, name, moves),
        back=back,
        back_href=address("/assets", kind, name, "rollback") if back else "",
        card_of=card_of,
        rows=Table(
            ("When", "Pointer", "From", "To", "Share", "By", "Why", "Evidence"),
            [_row(kind, name, each) for each in moves[first : first + PAGE]],
            f"Moves of the pointers of {name}, newest first",
            numeric=frozenset({4}),
            more=rest,
            empty=behind(first, "No pointer was moved yet: perdure apply releases."),
        ),
    )
    crumbs = (("Registry", "/registry"), *(((name, href),) if href else ()))
    return View(f"Who moved {name}", data, crumbs, cli=f"perdure history {name}", live=("releases",))


def _stands(asked: Asked, kind: str, name: str, moves: Sequence[HistoryRow]) -> tuple[Stands, ...]:
    moved = {each.pointer: each.at for each in reversed(moves)}
    return tuple(
        Stands(
            each.name,
            each.version,
            version_address(kind, name, each.version),
            f"{each.share:.0%}",
            moved.get(each.name),
        )
        for each in asked.board.pointers.get(name, ())
    )


def _back(moves: Sequence[HistoryRow]) -> tuple[str, ...]:
    """Past champions without the one that answers now."""
    past = [each.version for each in moves if each.pointer == "champion" and each.version]
    return tuple(version for version in list(dict.fromkeys(past)) if version != past[0])[:_N_BACK]


def _row(kind: str, name: str, move: HistoryRow) -> tuple[Cell | str, ...]:
    to: Cell | str = Cell("taken away", tone="mute")
    if move.version:
        to = Cell(move.version, href=version_address(kind, name, move.version))
    share = f"{move.share:.0%}" if move.version else ""
    yes = ", ".join(each.actor for each in move.approved_by)
    return (
        Cell(instant(move.at), at=move.at),
        move.pointer,
        move.before or "",
        to,
        share,
        move.actor + (f", with the yes of {yes}" if yes else ""),
        move.reason,
        _evidence(move),
    )


def _evidence(move: HistoryRow) -> Cell | str:
    if move.incident:
        return Cell("incident", href=address("/incidents", move.incident), hint=move.incident)
    asked = move.evidence.get("approvals", {})
    question = next(iter(asked.values()), "") if isinstance(asked, dict) else ""
    if question:
        return Cell("approval", href=address("/approvals", str(question)), hint=str(question))
    return words(move.stage)
