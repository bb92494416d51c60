"""What the parts of a run ask of each other: who drives it, its journal, its tools, and what it reaches in this process.

    runtime ── Driven ──▶ Driver (agents: pydantic-ai; graphs: node by node)
                            │ Doing.do(asked)      one tool call: journal, limits, approval, once only
                            │   └─▶ Toolbox.call   what the tool does
                            └ World.chat           a model, through this server's gateway

The runtime owns claims, ends and listeners; a driver only goes on from where the journal stands. A driver may be ended anywhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from perdure.assets.tools import ToolTerms
from perdure.core.runs import Replayed, RunRecord, RunStatus, StepRecord, Wait
from perdure.core.usage import Usage
from perdure.serve.retrieval.callers import Caller

Json = dict[str, Any]


class Parked(Exception):
    """The run waits for a person: its journal says for what. A driver lets it pass."""


class LimitHit(Exception):
    """A limit of the run was reached; a driver ends with what it has.

    `why`: `limit.steps`, `limit.tokens`, `limit.usd`, `limit.wall`, `limit.depth`, `limit.calls` or `limit.loop`.
    """

    def __init__(self, why: str, text: str) -> None:
        super().__init__(text)
        self.why = why
        self.text = text


@dataclass(frozen=True, slots=True)
class RunEvent:
    """What a listener hears while a run goes on: `step`, `text` (a piece of the answer), `wait`, `end`."""

    name: Literal["begin", "step", "text", "wait", "end"]
    data: Json


class Journal(Protocol):
    """The journal of one run, for whoever drives it."""

    @property
    def steps(self) -> Sequence[StepRecord]:
        """All that is written, of earlier drives too."""
        ...

    @property
    def waits(self) -> Sequence[Wait]:
        """Every question that was asked."""
        ...

    async def write(self, *steps: StepRecord, waits: Sequence[Wait] = ()) -> None:
        """Append; durable when it returns. `n` and `run` of a step are set here.

        Raises:
            LostLease: another worker drives this run now.
            StoreFull: there is no room: nothing may be done that has to be written.
        """
        ...

    def tell(self, event: RunEvent) -> None:
        """To listeners; kept nowhere."""
        ...


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run has taken so far, with the runs below it."""

    steps: int = 0
    tokens: int = 0
    pusd: int = 0
    unpriced: bool = False
    wall_s: float = 0.0
    """Driven, not waited."""


@dataclass(frozen=True, slots=True)
class ChatSaid:
    """What a model said, whole."""

    message: Json
    """OpenAI's: `content`, `tool_calls`, `refusal`."""
    finish: str
    usage: Usage | None
    cost_pusd: int | None
    call_id: str
    """Of the gateway's record."""
    versions: Mapping[str, str]
    """`prompt:NAME` and `route:NAME` → version that answered."""
    took_us: int
    model: str = ""


class World(Protocol):
    """What a run reaches within this process, always as its caller may: there is no second way to a model or an index."""

    async def chat(self, body: Json, caller: Caller, run: RunRecord, tags: Mapping[str, str]) -> ChatSaid:
        """Ask a route or `prompt:NAME` through the gateway.

        Raises:
            PerdureError: as the gateway said it: limits, budgets, guards, upstreams.
        """
        ...

    def stream(
        self, body: Json, caller: Caller, run: RunRecord, tags: Mapping[str, str]
    ) -> AsyncIterator[str | ChatSaid]:
        """The same in pieces of text as they come; the whole last."""
        ...

    async def search(self, index: str, query: str, k: int, mode: str, caller: Caller, run: RunRecord) -> Json:
        """As `/v1/indexes/NAME/search` answers."""
        ...

    async def predict(self, model: str, rows: Sequence[Json], explain: bool, run: RunRecord) -> Json:
        """As `/v1/models/NAME/predict` answers; recorded like any prediction."""
        ...

    async def features(self, view: str, keys: Sequence[str], run: RunRecord) -> Json:
        """Name → value of a stored view, with `status` and `event_at`, for each key."""
        ...

    async def child(self, kind: str, asset: str, input_: Json, parent: RunRecord, call: str) -> RunRecord:
        """A run below a run: begun once under the parent's call, driven to its end; `Runtime.child` does it, and counts what it took.

        Raises:
            Parked: it waits for a person: so does the run above it, which goes on once it is over.
            LimitHit: a run so deep is not allowed (`limit.depth`), or another limit of a run above it is reached.
            LostLease: another worker drives the run above it now.
        """
        ...


@dataclass(frozen=True, slots=True)
class Offered:
    """A tool as a model sees it."""

    name: str
    description: str
    schema: Json
    """JSON schema of its arguments."""
    terms: ToolTerms
    node: str
    """`tool:NAME`."""
    uses: str = ""
    """`index:handbook`, `model:air_time`, … where it is of an asset."""


