"""What a client asks for: its key, its body looked into, the route and version that answer.

A body stays bytes as long as it can: only where a guard looks at it, a translation needs it or a record is kept is it read
as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import msgspec

from perdure.assets.team import Team
from perdure.core.errors import BadRequest, Refused, Unauthorized, not_found
from perdure.engines.dialects.passthrough import Peek, for_upstream
from perdure.engines.dialects.protocols import Inbound
from perdure.serve.gateway.endpoints import Endpoint
from perdure.serve.gateway.judged import Place, judged, must_be_text, put_back
from perdure.serve.gateway.ongoing import Ongoing
from perdure.serve.gateway.routes import LiveRoute, LiveTarget
from perdure.serve.routing import Arm, ServingTable
from perdure.stores.ledger.protocols import Key

if TYPE_CHECKING:
    from perdure.engines.dialects.anthropic_in import AnthropicInbound

Json = dict[str, Any]

_BEARER = b"bearer "
_OF_STREAMS = ("stream", "stream_options")
_decode = msgspec.json.decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Ask(msgspec.Struct, eq=False):
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
    judged: bool = False
    """Guards have looked at the request: what they read is what goes out."""
    _request: Json | None = None
    _body: Json = {}
    _places: list[Place] = []

    @property
    def request(self) -> Json:
        """The neutral request, read when first asked for.

        Raises:
            BadRequest: it lacks what it must have.
        """
        if self._request is None:
            body = self._body = {name: _decode(raw) for name, raw in self.peek.raw.items()}
            if self.endpoint.translated:
                self._request = self.inbound.read(body)
            elif self.endpoint.dialect == "anthropic":
                self._request = cast("AnthropicInbound", self.inbound).read_counted(body)
            else:
                messages, self._places = judged(body)
                self._request = {**body, "messages": messages}
        return self._request

    def check_text(self) -> None:
        """See that guards can read what they are to judge.

        Raises:
            BadRequest: token ids instead of text.
        """
        if self._places:
            must_be_text(self.request["messages"])

    @property
    def came(self) -> Json | None:
        """The client's own body, where a target may be sent it and the neutral request says less than it; else None."""
        return self._body if self.endpoint.dialect == "anthropic" and self.request else None

    def change(self, request: Json) -> None:
        """Put a request that guards have judged in the place of the one that came."""
        self.judged = True
        if request is not self._request:
            self._request, self.changed = request, True

    def again(self, call: Ongoing, route: LiveRoute) -> Ask:
        """The same, as guards left it, for another call of another version, not streamed."""
        raw = {name: value for name, value in self.peek.raw.items() if name not in _OF_STREAMS}
        peek = msgspec.structs.replace(self.peek, raw=raw, stream=False, include_usage=False)
        request = self._request
        return msgspec.structs.replace(
            self,
            call=call,
            route=route,
            peek=peek,
            _request=request and {name: value for name, value in request.items() if name not in _OF_STREAMS},
        )

    def passes_to(self, target: LiveTarget) -> bool:
        """Whether bytes can go to a target as they came."""
        same = target.upstream.dialect == self.endpoint.dialect
        return same and not (self.changed and self.endpoint.dialect != "openai" and self.endpoint.translated)

    def body_for(self, target: LiveTarget, params: Mapping[str, Any]) -> bytes:
        """The body for a target of the same dialect.

        Raises:
            BadRequest: the endpoint's input cannot be put back together after masking.
        """
        if not (self.changed or self.judged):
            return for_upstream(self.peek, target.model, params, endpoint=self.endpoint.name)  # type: ignore[arg-type]
        if not self.changed:
            # Written anew from what was read: of two members of one name within it, an upstream could take the other.
            changes = self._written(self._body)
        elif self.endpoint.dialect == "anthropic":
            return _to_count(target.upstream.outbound.write(self.request, target.model, "").body)
        elif self.endpoint.translated:
            changes = self._written(self.request)
        else:
            request = {name: self._body[name] if name == "messages" else self.request[name] for name in self._body}
            changes = self._written(request) | put_back(request, self.request["messages"], self._places)
        endpoint = self.endpoint.name
        return for_upstream(self.peek, target.model, params, endpoint=endpoint, written=changes)  # type: ignore[arg-type]

    def _written(self, told: Json) -> Json:
        """The members that do not go out as the bytes that came: what has members of its own, and what was masked."""
        came = self._body
        return {
            name: value
            for name, value in told.items()
            if name in self.peek.raw and (isinstance(value, dict | list) or value is not came.get(name))
        }


def _to_count(body: bytes) -> bytes:
    """A message's body as tokens are counted of it: a limit of the answer means nothing then."""
    members = _members(body)
    return msgspec.json.encode({name: raw for name, raw in members.items() if name not in ("max_tokens", "stream")})


def check_address(query: bytes) -> None:
    """Refuse a key in the address, where every log on the way keeps it.

    Raises:
        BadRequest: there is one.
    """
    if b"key=" in query or b"token=" in query:
        raise BadRequest(
            "A key stands in the address of this request, where logs keep it.",
            hint="Send it as `Authorization: Bearer …` or `x-api-key: …`, and revoke it if it was real.",
        )


def secret_of(headers: Mapping[bytes, bytes], query: bytes) -> bytes:
    """The caller's secret as it stands in the headers of either dialect.

    Raises:
        Unauthorized: there is none.
        BadRequest: it stands in the address, where every log on the way keeps it.
    """
    if query:
        check_address(query)
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
    """What sticky choices go by: the route's own member or header, else `user`, else the key; or the key alone."""
    name = route.affinity if route is not None else ""
    if name == "key":
        return key.id
    if name:
        told = headers.get(name.lower().encode("latin-1")) if name.lower().startswith("x-") else peek.raw.get(name)
        if told is not None:
            return bytes(told).decode("utf-8", "replace").strip('"')
    return peek.user or key.id


def chosen(name: str, serving: ServingTable, affinity: str) -> tuple[Arm, LiveRoute]:
    """The version of a route that answers this caller."""
    arm = serving.table.routes[name].choose(affinity)
    return arm, serving.servables[arm.version]
