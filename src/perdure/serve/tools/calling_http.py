"""One declared address as a tool. What came back is data: a status that says no is a failure in words, a redirect is not followed.

What surprised us: a kept connection that breaks is taken up again by the client on a fresh one, which for an effect without a key could
do it twice. So those get a fresh connection for each call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from perdure.assets.tools import HttpTool, ToolTerms, tool_definition
from perdure.core.errors import BadAgent, NotReady, UpstreamError
from perdure.serve.gateway.upstream.protocols import Answering
from perdure.serve.runs.protocols import Json, Offered, ToolAsked, ToolContext
from perdure.serve.tools.http_asking import Address, MethodClient, text_of
from perdure.serve.tools.offering import Result, ToolFailure, object_schema

_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_UNDONE = (408, 425, 429, 503)
"""The other side says that it did not even begin."""
_LONGEST = 500
_ENV = "env:"
_TEXTS = ("text/", "application/json", "application/xml", "application/problem+json", "application/javascript")


@dataclass(frozen=True, slots=True, eq=False)
class HeldHttp:
    """An address, ready to be called. Made by `hold_http`; its client is used by one loop only."""

    tool: HttpTool
    offered: Offered
    address: Address
    headers: tuple[tuple[bytes, bytes], ...]
    secrets: tuple[str, ...]
    """Values of headers from the environment, which no result may show."""
    client: MethodClient
    is_outward = True

    async def work(self, asked: ToolAsked, context: ToolContext) -> Result:
        """Send it, and read as much of the answer as the tool may give."""
        path, body = self._request(asked.arguments)
        headers = list(self.headers)
        if self._terms.effect != "none":
            headers.append((b"idempotency-key", context.key.encode()))
        if body:
            headers.append((b"content-type", b"application/json"))
        once = self._terms.effect == "once"
        client = MethodClient(self.address.host, self.tool.method, self.tool.name) if once else self.client
        seconds = self._terms.timeout.total_seconds()
        try:
            answer = await client.send(path, headers, body, first_s=seconds, idle_s=seconds)
            try:
                read, whole = await _read(answer, 4 * self._terms.most_bytes)
            finally:
                answer.close()
        except UpstreamError as error:
            raise ToolFailure(
                "tool.failed", f"{self.tool.name} could not be reached, or broke off: {error.code}.", again=True
            ) from error
        finally:
            if once:
                await client.close()
        return self._result(answer, self._hidden(read), whole=whole)

    async def close(self) -> None:
        """Let kept connections go."""
        await self.client.close()

    @property
    def _terms(self) -> ToolTerms:
        assert self.tool.terms is not None  # set where it was declared
        return self.tool.terms

    def _request(self, arguments: Json) -> tuple[str, bytes]:
        own = {name: arguments[name] for name in self.tool.body if name in arguments}
        rest = {name: text_of(value) for name, value in arguments.items() if name not in own and value is not None}
        wrong = [name for name, text in rest.items() if text is None]
        if wrong:
            raise ToolFailure("tool.bad_arguments", f"{wrong[0]} has to be a text, a number or a flag.", undone=True)
        texts = {name: text for name, text in rest.items() if text is not None}
        given = {name: texts.pop(name) for name in self.address.places}
        try:
            path = self.address.path(given, texts)
        except ValueError as error:
            raise ToolFailure("tool.bad_arguments", f"The address cannot hold {error}.", undone=True) from error
        return path, msgspec.json.encode(own) if self.tool.body else b""

    def _hidden(self, read: bytes) -> str:
        text = read.decode("utf-8", "replace")
        for secret in self.secrets:
            text = text.replace(secret, "[HIDDEN]")
        return text

    def _result(self, answer: Answering, text: str, *, whole: bool) -> Result:
        status = answer.status
        kind = next((value.decode("latin-1") for name, value in answer.headers if name == b"content-type"), "")
        if 300 <= status < 400:
            raise ToolFailure(
                "tool.failed", f"{self.tool.name} answered {status}: it points elsewhere, where this tool may not go."
            )
        if not 200 <= status < 300:
            again = status in _AGAIN
            words = f"{self.tool.name} answered {status}."
            raise ToolFailure("tool.failed", words, quoted=text[:_LONGEST], again=again, undone=status in _UNDONE)
        if kind and not kind.startswith(_TEXTS):
            raise ToolFailure("tool.wrong_type", f"{self.tool.name} answered with {kind[:80]}, which is no text.")
        value: Any = text
        if whole and "json" in kind:
            try:
                value = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise ToolFailure(
                    "tool.wrong_type", f"{self.tool.name} answered with what is no JSON.", quoted=text[:_LONGEST]
                ) from error
        return Result(value, facts={"status": status}, is_whole=whole)


def hold_http(tool: HttpTool, env: Mapping[str, str]) -> HeldHttp:
    """A declared address, with its headers read.

    Args:
        tool: as declared.
        env: where `env:NAME` is looked up.

    Raises:
        BadAgent: a parameter of the body is none, or the address has one where none may stand.
        NotReady: a header's variable is not set.
    """
    address = Address.of(tool.url, tool.name)
    declared = tool_definition(tool)["parameters"]
    text = {"type": "string", "minLength": 1}
    missing = [name for name in tool.body if name not in declared]
    if missing:
        raise BadAgent(
            f"The tool {tool.name!r} sends {missing[0]!r} in its body, which is none of its parameters.",
            hint=f'Say what it is: parameters={{"{missing[0]}": str}}.',
        )
    properties = {**dict.fromkeys(address.places, text), **declared}
    required = tuple(name for name, each in properties.items() if name in address.places or "default" not in each)
    headers, secrets = _headers(tool, env)
    assert tool.terms is not None  # set where it was declared
    offered = Offered(tool.name, tool.description, object_schema(properties, required), tool.terms, f"tool:{tool.name}")
    return HeldHttp(tool, offered, address, headers, secrets, MethodClient(address.host, tool.method, tool.name))


def _headers(tool: HttpTool, env: Mapping[str, str]) -> tuple[tuple[tuple[bytes, bytes], ...], tuple[str, ...]]:
    found, secrets = [], []
    for name, told in tool.headers.items():
        value = told
        if told.startswith(_ENV):
            variable = told.removeprefix(_ENV)
            if not env.get(variable):
                raise NotReady(
                    f"The tool {tool.name!r} needs the environment variable {variable}.", hint=f"Set {variable}."
                )
            value = env[variable]
            secrets += [value, *([value.split(" ", 1)[1]] if " " in value else [])]
        found.append((name.lower().encode("ascii"), value.encode("latin-1")))
    return tuple(found), tuple(each for each in secrets if len(each) > 3)


async def _read(answer: Answering, most_bytes: int) -> tuple[bytes, bool]:
    """As much of a body as may be kept, and whether that is all of it."""
    parts: list[bytes] = []
    left = most_bytes
    while piece := await answer.piece():
        parts.append(piece[:left])
        left -= len(piece)
        if left < 0:
            return b"".join(parts), False
    return b"".join(parts), True
