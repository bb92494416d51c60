"""Runs over HTTP: begun at `/v1/agents/NAME/runs` and `/v1/graphs/NAME/runs`, looked at, followed, called off and answered at `/v1/runs`.

`serve.application` hands over the requests of these paths. Errors go out as scoring's do. Who sees a run: the team that asked for it, and
keys of administrators; everybody where no team is declared.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from perdure.core.errors import BadRequest, NotFound
from perdure.core.runs import RunKind
from perdure.serve.boundary import contained_async
from perdure.serve.retrieval.callers import Caller, caller_of
from perdure.serve.runs.answering import Answering
from perdure.serve.runs.asking import Json, query_of, wanted_of
from perdure.serve.runs.beginning import Beginning
from perdure.serve.runs.following import Following
from perdure.serve.runs.hearing import Listening
from perdure.serve.runs.running import Runtime
from perdure.serve.runs.showing import shown_run, shown_step, shown_wait
from perdure.serve.runs.streaming import BEAT, Draining, Stream, event_bytes, waited
from perdure.serve.runs.versions import RunVersions
from perdure.serve.scoring.http import (
    ClientGone,
    Receive,
    Reply,
    Scope,
    Send,
    check_media,
    check_method,
    failure_reply,
    json_reply,
    read_body_within,
    send_reply,
)
from perdure.serve.waits import Waits
from perdure.stores.runs.protocols import Told

RUNS = "/v1/runs"
_ROOTS: dict[str, RunKind] = {"/v1/agents": "agent", "/v1/graphs": "graph"}
PATHS = (
    *(f"{root}{rest}" for root in _ROOTS for rest in ("", "/NAME", "/NAME/runs")),
    RUNS,
    *(f"{RUNS}/{rest}" for rest in ("ID", "ID/events", "ID/cancel", "waiting", "waits/ID")),
)
"""As errors name them."""
RUN_ID = b"perdure-run-id"
_BODY_S = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class RunsParts:
    """What runs over HTTP work with.

    Args:
        runtime: of this process.
        versions: agents and graphs that it serves.
        beginning: begins runs.
        answering: questions to people.
        draining: what is waited for and followed here.
        wait_s: that an answer is waited for, where a request does not say.
        max_body_bytes: of a request.
    """

    runtime: Runtime
    versions: RunVersions
    beginning: Beginning
    answering: Answering
    draining: Draining
    wait_s: float
    max_body_bytes: int


class _Told(Exception):
    """The answer went out already."""


class RunsApp:
    """Runs over HTTP."""

    def __init__(self, parts: RunsParts) -> None:
        self._parts = parts
        self._slow = Waits(_BODY_S)

    @property
    def draining(self) -> Draining:
        """What is waited for and followed here."""
        return self._parts.draining

    def takes(self, path: str) -> bool:
        """Whether a path is one of these."""
        return any(path == root or path.startswith(f"{root}/") for root in (*_ROOTS, RUNS))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        try:
            reply = await contained_async(lambda: self._reply(scope, receive, send), _failure)
        except (ClientGone, _Told):
            return
        await send_reply(send, reply)

    async def _reply(self, scope: Scope, receive: Receive, send: Send) -> Reply:
        parts, headers = self._parts, dict(scope["headers"])
        versions = parts.versions
        caller = caller_of(versions.live, versions.teams, headers, scope["query_string"])
        asked = _Asked(scope, receive, send, headers, caller)
        root, rest = "/".join(scope["path"].split("/")[:3]), scope["path"].split("/")[3:]
        match rest:
            case [] | [""] if root in _ROOTS:
                check_method(scope, "GET")
                mine = versions.mine(_ROOTS[root], caller)
                return json_reply(200, {root[4:]: [self._served(_ROOTS[root], each) for each in mine]})
            case [name] if root in _ROOTS:
                check_method(scope, "GET")
                return json_reply(200, self._served(_ROOTS[root], versions.allowed(_ROOTS[root], name, caller)))
            case [name, "runs"] if root in _ROOTS:
                check_method(scope, "POST")
                return await self._begin(_ROOTS[root], name, asked)
            case [] | [""]:
                check_method(scope, "GET")
                return await self._list(asked)
            case ["waiting"]:
                check_method(scope, "GET")
                found = await parts.answering.waiting(self._team(caller))
                return json_reply(200, {"waits": [shown_wait(each) for each in found]})
            case ["waits", wait]:
                check_method(scope, "POST")
                body = await self._body(asked)
                return json_reply(200, shown_wait(await parts.answering.answer(wait, body, caller)))
            case [run, *verb] if root == RUNS:
                return await self._run(run, "/".join(verb), asked)
        raise NotFound(f"There is no path {scope['path'][:200]!r}.", hint=f"Known: {', '.join(PATHS)}.")

    async def _run(self, run: str, verb: str, asked: _Asked) -> Reply:
        told = await self._told(run, asked.caller)
        if verb == "":
            check_method(asked.scope, "GET")
            return json_reply(200, shown_whole(told))
        if verb == "cancel":
            check_method(asked.scope, "POST")
            return json_reply(200, shown_run(await self._parts.runtime.cancel(run)))
        if verb == "events":
            check_method(asked.scope, "GET")
            query_of(asked.scope["query_string"], ())
            after = asked.headers.get(b"last-event-id", b"-1").decode("latin-1").strip()
            if not after.removeprefix("-").isdecimal():
                raise BadRequest("The header `Last-Event-ID` is no number.", hint="Send the id of the last event.")
            following = Following(self._parts.runtime, run, int(after[:9]), self._parts.wait_s)
            await self._stream(following, None, asked)
        raise NotFound(f"There is no path {asked.scope['path'][:200]!r}.", hint=f"Known: {', '.join(PATHS)}.")

    async def _begin(self, kind: RunKind, name: str, asked: _Asked) -> Reply:
        parts = self._parts
        body = parts.beginning.read(await self._body(asked))
        begun = await parts.beginning.begin((kind, name), body, asked.caller, asked.headers, listens=body.stream)
        run = begun.run.id
        called_off = partial(parts.runtime.cancel, run, "Whoever asked for it hung up.")
        wait_s = parts.wait_s if body.wait_s is None else body.wait_s
        if body.stream:
            following = Following(parts.runtime, run, waits_s=wait_s)
            stream = await self._stream_of(following, begun.listening, asked)
            if stream.is_gone and body.cancel_on_disconnect:
                await called_off()
            raise _Told
        found = await waited(parts.runtime, run, wait_s, asked.receive, parts.draining)
        if found is None:
            if body.cancel_on_disconnect:
                await called_off()
            raise ClientGone
        own = [(RUN_ID, run.encode()), (b"location", f"{RUNS}/{run}".encode())]
        if not begun.is_new:
            own.append((b"idempotency-replayed", b"true"))
        shown = shown_run(found) if found.status != "waiting" else _with_waits(await parts.runtime.get(run))
        reply = json_reply(200 if found.ended else 202, shown)
        return Reply(reply.status, reply.body, [*reply.headers, *own])

    async def _stream(self, following: Following, listening: Listening | None, asked: _Asked) -> None:
        await self._stream_of(following, listening, asked)
        raise _Told

    async def _stream_of(self, following: Following, listening: Listening | None, asked: _Asked) -> Stream:
        stream = Stream(following, asked.receive, asked.send, self._parts.draining)
        await stream.begin((RUN_ID, following.run.encode()))

        async def told() -> None:
            async for event in stream.events(listening):
                await stream.send(BEAT if event is None else event_bytes(event))

        async def failed(error: Exception) -> None:
            reply = await _failure(error)
            await stream.send(b"event: error\ndata: %s\n\n" % reply.body)

        await contained_async(told, failed)
        if not stream.is_gone:
            await stream.end()
        return stream

    async def _list(self, asked: _Asked) -> Reply:
        wanted = wanted_of(asked.scope["query_string"], self._team(asked.caller))
        found = await self._parts.runtime.list(wanted)
        more = found[-1].id if len(found) == wanted.limit else None
        return json_reply(200, {"runs": [shown_run(each) for each in found], "next": more})

    async def _told(self, run: str, caller: Caller) -> Told:
        """A run that the caller may see.

        Raises:
            NotFound: there is none.
        """
        told = await self._parts.runtime.get(run)
        team = self._team(caller)
        if team is not None and told.run.team != team:
            raise NotFound(f"There is no run {run[:80]!r}.", hint="perdure agent runs lists them.")
        return told

    def _team(self, caller: Caller) -> str | None:
        """Whose runs a caller sees; None: everybody's."""
        if caller.team is None or (caller.record is not None and caller.record.admin):
            return None
        return caller.team.name

    async def _body(self, asked: _Asked) -> bytes:
        check_media(asked.headers)
        return await read_body_within(asked.headers, asked.receive, self._parts.max_body_bytes, self._slow)

    def _served(self, kind: RunKind, name: str) -> Json:
        """What answers for an agent or graph, arm by arm; nothing where no version of it does."""
        live = self._parts.versions.live
        serving = live.serving
        route = None if serving is None else serving.table.routes.get(name)
        if route is None:
            why = live.status.left_out.get(name)
            return {"name": name, "kind": kind, "served": [], "why": None if why is None else why.get("message")}
        arms = [{"name": arm.name, "version": arm.version, "share": arm.share} for arm in route.every_arm()]
        return {"name": name, "kind": kind, "served": arms}


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    scope: Scope
    receive: Receive
    send: Send
    headers: dict[bytes, bytes]
    caller: Caller


def shown_whole(told: Told) -> Json:
    """A run with its steps and questions."""
    steps = [shown_step(each) for each in told.steps]
    return {**shown_run(told.run), "steps": steps, "waits": [shown_wait(each) for each in told.waits]}


def _with_waits(told: Told) -> Json:
    """A run with the questions that are open."""
    return {**shown_run(told.run), "waits": [shown_wait(each) for each in told.waits if each.answer is None]}


async def _failure(error: Exception) -> Reply:
    """The answer to an error; none where nobody hears it, or heard all already."""
    if isinstance(error, ClientGone | _Told):
        raise error
    return failure_reply(error, "A request for a run")
