"""Asks the routes' fixed questions on schedule, so that a model that changed behind its name is seen.

One task beside the calls of a process. Time is cut into slots of the route's own period; whoever takes the slot's bucket from
the shared counters asks the suite, so that of many processes and hosts one does. Every target that a pointer's version names, or that
the route declares, is asked once, past breakers, limits, guards and caches: what is measured is the upstream. One that rests or was
left out is asked too, or nobody would see that it is well again. What comes is recorded as calls of the arm `probe`, with
what it cost.

What surprised us: a slot that is given back when its holder dies would be asked twice, and a suite that is missed once harms
nobody. So a slot is used up the moment it is taken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import msgspec

from perdure.core.clock import machine_us, monotonic_s
from perdure.core.errors import PerdureError, StoreError, UpstreamError
from perdure.core.usage import Usage
from perdure.engines.dialects.estimate import tokens_of_bytes
from perdure.engines.guards.protocols import Compiled
from perdure.engines.prices import cost_pusd
from perdure.serve.boundary import contained_async
from perdure.serve.gateway.counted import GatewayCounters
from perdure.serve.gateway.endpoints import ENDPOINTS
from perdure.serve.gateway.errors import of_upstream
from perdure.serve.gateway.ongoing import Ongoing
from perdure.serve.gateway.relaying import finish_of
from perdure.serve.gateway.routes import LiveRoute, LiveTarget
from perdure.serve.live import Live
from perdure.stores.capture.events import Attempt
from perdure.stores.capture.protocols import CaptureWriter
from perdure.stores.counters.protocols import Claim, Counters

log = logging.getLogger("perdure.serve")

ARM = "probe"
AT_ONCE = 2
"""Questions under way in one process."""
POLL_S = 15.0
_UNTIL_SERVED_S = 0.2
"""The first table comes moments after the server starts."""
_MAX_BYTES = 4_000_000
_CHAT = ENDPOINTS["/v1/chat/completions"]
_CLIENTS_FAULT = frozenset({400, 404, 405, 413, 415, 422})
"""Statuses by which an upstream finds fault with the question: nothing is wrong with its answering."""


@dataclass(frozen=True, slots=True, eq=False)
class Asking:
    """What a question needs and where its answer is counted.

    Args:
        redactor: masks what records keep.
        declared: a route's name → the targets that it declares, whether a version names them or not.
        counters: for Prometheus; added to on the serving thread only.
    """

    redactor: Compiled
    declared: Callable[[str], Sequence[LiveTarget]]
    counters: GatewayCounters


@dataclass(frozen=True, slots=True, eq=False)
class ProbingParts:
    """What the prober works with.

    Args:
        live: the table in force.
        writer: where records go; used on the serving thread only.
        next_id: makes ids of calls.
        asking: what a question needs.
        open_counters: the store of slots; opened when the first route with probes is seen.
        threads: where that store is asked.
        owner: names this process.
    """

    live: Live
    writer: CaptureWriter
    next_id: Callable[[], str]
    asking: Asking
    open_counters: Callable[[], Counters]
    threads: Executor
    owner: str


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """One question to one target."""

    route: LiveRoute
    target: LiveTarget
    generation: int
    told: Mapping[str, Any]


@dataclass(slots=True, eq=False)
class Prober:
    """Asks every suite that is due; one a process."""

    parts: ProbingParts
    _asked: dict[str, int] = field(default_factory=dict)
    """Route → the newest slot that is taken, by us or by others."""
    _counters: Counters | None = None

    async def run(self) -> None:
        """Until it is cancelled. Whatever a round meets, calls and later rounds go on."""
        while True:
            await contained_async(lambda: self.round(machine_us()), _told)
            await asyncio.sleep(POLL_S if self.parts.live.serving is not None else _UNTIL_SERVED_S)

    async def round(self, now_us: int) -> int:
        """Ask every suite whose slot nobody has taken yet; returns how many questions were asked.

        Args:
            now_us: domain time.
        """
        n_asked = 0
        for route in self._probed():
            assert route.probes is not None
            every_us = max(1, int(float(route.probes["every_s"]) * 1e6))
            slot = now_us // every_us
            if self._asked.get(route.name) == slot or not self.parts.writer.has_room():
                continue
            loop = asyncio.get_running_loop()
            try:
                mine = await loop.run_in_executor(self.parts.threads, self._take, route.name, slot, every_us, now_us)
            except StoreError:
                continue  # the store is away: asked again in the next round
            self._asked[route.name] = slot
            if mine:
                n_asked += await self._ask_all(route, now_us)
        return n_asked

    def close(self) -> None:
        """Let go of the store of slots."""
        if self._counters is not None:
            self._counters.close()

    def _probed(self) -> Iterator[LiveRoute]:
        """The champions that declare probes."""
        serving = self.parts.live.serving
        if serving is None:
            return
        for each in serving.table.routes.values():
            found = serving.servables.get(each.champion.version)
            if isinstance(found, LiveRoute) and found.probes:
                yield found

    def _take(self, route: str, slot: int, every_us: int, now_us: int) -> bool:
        """Whether the slot is ours; on a thread, since the store is asked."""
        if self._counters is None:
            self._counters = self.parts.open_counters()
        bucket, ends_us = f"probe/{route}/{slot}", (slot + 1) * every_us
        hold = f"{bucket}/{self.parts.owner}"
        claim = Claim(bucket, 1, 1, ends_us)
        granted = self._counters.take(hold, [claim], owner=self.parts.owner, now_us=now_us, expires_us=ends_us, step=1)
        if granted.ok:
            self._counters.settle(hold, {bucket: 1}, now_us=now_us)
        return granted.ok

    async def _ask_all(self, champion: LiveRoute, now_us: int) -> int:
        room = asyncio.Semaphore(AT_ONCE)

        async def ask(question: _Question) -> None:
            async with room:
                await self._ask(question, now_us)

        questions = list(self._questions(champion))
        await asyncio.gather(*(ask(question) for question in questions))
        return len(questions)

    def _questions(self, champion: LiveRoute) -> Iterator[_Question]:
        """Every question to every target, each target once: the champion's, those of trials, those that were left out."""
        serving = self.parts.live.serving
        if serving is None or champion.probes is None:
            return
        routes = [serving.servables.get(arm.version) for arm in serving.table.routes[champion.name].every_arm()]
        asked: dict[str, tuple[LiveRoute, LiveTarget]] = {}
        for route in routes:
            if isinstance(route, LiveRoute):
                for target in route.targets:
                    asked.setdefault(target.id, (route, target))
        for target in self.parts.asking.declared(champion.name):
            asked.setdefault(target.id, (champion, target))
        for route, target in asked.values():
            for told in champion.probes["questions"]:
                yield _Question(route, target, serving.table.generation, told)

    async def _ask(self, question: _Question, now_us: int) -> None:
        """Ask one question of one target, and record the call whatever became of it."""
        call = Ongoing("c" + self.parts.next_id()[1:], _CHAT, now_us)
        call.route, call.version, call.arm = question.route.name, question.route.version, ARM
        call.generation = question.generation
        call.tags = {"probe": str(question.told["name"]), "target": question.target.id}
        call.outcome = "failed"
        attempt = Attempt(question.target.id, 0, 0, 0, 0)
        call.attempts.append(attempt)
        try:
            await self._try(call, attempt, question)
        except UpstreamError as error:
            attempt.error, call.status = error.code, error.status
        except PerdureError as error:  # the question cannot be said to this target
            call.outcome, call.status = "refused", error.status
        except asyncio.CancelledError:
            call.outcome, attempt.error = "cancelled", "cancelled"
            raise
        finally:
            attempt.took_us = call.elapsed_us()
            self._bill(call, attempt, question)
            self.parts.asking.counters.count_probe(call, question.target.id)
            self.parts.writer.append(call.record(*call.total()))

    async def _try(self, call: Ongoing, attempt: Attempt, question: _Question) -> None:
        """One try.

        Raises:
            UpstreamError: the upstream did not answer.
            BadRequest: its dialect cannot say the question.
        """
        route, target, upstream = question.route, question.target, question.target.upstream
        messages = [dict(message) for message in question.told["messages"]]
        params = {**route.params, **target.params, **question.told["params"]}
        request = {**params, "model": target.model, "messages": messages, "stream": False}
        call.request = self._kept(messages, route.bodies)
        outgoing = upstream.outbound.write(request, target.model, upstream.secret)
        pairs = {name.lower(): text for name, text in outgoing.headers.items()}
        pairs.setdefault("content-type", "application/json")
        headers = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in pairs.items()]
        answering = await upstream.client.send(
            upstream.prefix + outgoing.path, headers, outgoing.body, first_s=route.attempt_s, idle_s=route.idle_s
        )
        attempt.status = call.status = answering.status
        began_s = monotonic_s()
        body = await answering.read(_MAX_BYTES)
        if answering.status >= 400:
            failure = upstream.outbound.read_error(answering.status, body)
            if answering.status in _CLIENTS_FAULT:
                call.outcome = "refused"
                return
            raise of_upstream(failure, target.id)
        attempt.first_us = call.first_us = max(1, call.elapsed_us() - int((monotonic_s() - began_s) * 1e6))
        answer, attempt.usage = upstream.outbound.read(body)
        choices = answer.get("choices") or [{}]
        call.finish = finish_of(answer)
        said = [choice.get("message") or {} for choice in choices]
        call.answer, call.outcome = self._kept(said, route.bodies), "answered"

    def _bill(self, call: Ongoing, attempt: Attempt, question: _Question) -> None:
        """By the upstream's own count; by an estimate where it answered, or may have, and did not tell."""
        if attempt.usage is None:
            if attempt.status >= 400 or (attempt.status == 0 and attempt.error == "upstream"):
                return
            n_input = tokens_of_bytes(len(msgspec.json.encode(question.told["messages"])))
            attempt.usage = Usage(n_input=n_input, n_output=tokens_of_bytes(len(call.answer)), estimated=True)
        attempt.cost_pusd = cost_pusd(attempt.usage, question.target.price_at(call.served_us))

    def _kept(self, messages: list[dict[str, Any]], bodies: str) -> bytes:
        """Probes are our own questions: their answers are kept whatever the route's policy, masked unless it keeps all."""
        return msgspec.json.encode(messages if bodies == "full" else self.parts.asking.redactor.mask(messages).value)


async def _told(error: Exception) -> int:
    log.error("A round of probes failed: %s.", type(error).__name__, exc_info=error)
    return 0
