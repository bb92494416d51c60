"""Prompts by name: `model: "prompt:NAME"` with `variables` becomes the request that the pointed-to version renders.

What comes out is a body in the client's own dialect, as if the client had written the messages itself: the route is the
prompt's, its params and the form of its answer are set where the client set none, and further `messages` of the client follow
the rendered ones. So guards, cache, limits and byte paths need not know of prompts. Called by `app` for each such call.

What surprised us: a body is looked into twice, before and after, which costs 3 µs and keeps every later estimate right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from perdure.assets.team import Team
from perdure.assets.version import Version
from perdure.core.errors import BadRequest, NotFound, NotReady, not_found
from perdure.engines.dialects.passthrough import Peek, peek, with_members
from perdure.engines.dialects.registry import outbound
from perdure.engines.prompts import CompiledPrompt, compile_prompt, for_model, response_format
from perdure.serve.gateway.asking import affinity_of
from perdure.serve.gateway.ongoing import Ongoing
from perdure.serve.routing import ServingTable
from perdure.stores.ledger.protocols import Key

Raw = msgspec.Raw
Json = dict[str, Any]

PREFIX = "prompt:"
"""What a model's name begins with that is a prompt's."""
_ENDPOINTS = frozenset({"chat", "messages"})
_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})
_NOT_SET = frozenset({"model", "messages", "metadata", "stream"})
"""Members of a translated request that are not params."""
_decode = msgspec.json.decode
_encode = msgspec.json.encode


@dataclass(frozen=True, slots=True, eq=False)
class LivePrompt:
    """A version of a prompt, ready to be rendered into requests."""

    name: str
    version: str
    route: str
    compiled: CompiledPrompt
    members: Mapping[str, Mapping[str, Raw]]
    """Dialect → what is set where the client sets none: params, and the form of the answer."""
    variants: Mapping[str, LivePrompt] = field(default_factory=dict)
    """`upstream/model` → what it is told instead."""

    def told_to(self, target: str) -> LivePrompt:
        """The version as one model gets it."""
        return self.variants.get(target, self)

    def body(self, found: Peek, dialect: str) -> bytes:
        """The request that the version makes of a client's.

        Raises:
            BadRequest: `variables` is no object, or `messages` no list.
            BadPrompt: the variables are not the prompt's.
        """
        raw = found.raw
        rendered = self.compiled.render(_variables(raw.get("variables")))
        changes: dict[str, Any] = {name: each for name, each in self.members[dialect].items() if name not in raw}
        if found.max_tokens is not None:
            changes = {name: each for name, each in changes.items() if name not in _LIMITS}
        if dialect == "anthropic":
            system = [{"type": "text", "text": each["content"]} for each in rendered if each["role"] == "system"]
            rendered = [each for each in rendered if each["role"] != "system"]
            changes["system"] = [*system, *_blocks(self.members[dialect].get("system")), *_blocks(raw.get("system"))]
            changes["system"] = changes["system"] or None
        changes |= {"model": self.route, "variables": None, "messages": [*rendered, *_further(raw.get("messages"))]}
        return with_members(raw, changes)


@dataclass(frozen=True, slots=True, eq=False)
class PromptLoader:
    """Makes versions of prompts ready; what the watcher's loader calls for the kind `prompt`."""

    def load(self, version: Version, *, trusted: bool) -> LivePrompt:  # noqa: ARG002 - its templates cannot run code
        """The prompt of a version.

        Raises:
            BadPrompt: its definition cannot be rendered.
        """
        told = version.definition
        variants = {model: _live(version, for_model(told, model)) for model in told.get("variants", ())}
        return replace(_live(version, told), variants=variants)


