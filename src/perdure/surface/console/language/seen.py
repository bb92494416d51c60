"""Who looked at whose words stands in the ledger: once a session and call, or run, before the first of them is shown."""

from __future__ import annotations

from typing import Literal

from perdure.surface.console.language.kept import Kept
from perdure.surface.console.records import Asked

ACTION = "bodies.seen"
_SEEN: Kept[None] = Kept(20_000)


def note_seen(asked: Asked, what: Literal["call", "run", "search"], id_: str) -> None:
    """Write down that a person looks at the texts of a call, run or search.

    Raises:
        StoreError: it cannot be written; then nothing may be shown.
    """

    def write() -> None:
        with asked.project.place.transaction(asked.now, "looked at in the console") as session:
            session.audit.append(ACTION, id_, {"what": what})

    _SEEN.once(asked.project, (asked.session, asked.person.name, what, id_), write)