@dataclass(frozen=True, slots=True)
class ToolAsked:
    """One call of a tool."""

    name: str
    arguments: Json
    call: str
    """Id of the call, unique in its run."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """Around one try of a call."""

    run: RunRecord
    caller: Caller
    key: str
    """Idempotency key."""
    world: World
    steps: Sequence[StepRecord] = ()
    """The run's journal so far: what was read decides whether what is sent may go out. Always given by `Doing`."""
    approved: bool = False
    """A person has seen these very arguments and said yes."""


@dataclass(frozen=True, slots=True)
class ToolGave:
    """What a call gave; a failure is a result too, which a model reads and may act on."""

    value: bytes
    """JSON, as records keep it."""
    text: str
    """As the model reads it: fenced as data, cut to the tool's size."""
    error: str = ""
    """`tool.unknown`, `tool.bad_arguments`, `tool.failed`, `tool.timed_out`, `tool.too_large`, `tool.wrong_type`, `tool.refused`, …"""
    again: bool = False
    """A failure for now: doing it again may help. Of an effect `once` it leaves open whether it happened, unless `facts["undone"]`."""
    versions: Mapping[str, str] = field(default_factory=dict)
    cost_pusd: int = 0
    facts: Mapping[str, str | int | float | bool] = field(default_factory=dict)


class Toolbox(Protocol):
    """The tools of one version of an agent or graph."""

    @property
    def offered(self) -> Sequence[Offered]:
        """As models see them."""
        ...

    async def call(self, asked: ToolAsked, context: ToolContext) -> ToolGave:
        """Do it, once; never raises for what the tool does. Cancelling it lets go of what it waits for.

        Time, tries, approval and the declared cost are `Doing`'s: `ToolGave.cost_pusd` is what came on top of `ToolTerms.cost_usd`.

        Raises:
            Parked, LimitHit, LostLease, StoreError: of a run below this one; they pass.
        """
        ...

    async def happened(self, asked: ToolAsked, context: ToolContext) -> ToolGave | None:
        """Of an effect that may have happened: what it gave, where the tool can tell; None: nobody knows."""
        ...


class Doing(Protocol):
    """Calls of tools in one run: written down before and after, allowed, limited, never done twice in effect."""

    async def do(self, asked: ToolAsked) -> ToolGave:
        """The result: of the journal where it is there, else of the tool.

        Raises:
            Parked: a person has to say yes, or whether it happened.
            LimitHit: a limit of the run, or of the tool.
            LostLease: another worker drives this run now.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Driven:
    """One run in the hands of a driver."""

    run: RunRecord
    servable: Any
    """What the loader of the run's kind made of its version."""
    journal: Journal
    doing: Doing
    toolbox: Toolbox
    caller: Caller
    world: World
    limits: Guarding
    streams: bool
    """Somebody listens: pieces of text are told as they come."""
    replayer: Replayer | None = None
    """Of a replay: a driver asks it before a model or a node; tools need nothing, for `doing` asks it for them."""


class Guarding(Protocol):
    """The limits of one run."""

    def spent(self) -> Spent:
        """So far."""
        ...

    def check(self) -> None:
        """Before each step.

        Raises:
            LimitHit: one is reached.
        """
        ...

    def left_s(self) -> float:
        """Seconds that the run may still be driven."""
        ...


@dataclass(frozen=True, slots=True)
class Ended:
    """How a drive ended: the run is over, or waits."""

    status: RunStatus
    output: bytes = b""
    why: str = ""
    text: str = ""


class Driver(Protocol):
    """Drives runs of one kind."""

    async def drive(self, driven: Driven) -> Ended:
        """From where the journal stands to the end, or until it waits; never raises for the run's own failure.

        Raises:
            LostLease: another worker drives this run now.
            CancelledError: the process stops, or the run was cancelled; another drive goes on.
        """
        ...


class Replayer(Protocol):
    """What answers in a replay instead of the world: the record, up to the first difference. Made by `serve.runs.replaying`."""

    def chat(self, request: bytes) -> StepRecord | None:
        """The recorded answer to the very same request, as canonical JSON; None: ask anew. Each is given once, in its order.

        A chat's entry is found by `facts["request"]`, the `bytes_hash` of that JSON before anything was masked.
        """
        ...

    def node(self, node: str, input_: bytes) -> StepRecord | None:
        """What `node:NAME` of a graph gave to the same input (canonical JSON), or what stands in for it; None: compute it anew."""
        ...

    def tool(self, asked: ToolAsked) -> StepRecord | None:
        """The recorded result of the same call; None: not recorded."""
        ...

    def done(self, run: RunRecord, steps: Sequence[StepRecord]) -> Replayed:
        """What came of it."""
        ...
