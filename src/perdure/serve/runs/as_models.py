"""Agents and graphs as models of OpenAI's chat completions: `agent:NAME`, `graph:NAME`. The gateway hands these chats over.

The last message is the task, those before are the conversation. What is answered is what the run gives, its usage that of all its steps
together. A run that waits for a person, or lasts too long, is told of in words; it goes on. What surprised us: OpenAI's SDK asks again by
itself after a 5xx, and would begin another run, so an error of a run that was begun says `x-should-retry: false`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from perdure.assets.team import Team
from perdure.core import errors
from perdure.core.clock import machine_us
from perdure.core.errors import BadRequest, NotFound, PerdureError, UpstreamError, not_found
from perdure.core.runs import RunKind, RunRecord
from perdure.core.usage import Usage
from perdure.engines.dialects.passthrough import Peek
from perdure.engines.dialects.registry import inbound
from perdure.serve.boundary import contained_async
from perdure.serve.gateway.errors import error_reply
from perdure.serve.retrieval.callers import Caller
from perdure.serve.routing import ServingTable
from perdure.serve.runs.asking import RunBody
from perdure.serve.runs.beginning import Beginning
from perdure.serve.runs.following import Following
from perdure.serve.runs.protocols import Json, RunEvent
from perdure.serve.runs.running import Begun, Runtime
from perdure.serve.runs.showing import value_of
from perdure.serve.runs.streaming import BEAT, Draining, Stream, waited
from perdure.serve.runs.versions import RunVersions
from perdure.serve.scoring.http import ClientGone, Receive, Reply, Send, send_reply
from perdure.stores.ledger.protocols import Key
from perdure.stores.runs.protocols import Told

KINDS: tuple[RunKind, ...] = ("agent", "graph")
_MOST_S = 600.0
"""A chat is waited for so long; OpenAI's SDK gives up then, too."""
_REFUSED = ("tools", "functions", "tool_choice", "function_call", "response_format", "audio", "modalities")
"""Members of a chat that an agent has its own of."""
_ONCE = (b"x-should-retry", b"false")
_LEAVES: Mapping[str, type[PerdureError]] = {"run.cancelled": errors.Cancelled} | {
    each.code: each
    for each in (
        errors.BadRequest, errors.TooLarge, errors.BadPrompt, errors.BadAgent, errors.BadGraph, errors.NotFound, errors.NotReady,
        errors.Refused, errors.Unauthorized, errors.Blocked, errors.LimitReached, errors.BudgetSpent, errors.StoreFull,
        errors.UpstreamTimedOut, errors.UpstreamBusy, errors.UpstreamCut, errors.UpstreamBad,
    )
}  # fmt: skip
"""Why a run ended, as the errors that go out for it; others go out as an upstream's."""
_decode = msgspec.json.decode
_encode = msgspec.json.encode


