"""Opens the file of secrets and sessions: the only place that says where it lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perdure.surface.compose import stores_root

if TYPE_CHECKING:
    from perdure.core.settings import Settings
    from perdure.stores.sessions.sqlite import SqlitePeople


def open_people(folder: Path, settings: Settings) -> SqlitePeople:
    """Secrets, sessions and tries of the project, made when they are not there yet, for their owner alone."""
    from perdure.stores.sessions.sqlite import SqlitePeople

    return SqlitePeople(stores_root(folder, settings) / "people.db", settings.project.name)
