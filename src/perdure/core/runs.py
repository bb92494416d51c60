"""Runs of agents and graphs as records: what was asked, every step that was taken, what waits for a person.

A run is its journal: steps are appended and never changed, so a process that takes over a run of a dead one reads where it stood.
Serve writes them to `stores.runs`; ended runs move to the lake, where health, replays and blame read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from perdure.core.usage import Usage

RunKind = Literal["agent", "graph"]
RunStatus = Literal["running", "waiting", "done", "limited", "failed", "cancelled"]
"""`waiting`: for a person, with no process; `limited`: a limit ended it with what it had; the last four are ends."""
ENDED: frozenset[RunStatus] = frozenset({"done", "limited", "failed", "cancelled"})

StepKind = Literal["chat", "tool", "node", "child"]
"""A model was asked; a tool was called; a node of a graph was computed; another run was begun below this one."""
StepState = Literal["begun", "done", "failed", "refused", "waiting", "unknown"]
"""`begun`: written before a side effect, so that it is never done twice; `refused`: by limits, permissions, guards or a person;
`waiting`: for a person's yes; `unknown`: a process died between begin and end, and nobody knows whether it happened."""
Effect = Literal["none", "keyed", "once"]
"""Of a tool: `none`: it reads, and may be called again; `keyed`: it changes something and takes our key, under which a second call
does nothing more; `once`: it changes something and takes no key: after a crash a person says whether it happened."""


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a run's journal."""

    run: str
    n: int
    """0 for the first entry of the run; given by the journal."""
    kind: StepKind
    state: StepState
    node: str
    """What the step is of: `prompt:support_answer` or `route:support` for a chat, `tool:search_handbook`, `node:classify`."""
    call: str
    """Of entries about one call of one node the same, such as the model's tool call id; unique in its run else."""
    key: str = ""
    """Idempotency key that a side effect went out under; empty without one."""
    version: str = ""
    """Version that answered: of the prompt (a chat), the index, the model, or the tool's own."""
    versions: Mapping[str, str] = {}
    """Everything that took part, `kind:name` → version, such as `route:support` → `support@3f2a…`, `index:handbook` → `handbook@…:17`."""
    input: bytes = b""
    """JSON: the arguments, or digest and messages of a chat; redacted as the asset's `keeps` says."""
    output: bytes = b""
    """JSON: what it gave."""
    error: str = ""
    """Code of what went wrong, such as `tool.timed_out`; empty where nothing did."""
    text: str = ""
    """The error in words, or why it waits; of a tool what the model read, where that is not the output as it is."""
    began_us: int = 0
    """Machine time."""
    took_us: int = 0
    usage: Usage | None = None
    cost_pusd: int | None = 0
    """Picodollars; None: the price is not known."""
    facts: Mapping[str, str | int | float | bool] = {}
    """What else is worth keeping: `call_id` of the gateway's record, `injection` (score), `loop`, `cached`, `search` (id) …"""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One run as it stands."""

    id: str
    kind: RunKind
    asset: str
    version: str
    arm: str
    """Pointer that answered: `champion`, `challenger`, `shadow`; `replay` for a replay."""
    status: RunStatus
    input: bytes
    """JSON of what was asked."""
    output: bytes = b""
    """JSON of what it gave; whatever it has where a limit ended it."""
    why: str = ""
    """Code of why it ended otherwise than done, such as `limit.steps`, `limit.loop`, `tool.refused`; empty else."""
    text: str = ""
    """The same in words."""
    idempotency: str = ""
    """The caller's own key: a second request under it gives the same run."""
    key: str = ""
    """Id of the caller's key; empty where nobody is told apart."""
    team: str = ""
    user: str = ""
    """On whose behalf the caller asks, by its own word."""
    parent: str = ""
    """Run that began it; empty for one of a caller's."""
    root: str = ""
    """The outermost run; its own id for one of a caller's."""
    depth: int = 0
    served_us: int = 0
    """Domain time of the request."""
    began_us: int = 0
    """Machine time."""
    ended_us: int = 0
    n_steps: int = 0
    """Entries that are not `begun` or `waiting`."""
    n_tokens: int = 0
    cost_pusd: int = 0
    unpriced: bool = False
    """Some of its steps have no known price."""
    trace: str = ""
    """W3C traceparent of the request; empty without one."""
    tags: Mapping[str, str] = {}
    replay_of: str = ""
    """Run that this one does again with something changed; empty for a run of production."""
    swaps: Mapping[str, str] = {}
    """Of a replay: `kind:name` → what took its place."""

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.status in ENDED


class WaitAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What one person said of what waits."""

    actor: str
    approves: bool
    reason: str
    at_us: int
    value: bytes = b""
    """JSON: arguments as the person changed them; of an `unknown` effect what it gave. Empty: as asked."""


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """A call that waits for a person: an approval, or the question whether an effect happened."""

    id: str
    run: str
    asset: str
    call: str
    tool: str
    question: Literal["approve", "happened"]
    text: str
    """As the person reads it, with the arguments."""
    arguments: bytes
    role: str
    asked_us: int
    """Machine time."""
    expires_us: int = 0
    """Then it counts as no; 0: it waits for ever."""
    answer: WaitAnswer | None = None


class Claim(msgspec.Struct, frozen=True):
    """The right of one worker to drive one run; what it writes is refused once another has a later epoch."""

    run: str
    worker: str
    epoch: int
    until_us: int
    """Machine time; renewed while the run goes on."""
    deaths: int = 0
    """Times in a row that a claim of the run ran out and was not given back, without a new entry of its journal."""


class ReplayAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A run to be done again with something changed.

    What is recorded is given again: an answer of a model to the very same request, the result of a tool to the same arguments. Only from
    the first difference on is anything asked anew; what changes the world is never done again, only answered from the record.
    """

    run: RunRecord
    steps: tuple[StepRecord, ...]
    """Its journal, from the store of runs or the lake."""
    swaps: Mapping[str, str]
    """`kind:name` → what takes its place: a version id of a prompt, route, model, agent or graph; `VERSION:GENERATION` of an index;
    `tool:NAME` or `node:NAME` → `live` (asked anew) or `recorded`, or JSON of what it gives."""
    limits: Mapping[str, float] = {}
    """Members of `RunLimits` that hold instead."""


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a replay."""

    run: RunRecord
    steps: tuple[StepRecord, ...]
    diverged_at: int = -1
    """Number of the first step that differs from the recorded one; -1: none does."""
    unknown: tuple[str, ...] = ()
    """Effects that were asked for and stand in no record: not done, and answered as not known."""
