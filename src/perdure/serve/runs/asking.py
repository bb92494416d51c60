"""What runs are asked for over HTTP: bodies and queries, read and bounded, and the record that a run begins as.

Where a task is given in words and a graph takes an object, the words go where the graph's input has room for them: its member `task`, else
the only text that it needs and was not given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args
from urllib.parse import parse_qsl

import msgspec

from perdure.core.clock import machine_us
from perdure.core.errors import BadRequest, nearest
from perdure.core.ids import new_id
from perdure.core.runs import RunKind, RunRecord, RunStatus
from perdure.serve.retrieval.asked import decoded
from perdure.serve.retrieval.callers import Caller
from perdure.serve.routing import Arm
from perdure.serve.runs.children import PREFIX
from perdure.stores.runs.protocols import Wanted

Json = dict[str, Any]

MOST_WAIT_S = 300.0
"""That an answer may be waited for; longer runs are followed as events."""
MOST_PAGE = 200
_MOST_TAGS = 16
_LONGEST = 512
"""Characters of a tag, of a user, of an idempotency key."""
_LONGEST_REASON = 4_000
_EXPECTED = "expected"
_encode = msgspec.json.encode


class RunBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A run that is asked for."""

    input: Json | None = None
    """Of an agent the variables of its prompt, of a graph its input."""
    task: str = ""
    """In words; said to an agent as the user's last message."""
    messages: list[Json] = []
    """Earlier turns of the conversation."""
    expected: Any = None
    """What it should give, for the scorers of its `success`."""
    user: str = ""
    """On whose behalf; what a sticky share of a challenger goes by."""
    tags: dict[str, str] = {}
    wait_s: float | None = None
    """Seconds that the answer may be waited for."""
    stream: bool = False
    """Answer with events."""
    cancel_on_disconnect: bool = False
    """A client that hangs up calls the run off."""


class AnswerBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a person says of what waits."""

    approve: bool
    reason: str
    arguments: Json | None = None
    """Of an approval: these are used in the place of what was asked."""
    value: Any = None
    """Of an effect that happened: what it gave."""


def read_run(body: bytes) -> RunBody:
    """The body of a request for a run.

    Raises:
        BadRequest: it cannot be read, or breaks a bound.
    """
    found = decoded(body, RunBody)
    if found.wait_s is not None and not 0.0 <= found.wait_s <= MOST_WAIT_S:
        raise BadRequest(f"`wait_s` is {found.wait_s!r}.", hint=f"Give 0 to {MOST_WAIT_S:g} seconds.", param="wait_s")
    check_about(found.user, found.tags)
    return found


def check_about(user: str, tags: Mapping[str, str]) -> None:
    """Bounds of what a caller says of a run.

    Raises:
        BadRequest: one is broken.
    """
    if len(user) > _LONGEST:
        raise BadRequest(f"`user` has {len(user)} characters; {_LONGEST} are allowed.", param="user")
    if len(tags) > _MOST_TAGS or any(len(each) > _LONGEST for pair in tags.items() for each in pair):
        raise BadRequest(f"`tags` may be {_MOST_TAGS} texts of {_LONGEST} characters.", param="tags")


def read_answer(body: bytes) -> AnswerBody:
    """The body of an answer to a question.

    Raises:
        BadRequest: it cannot be read, or gives no reason.
    """
    found = decoded(body, AnswerBody)
    if not found.reason.strip() or len(found.reason) > _LONGEST_REASON:
        raise BadRequest(
            "An answer needs a reason.",
            hint=f"Say why, in 1 to {_LONGEST_REASON} characters; it is kept.",
            param="reason",
        )
    return found


def idempotency_of(headers: Mapping[bytes, bytes]) -> str:
    """The caller's own key for a request that he may send again; empty without one.

    Raises:
        BadRequest: it is too long, no printable ASCII, or begins as keys of runs below do.
    """
    told = headers.get(b"idempotency-key", b"").decode("latin-1").strip()
    if len(told) > _LONGEST or not (told.isascii() and (told.isprintable() or not told)) or told.startswith(PREFIX):
        raise BadRequest(
            "The header `Idempotency-Key` cannot be used.",
            hint=f"Send 1 to {_LONGEST} printable ASCII characters that do not begin with {PREFIX!r}.",
        )
    return told


def agent_input(body: RunBody) -> Json:
    """The input of an agent's run, as its driver reads it.

    Raises:
        BadRequest: nothing is asked.
    """
    if not body.task.strip() and not body.input and not body.messages:
        raise BadRequest("Nothing is asked.", hint="Say it as `task`, or give variables as `input`.", param="task")
    told: Json = {"task": body.task} if body.task else {}
    told |= {"input": body.input} if body.input is not None else {}
    told |= {"messages": body.messages} if body.messages else {}
    return told | ({_EXPECTED: body.expected} if body.expected is not None else {})


def graph_input(body: RunBody, schema: Mapping[str, Any]) -> Json:
    """The input of a graph's run; words of `task` are put where its input has room for them.

    Raises:
        BadRequest: there is room for words in no member, or in several.

    >>> schema = {"properties": {"text": {"type": "string"}, "lang": {"type": "string"}}, "required": ["text"]}
    >>> graph_input(RunBody(task="Where is it?", input={"lang": "en"}), schema)
    {'lang': 'en', 'text': 'Where is it?'}
    """
    given, known = dict(body.input or {}), schema.get("properties", {})
    if body.messages and "messages" in known:
        given.setdefault("messages", body.messages)
    if not body.task:
        return given
    needed = [name for name in schema.get("required", ()) if name not in given and known[name].get("type") == "string"]
    place = ["task"] if "task" in known else needed
    if len(place) != 1 or place[0] in given:
        raise BadRequest(
            "The graph's input has no one place for a task in words.",
            hint=f"Give its members as `input`: {', '.join(known) or 'none'}.",
            param="task",
        )
    return {**given, place[0]: body.task}


def tags_of(body: RunBody, kind: RunKind) -> dict[str, str]:
    """Tags of a run; the input of a graph is its own, so what is expected of it stands here, as JSON."""
    if kind == "agent" or body.expected is None:
        return dict(body.tags)
    return {**body.tags, _EXPECTED: _encode(body.expected).decode()}


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is to begin, as far as the request says it."""

    kind: RunKind
    asset: str
    arm: Arm
    given: Json
    user: str
    tags: Mapping[str, str]
    idempotency: str
    trace: str
    served_us: int