@dataclass(frozen=True, slots=True, eq=False)
class RunModels:
    """Answers chats with agents and graphs.

    Args:
        runtime: of this process.
        versions: agents and graphs that it serves.
        beginning: begins runs.
        draining: what is waited for and followed here.
    """

    runtime: Runtime
    versions: RunVersions
    beginning: Beginning
    draining: Draining

    def takes(self, model: str) -> bool:
        """Whether a model's name is of an agent or a graph."""
        return model.partition(":")[0] in KINDS and ":" in model

    def listed(self, team: Team, serving: ServingTable) -> list[str]:
        """Those that a team may ask, as it names them."""
        names = [f"{kind}:{name}" for name, kind in self.versions.assets.items() if name in serving.table.routes]
        return [each for each in names if team.may_call(each)]

    async def check_own(self, runs: Iterable[str], key: Key) -> None:
        """Whether a key may say something of these runs: its team asked for them, or its holder answers for the gateway.

        What is no run that is still kept passes: the loop asks the same again of what is said.

        Raises:
            NotFound: one is another team's; that it is there is not told.
        """
        if key.admin:
            return
        for run in sorted(runs):
            try:
                told = await self.runtime.get(run)
            except NotFound:
                continue
            if told.run.team != key.team:
                raise NotFound(
                    f"There is no run {run[:80]!r}.",
                    hint="Feedback on a run takes a key of the team that asked for it, or of an administrator.",
                )

    async def answer(
        self, found: Peek, of: tuple[Key, Team], headers: dict[bytes, bytes], receive: Receive, send: Send
    ) -> None:
        """One chat, answered.

        Args:
            found: the request.
            of: whose key, and its team.
            headers: of the request.
            receive: of the request, whose body has been read.
            send: to the client.

        Raises:
            PerdureError: no run was begun: it is not allowed, cannot be read, or there is no room.
            ClientGone: the client hung up.
        """
        key, team = of
        kind, name = self._named(found.model, team)
        body = self._body(found)
        begun = await self.beginning.begin((kind, name), body, Caller(key.id, team, key), headers, listens=found.stream)
        if found.stream:
            is_gone = await self._streamed(found, begun, receive, send)
        else:
            is_gone = await self._whole(found, begun.run.id, receive, send)
        if is_gone and body.cancel_on_disconnect:
            await self.runtime.cancel(begun.run.id, "Whoever asked for it hung up.")
        if is_gone:
            raise ClientGone

    def _named(self, model: str, team: Team) -> tuple[RunKind, str]:
        kind, _, name = model.partition(":")
        known = [f"{own}:{each}" for each, own in self.versions.assets.items() if team.may_call(f"{own}:{each}")]
        if model not in known:
            raise not_found("model", model, known)
        return ("agent" if kind == "agent" else "graph"), name

    def _body(self, found: Peek) -> RunBody:
        """What a chat asks of a run.

        Raises:
            BadRequest: it has what an agent has its own of, or asks nothing.
        """
        own = [name for name in _REFUSED if name in found.raw and bytes(found.raw[name]) not in (b"null", b"[]")]
        if own or found.n != 1:
            named = ", ".join(f"`{each}`" for each in own) or "`n`"
            raise BadRequest(
                f"A chat with {found.model} takes no {named}: that is declared.",
                hint="Leave it out.",
                param=(own or ["n"])[0],
            )
        told = _read(found, "variables", dict[str, Any] | None)
        messages = _read(found, "messages", list[Json] | None) or []
        task = ""
        if messages and messages[-1].get("role") == "user" and isinstance(messages[-1].get("content"), str | list):
            task = _text(messages[-1]["content"])
            messages = messages[:-1] if task else messages
        return RunBody(
            input=told,
            task=task,
            messages=messages,
            user=found.user,
            tags=dict(found.metadata),
            cancel_on_disconnect=bool(_read(found, "cancel_on_disconnect", bool | None)),
        )

    async def _whole(self, found: Peek, run: str, receive: Receive, send: Send) -> bool:
        """Answer at once when it is over; whether the client hung up before."""
        ended = await waited(self.runtime, run, _MOST_S, receive, self.draining)
        if ended is None:
            return True
        told = await self.runtime.get(run)
        error = failure_of(told.run)
        if error is not None:
            reply = error_reply(error, inbound("openai"), run)
            await send_reply(send, Reply(reply.status, reply.body, [*reply.headers, _header(run), _ONCE]))
            return False
        message = {"role": "assistant", "content": content_of(told), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_of(told.run)}
        body = {**_head(found, run, "chat.completion"), "choices": [choice], "usage": usage_of(told)}
        own = [(b"content-type", b"application/json"), _header(run)]
        await send_reply(send, Reply(200, _encode({**body, "perdure": _about(told.run)}), own))
        return False

    async def _streamed(self, found: Peek, begun: Begun, receive: Receive, send: Send) -> bool:
        """Answer in pieces; whether the client hung up."""
        following = Following(self.runtime, begun.run.id, waits_s=0.0)
        stream = Stream(following, receive, send, self.draining)
        await stream.begin(_header(begun.run.id))
        chat = _Chunks(_head(found, begun.run.id, "chat.completion.chunk"), usage=found.include_usage)

        async def tell() -> None:
            await stream.send(chat.begin())
            async with asyncio.timeout(_MOST_S):
                async for event in stream.events(begun.listening):
                    await stream.send(BEAT if event is None else chat.piece(event))

        async def broke(error: Exception) -> None:
            if not isinstance(error, TimeoutError):
                raise error

        await contained_async(partial(contained_async, tell, broke), partial(_tell_error, stream))
        if not stream.is_gone:
            await stream.send(chat.end(await self.runtime.get(begun.run.id)))
            await stream.end()
        return stream.is_gone


