"""One node of a run: skipped, of the journal, of the record of a replay, of the cache, over a list, or computed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from perdure.core.canonical import bytes_hash, canonical_json, content_hash
from perdure.core.clock import machine_us, monotonic_s
from perdure.core.runs import StepRecord
from perdure.engines.graphs.compiled import EACH, CompiledNode
from perdure.engines.graphs.values import Values, holds, resolve
from perdure.serve.boundary import contained_async
from perdure.serve.graphs.caching import Kept, NodeCache
from perdure.serve.graphs.computing import bad_input, compute, given_of
from perdure.serve.graphs.drives import NODE, Drive, Entry, Gave, NodeFailed, encoded
from perdure.serve.runs.protocols import LimitHit, Parked

N_ITEMS = "n_items"
"""Member of the facts of an entry of a whole list."""
MOST_ITEMS = 1_000
"""Of a list that a node is computed over."""


@dataclass(frozen=True, slots=True)
class Caching:
    """What nodes gave before, for this run."""

    cache: NodeCache
    force: Callable[[], Hashable]
    """What is in force."""


class Nodes:
    """Computes the nodes of one drive.

    Args:
        drive: the run.
        caching: what nodes gave before; None: nothing is given again.
    """

    def __init__(self, drive: Drive, caching: Caching | None) -> None:
        self._drive = drive
        self._caching = caching

    async def value(self, node: CompiledNode, values: Values) -> Any:
        """What a node gives; None where it is skipped.

        Args:
            node: whose needs are over.
            values: what they gave.

        Raises:
            NodeFailed: it gave nothing; that is written down.
            Parked, LimitHit, Unwritten, LostLease: as `computing.compute`.
        """
        over = self._drive.over(node.name)
        if over is not None:
            return _value_of(over)
        if not await self._runs(node, values):
            return None
        if node.each is None:
            return await self._one(node, node.name, values)
        return await self._list(node, values)

    async def _runs(self, node: CompiledNode, values: Values) -> bool:
        condition = node.when
        if condition is None:
            return True
        began_us = machine_us()
        try:
            return bool(bad_input(lambda: holds(condition, values)))
        except NodeFailed as error:
            await self._told(Entry(node.name, node.name, node.of, began_us), node, error)
            raise

    async def _told(self, entry: Entry, node: CompiledNode, error: NodeFailed) -> None:
        is_whole = entry.call == node.name
        await self._drive.failed(entry, error, {"fallback": node.fallback} if node.fallback and is_whole else {})

    async def _list(self, node: CompiledNode, values: Values) -> Any:
        """What it gives for each item, in their order; the journal has each, and the whole."""
        entry = Entry(node.name, node.name, node.of, machine_us())
        try:
            items = self._items(node, values)
            if items is None:
                return None
            data = encoded(items, "is given")
            entry = Entry(node.name, node.name, node.of, entry.began_us, data, bytes_hash(data))
            known = await self._recorded(node, entry, items) if self._is_swapped(node) else None
            if known is None:
                found = await self._all(node, values, items)
                return await self._drive.gave(entry, Gave(found, facts={N_ITEMS: len(items)}))
        except NodeFailed as error:
            await self._told(entry, node, error)
            raise
        return _value_of(known)

    def _items(self, node: CompiledNode, values: Values) -> list[Any] | None:
        each = node.each
        assert each is not None
        items = bad_input(lambda: resolve(each, values))
        if items is not None and not isinstance(items, list):
            raise NodeFailed("node.bad_input", f"{each} is no list.")
        if items is not None and len(items) > MOST_ITEMS:
            raise NodeFailed("node.too_many", f"{each} has {len(items):,} items, more than {MOST_ITEMS:,}.")
        return items

    async def _all(self, node: CompiledNode, values: Values, items: list[Any]) -> list[Any]:
        """So many at a time; after a failure none is begun, after a question to a person the others go on."""
        found: dict[int, Any] = {}
        wrong: dict[int, Exception] = {}
        left = iter(range(len(items)))

        async def computed(n: int) -> None:
            found[n] = await self._item(node, n, {**values, EACH: items[n]})

        async def failed(n: int, error: Exception) -> None:
            wrong[n] = error  # raised below, when its neighbours are over

        async def work(left: Iterator[int]) -> None:
            for n in left:
                if any(not isinstance(each, Parked) for each in wrong.values()):
                    return
                await contained_async(partial(computed, n), partial(failed, n))

        workers = min(node.side_by_side, len(items))
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(work(left))
        if wrong:
            ordered = sorted(wrong.items(), key=lambda each: (isinstance(each[1], Parked), each[0]))
            number, error = ordered[0]
            if isinstance(error, NodeFailed):
                raise NodeFailed(error.code, f"Of item {number}: {error.text}") from error
            raise error
        return [found[n] for n in range(len(items))]

    async def _item(self, node: CompiledNode, number: int, values: Values) -> Any:
        call = f"{node.name}.{number}"
        over = self._drive.over(call)
        if over is not None:
            return _value_of(over)
        return await self._one(node, call, values)

    async def _one(self, node: CompiledNode, call: str, values: Values) -> Any:
        entry = Entry(node.name, call, node.of, machine_us())
        try:
            given = given_of(node, values)
            data = encoded(given, "is given")
            entry = Entry(node.name, call, node.of, entry.began_us, data, bytes_hash(data))
            known = await self._known(node, entry, given)
            if known is None:
                self._check(node, call)
                force = self._caching.force() if self._caching is not None else None
                gave = await compute(self._drive, node, call, given)
                value = await self._drive.gave(entry, gave)
                self._keep(node, entry, gave, value, force)
                return value
        except NodeFailed as error:
            await self._told(entry, node, error)
            raise
        return _value_of(known)

    async def _known(self, node: CompiledNode, entry: Entry, given: Any) -> StepRecord | None:
        """What the record of a replay, or the cache, has for this input; written down as this run's."""
        if self._drive.driven.replayer is not None:
            return await self._recorded(node, entry, given)
        if self._caching is None or not node.cache_s:
            return None
        kept = self._caching.cache.find(self._key(node, entry), self._caching.force())
        if kept is None:
            return None
        step = self._drive.step(entry, "done", kept.output, Gave(None, kept.versions, {"cached": True}))
        await self._drive.write(step)
        return step

    async def _recorded(self, node: CompiledNode, entry: Entry, given: Any) -> StepRecord | None:
        """What the record of a replay has for this input."""
        replayer = self._drive.driven.replayer
        if replayer is None or not self._asks_record(node):
            return None
        found = replayer.node(f"{NODE}{node.name}", canonical_json(given))
        is_list = node.each is not None and entry.call == node.name
        if found is None or (found.input and found.state == "done" and (N_ITEMS in found.facts) != is_list):
            return None
        return await self._again(entry, found)

    def _is_swapped(self, node: CompiledNode) -> bool:
        """Whether a replay says of the node itself what it gives; a list is computed item by item else, as it was then."""
        return f"{NODE}{node.name}" in self._drive.driven.run.swaps

    def _asks_record(self, node: CompiledNode) -> bool:
        """Whether the node itself is of the record: what prompts and tools gave is asked of it one by one, in their own entries.

        An agent is done anew where a swap names what only it may work with.
        """
        swaps = self._drive.driven.run.swaps
        if self._is_swapped(node):
            return True
        if node.kind != "agent":
            return node.kind not in ("prompt", "tool")
        compiled, name = self._drive.live.compiled, self._drive.live.name
        own = {each.of for each in compiled.nodes.values()} | {f"graph:{name}"}
        return all(swap in own or swap.startswith(NODE) for swap in swaps)

    async def _again(self, entry: Entry, found: StepRecord) -> StepRecord:
        facts: Mapping[str, str | int | float | bool] = {**found.facts, "recorded": True}
        step = self._drive.step(entry, found.state, found.output, Gave(None, found.versions, facts))
        step = msgspec.structs.replace(step, error=found.error, text=found.text, version=found.version)
        await self._drive.write(step)
        return step

    def _check(self, node: CompiledNode, call: str) -> None:
        """Is there room for it? Prompts and tools ask before each of their own steps; nodes that take none need time alone.

        Raises:
            LimitHit: a limit is reached.
        """
        limits = self._drive.driven.limits
        if node.kind == "agent" and not self._drive.has_child(call):
            limits.check()
        elif limits.left_s() <= 0.0:
            raise LimitHit("limit.wall", "The time of the run is over.")

    def _keep(self, node: CompiledNode, entry: Entry, gave: Gave, value: Any, force: Hashable) -> None:
        if self._caching is None or not node.cache_s or self._drive.driven.replayer is not None:
            return
        kept = Kept(msgspec.json.encode(value), gave.versions, monotonic_s() + node.cache_s)
        self._caching.cache.put(self._key(node, entry), kept, force)

    def _key(self, node: CompiledNode, entry: Entry) -> str:
        team = self._drive.driven.caller.team
        return str(content_hash([node.digest, entry.digest, "" if team is None else team.name]))


def _value_of(step: StepRecord) -> Any:
    """What a node gave that is over.

    Raises:
        NodeFailed: it failed then; that is written down.
    """
    if step.state == "done":
        return msgspec.json.decode(step.output)
    raise NodeFailed(step.error or "node.failed", step.text)
