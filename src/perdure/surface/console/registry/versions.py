"""All assets' versions, newest first, with the pointers that name them.

Read from the chain's entries of new versions by their action, a page at a time: no page reads all versions. What surprised us: a filter
by words over 20,000 versions must stop somewhere, so a page looks at so many entries, and says where the next one goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.core.errors import NotFound
from perdure.surface.console.asking import address, behind, one_of, text, whole
from perdure.surface.console.questions import asset_cell, measured, version_address
from perdure.surface.console.records import Cell, Table, View
from perdure.surface.words import instant, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perdure.assets.version import Version
    from perdure.stores.ledger.protocols import AuditEntry, LedgerSession
    from perdure.surface.console.records import Asked

PAGE = 50
MADE = "registry.put_version"
KINDS = ("model", "prompt", "index", "judge", "guard", "route", "agent", "graph", "card", "dataset", "suite")
_AT_ONCE = 500
_LOOKS = 6


@dataclass(frozen=True, slots=True)
class RegistryPage:
    """What the page draws."""

    kind: str
    q: str
    kinds: tuple[str, ...]
    n_pointers: int
    n_moving: int
    rows: Table


@dataclass(frozen=True, slots=True)
class _Found:
    entries: tuple[AuditEntry, ...]
    before: int
    """Where the next page goes on; 0: nothing is left."""


def show_registry(asked: Asked) -> View:
    """Versions by kind and words; `before` is the ledger's number that the page begins below."""
    kind, q = one_of(asked.query, "kind", KINDS), text(asked.query, "q", most=100)
    before = whole(asked.query, "before", 0, most=10**12)
    with asked.project.place.stores.ledger.read() as session:
        found = _entries(session, kind, q, before or None)
        versions = [made for each in found.entries if (made := _version(session, each)) is not None]
    pointed = _pointed(asked)
    data = RegistryPage(
        kind=kind,
        q=q,
        kinds=KINDS,
        n_pointers=sum(len(each) for each in asked.board.pointers.values()),
        n_moving=sum(tile.moving for tile in asked.board.tiles),
        rows=Table(
            ("Version", "Asset", "Kind", "Pointers", "Made", "By", "Measured"),
            [_row(asked, each, pointed) for each in versions],
            "Versions with their pointers",
            more=address("/registry", kind=kind, q=q, before=found.before) if found.before else "",
            empty=behind(0 if found.before else before, _nothing(found.before, kind or q)),
        ),
    )
    return View("Registry", data, live=("releases",))


def _entries(session: LedgerSession, kind: str, q: str, before: int | None) -> _Found:
    chosen: list[AuditEntry] = []
    for _ in range(_LOOKS):
        page = session.audit.list(
            actions=(MADE,), newest=True, before=before, limit=_AT_ONCE if kind or q else PAGE + 1
        )
        for each in page:
            if kind in ("", each.facts.get("kind")) and q.casefold() in str(each.facts.get("version", "")).casefold():
                if len(chosen) == PAGE:
                    return _Found(tuple(chosen), chosen[-1].sequence)
                chosen.append(each)
        if len(page) < (_AT_ONCE if kind or q else PAGE + 1):
            return _Found(tuple(chosen), 0)
        before = page[-1].sequence
    return _Found(tuple(chosen), before or 0)


def _version(session: LedgerSession, entry: AuditEntry) -> Version | None:
    try:
        return session.registry.get_version(str(entry.facts["version"]))
    except NotFound:
        return None


def _pointed(asked: Asked) -> Mapping[str, str]:
    """Version → the pointers that name it, in words."""
    found: dict[str, list[str]] = {}
    for pointers in asked.board.pointers.values():
        for each in pointers:
            share = "" if each.share in (0.0, 1.0) else f" {each.share:.0%}"
            found.setdefault(each.version, []).append(f"{each.name}{share}")
    return {version: ", ".join(sorted(names)) for version, names in found.items()}


def _row(asked: Asked, version: Version, pointed: Mapping[str, str]) -> tuple[Cell | str, ...]:
    named = pointed.get(version.id, "")
    history = Cell(named, href=address("/registry", version.asset, "history"), hint="Who moved it") if named else ""
    return (
        Cell(version.id, href=version_address(version.kind, version.asset, version.id)),
        asset_cell(asked, version.asset),
        words(version.kind),
        history,
        Cell(instant(version.created_at), at=version.created_at),
        version.actor,
        measured(version),
    )


def _nothing(before: int, narrowed: str) -> str:
    if before:
        return "None among those that were looked at: go on, or take words out of the filter."
    if narrowed:
        return "No version is like that: take words out of the filter."
    return "No version was made yet: perdure train MODEL makes one, perdure apply releases it."
