"""Agents and graphs to be asked over HTTP: real stores, a real server, tools that write down what they did, a scripted model."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gateway_upstream import Behaviour, Said, recorded
from gateway_world import NOW, Answer, Gateway, World, version_of

from perdure import Agent, Graph, Prompt, Route, RunLimits, Team, ToolNode, tool
from perdure.assets.version import Pointer
from perdure.core.settings import AgentSettings
from perdure.serve.gateway.keys import digest_of
from perdure.serve.runs.wiring import RunsDeclared
from perdure.serve.server import ScoringParts
from perdure.stores.capture.events import Call, RunTold
from perdure.stores.ledger.sqlite import SqliteLedger
from perdure.stores.runs.sqlite import SqliteRuns

SENT: list[str] = []
"""What the tools did in this process."""


@tool
def look_up(parcel: int) -> str:
    """Where a parcel is."""
    return f"Parcel {parcel} is in Köln."


@tool(effect="once", approve_by="reviewer")
def send_notice(text: str) -> str:
    """Send a notice to the customer."""
    SENT.append(text)
    return "sent"


@tool
def broken(parcel: int) -> str:
    """Fails."""
    raise ValueError(parcel)


ROUTE = "main"
DESK = Prompt("desk_prompt", [("system", "You are the desk.")], route=ROUTE)
AGENT = Agent("desk", prompt="desk_prompt", tools=[look_up, send_notice, broken], limits=RunLimits(steps=8))
PLAIN = Agent("plain", prompt="desk_prompt")
SHORT = Agent("short", prompt="desk_prompt", tools=[look_up], limits=RunLimits(steps=2))
CIRCULAR = Agent("circular", prompt="desk_prompt", route="agent:circular")
SCHEMA = {"type": "object", "properties": {"parcel": {"type": "integer"}}, "required": ["parcel"]}
GRAPH = Graph(
    "track",
    input=SCHEMA,
    nodes=[ToolNode("found", look_up, arguments={"parcel": "$input.parcel"})],
    output="$found.value",
)


def calls(*tools: tuple[str, Mapping[str, Any]], text: str = "", **members: Any) -> Behaviour:
    """The model calls tools."""
    return recorded(
        Said(words=(text,) if text else (), tools=tuple((name, dict(given)) for name, given in tools)), **members
    )


def says(*words: str, **members: Any) -> Behaviour:
    """The model answers."""
    return recorded(Said(words=words), **members)


@dataclass
class AgentsWorld(World):
    """A gateway's world with agents and graphs in it."""

    agents: dict[str, Agent] = field(default_factory=dict)
    graphs: dict[str, Graph] = field(default_factory=dict)
    own: AgentSettings = field(default_factory=lambda: AgentSettings(poll_s=0.05, wait_s=10.0, claim_ttl_s=2.0))

    def release(self, declared: Agent | Graph) -> str:
        """Declare and release one."""
        kind = "agent" if isinstance(declared, Agent) else "graph"
        (self.agents if kind == "agent" else self.graphs)[declared.name] = declared
        return self.put(declared, kind)

    def put(self, declared: Agent | Graph | Prompt, kind: str) -> str:
        version = version_of(declared.name, kind, declared.definition())
        self.register(version)
        self.point(Pointer(declared.name, "champion", version.id))
        return version.id

    def standard(self) -> None:
        """A route, its prompt, agents and a graph."""
        self.declare(Route(ROUTE, [self.target()]))
        self.put(DESK, "prompt")
        for each in (AGENT, PLAIN, SHORT, CIRCULAR, GRAPH):
            self.release(each)

    def open_runs(self) -> SqliteRuns:
        return SqliteRuns(self.root / "runs.db", project="test")

    def parts(self) -> ScoringParts:
        made = super().parts()
        assert made.gateway is not None
        runs = RunsDeclared(
            agents=self.agents,
            graphs=self.graphs,
            teams=self.teams,
            open_runs=self.open_runs,
            open_ledger=lambda: SqliteLedger.open_read_only(self.ledger_path, project="test"),
            mask=str,
            env={},
            settings=self.own,
        )
        gateway = replace(made.gateway, prompts={DESK.name: DESK})
        return replace(made, gateway=gateway, runs=runs)

    def told(self) -> list[RunTold]:
        """Runs in the capture log."""
        return [event for event in self.captured() if isinstance(event, RunTold)]

    def make_admin(self, secret: str) -> str:
        with self._ledger() as ledger, ledger.transaction(actor="test", at=NOW, reason="test") as session:
            found = next(each for each in session.keys.list() if each.digest == digest_of(secret.encode()))
            session.keys.put(replace(found, admin=True))
        return secret


@dataclass(frozen=True)
class Desk:
    """A running server, asked by one key."""

    gateway: Gateway
    secret: str = ""

    def as_(self, secret: str) -> Desk:
        return replace(self, secret=secret)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        given = {"authorization": f"Bearer {self.secret}"} if self.secret else {}
        data = None if body is None else json.dumps(body).encode()
        return self.gateway.ask(path, data, method=method, **{**given, **headers})

    def run(
        self, name: str = "desk", kind: str = "agent", headers: Mapping[str, str] | None = None, **body: Any
    ) -> Answer:
        return self.ask("POST", f"/v1/{kind}s/{name}/runs", body, **(headers or {}))

    def get(self, run: str) -> Any:
        return self.ask("GET", f"/v1/runs/{run}").json

    def ended(self, run: str) -> Any:
        return self.gateway.wait_for(lambda: found if (found := self.get(run)).get("ended_at") else None, 20.0)

    def waits(self, run: str = "") -> list[Any]:
        """Open questions, of one run where it is named."""
        found = self.ask("GET", "/v1/runs/waiting").json["waits"]
        return [each for each in found if not run or each["run"] == run]

    def told(self, run: str) -> RunTold:
        """The run in the capture log."""
        return next(each for each in self.gateway.world.told() if each.run.id == run)

    def calls_of(self, run: str) -> list[Call]:
        """The gateway's records of its calls."""
        return [call for call in self.gateway.world.calls() if call.tags.get("run") == run]


def events(content: bytes) -> list[tuple[str, str, Any]]:
    """Server-sent events: id, name, data."""
    found = []
    for block in content.decode().split("\n\n"):
        told = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if told:
            found.append((told.get("id", ""), told.get("event", ""), json.loads(told["data"])))
    return found


def opened(gateway: Gateway, method: str, path: str, body: Any = None) -> tuple[http.client.HTTPConnection, Any]:
    """A connection with its answer, whose body is still to be read."""
    connection = http.client.HTTPConnection(*gateway.address, timeout=30)
    headers = {"authorization": f"Bearer {gateway.secret}", "content-type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    return connection, connection.getresponse()


OTHER = Team("other", routes=("agent:plain",))
