"""The port `core.ports.Replays` in this process: a recorded run done again with versions swapped, over the project's own stores.

What is asked anew is asked of the versions that answered then, as far as they can still be loaded, but for those that are swapped: so two
replays differ in the swap alone. Models are asked as the team `evals`, under no route's own traffic; searches and predictions of a replay
are recorded nowhere, and what changes something is never done.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from msgspec.structs import replace as with_members

from perdure.assets.team import Team
from perdure.core.clock import from_us, iso, machine_now
from perdure.core.errors import BadRequest, NotFound, NotReady, not_found
from perdure.core.runs import ReplayAsked, Replayed, RunRecord, StepRecord
from perdure.serve.gateway.app import EVALS
from perdure.serve.runs.recorded import LIVE, RECORDED
from perdure.serve.runs.replaying import ReplayParts, replay
from perdure.serve.runs.shadow_world import OnlyCalls
from perdure.surface.declaring import declared_versions
from perdure.surface.prompting import DECLARED
from perdure.surface.staged_versions import staged_versions
from perdure.surface.staging import Scene, Stage, StageParts

if TYPE_CHECKING:
    from perdure.assets.version import Version
    from perdure.stores.capture.protocols import CaptureWriter
    from perdure.stores.ledger.protocols import Ledger

VERSIONED = ("prompt", "route", "model", "agent", "graph", "index", "guard")
"""Kinds that a swap names a version of; `tool:NAME` and `node:NAME` are swapped by what they give."""
GIVEN = ("tool", "node")
_SCENES = 8
"""Sets of versions that are kept in force at a time."""


@dataclass(frozen=True, slots=True)
class _Cast:
    """Who is on a scene."""

    versions: Mapping[str, str]
    """Asset → version id."""
    as_of: Mapping[str, str]
    """Index → instant."""

    @property
    def key(self) -> tuple[tuple[str, str], ...]:
        """The same for equal ones."""
        return (*sorted(self.versions.items()), *sorted((f"as of {name}", at) for name, at in self.as_of.items()))


@dataclass(slots=True, eq=False)
class ReplaysHere:
    """Replays of one process; on one event loop. Nothing is opened before the first.

    Args:
        parts: of the stage, whose team is set for each run's own groups.
        ledger: with versions.
        actor: who asks.
    """

    parts: StageParts
    ledger: Ledger
    actor: str
    _stages: dict[tuple[str, ...], Stage] = field(default_factory=dict)
    _scenes: OrderedDict[tuple[object, ...], Scene] = field(default_factory=OrderedDict)
    _known: Mapping[str, Mapping[str, str]] | None = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def replay(self, asked: ReplayAsked) -> Replayed:
        """The run as it would have gone; never raises for the run's own failure.

        Raises:
            NotFound: a swap names what is not there.
            NotReady: a version cannot be loaded.
            BadRequest: a swap cannot be read.
        """
        run = asked.run
        stage = await self._stage(run)
        cast_, asked = await asyncio.to_thread(self._cast, stage, asked)
        scene = await self._scene(stage, cast_, run)
        scene.check(*(name.partition(":")[2] for name in asked.swaps if name.partition(":")[0] in VERSIONED))

        async def below(kind: str, asset: str) -> ReplayParts:
            return await _replay_parts(stage, scene, with_members(run, kind=kind, asset=asset))

        parts = await _replay_parts(stage, scene, run)
        now = with_members(run, version=parts.prepared.servable.version)
        return await replay(with_members(asked, run=now), replace(parts, below=below))

    async def close(self) -> None:
        """Let connections, sessions and stores go."""
        stages, self._stages = list(self._stages.values()), {}
        self._scenes.clear()
        for stage in stages:
            await stage.close()

    async def _stage(self, run: RunRecord) -> Stage:
        """One for each set of groups that runs' callers have: what they may find is theirs."""
        async with self._opening:
            team = self._team(run)
            stage = self._stages.get(tuple(team.reads))
            if stage is None:
                stage = Stage(replace(self.parts, team=team, open_writer=self._open_writer))
                await stage.open()
                self._stages[tuple(team.reads)] = stage
            return stage

    def _team(self, run: RunRecord) -> Team:
        teams = self.parts.project.teams
        own = teams.get(EVALS) or Team(EVALS, unpriced="allow")
        if not teams:
            return replace(own, reads=("*",))
        theirs = teams.get(run.team)
        return replace(own, routes=("*",), reads=() if theirs is None else theirs.reads)

    def _open_writer(self) -> CaptureWriter:
        return OnlyCalls(self.parts.open_writer())

    async def _scene(self, stage: Stage, cast_: _Cast, run: RunRecord) -> Scene:
        key = (id(stage), run.asset, cast_.key)
        async with self._opening:
            found = self._scenes.get(key)
            if found is None:
                found = self._scenes[key] = await asyncio.to_thread(self._new_scene, stage, cast_, run)
                while len(self._scenes) > _SCENES:
                    self._scenes.popitem(last=False)
            self._scenes.move_to_end(key)
            return found

    def _new_scene(self, stage: Stage, cast_: _Cast, run: RunRecord) -> Scene:
        def versions(wanted: Mapping[str, str]) -> Mapping[str, Version]:
            return staged_versions(self.parts.project, self.ledger, self.actor, [run.asset], wanted)

        scene = stage.scene(versions(cast_.versions), cast_.as_of)
        gone = {asset for asset in scene.failures if asset in cast_.versions}
        if not gone:
            return scene
        # What answered then cannot be loaded any more: what answers now stands in; whoever swapped it in is told by `check`.
        left = {asset: version for asset, version in cast_.versions.items() if asset not in gone}
        again = stage.scene(versions(left), cast_.as_of)
        return replace(again, failures={**scene.failures, **again.failures})

    def _cast(self, stage: Stage, asked: ReplayAsked) -> tuple[_Cast, ReplayAsked]:
        """Versions that answered then, with the swaps; of indexes the generation as the instant from which on it was there."""
        known = self._known_versions()
        then = recorded_versions(asked.run, asked.steps)
        swaps = {name: self._swap(name, value, known) for name, value in asked.swaps.items()}
        told = {**then, **{name: value for name, value in swaps.items() if name.partition(":")[0] in VERSIONED}}
        versions, as_of = {}, {}
        for name, value in told.items():
            kind, _, asset = name.partition(":")
            version, generation = split_generation(value) if kind == "index" else (value, 0)
            if version not in known.get(asset, ()):
                continue
            versions[asset] = version
            instant = self._instant(stage, asset, version, generation, strict=name in swaps) if generation else ""
            if instant:
                as_of[asset] = instant
        return _Cast(versions, as_of), _with_swaps(asked, swaps)

    def _known_versions(self) -> Mapping[str, Mapping[str, str]]:
        """Asset → what people call a version (its id, a pointer's name, `declared`) → its id."""
        if self._known is not None:
            return self._known
        found: dict[str, dict[str, str]] = {}
        with self.ledger.read() as session:
            for record in session.registry.list_assets():
                found[record.name] = {each.id: each.id for each in session.registry.list_versions(record.name)}
            for each in declared_versions(self.parts.project, session, self.actor, machine_now()):
                version = each.version
                found.setdefault(version.asset, {})[version.id] = version.id
                found[version.asset][DECLARED] = version.id
            for pointer in session.pointers.list():
                found.setdefault(pointer.asset, {})[pointer.name] = pointer.version
        self._known = found
        return found

    def _swap(self, name: str, value: str, known: Mapping[str, Mapping[str, str]]) -> str:
        """A swap with its version's whole id.

        Raises:
            BadRequest: it is of nothing that can be swapped.
            NotFound: there is no such asset or version.
        """
        kind, sign, asset = name.partition(":")
        if not sign or kind not in (*VERSIONED, *GIVEN):
            raise BadRequest(
                f"Nothing can be swapped as {name!r}.",
                hint=f"Write KIND:NAME; kinds: {', '.join((*VERSIONED, *GIVEN))}.",
            )
        if kind in GIVEN:
            return _given(name, value)
        if asset not in known:
            raise not_found(kind, asset, known)
        version, generation = split_generation(value) if kind == "index" else (value, 0)
        whole = version if "@" in version else f"{asset}@{version}"
        fits = {each for name, each in known[asset].items() if name == version or each.startswith(whole)}
        if len(fits) != 1:
            raise not_found(f"version of {asset}", version, known[asset])
        return f"{min(fits)}:{generation}" if generation else min(fits)

    def _instant(self, stage: Stage, index: str, version: str, generation: int, *, strict: bool) -> str:
        """When a generation of an index came; empty where it is gone and need not be there.

        Raises:
            NotFound: it is gone, or never was.
        """
        from perdure.surface.compose_retrieval import ServedIndexes

        parts = stage.parts
        opens = ServedIndexes(parts.folder, parts.root, parts.project, parts.settings.project.name)
        store = opens.store(index, version)
        try:
            there = {each.number: each.at_us for each in store.generations()}
        finally:
            store.close()
        if generation in there:
            return "" if generation == max(there) else iso(from_us(there[generation]))
        if not strict:
            return ""
        first, last = (min(there), max(there)) if there else (0, 0)
        raise NotFound(
            f"The index {index!r} cannot be asked as of generation {generation}.",
            hint=f"{version} can be asked as of {first} to {last}: perdure index history {index}",
        )