class _Chunks:
    """Pieces of an answer as OpenAI streams them."""

    def __init__(self, head: Json, *, usage: bool) -> None:
        self._head = head
        self._usage = usage
        self._step: Any = None
        self._said = ""
        """In the step that speaks."""

    def begin(self) -> bytes:
        """The first piece."""
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, event: RunEvent) -> bytes:
        """A piece of text; nothing of what else happens. Texts of two steps are two paragraphs."""
        if event.name != "text":
            return b""
        text = str(event.data["text"])
        if self._step != event.data["step"]:
            text = f"\n\n{text}" if self._said else text
            self._step, self._said = event.data["step"], ""
        self._said += text.lstrip("\n") if not self._said else text
        return self._chunk({"content": text})

    def end(self, told: Told) -> bytes:
        """What was not said yet, and the end; an error where the run failed."""
        error = failure_of(told.run)
        if error is not None:
            return b"data: %s\n\n" % error_reply(error, inbound("openai"), told.run.id).body
        content = content_of(told)
        left = content.removeprefix(self._said) if content.startswith(self._said) else f"\n\n{content}"
        found = self._chunk({"content": left}) if left else b""
        found += self._chunk({}, finish_of(told.run), perdure=_about(told.run))
        if self._usage:
            found += b"data: %s\n\n" % _encode({**self._head, "choices": [], "usage": usage_of(told)})
        return found + b"data: [DONE]\n\n"

    def _chunk(self, delta: Json, finish: str | None = None, **members: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if self._usage else {}
        return b"data: %s\n\n" % _encode({**self._head, "choices": [choice], **usage, **members})


async def _tell_error(stream: Stream, error: Exception) -> None:
    """The stream broke by a defect of ours: whoever reads it is told that it did."""
    told = error if isinstance(error, PerdureError) else PerdureError("The answer broke by a defect of the server.")
    await stream.send(b"data: %s\n\n" % error_reply(told, inbound("openai"), "").body)


def content_of(told: Told) -> str:
    """What a chat with a run answers: its text, its output as JSON, or in words why there is none yet."""
    run = told.run
    if run.status == "waiting":
        asked = [each.text for each in told.waits if each.answer is None]
        return "\n\n".join(
            [*asked, f"This waits for a person's answer; the run {run.id} goes on by itself once it is there."]
        )
    if not run.ended:
        return f"This takes longer than a chat may. The run {run.id} goes on: GET /v1/runs/{run.id} tells how it ends."
    given = value_of(run.output)
    if isinstance(given, str):
        return given
    if isinstance(given, dict) and given.keys() == {"text"} and isinstance(given["text"], str):
        return str(given["text"])
    return run.text if given is None else _encode(given).decode()


def finish_of(run: RunRecord) -> str:
    """Why the answer ends, as OpenAI says it."""
    return "length" if run.status == "limited" else "stop"


def failure_of(run: RunRecord) -> PerdureError | None:
    """The error that a run ended with, for its caller; None: it has an answer.

    What its own requests met is not the caller's mistake, but limits and budgets are his: these go out as what they are.
    """
    if run.status not in ("failed", "cancelled"):
        return None
    leaf = _LEAVES.get(run.why, UpstreamError)
    return leaf(
        f"The run {run.id} {'was called off' if run.status == 'cancelled' else 'failed'}: {run.text}", run=run.id
    )


def usage_of(told: Told) -> Json:
    """Tokens of all steps together, those of runs below among the prompt's."""
    usages: Sequence[Usage] = [each.usage for each in told.steps if each.usage is not None]
    n_input, n_output = sum(each.n_input for each in usages), sum(each.n_output for each in usages)
    cached = sum(each.n_cached for each in usages)
    return {
        "prompt_tokens": n_input,
        "completion_tokens": n_output,
        "total_tokens": n_input + n_output,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _head(found: Peek, run: str, kind: str) -> Json:
    return {"id": f"chatcmpl-{run}", "object": kind, "created": machine_us() // 1_000_000, "model": found.model}


def _about(run: RunRecord) -> Mapping[str, str]:
    return {"run": run.id, "status": run.status, "version": run.version, **({"why": run.why} if run.why else {})}


def _header(run: str) -> tuple[bytes, bytes]:
    return (b"perdure-run-id", run.encode())


def _text(content: Any) -> str:
    """The text of a message; empty where it holds more than text."""
    if isinstance(content, str):
        return content
    if not all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        return ""
    return "".join(str(part.get("text", "")) for part in content)


def _read(found: Peek, name: str, kind: Any) -> Any:
    raw = found.raw.get(name)
    if raw is None:
        return None
    try:
        return _decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"`{name}` is not what a chat has there.", param=name) from error
