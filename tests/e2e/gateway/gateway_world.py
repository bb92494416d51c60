"""A gateway to be tested: declared routes, guards and teams over real stores, behind a real server."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from perdure import Route, Target, Team, UnitPrices, Upstream
from perdure.assets.version import Pointer, Version
from perdure.core.canonical import content_hash, plain
from perdure.core.clock import monotonic_s, sleep_s
from perdure.core.ids import new_id, version_id
from perdure.core.settings import CaptureSettings, GatewaySettings, LimitSettings, ServeSettings
from perdure.serve.gateway.keys import digest_of, new_secret
from perdure.serve.gateway.wiring import GatewayDeclared
from perdure.serve.server import ScoringParts, Server
from perdure.stores.blobs.files import FileBlobs
from perdure.stores.cache.memory import MemoryCache
from perdure.stores.capture.events import Call, Event
from perdure.stores.capture.log import SegmentLog
from perdure.stores.capture.protocols import SegmentRange
from perdure.stores.capture.segments import SegmentWriter
from perdure.stores.counters.sqlite import SqliteCounters
from perdure.stores.ledger.protocols import Key
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.stores.online.sqlite import SqliteOnline

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
UPSTREAM_SECRET = "sk-upstream-0123456789abcdefghij"
PRICES = UnitPrices(input=1, output=4, cached=0.5)
"""US dollars for a million: a picodollar per millionth, so 11 in and 7 out are 11e6 + 28e6 picodollars."""
TEAM = Team("team")


@dataclass
class World:
    """The declarations and stores of one gateway under `root`."""

    root: Path
    url: str
    """Of the upstreams."""
    routes: dict[str, Route] = field(default_factory=dict)
    teams: dict[str, Team] = field(default_factory=lambda: {"team": TEAM})
    settings: GatewaySettings = field(default_factory=GatewaySettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    open_counters: Callable[[], Any] | None = None
    min_free_bytes: int = 0

    def __post_init__(self) -> None:
        at = self.url
        self.openai = Upstream("up", at + "/v1", key_env="UP_KEY")
        self.claude = Upstream("claude", at, dialect="anthropic", key_env="UP_KEY")
        self.gemini = Upstream("gemini", at, dialect="gemini", key_env="UP_KEY")

    @property
    def ledger_path(self) -> Path:
        return self.root / "ledger.db"

    def target(self, model: str = "m-1", dialect: str = "openai", **members: Any) -> Target:
        upstream = {"openai": self.openai, "anthropic": self.claude, "gemini": self.gemini}[dialect]
        return Target(upstream, model, **{"prices": PRICES, **members})

    def declare(self, *routes: Route, share: Mapping[str, float] | None = None) -> list[str]:
        """Declare and release routes and their guards; returns the versions of the routes."""
        self.routes |= {route.name: route for route in routes}
        guards = {guard.name: guard for route in routes for guard in route.guards}
        made = [version_of(route.name, "route", route.definition()) for route in routes]
        judged = [version_of(guard.name, "guard", guard.definition()) for guard in guards.values()]
        self.register(*made, *judged)
        self.point(*(Pointer(each.asset, "champion", each.id) for each in (*made, *judged)))
        return [each.id for each in made]

    def register(self, *versions: Version) -> None:
        with self._ledger() as ledger, ledger.transaction(actor="test", at=NOW) as session:
            for version in versions:
                session.registry.put_version(version)

    def point(self, *pointers: Pointer) -> int:
        """Move pointers; returns the new generation."""
        with self._ledger() as ledger, ledger.transaction(actor="test", at=NOW) as session:
            return session.pointers.set(list(pointers))

    def key(self, team: str = "team", limits: Mapping[str, Any] | None = None) -> str:
        """Issue a key; its secret."""
        key_id = new_id("key")
        secret = new_secret(key_id)
        key = Key(key_id, team, digest_of(secret.encode()), "test", NOW, limits=dict(limits or {}))
        with self._ledger() as ledger, ledger.transaction(actor="test", at=NOW) as session:
            session.keys.put(key)
        return secret

    def revoke(self, secret: str) -> None:
        with self._ledger() as ledger, ledger.transaction(actor="test", at=NOW, reason="test") as session:
            found = next(each for each in session.keys.list() if each.digest == digest_of(secret.encode()))
            session.keys.put(replace(found, revoked_at=NOW))

    def parts(self) -> ScoringParts:
        counters = self.open_counters or (lambda: SqliteCounters(self.root / "counters.db"))
        return ScoringParts(
            models={},
            open_ledger=lambda: SqliteLedger.open_read_only(self.ledger_path, project="test"),
            open_online=lambda: SqliteOnline(self.root / "online.db", read_only=True),
            open_writer=lambda: SegmentWriter(
                self.root / "capture", CaptureSettings(min_free_bytes=self.min_free_bytes)
            ),
            blobs=FileBlobs(self.root / "blobs"),
            table_path=self.root / "serve" / "routing.json",
            settings=ServeSettings(port=0, poll_ms=50),
            gateway=GatewayDeclared(
                routes=self.routes,
                guards={guard.name: guard for route in self.routes.values() for guard in route.guards},
                teams=self.teams,
                upstreams={each.name: each for each in (self.openai, self.claude, self.gemini)},
                secrets={"UP_KEY": UPSTREAM_SECRET},
                open_counters=counters,
                open_answers=MemoryCache,
                settings=self.settings,
                limits=self.limits,
                owner="test",
            ),
        )

    @contextmanager
    def serving(self, *, replay: bool = False) -> Iterator[Gateway]:
        """A running gateway, with a key; one whose time goes by its requests, where asked for."""
        secret, parts = self.key(), self.parts()
        parts = replace(parts, settings=replace(parts.settings, replay=True)) if replay else parts
        server = Server(parts)
        gateway = Gateway(self, server.start(), secret)
        try:
            gateway.wait_ready()
            yield gateway
        finally:
            server.stop()

    def captured(self) -> list[Event]:
        """Every event in the capture log."""
        log = SegmentLog(self.root / "capture")
        spans = [SegmentRange(each.name, 0, log.complete_end(each.name, 0)) for each in log.segments()]
        return [event for span in spans for event in log.read(span)]

    def calls(self) -> list[Call]:
        """Every recorded call, in order."""
        return [event for event in self.captured() if isinstance(event, Call)]

    @contextmanager
    def _ledger(self) -> Iterator[SqliteLedger]:
        ledger = SqliteLedger(self.ledger_path, project="test")
        try:
            yield ledger
        finally:
            ledger.close()


def version_of(asset: str, kind: str, definition: Mapping[str, Any]) -> Version:
    """A version that is its definition."""
    told = plain(definition)
    return Version(version_id(asset, content_hash(told)), asset, kind, told, {}, {}, {}, NOW)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def error(self) -> Any:
        return self.json["error"]

    @property
    def text(self) -> str:
        """Of a chat completion, whole or streamed."""
        if self.headers.get("content-type") == "application/json":
            return self.json["choices"][0]["message"]["content"]
        parts = [each["choices"][0]["delta"].get("content") or "" for each in self.chunks if each.get("choices")]
        return "".join(parts)

    @property
    def chunks(self) -> list[Any]:
        lines = [line[6:] for line in self.content.decode().split("\n") if line.startswith("data: ")]
        return [json.loads(line) for line in lines if line != "[DONE]"]


@dataclass(frozen=True)
class Gateway:
    """A running gateway and how it is asked."""

    world: World
    url: str
    secret: str

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 0

    def ask(self, path: str, body: bytes | None, *, method: str = "POST", **headers: str) -> Answer:
        """One request on a connection of its own; `None` as a header's value leaves it out."""
        named = {"authorization": f"Bearer {self.secret}", "content-type": "application/json"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        connection.request(method, path, body, {name: value for name, value in named.items() if value})
        response = connection.getresponse()
        answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        connection.close()
        return answer

    def chat(self, text: str = "When do trains leave?", model: str = "main", **members: Any) -> Answer:
        headers = members.pop("headers", {})
        body = {"model": model, "messages": [{"role": "user", "content": text}], **members}
        return self.ask("/v1/chat/completions", json.dumps(body).encode(), **headers)

    def message(self, text: str = "When do trains leave?", model: str = "main", **members: Any) -> Answer:
        body = {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": text}], **members}
        return self.ask("/v1/messages", json.dumps(body).encode())

    def wait_ready(self) -> None:
        self.wait_for(lambda: self.ask("/readyz", None, method="GET").status == 200)

    def wait_for_generation(self, generation: int) -> None:
        self.wait_for(lambda: self.ask("/readyz", None, method="GET").json["generation"] == generation)

    def wait_for(self, check: Callable[[], Any], timeout_s: float = 60.0) -> Any:
        """What `check` says once it says something."""
        deadline_s = monotonic_s() + timeout_s
        while monotonic_s() < deadline_s:
            if found := check():
                return found
            sleep_s(0.01)
        raise AssertionError("it never came")

    def recorded(self, n: int) -> list[Call]:
        """The calls on record, as soon as there are so many."""
        return self.wait_for(lambda: found if len(found := self.world.calls()) >= n else None)