async def _replay_parts(stage: Stage, scene: Scene, run: RunRecord) -> ReplayParts:
    serving = scene.live.serving
    if serving is None or run.asset not in serving.table.routes:
        scene.check(run.asset)
        raise NotReady(f"The {run.kind} {run.asset!r} cannot be done again here.", hint="perdure apply")
    version = serving.table.routes[run.asset].champion.version
    prepared = await scene.versions.prepare(with_members(run, version=version))
    return ReplayParts(scene.drivers[run.kind], prepared, stage.caller, scene.world)


def recorded_versions(run: RunRecord, steps: Sequence[StepRecord]) -> dict[str, str]:
    """`kind:name` → version that took part first, in a run; of indexes `VERSION:GENERATION`."""
    found = {f"{run.kind}:{run.asset}": run.version}
    for step in steps:
        own = {step.node: step.version} if step.version and step.node.partition(":")[0] in VERSIONED else {}
        for name, version in (*own.items(), *step.versions.items()):
            if name.partition(":")[0] in VERSIONED:
                found.setdefault(name, version)
    return found


def split_generation(told: str) -> tuple[str, int]:
    """An index's version and generation; 0 where none is told.

    >>> split_generation("handbook@3f2a9c1b7d40:17"), split_generation("handbook@3f2a9c1b7d40")
    (('handbook@3f2a9c1b7d40', 17), ('handbook@3f2a9c1b7d40', 0))
    """
    version, sign, number = told.rpartition(":")
    return (version, int(number)) if sign and number.isdecimal() else (told, 0)


def _given(name: str, value: str) -> str:
    """What stands in for what a tool or node gives.

    Raises:
        BadRequest: it is neither a word that is known nor JSON.
    """
    if value in (LIVE, RECORDED):
        return value
    try:
        json.loads(value)
    except (ValueError, RecursionError) as error:
        raise BadRequest(
            f"What {name} gives instead is no JSON.",
            hint=f'Write {LIVE}, {RECORDED}, or JSON such as {{"place": "Kiel"}}.',
        ) from error
    return value


def _with_swaps(asked: ReplayAsked, swaps: Mapping[str, str]) -> ReplayAsked:
    return with_members(asked, swaps=dict(swaps))
