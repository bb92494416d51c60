"""Tables that several duties share: objectives that do not hold, incidents, versions, work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import TYPE_CHECKING

from perdure.surface.console.asking import address
from perdure.surface.console.questions import asset_address, asset_cell, measured, version_address
from perdure.surface.console.records import Cell, Table
from perdure.surface.governance.handing import list_taken
from perdure.surface.governance.snoozing import list_snoozed
from perdure.surface.words import instant, number, words

if TYPE_CHECKING:
    from perdure.assets.version import Version
    from perdure.stores.ledger.protocols import Incident
    from perdure.surface.console.board import Judged
    from perdure.surface.console.records import Asked, Tone

FEW = 30
"""Rows of a panel."""
TONES: Mapping[str, Tone] = {"healthy": "good", "broken": "bad", "unsure": "warn", "stale": "warn"}
_WORST = ("broken", "unsure", "stale", "healthy", "not measured", "no objective")


@dataclass(frozen=True, slots=True)
class Panel:
    """One thing that a duty looks after."""

    id: str
    title: str
    table: Table
    note: str = ""


def caption(title: str) -> str:
    """Name of a panel's table: a reader of screens tells it from the panel's own.

    >>> caption("Drift")
    'Rows of: Drift'
    """
    return f"Rows of: {title}"


def judged_panel(asked: Asked, panel: tuple[str, str, str], wanted: Callable[[str, Judged], bool]) -> Panel:
    """Objectives that fit, the worst first.

    Args:
        asked: by whom.
        panel: (id, title, what stands there where there is none).
        wanted: of an asset's name and one of its objectives.
    """
    found = [(asset, each) for asset, many in asked.board.judged.items() for each in many if wanted(asset, each)]
    worst = nsmallest(FEW, found, key=lambda pair: (_WORST.index(pair[1].state), pair[0], pair[1].objective))
    rows = [_judged_row(asked, asset, each) for asset, each in worst]
    more = address("/assets", state="broken") if len(found) > FEW else ""
    headings = ("Asset", "Objective", "Slice", "State", "Newest", "Owed to")
    return Panel(panel[0], panel[1], Table(headings, rows, caption(panel[1]), frozenset({4}), more, panel[2]))


def _judged_row(asked: Asked, asset: str, judged: Judged) -> tuple[Cell | str, ...]:
    newest = judged.newest
    value = f"{number(newest.value)} {newest.unit}".strip() if newest else ""
    return (
        asset_cell(asked, asset),
        Cell(judged.objective, href=_readings(asked, asset, judged)),
        (newest.slice or "all") if newest else "",
        Cell(judged.state, tone=TONES.get(judged.state, "mute")),
        value,
        judged.stakeholder,
    )


def _readings(asked: Asked, asset: str, judged: Judged) -> str:
    """Where what it rests on is drawn: a model's drift by feature, anything else over time."""
    home, newest = asset_address(asked, asset), judged.newest
    if not home:
        return ""
    if judged.signal.startswith("drift") and home.startswith("/assets/model/"):
        return f"{home}/drift"
    if newest is None:
        return f"{home}/health"
    return address(f"{home}/health", signal=judged.signal, slice=newest.slice, width=newest.width_us)


def incident_panel(asked: Asked, title: str, empty: str, wanted: Callable[[Incident], bool]) -> Panel:
    """Open incidents that are awake, those that nobody looks after first, then the oldest."""
    with asked.project.place.stores.ledger.read() as session:
        taken, asleep = list_taken(session), list_snoozed(session, asked.now)
    found = [each for each in asked.board.incidents if each.id not in asleep and wanted(each)]
    found.sort(key=lambda each: (each.id in taken, each.opened_at))
    rows = [
        (
            Cell(words(each.kind).capitalize(), href=address("/incidents", each.id), hint=each.summary),
            asset_cell(asked, each.asset),
            Cell(instant(each.opened_at), at=each.opened_at),
            taken[each.id].actor if each.id in taken else Cell("nobody", tone="warn"),
            asked.board.doing.get(each.id, "") or each.summary,
        )
        for each in found[:FEW]
    ]
    n_asleep = sum(each.id in asleep for each in asked.board.incidents if wanted(each))
    note = f"{n_asleep:,} more asleep: they come back when their snooze ends." if n_asleep else ""
    headings = ("What", "Asset", "Since", "Who looks after it", "What is done")
    more = "/incidents" if len(found) > FEW else ""
    return Panel("incidents", title, Table(headings, rows, caption(title), more=more, empty=empty), note)


def unpointed(asked: Asked, kinds: Sequence[str]) -> Iterator[Version]:
    """Versions that no pointer names, the newest first, of the newest that were made."""
    pointed = {each.version for many in asked.board.pointers.values() for each in many}
    with asked.project.place.stores.ledger.read() as session:
        made = session.audit.list(actions=("registry.put_version",), newest=True, limit=500)
        names = [
            str(e.facts["version"]) for e in made if e.facts.get("kind") in kinds and e.facts["version"] not in pointed
        ]
        for name in list(dict.fromkeys(names))[:FEW]:
            yield session.registry.get_version(name)


def version_rows(asked: Asked, versions: Iterable[Version]) -> list[tuple[Cell | str, ...]]:
    """(version, asset, made, by, how, measured)."""
    return [
        (
            Cell(each.id, href=version_address(each.kind, each.asset, each.id)),
            asset_cell(asked, each.asset),
            Cell(instant(each.created_at), at=each.created_at),
            words(str(each.lineage.get("remedy", ""))) or "by hand",
            measured(each),
        )
        for each in versions
    ]
