"""Verbs of agents: run one, look at its runs, answer what they ask, do them again with something changed, and compare.

    project.run_agent("support", "Where is parcel 7?")
    project.agents.replay(project.agents.last("support", days(1)), {"prompt:support_agent": "declared"})

No server is needed: without `[agents] url` an agent runs in this process, over the project's own stores, and is kept as a server keeps it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from perdure.assets.version import CHAMPION
from perdure.core.clock import machine_now, to_us
from perdure.core.errors import BadRequest, NotFound
from perdure.core.runs import RunStatus
from perdure.core.units import days
from perdure.surface.opened import Opened, When, instant_of
from perdure.surface.run_asked import RunAsked, body_of, told_body
from perdure.surface.runs_kept import Chosen, get_run, list_runs, opened_runs, told_runs, waiting
from perdure.surface.shadow_seen import ShadowSeen, shadow_seen

if TYPE_CHECKING:
    from perdure.core.runs import RunRecord, Wait
    from perdure.engines.agents.differing import RunDiff
    from perdure.stores.ledger.protocols import Approval
    from perdure.stores.runs.protocols import Told
    from perdure.surface.red_team import RedTeam
    from perdure.surface.replays_told import ReplayTable
    from perdure.surface.running_here import Hears
    from perdure.surface.runs_by_http import RunsByHttp
    from perdure.surface.sdk import Perdure

_T = TypeVar("_T")
_DECLARED = "declared"


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One agent, as `agent list` tells it."""

    name: str
    prompt: str
    route: str
    """Empty: the prompt's."""
    tools: Sequence[str]
    uses: Sequence[str]
    """`kind:name` of what it works with."""
    declared: str
    champion: str
    """The version that answers; empty before the first release."""
    n_versions: int
    n_runs: int
    """Of the last day, those below others left out."""
    n_waiting: int
    """Questions that wait for a person."""
    usd: float
    """That they cost, as far as prices are known."""
    n_unpriced: int = 0
    """Runs of which some part has no known price."""


@dataclass(frozen=True, slots=True)
class AgentShown:
    """One version of an agent."""

    name: str
    version: str
    pointers: Sequence[Any]
    """Those that point at this version."""
    definition: Mapping[str, Any]
    shadow: ShadowSeen | None = None
    """What it did as a shadow; None: nothing."""


