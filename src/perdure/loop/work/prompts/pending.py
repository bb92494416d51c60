"""What a person declared and asked to be released: written by `apply`, taken up by the remedy `prompt_declared`.

While it waits no other remedy of the prompt proposes anything: a person's change is judged by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from perdure.core.clock import iso
from perdure.loop.protocols import Workplace
from perdure.loop.work.versions import find_champion
from perdure.stores.ledger.protocols import LedgerSession

_PREFIX = "declared/"


def put_pending(session: LedgerSession, prompt: str, version: str, at: datetime) -> None:
    """Ask for the release of a registered version."""
    session.cursors.put(_PREFIX + prompt, {"version": version, "at": iso(at), "tried": ""})


def clear_pending(session: LedgerSession, prompt: str) -> None:
    """Nothing is asked for any more, since it was released otherwise."""
    if session.cursors.get(_PREFIX + prompt) is not None:
        session.cursors.put(_PREFIX + prompt, {"version": "", "at": "", "tried": ""})


def find_pending(place: Workplace, prompt: str) -> str | None:
    """The version that waits to be judged; None: there is none, or it was judged, or answers already."""
    with place.stores.ledger.read() as session:
        found: Mapping[str, Any] | None = session.cursors.get(_PREFIX + prompt)
    if not found or not found["version"] or found["tried"]:
        return None
    champion = find_champion(place.stores.ledger, prompt)
    return None if champion is not None and champion.id == found["version"] else str(found["version"])


def mark_tried(place: Workplace, prompt: str, version: str, step: str, now: datetime) -> None:
    """Its suites were asked; asked for again, it is judged again."""
    with place.transaction(now, "asked") as session:
        found = session.cursors.get(_PREFIX + prompt)
        if found and found["version"] == version:
            session.cursors.put(_PREFIX + prompt, {**found, "tried": step})
