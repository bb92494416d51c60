"""Which version of an agent or graph answers, who acts in a run, and versions made ready: those in force, and older ones that runs began with.

A run keeps the version that it began with, also where it waits for a person while another is released. A version that no pointer names
any more is read from the ledger, once.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from perdure.assets.team import Team
from perdure.core.clock import machine_now, monotonic_s
from perdure.core.errors import BadAgent, BadGraph, NotReady, Refused, Unauthorized, not_found
from perdure.core.runs import RunKind, RunRecord
from perdure.serve.gateway.asking import team_of
from perdure.serve.gateway.keys import still_good
from perdure.serve.live import Live
from perdure.serve.loader import KindLoader
from perdure.serve.retrieval.callers import Caller
from perdure.serve.routing import Arm
from perdure.serve.runs.going import Prepared
from perdure.serve.runs.protocols import Json
from perdure.serve.tools.making import Toolmaker
from perdure.stores.ledger.protocols import Ledger

_MOST_OLDER = 64
"""Versions that are kept ready though no pointer names them."""
LACKING_S = 3600.0
"""So long a run whose version was made of other code is left to a process that has it; then it is failed."""
_MOST_LACKING = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class _Tooled:
    """A version with tools, as a toolbox is made of it."""

    version: str
    prompt: str
    tools: Sequence[Json]
    functions: Mapping[str, Any]
    keeps: str


@dataclass(slots=True, eq=False)
class RunVersions:
    """Agents and graphs that this process serves.

    Args:
        assets: name → kind, of all that are declared.
        teams: declared, by name; none: nobody is told apart.
        live: the table in force, and callers' keys.
        loaders: by kind.
        tools: makes toolboxes.
        open_ledger: read-only, for versions that no pointer names.
    """

    assets: Mapping[str, RunKind]
    teams: Mapping[str, Team]
    live: Live
    loaders: Mapping[str, KindLoader]
    tools: Toolmaker
    open_ledger: Callable[[], Ledger]
    _older: OrderedDict[str, Any] = field(default_factory=OrderedDict)
    _lacking: OrderedDict[str, float] = field(default_factory=OrderedDict)
    """Run → when it was first seen here that its version's code is not."""

    def served(self) -> list[str]:
        """Names of those of which a version answers."""
        serving = self.live.serving
        return [] if serving is None else [name for name in self.assets if name in serving.table.routes]

    def mine(self, kind: str, caller: Caller) -> list[str]:
        """Names of a kind that a caller may run."""
        of_kind = [name for name, own in self.assets.items() if own == kind]
        return [name for name in of_kind if caller.team is None or caller.team.may_call(f"{kind}:{name}")]

    def allowed(self, kind: str, name: str, caller: Caller) -> str:
        """The name of one that the caller may run.

        Raises:
            NotFound: there is none that he may; the others are not told.
        """
        mine = self.mine(kind, caller)
        if name not in mine:
            raise not_found(kind, name, mine)
        return name

    def choose(self, kind: str, name: str, affinity: str) -> tuple[Arm, Any]:
        """The arm that answers, with its version made ready.

        Raises:
            NotFound: no such agent or graph is declared.
            NotReady: no version of it answers.
        """
        if self.assets.get(name) != kind:
            raise not_found(kind, name, [each for each, own in self.assets.items() if own == kind])
        serving = self.live.serving
        route = None if serving is None else serving.table.routes.get(name)
        if serving is None or route is None:
            why = str(self.live.status.left_out.get(name, {}).get("message", "No version of it was released."))
            raise NotReady(f"The {kind} {name!r} is not served. {why}", hint="perdure apply; then see /readyz.")
        arm = route.choose(affinity)
        return arm, serving.servables[arm.version]

    def choose_below(self, kind: str, name: str, parent: RunRecord) -> tuple[str, str]:
        """Version and arm of a run below another; the same for all below one root.

        Raises: as `choose`.
            Refused: the caller's team may not run it.
        """
        if self.teams:
            team = self.teams.get(parent.team)
            if team is None or not team.may_call(f"{kind}:{name}"):
                raise Refused(
                    f"The team {parent.team!r} may not run the {kind} {name!r}.",
                    hint=f'Declare it: Team({parent.team!r}, routes=(…, "{kind}:{name}")).',
                )
        arm, _ = self.choose(kind, name, parent.user or parent.key or parent.root)
        return arm.version, arm.name

    async def prepare(self, run: RunRecord) -> Prepared:
        """A run's version, ready to be driven.

        Raises:
            NotFound: there is no such version.
            NotReady: its environment lacks something, the ledger cannot be read, or its code is not here, for an hour.
            PerdureError: it cannot be loaded: its code is here no more, an extra is missing.
        """
        serving = self.live.serving
        found: Any = None if serving is None else serving.servables.get(run.version)
        try:
            found = found or self._older.get(run.version) or await asyncio.to_thread(self._load, run.version)
        except (BadAgent, BadGraph) as error:
            if not error.facts.get("other_code") or self._lacks_for_s(run.id) >= LACKING_S:
                raise
            raise NotReady(
                f"The run {run.id} is left to a process that has its code. {error.message}", hint=error.hint
            ) from error
        self._lacking.pop(run.id, None)
        tooled = _Tooled(run.version, getattr(found, "prompt", ""), found.tools, found.functions, found.keeps)
        return Prepared(found, self.tools.toolbox(tooled), found.limits, found.keeps)

    def _lacks_for_s(self, run: str) -> float:
        """How long it is known here that the code of a run's version is not."""
        now_s = monotonic_s()
        since_s = self._lacking.setdefault(run, now_s)
        while len(self._lacking) > _MOST_LACKING:
            self._lacking.popitem(last=False)
        return now_s - since_s

    def _load(self, version: str) -> Any:
        ledger = self.open_ledger()
        try:
            with ledger.read() as session:
                told = session.registry.get_version(version)
        finally:
            ledger.close()
        found = self.loaders[told.kind].load(told, trusted=False)
        self._older[version] = found
        while len(self._older) > _MOST_OLDER:
            self._older.popitem(last=False)
        return found

    def caller_of(self, run: RunRecord) -> Caller:
        """Who acts in a run: the key that it was asked for with, as it stands now.

        Raises:
            Unauthorized: the key is not known any more, was revoked, or is over.
            Refused: its team is not declared any more.
        """
        if not self.teams:
            return Caller("", None)
        key = next((each for each in self.live.keys.values() if each.id == run.key), None)
        if key is None:
            raise Unauthorized(
                "The key that this run was asked for with may not be used any more.", hint="Ask anew, by another key."
            )
        key = still_good(self.live.keys, key, machine_now())
        return Caller(key.id, team_of(key, self.teams), key)
