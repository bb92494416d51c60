"""An opened project: its folder, settings, declarations and stores, each opened when first asked for.

The verbs of the SDK are groups over it: `sdk.Perdure` is made of them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from copy import copy
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from perdure.core.clock import machine_now, parse_at
from perdure.core.settings import ProjectSettings, Settings
from perdure.durable.lease import hold

if TYPE_CHECKING:
    from perdure.assets.project import Project
    from perdure.durable.lease import HeldLease
    from perdure.loop.protocols import Workplace
    from perdure.loop.round import Loop
    from perdure.stores.ledger.sqlite import SqliteLedger
    from perdure.stores.telemetry.protocols import Readings

When = datetime | str | None
"""Domain time as verbs take it: aware, or ISO 8601 text; None is now on the machine's clock."""
_SHARED = ("project", "_ledger", "place", "_readings", "people_file", "_indexes")
"""What is the same whoever acts: the rest of what was made when first asked for is made anew."""


class Opened:
    """One project with its stores."""

    def __init__(
        self,
        folder: str | Path,
        settings: Settings | None = None,
        *,
        project: Project | None = None,
        actor: str | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.settings = settings or Settings(ProjectSettings(project.name if project else "default"))
        self.actor = actor or self.settings.project.actor
        self._given = project

    @cached_property
    def project(self) -> Project:
        """What the project declares; loaded when first asked for."""
        from perdure.surface.project import load_project

        return self._given or load_project(self.folder, self.settings)

    @cached_property
    def place(self) -> Workplace:
        """The stores; opened when first asked for."""
        from perdure.surface.compose import open_place

        return open_place(self.folder, self.settings, self.actor, self._ledger, lambda: self.project)

    @cached_property
    def _ledger(self) -> SqliteLedger:
        """The ledger alone: most verbs that only look need no other store."""
        from perdure.surface.compose import open_ledger

        return open_ledger(self.folder, self.settings)

    @cached_property
    def _readings(self) -> Readings:
        """The readings alone."""
        from perdure.surface.compose import open_readings

        return open_readings(self.folder, self.settings)

    @cached_property
    def loop(self) -> Loop:
        """The control plane of the project."""
        from perdure.surface.compose import make_loop

        return make_loop(self.folder, self.place, self.project)

    def acting(self, actor: str) -> Self:
        """The same project with its opened stores, where `actor` does what is done; no store is opened for it.

        Who asks on behalf of many people calls it once before it begins, so that everything stands open.
        """
        from perdure.surface.compose import act_as

        project, ledger, place, _ = self.project, self._ledger, self.place, self._readings
        made = copy(self)
        for name in [each for each in made.__dict__ if isinstance(getattr(type(self), each, None), cached_property)]:
            if name not in _SHARED:
                del made.__dict__[name]
        made.actor = actor
        made.place = act_as(place, self.folder, actor, ledger, lambda: project)
        return made

    def hold_lease(self, *, wait_s: float = 0.0) -> AbstractContextManager[HeldLease]:
        """The right to run the loop, renewed while held.

        Raises:
            LeaseHeld: another process runs it, and went on for `wait_s` seconds.
        """
        from perdure.loop.protocols import LEASE
        from perdure.surface.compose import worker_name

        return hold(self._ledger.leases, LEASE, worker_name(), self.settings.loop.lease_ttl_s, wait_s=wait_s)


def instant_of(at: When) -> datetime:
    """The instant that a verb was given.

    Raises:
        DeclarationError: text that is no ISO 8601 instant.
    """
    if at is None:
        return machine_now()
    return parse_at(at) if isinstance(at, str) else at
