"""Runs of a server that goes on elsewhere, over its HTTP: begun and followed, looked at, answered, called off.

What comes back are the records that verbs over the project's own stores give, so that both are shown alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from perdure.core.clock import parse_at, to_us
from perdure.core.errors import BadRequest, BadSettings, NotFound, Refused, Unauthorized, UpstreamError
from perdure.core.runs import RunRecord, RunStatus, StepRecord, Wait, WaitAnswer
from perdure.core.usage import PICO, Usage
from perdure.serve.runs.protocols import RunEvent
from perdure.stores.runs.protocols import Told

if TYPE_CHECKING:
    from perdure.core.settings import AgentSettings
    from perdure.surface.running_here import Hears

Json = dict[str, Any]
_TIMEOUT_S = 660.0
_ENDED = 202
_BY_STATUS: Mapping[int, type[Exception]] = {400: BadRequest, 401: Unauthorized, 403: Refused, 404: NotFound}


@dataclass(frozen=True, slots=True)
class RunsByHttp:
    """The runs of one server.

    Args:
        url: its address, such as `http://127.0.0.1:8400`.
        secret: a key of it; empty where it declares no team.
    """

    url: str
    secret: str = ""

    @classmethod
    def of(cls, url: str, settings: AgentSettings, env: Mapping[str, str]) -> RunsByHttp:
        """The server at an address, with the key that the environment has.

        Raises:
            BadSettings: the address cannot be called, or the environment lacks the key that is named.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadSettings(f"{url!r} is no address of HTTP.", hint="Write http://HOST:PORT.", key="agents.url")
        secret = env.get(settings.key_env, "") if settings.key_env else ""
        if settings.key_env and not secret:
            raise BadSettings(
                f"The environment has no variable {settings.key_env!r} with a key of the server.",
                hint="Make one: perdure key create --team NAME, and put it there.",
                key="agents.key_env",
            )
        return cls(url.rstrip("/").removesuffix("/v1"), secret)

    def run(self, name: str, body: Json, hears: Hears | None = None) -> Told:
        """Begin a run of an agent and follow it to its end, or to where it waits."""
        path = f"/v1/agents/{quote(name, safe='')}/runs"
        run = ""
        with _Asked(self, "POST", path, {**body, "stream": True, "wait_s": 0.0}) as answer:
            for event in _events(answer):
                run = str(event.data.get("id", "")) if event.name in ("begin", "end") else run
                if hears is not None:
                    hears(event)
        if not run:
            raise UpstreamError(
                f"The server at {self.url} told of no run.", hint="perdure agent runs --url lists them."
            )
        return self.get(run)

    def get(self, run: str) -> Told:
        """A run with its journal."""
        found = self._json("GET", f"/v1/runs/{quote(run, safe='')}")
        steps = [step_of(each, str(found["id"])) for each in found.get("steps", ())]
        return Told(run_of(found), steps, [wait_of(each) for each in found.get("waits", ())])

    def list(self, asset: str, statuses: Sequence[RunStatus], limit: int) -> Sequence[RunRecord]:
        """Runs, newest first."""
        query = {"limit": str(min(limit, 200)), **({"status": ",".join(statuses)} if statuses else {})}
        found = self._json("GET", f"/v1/runs?{urlencode({**query, **({'agent': asset} if asset else {})})}")
        return [run_of(each) for each in found["runs"]]

    def waiting(self) -> Sequence[tuple[RunRecord, Wait]]:
        """Open questions."""
        waits = [wait_of(each) for each in self._json("GET", "/v1/runs/waiting")["waits"]]
        return [(self.get(wait.run).run, wait) for wait in waits]

    def answer(self, wait: str, approves: bool, reason: str, value: Any) -> Wait:
        """Answer a question; it takes an administrator's key."""
        body: Json = {"approve": approves, "reason": reason}
        if value is not None:
            open_now = {each.id: each for _, each in self.waiting()}
            asks = open_now[wait].question if wait in open_now else "approve"
            body["arguments" if asks == "approve" else "value"] = value
        return wait_of(self._json("POST", f"/v1/runs/waits/{quote(wait, safe='')}", body))

    def cancel(self, run: str) -> RunRecord:
        """Call a run off."""
        return run_of(self._json("POST", f"/v1/runs/{quote(run, safe='')}/cancel", {}))

    def _json(self, method: str, path: str, body: Json | None = None) -> Json:
        with _Asked(self, method, path, body) as answer:
            found: Json = _decoded(answer.read())
            return found