def run_of(wish: Wish, caller: Caller) -> RunRecord:
    """The record that a run begins as."""
    run = new_id("run")
    return RunRecord(
        id=run,
        kind=wish.kind,
        asset=wish.asset,
        version=wish.arm.version,
        arm=wish.arm.name,
        status="running",
        input=_encode(wish.given),
        idempotency=wish.idempotency,
        key=caller.key,
        team="" if caller.team is None else caller.team.name,
        user=wish.user,
        root=run,
        served_us=wish.served_us,
        began_us=machine_us(),
        trace=wish.trace,
        tags=wish.tags,
    )


def wanted_of(query: bytes, team: str | None) -> Wanted:
    """Which runs a list asks for: `agent`, `graph`, `status`, `before`, `limit`.

    Raises:
        BadRequest: a parameter that is not known, or has no such value.
    """
    told = query_of(query, ("agent", "graph", "status", "before", "limit"))
    if "agent" in told and "graph" in told:
        raise BadRequest("The query names an agent and a graph.", hint="Ask for one of them.")
    kind: Sequence[str] = [name for name in ("agent", "graph") if name in told]
    statuses = told["status"].split(",") if "status" in told else []
    known = get_args(RunStatus)
    if not all(each in known for each in statuses):
        raise BadRequest(f"The query has status={told['status'][:80]!r}.", hint=f"Known: {', '.join(known)}.")
    limit = told.get("limit", "50")
    if not limit.isdecimal() or not 1 <= int(limit[:9]) <= MOST_PAGE:
        raise BadRequest(f"The query has limit={limit[:80]!r}.", hint=f"Give 1 to {MOST_PAGE}.")
    return Wanted(
        asset=told.get(kind[0], "") if kind else "",
        kinds=kind,
        statuses=statuses,  # type: ignore[arg-type] # held against the literal above
        team=team,
        before=told.get("before", ""),
        limit=int(limit),
    )


def query_of(query: bytes, known: Sequence[str]) -> dict[str, str]:
    """The parameters of a query.

    Raises:
        BadRequest: one is not known.
    """
    found = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    for name in found:
        if name not in known:
            near = nearest(name, known)
            hint = f"Did you mean {near!r}?" if near else f"Known: {', '.join(known) or 'none'}."
            raise BadRequest(f"The query has the unknown parameter {name[:80]!r}.", hint=hint)
    return found
