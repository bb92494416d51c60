"""Indexes over HTTP: `/v1/indexes`, what is served of one, searches, answers, and documents that are pushed.

`serve.application` hands over the requests of these paths. Errors go out as scoring's do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from perdure.assets.documents import Pushed
from perdure.assets.index import Index
from perdure.assets.team import Team
from perdure.core.errors import NotFound, Refused
from perdure.engines.retrieval.searching.digests import served
from perdure.serve.boundary import contained_async
from perdure.serve.live import Live
from perdure.serve.retrieval.answering import Answering
from perdure.serve.retrieval.asked import AnswerBody, SearchBody, read
from perdure.serve.retrieval.callers import Caller, allowed, caller_of
from perdure.serve.retrieval.inprocess import Declined
from perdure.serve.retrieval.pushing import Pushing
from perdure.serve.retrieval.searching import Searching
from perdure.serve.retrieval.told import told_found, told_served
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

log = logging.getLogger("perdure.serve")

PATH = "/v1/indexes"
PATHS = (
    PATH,
    f"{PATH}/NAME",
    f"{PATH}/NAME/search",
    f"{PATH}/NAME/answer",
    f"{PATH}/NAME/served",
    f"{PATH}/NAME/documents/ID",
)
"""As errors name them."""
_VERBS = ("search", "answer", "served", "documents")
_OF_ALL = ("n_documents", "n_chunks", "n_bytes", "last_error", "compared")
"""Of what is served: told of all documents, whoever may read them; and what went wrong, which names files."""
_BODY_S = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class RetrievalParts:
    """What indexes over HTTP work with.

    Args:
        indexes: declared, by name.
        teams: declared, by name; none: nobody is told apart.
        live: the table in force, and callers' keys.
        searching: runs searches.
        answering: asks models about what is found.
        pushing: takes documents.
        max_body_bytes: of a search.
        now_us: domain time of a request.
    """

    indexes: Mapping[str, Index]
    teams: Mapping[str, Team]
    live: Live
    searching: Searching
    answering: Answering
    pushing: Pushing
    max_body_bytes: int
    now_us: Callable[[dict[bytes, bytes]], int]


class RetrievalApp:
    """Indexes over HTTP."""

    def __init__(self, parts: RetrievalParts) -> None:
        self._parts = parts
        self._slow = Waits(_BODY_S)

    def takes(self, path: str) -> bool:
        """Whether a path is one of these."""
        return path == PATH or path.startswith(PATH + "/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        name, _, rest = scope["path"][len(PATH) + 1 :].partition("/")
        verb, _, id_ = rest.partition("/")
        request = _Request(scope, receive, name, verb, id_ if "/" in rest else None)
        try:
            reply = await contained_async(lambda: self._reply(request), _failure)
        except ClientGone:
            log.debug("A client hung up before its request was whole.")
            return
        known = name if name in self._parts.indexes else ""
        # Whoever asks says what stands in a path: a label of what he says would be as many as he likes.
        purpose = "list" if not verb else verb if verb in _VERBS else "unknown"
        self._parts.searching.counters.count(known, purpose, reply.status)
        await send_reply(send, reply)

    async def _reply(self, request: _Request) -> Reply:
        scope, parts = request.scope, self._parts
        headers = dict(scope["headers"])
        caller = caller_of(parts.live, parts.teams, headers, scope["query_string"])
        if not request.name:
            check_method(scope, "GET")
            mine = [name for name in parts.indexes if caller.may_search(name)]
            return json_reply(200, {"indexes": [self._served(name, caller) for name in mine]})
        name = allowed(request.name, list(parts.indexes), caller)
        if not request.verb:
            check_method(scope, "GET")
            return json_reply(200, self._served(name, caller))
        if request.verb == "documents" and request.id:
            return await self._document(request, name, caller, headers)
        if request.verb == "served" and request.id is None:
            check_method(scope, "GET")
            _check_reads_all(caller, name)
            return json_reply(200, await asyncio.to_thread(self._sums, name, caller))
        if request.id is not None or request.verb not in ("search", "answer"):
            raise NotFound(f"There is no path {scope['path'][:200]!r}.", hint=f"Known: {', '.join(PATHS)}.")
        check_method(scope, "POST")
        check_media(headers)
        body = await read_body_within(headers, request.receive, parts.max_body_bytes, self._slow)
        served_us = parts.now_us(headers)
        if request.verb == "search":
            return await self._search(name, read(body, SearchBody), caller, headers, served_us)
        asked = await self._reworded(read(body, AnswerBody), headers, name)
        return json_reply(200, await parts.answering.answer(name, asked, caller, headers, served_us))

    async def _search(
        self, name: str, body: SearchBody, caller: Caller, headers: dict[bytes, bytes], served_us: int
    ) -> Reply:
        asked = await self._reworded(body, headers, name)
        answered = await self._parts.searching.search(name, asked, caller, served_us)
        told = told_found(answered.served, answered.search, answered.found, answered.id)
        if asked.others:
            told["wordings"] = [each for each in (asked.query, *asked.others) if each]
        return json_reply(200, told)

    async def _reworded(self, body: Any, headers: dict[bytes, bytes], name: str) -> Any:
        return await self._parts.answering.rewritten(body, headers, name) if body.rewrite else body

    async def _document(self, request: _Request, name: str, caller: Caller, headers: dict[bytes, bytes]) -> Reply:
        parts = self._parts
        check_method(request.scope, "PUT", "DELETE")
        caller.check_write(name)
        if not isinstance(parts.indexes[name].documents, Pushed):
            raise Refused(
                f"Documents of index {name!r} come from a {type(parts.indexes[name].documents).__name__}.",
                hint="Change them there; only an index of Pushed() takes documents over HTTP.",
            )
        assert request.id is not None
        now_us = parts.now_us(headers)
        if request.scope["method"] == "DELETE":
            there = await asyncio.to_thread(parts.pushing.delete, name, request.id, now_us)
            if not there:
                raise NotFound(f"Index {name!r} has no document {request.id[:200]!r}.", hint="It may be gone already.")
            return json_reply(202, {"id": request.id, "deleted": True})
        body = await read_body_within(headers, request.receive, parts.pushing.max_bytes, self._slow)
        token = await asyncio.to_thread(parts.pushing.put, name, request.id, headers, body, now_us)
        return json_reply(202, {"id": request.id, "token": token})

    def _served(self, name: str, caller: Caller) -> dict[str, Any]:
        """What is served of an index, arm by arm; nothing where no version of it is. How much it is, for who may read all of it."""
        told: dict[str, Any] = {"name": name, "fields": dict(self._parts.indexes[name].fields)}
        serving = self._parts.live.serving
        if serving is None or name not in serving.table.routes:
            why = self._parts.live.status.left_out.get(name) if caller.groups is None else None
            return {**told, "served": [], "why": None if why is None else why.get("message")}
        route = serving.table.routes[name]
        arms = [told_served(serving.servables[arm.version], arm.name, arm.share) for arm in route.every_arm()]
        if caller.groups is not None:
            arms = [{member: each for member, each in arm.items() if member not in _OF_ALL} for arm in arms]
        return {**told, "served": arms}

    def _sums(self, name: str, caller: Caller) -> list[dict[str, Any]]:
        """What memory really holds, version by version, for a census to hold against the store."""
        serving, route = self._parts.searching.route(name, caller)
        told = []
        for version in dict.fromkeys(arm.version for arm in route.every_arm()):
            held = serving.servables[version].held
            sums = None if held.searcher is None else msgspec.to_builtins(served(held.searcher))
            told.append({"version": version, "generation": held.generation.number, "sums": sums})
        return told


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    scope: Scope
    receive: Receive
    name: str
    verb: str
    id: str | None


def _check_reads_all(caller: Caller, name: str) -> None:
    if caller.groups is not None:
        raise Refused(
            f"What memory holds of {name!r} adds up what others may read, too.",
            hint='Ask by a key of a team that may read all: Team(..., reads=("*",)).',
        )


async def _failure(error: Exception) -> Reply:
    """The answer to an error; what the gateway declined goes on as it said it."""
    if isinstance(error, ClientGone):
        raise error
    if isinstance(error, Declined):
        return error.reply
    return failure_reply(error, "A request to an index")
