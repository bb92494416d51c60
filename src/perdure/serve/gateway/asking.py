"""What a client asks for: its key, its body looked into, the route and version that answer.

A body stays bytes as long as it can: only where a guard looks at it, a translation needs it or a record is kept is it read
as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from perdure.assets.team import Team
from perdure.core.errors import BadRequest, Refused, Unauthorized, not_found
from perdure.engines.dialects.passthrough import Peek, for_upstream
from perdure.engines.dialects.protocols import Inbound
from perdure.serve.gateway.endpoints import Endpoint
from perdure.serve.gateway.ongoing import Ongoing
from perdure.serve.gateway.routes import LiveRoute, LiveTarget
from perdure.serve.routing import Arm, ServingTable
from perdure.stores.ledger.protocols import Key

Json = dict[str, Any]

_BEARER = b"bearer "
_decode = msgspec.json.decode


@dataclass(slots=True, eq=False)
class Ask:
    """One call as it was asked for, and what of it has been decoded so far."""

    call: Ongoing
    endpoint: Endpoint
    inbound: Inbound
    peek: Peek
    key: Key
    team: Team
    route: LiveRoute
    serving: ServingTable
    headers: Mapping[bytes, bytes]
    changed: bool = False
    """The request is not what the client sent any more: masked, rendered from a prompt."""
    _request: Json | None = field(default=None, repr=False)

    @property
    def request(self) -> Json:
        """The neutral request, read when first asked for.

        Raises:
            BadRequest: it lacks what it must have.
        """
        if self._request is None:
            body = {name: _decode(raw) for name, raw in self.peek.raw.items()}
            if self.endpoint.translated:
                self._request = self.inbound.read(body)
            else:
                self._request = {**body, "messages": _judged(body.get("input"))}
        return self._request

    def change(self, request: Json) -> None:
        """Put a request in the place of the one that came."""
        if request is not self._request:
            self._request, self.changed = request, True

    def passes_to(self, target: LiveTarget) -> bool:
        """Whether bytes can go to a target as they came."""
        same = target.upstream.dialect == self.endpoint.dialect
        return same and not (self.changed and self.endpoint.dialect != "openai")

    def body_for(self, target: LiveTarget, params: Mapping[str, Any]) -> bytes:
        """The body for a target of the same dialect.

        Raises:
            BadRequest: the endpoint's input cannot be put back together after masking.
        """
        if not self.changed:
            return for_upstream(self.peek, target.model, params, endpoint=self.endpoint.name)  # type: ignore[arg-type]
        if self.endpoint.translated:
            changes: Json = {"messages": self.request["messages"]}
        else:
            changes = {"input": _put_back(_decode(self.peek.raw["input"]), self.request["messages"])}
        raw = dict(self.peek.raw) | {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in changes.items()}
        found = msgspec.structs.replace(self.peek, raw=raw)
        return for_upstream(found, target.model, params, endpoint=self.endpoint.name)  # type: ignore[arg-type]


def secret_of(headers: Mapping[bytes, bytes], query: bytes) -> bytes:
    """The caller's secret as it stands in the headers of either dialect.

    Raises:
        Unauthorized: there is none.
        BadRequest: it stands in the address, where every log on the way keeps it.
    """
    if query and (b"key=" in query or b"token=" in query):
        raise BadRequest(
            "A key stands in the address of this request, where logs keep it.",
            hint="Send it as `Authorization: Bearer …` or `x-api-key: …`, and revoke it if it was real.",
        )
    bearer = headers.get(b"authorization")
    if bearer is not None and bearer[:7].lower() == _BEARER:
        return bearer[7:].strip()
    secret = headers.get(b"x-api-key")
    if secret is None:
        raise Unauthorized(
            "This request has no key.",
            hint="Send `Authorization: Bearer pk-perdure-…`; `perdure key create` makes one.",
        )
    return secret


def team_of(key: Key, teams: Mapping[str, Team]) -> Team:
    """The team of a key.

    Raises:
        Refused: it is not declared any more.
    """
    team = teams.get(key.team)
    if team is None:
        raise Refused(
            f"The team {key.team!r} of this key is not declared any more.", hint="Declare it, or use another key."
        )
    return team


def route_of(name: str, team: Team, serving: ServingTable | None, routes: Mapping[str, object]) -> str:
    """A route's name, checked.

    Raises:
        NotFound: there is none that this team may call; the others are not told.
    """
    if name not in routes or not team.may_call(name) or serving is None or name not in serving.table.routes:
        raise not_found("model", name, [each for each in routes if team.may_call(each)])
    return name


def affinity_of(route: LiveRoute | None, peek: Peek, headers: Mapping[bytes, bytes], key: Key) -> str:
    """What sticky choices go by: the route's own member or header, else `user`, else the key."""
    name = route.affinity if route is not None else ""
    if name:
        told = headers.get(name.lower().encode("latin-1")) if name.lower().startswith("x-") else peek.raw.get(name)
        if told is not None:
            return bytes(told).decode("utf-8", "replace").strip('"')
    return peek.user or key.id


def chosen(name: str, serving: ServingTable, affinity: str) -> tuple[Arm, LiveRoute]:
    """The version of a route that answers this caller."""
    arm = serving.table.routes[name].choose(affinity)
    return arm, serving.servables[arm.version]


def _judged(given: Any) -> list[Json]:
    """The `input` of responses or embeddings as messages, for guards to look at."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list):
        return []
    return [each if isinstance(each, dict) else {"role": "user", "content": each} for each in given]


def _put_back(given: Any, messages: Sequence[Json]) -> Any:
    if isinstance(given, str):
        return messages[0]["content"]
    return [
        changed if isinstance(each, dict) else changed["content"] for each, changed in zip(given, messages, strict=True)
    ]