class _Asked:
    """One request; its connection is closed behind it."""

    def __init__(self, server: RunsByHttp, method: str, path: str, body: Json | None) -> None:
        parts = urlsplit(server.url)
        made = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = made(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
        headers = {"content-type": "application/json"}
        if server.secret:
            headers["authorization"] = f"Bearer {server.secret}"
        self._has_key = bool(server.secret)
        data = None if body is None else msgspec.json.encode(body)
        try:
            self._connection.request(method, parts.path + path, data, headers)
            self._answer = self._connection.getresponse()
        except (OSError, HTTPException) as error:
            raise UpstreamError(
                f"The server at {server.url} does not answer: {type(error).__name__}.", hint="Start it: perdure up"
            ) from error

    def __enter__(self) -> HTTPResponse:
        """The answer.

        Raises:
            PerdureError: as the server said it.
        """
        if self._answer.status not in (200, _ENDED):
            error = _decoded(self._answer.read()).get("error", {})
            kind = _BY_STATUS.get(self._answer.status, UpstreamError)
            message = str(error.get("message") or f"The server answered {self._answer.status}.")
            self._connection.close()
            hint = str(error.get("hint", ""))
            if kind is Unauthorized and not self._has_key:
                hint = 'Put a key into a variable of the environment, and name that in perdure.toml: [agents] key_env = "SHOP_KEY"'
            raise kind(message, hint=hint)  # type: ignore[call-arg]  # a leaf of our own
        return self._answer

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _events(answer: HTTPResponse) -> Iterator[RunEvent]:
    name, data = "", ""
    for raw in answer:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            data += line[5:].strip()
        elif not line and data:
            if name == "error":
                error = _decoded(data.encode()).get("error", {})
                raise UpstreamError(
                    str(error.get("message", "The run cannot be followed.")), hint=str(error.get("hint", ""))
                )
            if name in ("begin", "step", "text", "wait", "end"):
                yield RunEvent(name, _decoded(data.encode()))  # type: ignore[arg-type]  # one of its names
            name, data = "", ""


def _decoded(body: bytes) -> Json:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


def run_of(told: Mapping[str, Any]) -> RunRecord:
    """The record of a run as the server shows it."""
    kind = told["kind"]
    texts = {
        name: told[name] for name in ("why", "text", "user", "team", "parent", "trace", "replay_of") if name in told
    }
    return RunRecord(
        id=told["id"],
        kind=kind,
        asset=told[kind],
        version=told["version"],
        arm=told["arm"],
        status=told["status"],
        input=_bytes(told.get("input")),
        output=_bytes(told.get("output")),
        began_us=_us(told.get("began_at")),
        ended_us=_us(told.get("ended_at")),
        n_steps=told["steps_taken"],
        n_tokens=told["tokens"],
        cost_pusd=round(told["cost_usd"] * PICO),
        unpriced=told["unpriced"],
        tags=told.get("tags", {}),
        swaps=told.get("swaps", {}),
        **texts,
    )


def step_of(told: Mapping[str, Any], run: str) -> StepRecord:
    """An entry of a journal as the server shows it."""
    usage, price = told.get("usage"), told.get("cost_usd")
    texts = {name: told[name] for name in ("key", "version", "error", "text", "versions", "facts") if name in told}
    return StepRecord(
        run=run,
        n=told["n"],
        kind=told["kind"],
        state=told["state"],
        node=told["node"],
        call=told["call"],
        input=_bytes(told.get("input")),
        output=_bytes(told.get("output")),
        began_us=_us(told.get("began_at")),
        took_us=round(told["took_ms"] * 1000),
        usage=None
        if usage is None
        else Usage(**{each: usage[each] for each in Usage.__struct_fields__ if each in usage}),
        cost_pusd=None if price is None else round(price * PICO),
        **texts,
    )


def wait_of(told: Mapping[str, Any]) -> Wait:
    """A question as the server shows it."""
    said = told.get("answer")
    return Wait(
        **{name: told[name] for name in ("id", "run", "asset", "call", "tool", "question", "text", "role")},
        arguments=_bytes(told.get("arguments")),
        asked_us=_us(told.get("asked_at")),
        expires_us=_us(told.get("expires_at")),
        answer=None
        if said is None
        else WaitAnswer(
            actor=said["actor"],
            approves=said["approves"],
            reason=said["reason"],
            at_us=_us(said["at"]),
            value=_bytes(said.get("value")),
        ),
    )


def _bytes(value: Any) -> bytes:
    return b"" if value is None else msgspec.json.encode(value)


def _us(instant: str | None) -> int:
    return to_us(parse_at(instant)) if instant else 0