class Agents:
    """`project.agents`."""

    def __init__(self, project: Running) -> None:
        self._project = project

    def list(self) -> list[AgentRow]:
        """Every declared agent, with the version that answers and what its runs of the last day cost."""
        return [self._row(name) for name in self._project.project.agents]

    def show(self, name: str, version: str = _DECLARED) -> AgentShown:
        """One version of an agent.

        Raises:
            NotFound: no such agent or version; the message names the nearest.
        """
        self._project.project.agent(name)
        with self._project.place.stores.ledger.read() as session:
            pointers = session.pointers.list(name)
            known = {each.id: each.definition for each in session.registry.list_versions(name)}
        declared = self._declared(name)
        known[declared.id] = declared.definition
        found = self._named(name, version, known, {each.name: each.version for each in pointers})
        seen = shadow_seen(self._project.place, name, found, machine_now())
        return AgentShown(name, found, [each for each in pointers if each.version == found], known[found], seen)

    def run(
        self, name: str, task: str = "", asked: RunAsked | None = None, *, hears: Hears | None = None, url: str = ""
    ) -> Told:
        """Run an agent until it is over or waits for a person; see `run_agent`."""
        from perdure.surface.running_here import AskedHere, RunsHere

        asked, server = asked or RunAsked(), self._server(url)
        if server is not None:
            if asked.version or asked.team:
                raise BadRequest(
                    "A server chooses the version, and its key says the team.", hint="Leave --version and --team out."
                )
            return server.run(name, told_body(body_of(task, asked)), hears)
        version = self.show(name, asked.version).version if asked.version else ""
        here = AskedHere("agent", name, body_of(task, asked), version, asked.team)
        with opened_runs(self._project, made=True) as runs:
            assert runs is not None
            return run_now(partial(RunsHere(cast("Perdure", self._project), runs).run, here, hears))

    def resume(self, run: str, *, hears: Hears | None = None) -> Told:
        """Go on in this process with a run that was answered, or whose process died; a server that runs does so by itself.

        Raises:
            NotFound: there is no such run.
        """
        from perdure.surface.running_here import RunsHere

        found = self.get(run).run.id
        with opened_runs(self._project, made=True) as runs:
            assert runs is not None
            return run_now(partial(RunsHere(cast("Perdure", self._project), runs).resume, found, hears))

    def runs(
        self,
        asset: str = "",
        *,
        statuses: Sequence[RunStatus] = (),
        since: When = None,
        limit: int = 50,
        below: bool = False,
        url: str = "",
    ) -> Sequence[RunRecord]:
        """Runs of agents and graphs, newest first.

        Args:
            asset: of this agent or graph.
            statuses: those that stand so.
            since: begun at this instant or later.
            limit: so many at most.
            below: those that runs began, too.
            url: of a server whose runs they are; by default `[agents] url`, else those of the project's own stores.
        """
        start, server = None if since is None else instant_of(since), self._server(url)
        if server is not None:
            found = server.list(asset, statuses, limit)
            return [run for run in found if start is None or run.began_us >= to_us(start)]
        return list_runs(self._project, Chosen(asset, tuple(statuses), start, limit=limit, below=below))

    def get(self, run: str, *, url: str = "") -> Told:
        """A run with its journal and questions, by its id or how that begins.

        Raises:
            NotFound: there is none.
            BadRequest: several begin so.
        """
        server = self._server(url)
        return get_run(self._project, run) if server is None else server.get(run)

    def last(self, asset: str, since: timedelta, *, at: When = None, limit: int = 1000) -> Sequence[Told]:
        """Runs of an agent or graph that are over, with their journals, oldest first.

        Args:
            asset: its name.
            since: asked for so long before `at` at most.
            at: domain time; None: now.
            limit: the newest so many.
        """
        end = instant_of(at)
        return told_runs(self._project, Chosen(asset, (), end - since, end, limit))

    def waiting(self, *, url: str = "") -> Sequence[tuple[RunRecord, Wait]]:
        """Open questions to people with their runs, those first that were asked first."""
        server = self._server(url)
        return waiting(self._project) if server is None else server.waiting()

    def answer(
        self, wait: str, approves: bool, *, reason: str, value: Any = None, at: When = None, url: str = ""
    ) -> Approval | Wait:
        """Answer a question of a run; `approve` and `reject` do the same.

        Args:
            wait: its id, or how it begins.
            approves: yes or no.
            reason: kept.
            value: arguments that are used in the place of what was asked; of an effect that happened what it gave.
            at: domain time of the answer.
            url: of a server whose question it is.

        Raises:
            NotFound: there is no such open question.
            Refused: who acts has not the role, or it is decided.
        """
        server = self._server(url)
        if server is not None:
            return server.answer(wait, approves, reason, value)
        from perdure.surface.governance.run_waits import RunSaid
        from perdure.surface.inbox import answer_wait

        return answer_wait(cast("Perdure", self._project), wait, RunSaid(approves, reason, value), instant_of(at))

    def cancel(self, run: str, *, reason: str, url: str = "") -> RunRecord:
        """Call a run off, wherever it is driven, and the runs below it; one that is over stays as it is.

        Raises:
            DeclarationError: no reason.
            NotFound: there is no such run.
        """
        from perdure.surface.governance.roles import reason_of
        from perdure.surface.running_here import RunsHere

        why, server = reason_of(reason, "Calling a run off"), self._server(url)
        if server is not None:
            return server.cancel(run)
        found = self.get(run).run
        with opened_runs(self._project, made=True) as runs:
            assert runs is not None
            return run_now(partial(RunsHere(cast("Perdure", self._project), runs).cancel, found.id, why))

    def replay(
        self,
        runs: Sequence[Told | str] | str,
        swaps: Mapping[str, str],
        *,
        watching: Callable[[int, int], None] | None = None,
    ) -> ReplayTable:
        """Do recorded runs again with something changed; what is recorded is given again up to the first difference.

        Args:
            runs: ids or runs with their journals.
            swaps: see `core.runs.ReplayAsked`; a version also by how it begins, a pointer's name or `declared`.
            watching: told how many are done, of how many.

        Raises:
            NotFound: a swap or a run that is not there.
            NotReady: a version cannot be loaded here.
        """
        from perdure.surface.replays_told import replay_all

        wanted = [runs] if isinstance(runs, str) else runs
        told = [self.get(each) if isinstance(each, str) else each for each in wanted]
        return run_now(partial(replay_all, cast("Perdure", self._project), told, dict(swaps), watching))

    def diff(self, before: str, after: str) -> RunDiff:
        """Two runs side by side, step by step.

        Raises:
            NotFound: there is no such run.
        """
        from perdure.engines.agents.differing import diff_runs

        one, two = self.get(before), self.get(after)
        return diff_runs((one.run, one.steps), (two.run, two.steps))

    def red_team(self, name: str, *, blind: bool = False) -> RedTeam:
        """Attack an agent's tools by every case of a corpus (extra `redteam`), as a model that obeys each would; nothing is executed.

        Args:
            name: of the agent.
            blind: as if the rules of injection had seen nothing: what is left are the rules of provenance.

        Raises:
            NotFound: no such agent.
            MissingExtra: the extra is not installed.
        """
        from perdure.surface.red_team import red_team

        project = self._project.project
        return red_team(project.agent(name).tools, project, blind=blind)

    def _server(self, url: str) -> RunsByHttp | None:
        """The server that is asked; None: the project's own stores."""
        settings = self._project.settings.agents
        if not (url or settings.url):
            return None
        from perdure.surface.runs_by_http import RunsByHttp

        return RunsByHttp.of(url or settings.url, settings, os.environ)

    def _row(self, name: str) -> AgentRow:
        from perdure.core.usage import PICO

        project = self._project
        agent, declared = project.project.agents[name], self._declared(name)
        with project.place.stores.ledger.read() as session:
            champions = {each.name: each.version for each in session.pointers.list(name)}
            n_versions = len(session.registry.list_versions(name))
        runs = self.runs(name, since=machine_now() - days(1), limit=10_000)
        asked = [run for run, _ in self.waiting() if run.asset == name]
        return AgentRow(
            name=name,
            prompt=agent.prompt,
            route=agent.route,
            tools=[tool.name for tool in agent.tools],
            uses=agent.uses(),
            declared=declared.id,
            champion=champions.get(CHAMPION, ""),
            n_versions=n_versions,
            n_runs=len(runs),
            n_waiting=len(asked),
            usd=sum(run.cost_pusd for run in runs) / PICO,
            n_unpriced=sum(run.unpriced for run in runs),
        )

    def _declared(self, name: str) -> Any:
        from perdure.surface.declaring import declared_versions

        with self._project.place.stores.ledger.read() as session:
            declared = declared_versions(self._project.project, session, self._project.actor, machine_now())
        return next(each.version for each in declared if each.version.asset == name)

    def _named(self, name: str, version: str, known: Mapping[str, Any], pointed: Mapping[str, str]) -> str:
        from perdure.surface.governance.entries import by_beginning

        if version == _DECLARED:
            return str(self._declared(name).id)
        if version in pointed:
            return pointed[version]
        if version == CHAMPION:
            raise NotFound(f"No version of agent {name!r} answers yet.", hint="Release it: perdure apply")
        return by_beginning("version", version if "@" in version else f"{name}@{version}", known)


class Running(Opened):
    """Agents of a project, and their runs."""

    @cached_property
    def agents(self) -> Agents:
        """Run agents, look at runs, answer them, replay and compare them."""
        return Agents(self)

    def run_agent(
        self, name: str, task: str = "", asked: RunAsked | None = None, *, hears: Hears | None = None
    ) -> Told:
        """Run an agent in this process until it is over or waits for a person; it is kept as a server keeps it.

        Args:
            name: of the agent.
            task: in words; what the user says last.
            asked: variables of its prompt, earlier turns, what is expected, tags, version, team.
            hears: told what it does while it goes on.

        Raises:
            NotFound: no such agent or version.
            NotReady, MissingExtra: the version cannot be loaded here.
            Refused: no team may ask for it.
            BadRequest: nothing is asked.
        """
        return self.agents.run(name, task, asked, hears=hears)


def run_now(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """What a coroutine gives: on an event loop of this thread, or of another where this one has a loop that runs, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    with ThreadPoolExecutor(1, "perdure-runs") as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


__all__ = ["AgentRow", "AgentShown", "Agents", "RunAsked", "Running", "run_now"]
