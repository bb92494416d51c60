"""Runs agents and graphs in this process, over the project's own stores: what `perdure agent run` does where no server is asked.

A run is kept as a server keeps it: it survives this process, waits for a person without one, and any server of the project goes on with
it. So it acts for a key that the ledger knows, where teams are declared: the newest of the team's, else one that is issued for this, and
whose secret nobody has.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from perdure.assets.team import Team
from perdure.core.clock import machine_now, machine_us
from perdure.core.errors import DeclarationError, NotFound, Refused
from perdure.core.units import days
from perdure.serve.gateway.app import EVALS
from perdure.serve.gateway.keys import is_good
from perdure.serve.routing import Arm
from perdure.serve.runs.asking import RunBody, Wish, agent_input, graph_input, run_of, tags_of
from perdure.serve.runs.going import Parts
from perdure.serve.runs.hearing import Listening
from perdure.serve.runs.protocols import RunEvent
from perdure.serve.runs.running import Runtime, Served, Terms
from perdure.stores.runs.protocols import Told
from perdure.surface.compose_gateway import texts_mask
from perdure.surface.staged_versions import staged_versions
from perdure.surface.staging import Scene, Stage, StageParts

if TYPE_CHECKING:
    from perdure.assets.version import Version
    from perdure.core.runs import RunKind, RunRecord
    from perdure.stores.ledger.protocols import Key
    from perdure.stores.runs.protocols import Runs
    from perdure.surface.sdk import Perdure

Hears = Callable[[RunEvent], None]
_POLL_S = 0.2
_LABEL = "perdure agent run"


@dataclass(frozen=True, slots=True)
class AskedHere:
    """A run that is asked for.

    Args:
        kind: `agent` or `graph`.
        name: which.
        body: what it is asked, as over HTTP.
        version: id of the version that answers; empty: the champion, else what is declared.
        team: whose key it acts for; empty: the only one that may ask for it.
    """

    kind: RunKind
    name: str
    body: RunBody
    version: str = ""
    team: str = ""


class RunsHere:
    """Drives runs in this process.

    Args:
        perdure: the opened project.
        runs: its store of runs.
    """

    def __init__(self, perdure: Perdure, runs: Runs) -> None:
        self._perdure = perdure
        self._runs = runs

    async def run(self, asked: AskedHere, hears: Hears | None = None) -> Told:
        """Begin a run and drive it until it is over or waits for a person.

        Raises:
            NotFound: no such agent, graph or version.
            NotReady, MissingExtra: the version cannot be loaded here.
            Refused: no team may ask for it.
            DeclarationError: several teams may, and none is named.
        """
        versions = self._versions(asked)
        team = self._team(asked)
        stage = Stage(self._parts(team, self._key(team)))
        await stage.open()
        try:
            scene = await asyncio.to_thread(stage.scene, versions)
            scene.check(asked.name)
            run = run_of(self._wish(asked, versions[asked.name]), stage.caller)
            return await self._driven(stage, scene, run, hears)
        finally:
            await stage.close()

    async def resume(self, run: str, hears: Hears | None = None) -> Told:
        """Go on with a run that was answered, or whose process died; one that waits still is given back as it stands.

        Raises: as `run`; NotFound: no such run.
        """
        told = await asyncio.to_thread(self._runs.get, run)
        if told.run.ended:
            return told
        asked = AskedHere(told.run.kind, told.run.asset, RunBody(), told.run.version, told.run.team)
        stage = Stage(self._parts(self._team(asked), self._key_of(told.run)))
        await stage.open()
        try:
            scene = await asyncio.to_thread(stage.scene, self._versions(asked))
            scene.check(asked.name)
            return await self._taken_over(stage, scene, told.run, hears)
        finally:
            await stage.close()

    async def cancel(self, run: str, why: str) -> RunRecord:
        """Call a run off, and those below it, whoever drives them: he finds that his claim is gone.

        Raises:
            NotFound: there is none.
        """
        stage = Stage(self._parts(Team(EVALS), None))
        await stage.open()
        runtime = self._runtime(stage, stage.scene({}), ())
        try:
            return await runtime.cancel(run, why)
        finally:
            await runtime.stop()
            await stage.close()

    async def _driven(self, stage: Stage, scene: Scene, run: RunRecord, hears: Hears | None) -> Told:
        runtime = self._runtime(stage, scene, ())
        runtime.start()
        try:
            begun = await runtime.begin(run, listens=True)
            assert begun.listening is not None
            async for event in begun.listening:
                if hears is not None:
                    hears(event)
            return await runtime.get(begun.run.id)
        except asyncio.CancelledError:
            with suppress(NotFound):
                await runtime.cancel(run.id, "Whoever asked for it went away.")
            raise
        finally:
            await runtime.stop()

    async def _taken_over(self, stage: Stage, scene: Scene, run: RunRecord, hears: Hears | None) -> Told:
        """Runs of its asset that can go on are claimed, this one among them, until it stands still."""
        serving = scene.live.serving
        names = () if serving is None else tuple(serving.table.routes)
        runtime = self._runtime(stage, scene, names)
        listening = runtime.listen(run.id)
        told = await runtime.get(run.id)
        n_open = sum(each.answer is None for each in told.waits)
        if told.run.status == "waiting" and n_open:
            return told
        runtime.start()
        following = asyncio.create_task(_follow(listening, hears))
        try:
            while True:
                await asyncio.sleep(_POLL_S)
                told = await runtime.get(run.id)
                still = told.run.status == "waiting" and any(each.answer is None for each in told.waits)
                if (told.run.ended or still) and not runtime.n_going:
                    return told
        finally:
            following.cancel()
            await runtime.stop()

    def _runtime(self, stage: Stage, scene: Scene, assets: tuple[str, ...]) -> Runtime:
        parts = Parts(
            drivers=scene.drivers,
            prepare=scene.versions.prepare,
            caller_of=scene.versions.caller_of,
            world=scene.world,
            writer=stage.writer,
            mask=texts_mask(),
            expires_us=int(days(self._perdure.settings.agents.approval_days).total_seconds() * 1e6),
        )
        runtime = Runtime(self._runs, parts, Served(lambda: assets, scene.versions.choose_below), Terms(poll_s=_POLL_S))
        scene.world.begin_child = runtime.child
        return runtime

    def _parts(self, team: Team, key: Key | None) -> StageParts:
        from perdure.stores.capture.segments import SegmentWriter
        from perdure.surface.compose import stores_root

        perdure = self._perdure
        root = stores_root(perdure.folder, perdure.settings)
        writer = partial(SegmentWriter, root / "capture", perdure.settings.capture)
        with perdure.place.stores.ledger.read() as session:
            good = [each for each in session.keys.list() if is_good(each, machine_now())]
        return StageParts(perdure.folder, root, perdure.settings, perdure.project, team, writer, os.environ, key, good)

    def _versions(self, asked: AskedHere) -> dict[str, Version]:
        perdure = self._perdure
        (perdure.project.agent if asked.kind == "agent" else perdure.project.graph)(asked.name)
        wanted = {asked.name: asked.version} if asked.version else {}
        found = staged_versions(perdure.project, perdure.place.stores.ledger, perdure.actor, [asked.name], wanted)
        self._register(found[asked.name])
        return found

    def _register(self, version: Version) -> None:
        """Whoever goes on with a run has to find its version, released or not."""
        ledger = self._perdure.place.stores.ledger
        with ledger.read() as session:
            if any(each.id == version.id for each in session.registry.list_versions(version.asset)):
                return
        with ledger.transaction(actor=self._perdure.actor, at=machine_now(), reason="run it") as session:
            session.registry.put_version(version)

    def _wish(self, asked: AskedHere, version: Version) -> Wish:
        given = (
            agent_input(asked.body) if asked.kind == "agent" else graph_input(asked.body, version.definition["input"])
        )
        return Wish(
            kind=asked.kind,
            asset=asked.name,
            arm=Arm("champion" if not asked.version else "chosen", version.id, 1.0),
            given=given,
            user=asked.body.user,
            tags=tags_of(asked.body, asked.kind),
            idempotency="",
            trace="",
            served_us=machine_us(),
        )

    def _team(self, asked: AskedHere) -> Team:
        teams = self._perdure.project.teams
        if not teams:
            return Team(EVALS, reads=("*",), unpriced="allow")
        name = f"{asked.kind}:{asked.name}"
        if asked.team and asked.team != EVALS:
            return self._perdure.project.team(asked.team)
        may = [team for team in teams.values() if team.may_call(name)]
        if not may:
            raise Refused(f"No team may ask for {name}.", hint=f'Declare one: Team(…, routes=("{name}", …)).')
        if len(may) > 1:
            told = ", ".join(sorted(team.name for team in may))
            raise DeclarationError(f"Several teams may ask for {name}: {told}.", hint="Say for which: --team NAME")
        return may[0]

    def _key(self, team: Team) -> Key | None:
        """A key of the team that servers know too; None where no team is declared: nobody else goes on with it."""
        if not self._perdure.project.teams:
            return None
        from perdure.surface.keying import KeyTerms

        now, ledger = machine_now(), self._perdure.place.stores.ledger
        with ledger.read() as session:
            good = [key for key in session.keys.list(team=team.name) if is_good(key, now)]
        if good:
            return good[-1]
        issued = self._perdure.create_key(team.name, KeyTerms(label=_LABEL))
        with ledger.read() as session:
            return session.keys.get(issued.key.id)

    def _key_of(self, run: RunRecord) -> Key | None:
        if not self._perdure.project.teams or not run.key:
            return None
        with self._perdure.place.stores.ledger.read() as session:
            return session.keys.get(run.key)


async def _follow(listening: Listening, hears: Hears | None) -> None:
    async for event in listening:
        if hears is not None:
            hears(event)
