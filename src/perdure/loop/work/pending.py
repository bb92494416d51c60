"""What a person declared and asked to be released: written by `apply`, taken up by the remedy of the kind that releases it.

While it waits no other remedy of the asset proposes anything: a person's change is judged by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from perdure.assets.repair import Action
from perdure.core.clock import iso
from perdure.loop.protocols import Workplace
from perdure.loop.work.versions import find_champion
from perdure.stores.ledger.protocols import LedgerSession

_PREFIX = "declared/"


def put_pending(session: LedgerSession, asset: str, version: str, at: datetime) -> None:
    """Ask for the release of a registered version."""
    session.cursors.put(_PREFIX + asset, {"version": version, "at": iso(at), "tried": ""})


def clear_pending(session: LedgerSession, asset: str) -> None:
    """Nothing is asked for any more, since it was released otherwise."""
    if session.cursors.get(_PREFIX + asset) is not None:
        session.cursors.put(_PREFIX + asset, {"version": "", "at": "", "tried": ""})


def find_pending(place: Workplace, asset: str) -> str | None:
    """The version that waits to be judged; None: there is none, or it was judged, or answers already."""
    with place.stores.ledger.read() as session:
        found: Mapping[str, Any] | None = session.cursors.get(_PREFIX + asset)
    if not found or not found["version"] or found["tried"]:
        return None
    champion = find_champion(place.stores.ledger, asset)
    return None if champion is not None and champion.id == found["version"] else str(found["version"])


def release_of(place: Workplace, asset: str, remedy: str, verb: str, cost_s: Callable[[], float]) -> list[Action]:
    """One action while a declared version waits.

    Args:
        place: where it is asked for.
        asset: whose version it is.
        remedy: that is proposed.
        verb: what it does with the version, such as `release`.
        cost_s: what that takes; asked only where one waits.
    """
    version = find_pending(place, asset)
    if version is None:
        return []
    return [Action(remedy, f"{verb} {version} as declared", "known", {"version": version}, cost_s())]


def mark_tried(place: Workplace, asset: str, version: str, step: str, now: datetime) -> None:
    """It was made ready to be judged; asked for again, it is judged again."""
    with place.transaction(now, "asked") as session:
        found = session.cursors.get(_PREFIX + asset)
        if found and found["version"] == version:
            session.cursors.put(_PREFIX + asset, {**found, "tried": step})
