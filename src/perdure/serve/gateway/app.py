"""The gateway over HTTP: which path, whose key, which route; and what every call ends in, its record.

Paths of OpenAI's and Anthropic's APIs, so that clients keep their SDK and change one address. `serve.application` hands over the
requests of these paths; everything else is scoring's. Errors go out in the words of whoever called.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from perdure.assets.team import Team
from perdure.core.clock import machine_now, machine_us
from perdure.core.errors import BadRequest, Blocked, LimitReached, PerdureError, StoreFull, UpstreamError, WrongMethod
from perdure.core.ids import new_id
from perdure.core.settings import GatewaySettings
from perdure.engines.dialects.passthrough import Peek, peek
from perdure.engines.dialects.registry import inbound
from perdure.serve.boundary import contained_async
from perdure.serve.gateway import feedback
from perdure.serve.gateway.asking import Ask, affinity_of, check_address, chosen, route_of, secret_of, team_of
from perdure.serve.gateway.calling import CLIENT_GONE, Calls
from perdure.serve.gateway.continuing import check_own
from perdure.serve.gateway.counted import GatewayCounters
from perdure.serve.gateway.endpoints import ENDPOINTS, Endpoint
from perdure.serve.gateway.errors import error_reply
from perdure.serve.gateway.keys import authenticate, still_good
from perdure.serve.gateway.ongoing import Ongoing
from perdure.serve.gateway.prompting import PREFIX, Caller, Prompting
from perdure.serve.gateway.stopping import is_stop, stopped
from perdure.serve.live import Live
from perdure.serve.routing import ServingTable
from perdure.serve.scoring.http import (
    ClientGone,
    Receive,
    Reply,
    Scope,
    Send,
    check_media,
    json_reply,
    read_body_within,
    send_reply,
)
from perdure.serve.waits import Waits
from perdure.stores.capture.protocols import CaptureWriter
from perdure.stores.ledger.protocols import Key

log = logging.getLogger("perdure.serve")

FEEDBACK = "/v1/feedback"
PATHS = frozenset({*ENDPOINTS, FEEDBACK})
"""What the gateway answers; `/v1/models` it shares with scoring."""
EVALS = "evals"
"""Name of the team whose calls are evals': they are on record under an arm of their own, and no client's traffic."""
EVAL_ARM = "eval"
_RANKS = 4
"""Priorities that are told apart when load is shed."""
_SHED_FROM = 7
"""Tenths of `max_calls` at which calls of priority 0 are turned away; each priority has a tenth more, to the whole."""


@dataclass(frozen=True, slots=True, eq=False)
class GatewayParts:
    """What the gateway works with."""

    routes: Mapping[str, object]
    """Declared routes by name."""
    prompting: Prompting
    teams: Mapping[str, Team]
    live: Live
    writer: CaptureWriter
    next_id: Callable[[], str]
    calls: Calls
    counters: GatewayCounters
    settings: GatewaySettings
    now_us: Callable[[dict[bytes, bytes]], int]
    """Domain time of a request: the machine's, or in a replay the request's own."""


class RunModels(Protocol):
    """Agents and graphs, asked as models of chat completions."""

    def takes(self, model: str) -> bool:
        """Whether a model's name is of one."""
        ...

    def listed(self, team: Team, serving: ServingTable) -> list[str]:
        """Those that a team may ask, as it names them."""
        ...

    async def check_own(self, runs: Iterable[str], key: Key) -> None:
        """Refuse where one of the ids is a run of another team than the key's, which is no administrator's either."""
        ...

    async def answer(
        self, found: Peek, of: tuple[Key, Team], headers: dict[bytes, bytes], receive: Receive, send: Send
    ) -> None:
        """Answer a chat; what it raises was raised before anything went out."""
        ...


