"""One drive of a run of a graph, as its nodes see it: the journal so far, what they reach, and what they write down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from perdure.core.clock import monotonic_s
from perdure.core.errors import LostLease, StoreError
from perdure.core.runs import StepRecord, StepState
from perdure.serve.graphs.loading import LiveGraph
from perdure.serve.runs.protocols import Driven, LimitHit

Facts = Mapping[str, str | int | float | bool]
Found = TypeVar("Found")
NODE = "node:"
MOST_BYTES = 1_000_000
"""Of what one node is given, and of what it gives."""
_OVER = ("done", "failed", "refused")


class NodeFailed(Exception):
    """A node gave nothing.

    Args:
        code: `node.timed_out`, `node.bad_input`, `node.bad_output`, `node.too_large`, `node.failed`, or of what it asked.
        text: what happened.
        again: computing it again may help.
        delay_s: after how long.
    """

    def __init__(self, code: str, text: str, *, again: bool = False, delay_s: float = 0.0) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.again = again
        self.delay_s = delay_s


class Unwritten(Exception):
    """The journal could not be written: the drive ends, the run does not."""

    def __init__(self, error: StoreError | LostLease) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, slots=True)
class Gave:
    """What a node gave, once."""

    value: Any
    """JSON-compatible."""
    versions: Mapping[str, str] = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is written of a node."""

    node: str
    call: str
    """The node's name, with `.N` behind it for an item of a list."""
    of: str
    """The asset that it works with, as `kind:name`; empty for none."""
    began_us: int
    input: bytes = b""
    digest: str = ""
    began_s: float = field(default_factory=monotonic_s)


class Drive:
    """A run in the hands of the driver.

    Args:
        driven: the run.
    """

    def __init__(self, driven: Driven) -> None:
        self.driven = driven
        self.live: LiveGraph = driven.servable
        self._over: dict[str, StepRecord] = {}
        self._chats: dict[tuple[str, str], StepRecord] = {}
        for step in driven.journal.steps:
            if step.kind == "node" and step.state in _OVER:
                self._over.setdefault(step.call, step)
            elif step.kind == "chat" and step.state == "done":
                self._chats[step.call, str(step.facts.get("request", ""))] = step

    def over(self, call: str) -> StepRecord | None:
        """What the journal says of a node, or an item, that is over."""
        return self._over.get(call)

    def chat(self, call: str, request: str) -> StepRecord | None:
        """The answer to a request that was asked before, by its digest."""
        return self._chats.get((call, request))

    def has_child(self, call: str) -> bool:
        """Whether a run below was begun by a node before, and is over."""
        return any(step.kind == "child" and step.call == call for step in self.driven.journal.steps)

    async def write(self, step: StepRecord) -> None:
        """Append to the journal.

        Raises:
            Unwritten: it cannot be.
        """
        try:
            await self.driven.journal.write(step)
        except (LostLease, StoreError) as error:
            raise Unwritten(error) from error

    async def gave(self, entry: Entry, gave: Gave) -> Any:
        """Write down what a node gave; its value as it is in JSON.

        Raises:
            NodeFailed: it is too large, or no JSON.
        """
        output = encoded(gave.value, "gave")
        await self.write(self.step(entry, "done", output, gave))
        return msgspec.json.decode(output)

    async def failed(self, entry: Entry, error: NodeFailed, facts: Facts) -> None:
        """Write down why a node gave nothing."""
        step = self.step(entry, "failed", b"", Gave(None, facts=facts))
        await self.write(msgspec.structs.replace(step, error=error.code, text=error.text))

    def step(self, entry: Entry, state: StepState, output: bytes, gave: Gave) -> StepRecord:
        """An entry of the journal. What a node cost stands in the entries of what it asked."""
        return StepRecord(
            run="",
            n=0,
            kind="node",
            state=state,
            node=f"{NODE}{entry.node}",
            call=entry.call,
            version=gave.versions.get(entry.of, ""),
            versions=gave.versions,
            input=entry.input,
            output=output,
            began_us=entry.began_us,
            took_us=int((monotonic_s() - entry.began_s) * 1e6),
            facts={**({"digest": entry.digest} if entry.digest else {}), **gave.facts},
        )

    async def in_time(self, seconds: float, work: Awaitable[Found]) -> Found:
        """What `work` gives within its time, and within what is left to the run.

        Raises:
            NodeFailed: its time was over.
            LimitHit: that of the run was.
        """
        left_s = self.driven.limits.left_s()
        scope = asyncio.timeout(max(0.0, min(seconds, left_s)))
        try:
            async with scope:
                return await work
        except TimeoutError:
            if not scope.expired():
                raise
            if left_s <= seconds:
                raise LimitHit("limit.wall", "The time of the run was over while a node was computed.") from None
            raise NodeFailed("node.timed_out", f"It gave nothing within {seconds:g} s.", again=True) from None


def encoded(value: Any, what: str) -> bytes:
    """JSON of what a node is given or gave.

    Raises:
        NodeFailed: it is too large, or no JSON.
    """
    try:
        found = msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise NodeFailed("node.bad_output", f"What it {what} is no JSON: {type(error).__name__}.") from error
    if len(found) > MOST_BYTES:
        text = f"What it {what} has {len(found):,} bytes, more than {MOST_BYTES:,}."
        raise NodeFailed("node.too_large", text)
    return found
