"""The command that tells the same as a page: its own verb where there is one, else `perdure look` and the page's address.

What surprised us: a verb judges by the machine's clock unless it is told otherwise, a page by the newest round. On a year that is over
`perdure status` called everything stale that the page beside it called broken; so the instant stands in the command.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from perdure.core.clock import iso, machine_now

if TYPE_CHECKING:
    from datetime import datetime

    from perdure.surface.console.records import View

_LONG_AGO = timedelta(hours=1)
_DATED = frozenset({"budgets", "calls", "card", "spend", "status"})
"""Verbs that take `--at`."""


def is_past(at: datetime) -> bool:
    """Whether a page of that instant is of another time than the machine's."""
    return machine_now() - at >= _LONG_AGO


def commanded(view: View, at: datetime, here: str) -> View:
    """The view with the command that tells what it shows, at its own instant.

    Args:
        view: of the page.
        at: domain time that it is as of.
        here: its local address.
    """
    command = view.cli or f"perdure look {shlex.quote(here)}"
    verb = command.split()[1]
    writes = "--edit" in command
    if verb in _DATED and not writes and is_past(at):
        command = f"{command} --at {iso(at)}"
    return view if command == view.cli else replace(view, cli=command)