class GatewayApp:
    """Calls of generative models over HTTP."""

    def __init__(self, parts: GatewayParts) -> None:
        self._parts = parts
        self.runs: RunModels | None = None
        """Answers chats with agents and graphs; None where none is declared."""
        self._slow = Waits(parts.settings.body_seconds)

    def beside(self, live: Live, teams: Mapping[str, Team]) -> GatewayApp:
        """The same gateway over another table in force, for other keys and teams: what asks within this process, as shadows of runs do."""
        return GatewayApp(replace(self._parts, live=live, teams=teams))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request of one of the gateway's paths."""
        endpoint = ENDPOINTS.get(scope["path"])
        try:
            if endpoint is None:
                await self._feedback(scope, receive, send)
            else:
                await self._call(endpoint, scope, receive, send)
        except ClientGone:
            log.debug("A client hung up before its request was whole.")

    async def _call(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        parts, counters = self._parts, self._parts.counters
        call = Ongoing("c" + parts.next_id()[1:], endpoint, machine_us())
        call.told = scope.get("perdure.told")
        counters.n_under_way += 1
        try:
            await contained_async(
                lambda: self._answer(call, scope, receive, send), lambda error: self._refuse(call, error, send)
            )
        except (asyncio.CancelledError, ClientGone) as error:
            if is_stop(error) and not (call.started or call.recorded):
                await self._refuse(call, stopped(), send)
                return
            call.status, call.outcome = CLIENT_GONE, "cancelled"
            parts.calls.finish(call)
            raise
        finally:
            counters.n_under_way -= 1

    async def _answer(self, call: Ongoing, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        key, team = self._caller(call, scope, headers)
        try:
            found = await self._peeked(call, headers, receive)
            # What asks within this process is a run itself: one below it is begun as that, and counted in its limits.
            runs = self.runs if call.endpoint.name == "chat" and "perdure.key" not in scope else None
            if runs is not None and runs.takes(found.model):
                call.recorded = True  # its run is its record, and each call of a model within it is one of its own
                await runs.answer(found, (key, team), headers, receive, send)
                return
            ask = self._read(call, (key, team), headers, found)
        except PerdureError as error:
            if error.status < 500:  # the caller's own mistake: who makes them without end is told to slow down
                await self._parts.calls.settling.count(call, team, key)
            raise
        await self._parts.calls.answer(ask, receive, send)

    def _caller(self, call: Ongoing, scope: Scope, headers: Mapping[bytes, bytes]) -> tuple[Key, Team]:
        """Who calls.

        Raises:
            PerdureError: nobody who may, or there is no room for more calls now.
        """
        parts, endpoint = self._parts, call.endpoint
        if scope["method"] != "POST":
            raise WrongMethod(f"{endpoint.path} does not answer {scope['method']}.", hint="Use POST.", allowed=["POST"])
        key = _key(parts.live, scope, headers)
        call.key, call.team = key.id, key.team
        team = team_of(key, parts.teams)
        self._shed(team)
        return key, team

    async def _peeked(self, call: Ongoing, headers: dict[bytes, bytes], receive: Receive) -> Peek:
        """What decides about a request.

        Raises:
            PerdureError: it cannot be read.
        """
        check_media(headers)
        body = await self._body(headers, receive)
        call.served_us = self._parts.now_us(headers)
        return peek(body)

    def _read(self, call: Ongoing, of: tuple[Key, Team], headers: dict[bytes, bytes], found: Peek) -> Ask:
        """The call as it was asked for.

        Raises:
            PerdureError: it is not allowed, or cannot be recorded.
        """
        parts, endpoint, (key, team) = self._parts, call.endpoint, of
        call.stream = found.stream and endpoint.streams
        call.tag(found.metadata)
        tags = headers.get(b"perdure-tags")
        if tags is not None:
            call.tag_by(tags)
        parent = headers.get(b"traceparent")
        if parent is not None:
            call.trace(parent)
        serving = parts.live.serving
        if found.model.startswith(PREFIX):
            found = parts.prompting.rendered(found, call, Caller(key, team, headers), serving)
            name = found.model
        else:
            name = route_of(found.model, team, serving, parts.routes)
        assert serving is not None
        call.route = name
        call.generation = serving.table.generation
        champion = serving.servables[serving.table.routes[name].champion.version]
        call.affinity = affinity_of(champion, found, headers, key)
        arm, route = chosen(name, serving, call.affinity)
        call.arm, call.version, call.bodies = arm.name, arm.version, route.bodies
        if team.name == EVALS:
            call.arm = EVAL_ARM
        if endpoint.name == "responses" and not route.continues and len(parts.teams) > 1:
            check_own(found.raw)
        if not parts.writer.has_room():
            raise StoreFull(
                "This call could not be recorded: the disk of the captures is full.",
                hint="Make room; nothing was called.",
            )
        return Ask(call, endpoint, inbound(endpoint.dialect), found, key, team, route, serving, headers)

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        return await read_body_within(headers, receive, self._parts.settings.max_body_bytes, self._slow)

    def _shed(self, team: Team) -> None:
        """Turn calls away before too many are under way, those of the lowest priority first.

        Raises:
            LimitReached: there is no room for this priority now.
        """
        most, under_way = self._parts.settings.max_calls, self._parts.counters.n_under_way
        rank = min(max(team.priority, 0), _RANKS - 1)
        if under_way > most * (_SHED_FROM + rank) // 10:
            error = LimitReached("The gateway has as many calls under way as it takes.", hint="Try again in a second.")
            error.delay_s = 1.0
            raise error

    async def _refuse(self, call: Ongoing, error: Exception, send: Send) -> None:
        """Tell an error that came before anything went out, and record the call.

        Raises:
            ClientGone: there is nobody to tell.
        """
        if isinstance(error, ClientGone):
            raise error
        told = _told(error)
        if call.started:
            # Half an answer is out: ending without its end breaks the connection, so nobody takes it for whole.
            call.outcome = "cut"
            self._parts.calls.finish(call)
            return
        reply = error_reply(told, inbound(call.endpoint.dialect), call.id)
        call.status = reply.status
        call.outcome = call.outcome or _outcome(told)
        self._parts.calls.finish(call)
        await send_reply(send, reply)

    async def _feedback(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = self._parts
        headers = dict(scope["headers"])

        async def take() -> Reply:
            if scope["method"] != "POST":
                raise WrongMethod(f"{FEEDBACK} does not answer {scope['method']}.", hint="Use POST.", allowed=["POST"])
            key = _key(parts.live, scope, headers)
            check_media(headers)
            body = await self._body(headers, receive)
            rows = feedback.read(body)
            if self.runs is not None:
                await self.runs.check_own({row.of for row in rows}, key)
            n = feedback.record(rows, key.id, parts.now_us(headers), parts.writer)
            return json_reply(202, {"accepted": n})

        async def refuse(error: Exception) -> Reply:
            if isinstance(error, ClientGone):
                raise error
            return error_reply(_told(error), inbound("openai"), "")

        await send_reply(send, await contained_async(take, refuse))

    def models(self, headers: Mapping[bytes, bytes], query: bytes) -> list[dict[str, object]]:
        """The routes, prompts, agents and graphs that a key may call, as OpenAI lists models; none without a key.

        Raises:
            Unauthorized: the key is not known.
            BadRequest: it stands in the address.
        """
        check_address(query)
        parts, serving = self._parts, self._parts.live.serving
        if serving is None or not (b"authorization" in headers or b"x-api-key" in headers):
            return []
        team = team_of(authenticate(parts.live.keys, secret_of(headers, query), machine_now()), parts.teams)
        served = [name for name in parts.routes if name in serving.table.routes and team.may_call(name)]
        served += parts.prompting.listed(team, serving)
        served += [] if self.runs is None else self.runs.listed(team, serving)
        return [{"id": name, "object": "model", "created": 0, "owned_by": "perdure"} for name in served]


def _key(live: Live, scope: Scope, headers: Mapping[bytes, bytes]) -> Key:
    """Whose key a request comes with: its secret, or within this process the record itself.

    A run goes on days after it was asked for, when nobody holds its caller's secret any more. What asks in this process says so
    by `scope["perdure.key"]`, which no HTTP server sets: no header, path or query gets there. The key has to be good still.

    Raises:
        Unauthorized: it is not known, was revoked, or is over.
    """
    acting = scope.get("perdure.key")
    if acting is None:
        return authenticate(live.keys, secret_of(headers, scope["query_string"]), machine_now())
    return still_good(live.keys, acting, machine_now())


def _outcome(error: PerdureError) -> str:
    if isinstance(error, Blocked):
        return "blocked"
    return "failed" if isinstance(error, UpstreamError) or error.status >= 500 else "refused"


def _told(error: Exception) -> PerdureError:
    """The error as it may be told: one that nobody meant to raise goes by an id only."""
    if isinstance(error, PerdureError):
        return error
    if isinstance(error, RecursionError):
        return BadRequest("The request is nested too deeply.", hint="Send a flatter one.")
    error_id = new_id("err")
    log.error("A call failed (%s).", error_id, exc_info=error)
    return PerdureError(
        "The call failed by a defect of the gateway.", hint=f"Its log has the details under {error_id}."
    )
