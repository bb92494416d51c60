"""Drives runs of graphs: each node as soon as what it needs is there, side by side, every one written down when it is over.

A drive begins where the journal stands: what is over is not computed again. A node that fails is stood in for by its fallback, or ends the
run. One that waits for a person lets all others go on as far as they can; then the run waits. Called by the runtime.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from perdure.core.errors import BadGraph, LostLease, PerdureError, StoreError
from perdure.engines.graphs.compiled import INPUT, CompiledNode
from perdure.engines.graphs.schemas import inline, with_defaults
from perdure.engines.graphs.values import resolve, template_refs
from perdure.serve.boundary import contained_async
from perdure.serve.graphs.caching import NodeCache
from perdure.serve.graphs.computing import DEFERRED
from perdure.serve.graphs.drives import Drive, NodeFailed, Unwritten
from perdure.serve.graphs.loading import LiveGraph
from perdure.serve.graphs.nodes import Caching, Nodes
from perdure.serve.runs.protocols import Driven, Ended, LimitHit, Parked


@dataclass(frozen=True, slots=True, eq=False)
class GraphDriver:
    """The driver of the kind `graph`.

    Args:
        force: what is in force, such as `in_force` of a server; what was cached before it was another is forgotten.
        cache: what nodes gave, of all runs of this process.
    """

    force: Callable[[], Hashable] = int
    cache: NodeCache = field(default_factory=NodeCache)

    async def drive(self, driven: Driven) -> Ended:
        """From where the journal stands to the end, or until it waits.

        Raises:
            LostLease: another worker drives this run now.
            StoreError: the journal cannot be written; the run is not over.
        """
        going = _Going(driven, Caching(self.cache, self.force))

        async def failed(error: Exception) -> Ended:
            if isinstance(error, Unwritten):
                raise error.error
            if isinstance(error, LostLease | StoreError):
                raise error
            code = error.code if isinstance(error, PerdureError) else "graph.failed"
            text = str(error) if isinstance(error, PerdureError) else f"The run failed: {type(error).__name__}."
            return going.ended("failed", code, text)

        return await contained_async(going.run, failed)


@dataclass(slots=True, eq=False)
class _Stop:
    """Why no further node is begun."""

    status: str
    why: str
    text: str


class _Going:
    """One drive.

    Args:
        driven: the run.
        caching: what nodes gave before.
    """

    def __init__(self, driven: Driven, caching: Caching) -> None:
        self._live: LiveGraph = driven.servable
        self._driven = driven
        self._nodes = Nodes(Drive(driven), caching)
        self._values: dict[str, Any] = {}
        self._begun: set[str] = set()
        self._wanted: set[str] = {name for name, node in self._live.compiled.nodes.items() if not node.only_as_fallback}
        self._standing: dict[str, list[str]] = {}
        """Fallback → the nodes that failed and that it stands in for."""
        self._failures: dict[str, NodeFailed] = {}
        self._tasks: dict[asyncio.Task[Any], str] = {}
        self._stop: _Stop | None = None
        self._parked = False

    async def run(self) -> Ended:
        """To the end, or until it waits."""
        given = msgspec.json.decode(self._driven.run.input) if self._driven.run.input else {}
        self._live.check_input(given)
        self._values[INPUT] = with_defaults(inline(self._live.compiled.input), given)
        try:
            while True:
                self._begin()
                if not self._tasks:
                    break
                done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in sorted(done, key=lambda each: self._tasks[each]):
                    self._over(self._tasks.pop(task), task)
                if self._stop is not None:
                    await self._let_go()
        finally:
            await _cancelled(list(self._tasks))
        if self._stop is not None:
            return self.ended(self._stop.status, self._stop.why, self._stop.text)
        if self._parked:
            return Ended("waiting")
        return Ended("done", self._output())

    def ended(self, status: Any, why: str, text: str) -> Ended:
        """The run is over, with what it has."""
        named = {ref.node for ref in template_refs(self._live.compiled.output)}
        has_some = any(self._values.get(name) is not None for name in named - {INPUT})
        try:
            output = self._output() if has_some else b""
        except BadGraph:
            output = b""
        return Ended(status, output, why, text)

    def _output(self) -> bytes:
        return msgspec.json.encode(resolve(self._live.compiled.output, self._values))

    def _begin(self) -> None:
        """Every node whose needs are over."""
        if self._stop is not None:
            return
        needs = self._live.plan.needs
        for name, node in self._live.compiled.nodes.items():
            if name in self._wanted and name not in self._begun and all(each in self._values for each in needs[name]):
                self._begun.add(name)
                values = {each: self._values[each] for each in (INPUT, *needs[name])}
                self._tasks[asyncio.create_task(self._nodes.value(node, values), name=f"node {name}")] = name

    def _over(self, name: str, task: asyncio.Task[Any]) -> None:
        """A node is over: its value goes on, its fallback stands in, or the run ends."""
        error = task.exception()
        if error is None:
            self._settled(name, task.result())
        elif isinstance(error, NodeFailed):
            self._failed(name, error)
        elif isinstance(error, Parked):
            self._parked = True
        elif isinstance(error, LimitHit):
            self._ends(_Stop("limited", error.why, error.text))
        else:
            raise error

    def _settled(self, name: str, value: Any) -> None:
        self._values[name] = value
        for other in self._standing.pop(name, ()):
            self._settled(other, value)

    def _failed(self, name: str, error: NodeFailed) -> None:
        self._failures[name] = error
        fallback = self._node(name).fallback
        if not fallback:
            self._ends(_Stop("failed", error.code, self._why(name)))
        elif fallback in self._values:
            self._settled(name, self._values[fallback])
        else:
            self._standing.setdefault(fallback, []).append(name)
            self._wanted.add(fallback)

    def _why(self, name: str) -> str:
        told = f"Node {name!r} failed: {self._failures[name].text}"
        for other in self._standing.get(name, ()):
            told = f"Node {other!r} failed: {self._failures[other].text} Its fallback too. {told}"
        return told

    def _ends(self, stop: _Stop) -> None:
        if self._stop is None:
            self._stop = stop

    def _node(self, name: str) -> CompiledNode:
        return self._live.compiled.nodes[name]

    async def _let_go(self) -> None:
        """Nothing is begun any more: effects and runs below come to their ends, all else is cancelled."""
        slow = {task for task, name in self._tasks.items() if self._node(name).kind in DEFERRED}
        await _cancelled([task for task in self._tasks if task not in slow])
        if slow:
            await asyncio.wait(slow)
        for task, name in self._tasks.items():
            if task in slow and not task.cancelled():
                self._late(name, task)
        self._tasks.clear()

    def _late(self, name: str, task: asyncio.Task[Any]) -> None:
        """What came of a node after the run was over; its journal has it."""
        error = task.exception()
        if error is None:
            self._values.setdefault(name, task.result())
        elif not isinstance(error, NodeFailed | Parked | LimitHit):
            raise error


async def _cancelled(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