def _live(version: Version, told: Mapping[str, Any]) -> LivePrompt:
    compiled = compile_prompt(version.asset, told)
    form = response_format(version.asset, told["output"])
    params = {**told["params"], **({"response_format": form} if form else {})}
    members = {"openai": _as_raw(params), "anthropic": _as_raw(_in_anthropic(params))}
    return LivePrompt(version.asset, version.id, told["route"], compiled, members)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as far as the choice of a version goes by it."""

    key: Key
    team: Team
    headers: Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Prompting:
    """Answers which request a prompt makes.

    Args:
        prompts: declared prompts by name.
        routes: declared routes by name.
    """

    prompts: Mapping[str, object] = field(default_factory=dict)
    routes: Mapping[str, object] = field(default_factory=dict)

    def rendered(self, found: Peek, call: Ongoing, caller: Caller, serving: ServingTable | None) -> Peek:
        """The request that a prompt makes of a client's; its `model` is the prompt's route, which the key need not be allowed.

        The version is written to the call before anything is rendered, so that its failures are on record. Cost: some 10 µs
        for a small prompt.

        Raises:
            NotFound: there is no such prompt that this team may call; the others are not told.
            NotReady: its route is not served now.
            BadRequest: the endpoint takes no prompts, `variables` is no object, or `messages` no list.
            BadPrompt: the variables are not the prompt's.
        """
        name = found.model.removeprefix(PREFIX)
        if serving is None or not self._may(name, caller.team, serving):
            raise self._unknown(found.model, caller.team)
        if call.endpoint.name not in _ENDPOINTS:
            raise BadRequest(
                f"{call.endpoint.path} takes no prompts.",
                hint="Ask for one at /v1/chat/completions or /v1/messages.",
                param="model",
            )
        pointed, servables = serving.table.routes[name], serving.servables
        usual: LivePrompt = servables[pointed.champion.version]
        route = serving.table.routes.get(usual.route) if usual.route in self.routes else None
        answering = None if route is None else servables[route.champion.version]
        chosen: LivePrompt = servables[
            pointed.choose(affinity_of(answering, found, caller.headers, caller.key)).version
        ]
        call.prompt = chosen.version
        if chosen.route not in self.routes or chosen.route not in serving.table.routes:
            raise NotReady(
                f"The prompt {name!r} is answered by the route {chosen.route!r}, which is not served.",
                hint="Declare and release it: perdure apply.",
            )
        call.route = chosen.route
        if chosen.variants:
            asked = servables[serving.table.routes[chosen.route].champion.version]
            chosen = chosen.told_to(asked.targets[0].id)
        return peek(chosen.body(found, call.endpoint.dialect))

    def listed(self, team: Team, serving: ServingTable) -> list[str]:
        """The prompts that a team may call, as it names them."""
        return [PREFIX + name for name in self.prompts if self._may(name, team, serving)]

    def _may(self, name: str, team: Team, serving: ServingTable) -> bool:
        return name in self.prompts and name in serving.table.routes and team.may_call(PREFIX + name)

    def _unknown(self, model: str, team: Team) -> NotFound:
        return not_found("model", model, [PREFIX + name for name in self.prompts if team.may_call(PREFIX + name)])


def _variables(raw: Raw | None) -> Json:
    found = _read(raw, "variables", dict[str, Any], "an object")
    return {} if found is None else found


def _further(raw: Raw | None) -> Sequence[Raw]:
    """The client's own messages, as they came."""
    return _read(raw, "messages", list[Raw], "a list") or ()


def _read(raw: Raw | None, name: str, kind: Any, what: str) -> Any:
    if raw is None:
        return None
    try:
        return _decode(raw, type=kind | None)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"`{name}` must be {what}.", param=name) from error


def _blocks(raw: Raw | None) -> Sequence[Any]:
    """What a client says as `system`, a text or blocks, as blocks."""
    found = _read(raw, "system", str | list[Raw], "a string or a list")
    if isinstance(found, str):
        return [{"type": "text", "text": found}] if found else ()
    return found or ()


def _in_anthropic(params: Mapping[str, Any]) -> Json:
    """Params in Anthropic's words; what it has no word for is left out."""
    known = {name: value for name, value in params.items() if name not in _NOT_SAID}
    asked = {**known, "messages": [{"role": "user", "content": "."}]}
    body: Json = _decode(outbound("anthropic").write(asked, "", "").body)
    if not known.keys() & _LIMITS:
        body.pop("max_tokens", None)
    return {name: value for name, value in body.items() if name not in _NOT_SET}


_NOT_SAID = frozenset({"audio", "function_call", "functions", "modalities", "n", "prediction", "web_search_options"})


def _as_raw(members: Mapping[str, Any]) -> dict[str, Raw]:
    return {name: Raw(_encode(value)) for name, value in members.items()}
