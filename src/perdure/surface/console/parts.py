"""What the console's application is made of; `compose_console` makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perdure.core.settings import ConsoleSettings
    from perdure.stores.sessions.protocols import Secrets, Sessions, Tries
    from perdure.surface.console.board import Boards
    from perdure.surface.sdk import Perdure


@dataclass(frozen=True, slots=True, eq=False)
class ConsoleParts:
    """The project, its board, and who may come in. People and their roles stand in the project's ledger."""

    project: Perdure
    boards: Boards
    secrets: Secrets
    sessions: Sessions
    tries: Tries
    settings: ConsoleSettings
