"""The questions that a run asks a model, each once: of the journal where its answer stands there, else of the gateway.

A drive begins at the start of its run every time, and asks the same questions in the same order, so the n-th question of a drive has the
n-th answer of the journal. The digest of the request is looked at first; where it differs, somebody released another description of a
tool while the run waited, and the answer holds all the same: effects were done on it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from perdure.core.canonical import bytes_hash
from perdure.core.clock import machine_us
from perdure.core.errors import LostLease, PerdureError, StoreError, Temporary
from perdure.core.runs import StepRecord
from perdure.serve.agents.bodies import Turn, kept_message, request_bytes, text_of, turn_of
from perdure.serve.runs.protocols import ChatSaid, Driven, Json, LimitHit, RunEvent

log = logging.getLogger("perdure.serve")

TRIES = 3
"""Of one question whose failure is for now; the gateway has tried its other upstreams by then."""
_LONGEST_PAUSE_S = 10.0


@dataclass(frozen=True, slots=True)
class Head:
    """What all requests of a run begin with."""

    node: str
    """`prompt:NAME`."""
    body: Json
    """Everything but the messages."""
    first: Sequence[Json]
    """Messages before the model's first answer."""
    versions: Mapping[str, str]
    """What took part before the gateway was asked."""


class Chats:
    """Asks in one drive.

    Args:
        driven: the run.
        head: of all its requests.
    """

    def __init__(self, driven: Driven, head: Head) -> None:
        self._driven = driven
        self._head = head
        self._answers: dict[str, StepRecord] = {}
        self._places: dict[int, StepRecord] = {}
        self._failures: dict[int, int] = {}
        self._n = 0
        self._n_told = 0
        for step in driven.journal.steps:
            self._recall(step)

    def _recall(self, step: StepRecord) -> None:
        if step.kind != "chat":
            return
        n = int(step.call)
        if step.state == "done":
            self._places[n] = step
            self._answers[str(step.facts["request"])] = step
        else:
            self._failures[n] = self._failures.get(n, 0) + 1

    async def ask(self, messages: Sequence[Json]) -> Turn:
        """The answer to what was said so far.

        Raises:
            LimitHit: a limit was reached before or while it was asked.
            PerdureError: as the gateway said it, after its tries.
            LostLease: another worker drives this run now.
        """
        n, self._n = self._n, self._n + 1
        body = {**self._head.body, "messages": [*self._head.first, *messages]}
        request = request_bytes(body)
        digest = bytes_hash(request)
        step = self._known(n, digest) or await self._recorded(n, request) or await self._anew(n, digest, body)
        self._n_told = len(body["messages"])
        return turn_of(msgspec.json.decode(step.output), n, str(step.facts.get("finish", "")))

    def _known(self, n: int, digest: str) -> StepRecord | None:
        found = self._answers.get(digest)
        if found is None and n in self._places:
            found = self._places[n]
            log.warning("Run %s: request %d is another than the one that was answered.", self._driven.run.id, n)
        return found

    async def _recorded(self, n: int, request: bytes) -> StepRecord | None:
        """In a replay the answer to the very same request, now of this run."""
        replayer = self._driven.replayer
        found = None if replayer is None else replayer.chat(request)
        if found is None:
            return None
        self._driven.limits.check()
        facts = {**found.facts, "request": bytes_hash(request), "recorded": True}
        step = msgspec.structs.replace(found, call=str(n), began_us=machine_us(), facts=facts)
        await self._driven.journal.write(step)
        return step

    async def _anew(self, n: int, digest: str, body: Json) -> StepRecord:
        while True:
            self._driven.limits.check()
            began_us = machine_us()
            try:
                said = await self._in_time(body, n)
            except (LostLease, StoreError):
                raise
            except PerdureError as error:
                await self._failed(n, digest, began_us, error)
                continue
            step = self._step(n, digest, body, said, began_us)
            await self._driven.journal.write(step)
            return step

    async def _in_time(self, body: Json, n: int) -> ChatSaid:
        scope = asyncio.timeout(max(0.0, self._driven.limits.left_s()))
        try:
            async with scope:
                return await self._said(body, n)
        except TimeoutError:
            if scope.expired():
                raise LimitHit("limit.wall", "The time of the run was over while a model was asked.") from None
            raise

    async def _said(self, body: Json, n: int) -> ChatSaid:
        driven, tags = self._driven, {"step": str(n)}
        if not driven.streams or n in self._failures:
            whole = await driven.world.chat(body, driven.caller, driven.run, tags)
            if driven.streams and (text := text_of(whole.message.get("content"))):
                # Pieces of a try that broke may have been heard: this takes their place.
                driven.journal.tell(RunEvent("text", {"step": n, "text": text, "again": True}))
            return whole
        said: ChatSaid | None = None
        async for piece in driven.world.stream(body, driven.caller, driven.run, tags):
            if isinstance(piece, ChatSaid):
                said = piece
            elif piece:
                driven.journal.tell(RunEvent("text", {"step": n, "text": piece}))
        assert said is not None, "a stream ends with the whole"
        return said

    async def _failed(self, n: int, digest: str, began_us: int, error: PerdureError) -> None:
        """Write the failure down, and wait where asking again may help.

        Raises:
            PerdureError: it may not.
        """
        took_us = machine_us() - began_us
        step = StepRecord(
            run="", n=0, kind="chat", state="failed", node=self._head.node, call=str(n), error=error.code,
            text=str(error), began_us=began_us, took_us=took_us, versions=self._head.versions,
            input=msgspec.json.encode({"digest": digest}), facts={"request": digest},
        )  # fmt: skip
        await self._driven.journal.write(step)
        self._failures[n] = self._failures.get(n, 0) + 1
        if not isinstance(error, Temporary) or self._failures[n] >= TRIES:
            raise error
        await asyncio.sleep(min(error.delay_s, _LONGEST_PAUSE_S, max(0.0, self._driven.limits.left_s())))

    def _step(self, n: int, digest: str, body: Json, said: ChatSaid, began_us: int) -> StepRecord:
        message, facts = kept_message(said.message, n)
        versions = {**self._head.versions, **said.versions}
        return StepRecord(
            run="", n=0, kind="chat", state="done", node=self._head.node, call=str(n),
            version=versions.get(self._head.node, ""), versions=versions,
            input=msgspec.json.encode(self._told(n, digest, body)), output=msgspec.json.encode(message),
            began_us=began_us, took_us=said.took_us, usage=said.usage, cost_pusd=said.cost_pusd,
            facts={"request": digest, "call_id": said.call_id, "finish": said.finish, "model": said.model, **facts},
        )  # fmt: skip

    def _told(self, n: int, digest: str, body: Json) -> Json:
        """A request as the journal has it: what is new in it. Answers and results of tools stand in steps of their own."""
        if not n:
            own: Json = {name: body[name] for name in ("model", "variables") if name in body}
            return {"digest": digest, **own, "messages": body["messages"]}
        new = body["messages"][self._n_told :]
        return {"digest": digest, "messages": [_brief(each) for each in new if each.get("role") != "assistant"]}


def _brief(message: Mapping[str, Any]) -> Json:
    if message.get("role") == "tool":
        return {"role": "tool", "tool_call_id": message.get("tool_call_id"), "n_characters": len(text_of(message.get("content")))}  # fmt: skip
    return dict(message)
