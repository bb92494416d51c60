"""Agents: a prompt, a route, tools and limits, declared like any asset, with versions, pointers and health.

    support = Agent(
        "support",
        prompt="support_agent",                        # instructions, by the prompt's pointer
        tools=[SearchTool("handbook", k=4), send_reply],
        limits=RunLimits(steps=8, usd=0.05),
        success=[scorers.Contains()],
        healthy=[task_success(over=days(1)) >= 0.8, tool_error_ratio(over=hours(6)) <= 0.05],
        policy=Policy.act(),
    )

Clients call it at `/v1/agents/support/runs`, or by any OpenAI SDK as the model `agent:support`. A version is the definition: prompt's
name, route, tools, output and limits. The prompt, the indexes and the models it works with have versions and pointers of their own,
and each step of a run says which of them answered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, Protocol, get_args

from pydantic import BaseModel

from perdure.assets.objective import Objective
from perdure.assets.policy import Policy
from perdure.assets.prompt_variables import model_schema
from perdure.assets.scorer_specs import check_scorers
from perdure.assets.scorers import Scorer
from perdure.assets.tools import AgentTool, FeaturesTool, PredictTool, SearchTool, Tool, tool_definition
from perdure.core.canonical import plain
from perdure.core.errors import BadAgent, BadPrompt, BadSuite, DeclarationError
from perdure.core.units import minutes

Keeps = Literal["redacted", "full", "none"]
"""What a run's record keeps of texts: personal data masked, all, or nothing but digests and lengths."""
PREFIX = "agent:"
"""Before an agent's name where it is called as a model, and in `Team.routes`."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What one run may take, with all the runs below it; the first that is reached ends it with what it has.

    Args:
        steps: answers of models and calls of tools.
        tokens: in and out, of all calls.
        usd: of all calls and tools; a step whose price is not known counts as nothing, and is told.
        wall: while it is driven; days in which it waits for a person do not count.
        depth: runs below runs.
        same_calls: times that one tool may be called with the same arguments and give nothing new.
    """

    steps: int = 20
    tokens: int = 100_000
    usd: float = 1.0
    wall: timedelta = field(default_factory=lambda: minutes(10))
    depth: int = 3
    same_calls: int = 2

    def __post_init__(self) -> None:
        told = (self.steps, self.tokens, self.usd, self.depth, self.same_calls)
        if any(each <= 0 for each in told) or self.wall <= timedelta(0):
            raise BadAgent("A limit of zero lets a run do nothing.", hint="Give each limit more than 0.")

    def definition(self) -> dict[str, Any]:
        """JSON-compatible; times in seconds."""
        return {
            "steps": self.steps,
            "tokens": self.tokens,
            "usd": self.usd,
            "wall_s": self.wall.total_seconds(),
            "depth": self.depth,
            "same_calls": self.same_calls,
        }


class RunDeclared(Protocol):
    """What an agent and a graph both declare; see `Agent`."""

    @property
    def name(self) -> str:
        """Lower case with underscores."""
        ...

    @property
    def success(self) -> Sequence[Scorer]:
        """Scorers of what it gave."""
        ...

    @property
    def keeps(self) -> Keeps:
        """What records hold of texts."""
        ...


def settle(declared: RunDeclared, kind: str, wrong: type[DeclarationError], *lists: str) -> None:
    """Make tuples of the sequences that were given, and check what agents and graphs share.

    Args:
        declared: it, half made.
        kind: `agent` or `graph`, as errors say it.
        wrong: raised where something is.
        lists: members that are sequences, beside `success` and `healthy`.

    Raises:
        BadAgent, BadGraph: a name that is none, a `keeps` that means nothing, scorers that nothing can be scored by.
    """
    for each in (*lists, "success", "healthy"):
        object.__setattr__(declared, each, tuple(getattr(declared, each)))
    if not _NAME.fullmatch(declared.name):
        raise wrong(f"The {kind} name {declared.name!r} is not legal.", hint="Use a-z, 0-9 and _ in it.")
    named = f"{kind.capitalize()} {declared.name!r}"
    if declared.keeps not in get_args(Keeps):
        raise wrong(f"{named} keeps {declared.keeps!r}.", hint=f"Use {', '.join(get_args(Keeps))}.")
    try:
        check_scorers(declared.success)
    except BadSuite as error:
        raise wrong(f"{named}: {error.message}", hint=error.hint) from error


@dataclass(frozen=True, slots=True, eq=False)
class Agent:
    """A model that chooses what to do next, within what is declared.

    Args:
        name: lower case with underscores.
        prompt: name of the prompt that instructs it; its variables are members of a run's `input`.
        tools: what it may do.
        route: who answers; empty: the prompt's route.
        output: what it must give: a Pydantic class or a JSON schema; None: text.
        limits: of one run.
        success: scorers of what it gave, against a run's `expected` where there is one; a run succeeded where their weighted mean is
            0.5 or more, and nobody said otherwise by feedback.
        keeps: what records hold of texts.
        healthy: objectives.
        policy: how far the loop may go alone.
    """

    name: str
    prompt: str
    tools: Sequence[Tool] = ()
    route: str = ""
    output: type[BaseModel] | Mapping[str, Any] | None = None
    limits: RunLimits = field(default_factory=RunLimits)
    success: Sequence[Scorer] = ()
    keeps: Keeps = "redacted"
    healthy: Sequence[Objective] = ()
    policy: Policy = field(default_factory=Policy.observe)

    def __post_init__(self) -> None:
        settle(self, "agent", BadAgent, "tools")
        if not self.prompt:
            raise BadAgent(f"Agent {self.name!r} names no prompt.", hint='Say what instructs it: prompt="support".')
        for given in self.tools:
            _check_tool(self.name, given)
        names = [each.name for each in self.tools]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise BadAgent(
                f"Agent {self.name!r} has two tools named {', '.join(twice)}.", hint="Give one of them another name=."
            )
        self.definition()

    def definition(self) -> dict[str, Any]:
        """What its versions are: JSON-compatible; `output` is a JSON schema as text."""
        found: dict[str, Any] = plain(
            {
                "prompt": self.prompt,
                "route": self.route,
                "tools": [tool_definition(each) for each in self.tools],
                "output": self._output(),
                "limits": self.limits.definition(),
                "keeps": self.keeps,
            }
        )
        return found

    def uses(self) -> tuple[str, ...]:
        """What of the project it works with, as `kind:name`: each has versions or health of its own."""
        own = [f"prompt:{self.prompt}", *([f"route:{self.route}"] if self.route else [])]
        return tuple(dict.fromkeys([*own, *(each for tool in self.tools for each in _used(tool))]))

    def _output(self) -> str | None:
        if self.output is None:
            return None
        if isinstance(self.output, Mapping):
            return json.dumps(plain(self.output), ensure_ascii=False, separators=(",", ":"))
        try:
            schema = model_schema(self.name, self.output, "output")
        except BadPrompt as error:
            raise BadAgent(f"Agent {self.name!r}: {error.message}", hint=error.hint) from error
        return json.dumps(plain(schema), ensure_ascii=False, separators=(",", ":"))


def _check_tool(agent: str, given: object) -> None:
    if isinstance(given, Tool):
        return
    if isinstance(given, Agent):
        hint = f"Write AgentTool({given.name!r}, …)."
    elif callable(given):
        hint = f"Write @tool above {getattr(given, '__name__', 'it')}."
    else:
        hint = (
            "Give a function with @tool, or a SearchTool, PredictTool, FeaturesTool, HttpTool, McpTools or AgentTool."
        )
    what = getattr(given, "__name__", None) or repr(given)[:60]
    raise BadAgent(f"Agent {agent!r} has {what} among its tools, which is no tool.", hint=hint)


def _used(tool: Tool) -> tuple[str, ...]:
    if isinstance(tool, SearchTool):
        return (f"index:{tool.index}",)
    if isinstance(tool, PredictTool):
        return (f"model:{tool.model}",)
    if isinstance(tool, FeaturesTool):
        return (f"feature_view:{tool.view}",)
    return (f"agent:{tool.agent}",) if isinstance(tool, AgentTool) else ()
