"""Tools: what an agent may do, each with what it changes, who must say yes, and how often and how long it may.

    tools = [
        SearchTool("handbook", k=4),                       # an index, with citations and freshness
        PredictTool("air_time", explain=True),             # a model, live
        FeaturesTool("weather_now"),                       # a feature view, by key
        HttpTool("track", "https://api.example.com/parcels/{parcel}", description="Where a parcel is."),
        McpTools("files", command=("python", "-m", "my_server"), only=("read_file",)),
        send_notice,                                       # a Python function
    ]

    @tool(effect="keyed", approve_by="on_call")
    def send_notice(call: ToolCall, flight: str, text: str) -> str:
        '''Send a notice to the passengers of a flight.'''
        return post(f"/notices/{flight}", text, key=call.key)

A tool is part of its agent's version: another signature, another description, other code of a function is another version.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any, Literal, get_args, overload
from urllib.parse import urlsplit

from perdure.core.canonical import content_hash, plain
from perdure.core.errors import BadAgent
from perdure.core.runs import Effect
from perdure.core.units import seconds

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolTerms:
    """On which terms a tool may be called; every tool has them.

    Args:
        effect: `none`, `keyed` or `once`; see `core.runs.Effect`.
        approve_by: role of who must say yes before each call; None: nobody.
        timeout: of one try.
        tries: of a call that failed for now (a timeout, a 503), where doing it again is safe.
        calls: most calls in one run; None: as many as the run may take.
        cost_usd: of one call, counted to the run.
        most_bytes: of what it gives; more is cut, and told as cut.
        teams: whose keys may have it called; empty: every team that may call the agent.
        trusted: what it gives was written by the project itself: it is still data, but is not looked through for instructions.
    """

    effect: Effect = "none"
    approve_by: str | None = None
    timeout: timedelta = field(default_factory=lambda: seconds(30))
    tries: int = 2
    calls: int | None = None
    cost_usd: float = 0.0
    most_bytes: int = 50_000
    teams: Sequence[str] = ()
    trusted: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "teams", tuple(self.teams))
        if self.effect not in get_args(Effect):
            raise BadAgent(
                f"A tool has the effect {self.effect!r}.",
                hint="none: it reads. keyed: it changes something under our key. once: it changes something without one.",
            )
        if self.timeout <= timedelta(0) or self.tries < 1 or self.most_bytes < 1 or self.cost_usd < 0:
            raise BadAgent(
                "The terms of a tool mean nothing.", hint="A timeout, tries and a size above 0; a cost of 0 or more."
            )
        if self.calls is not None and self.calls < 1:
            raise BadAgent(f"A tool may be called {self.calls} times.", hint="Give one or more, or leave it out.")

    def definition(self) -> dict[str, Any]:
        """What it says, where it is not the usual."""
        usual = ToolTerms()
        own = {each.name: getattr(self, each.name) for each in fields(ToolTerms)}
        told = {name: value for name, value in own.items() if value != getattr(usual, name)}
        if "timeout" in told:
            told["timeout"] = self.timeout.total_seconds()
        found: dict[str, Any] = plain(told)
        return found


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a Python tool may know of the call that it is: the first parameter of its function, where it wants it."""

    run: str
    """Id of the run."""
    agent: str
    tool: str
    key: str
    """Idempotency key: the same for every try of this call, of no other. Send it along where something is changed."""
    now: datetime
    """Domain time of the run's request."""
    team: str
    user: str


@dataclass(frozen=True, slots=True)
class SearchTool:
    """Searches an index as the caller may: what it finds comes with its place and when its source was last seen.

    Args:
        index: its name.
        k: chunks that are given.
        name: by which a model calls it; by default `search_<index>`.
        description: for the model; by default says what the index is of.
        mode: `hybrid`, `dense` or `words`.
        terms: by default those of a tool that reads.
    """

    index: str
    k: int = 5
    name: str = ""
    description: str = ""
    mode: str = "hybrid"
    terms: ToolTerms = field(default_factory=ToolTerms)

    kind = "search"

    def __post_init__(self) -> None:
        _settle(self, f"search_{self.index}", f"Search {self.index} for passages about a question.")
        if not 1 <= self.k <= 50:
            raise BadAgent(f"The tool {self.name!r} gives {self.k} chunks.", hint="Use 1 to 50.")


@dataclass(frozen=True, slots=True)
class PredictTool:
    """Asks a model of the project for a prediction, by the version that answers now.

    Args:
        model: its name.
        explain: with what each feature contributed, the largest first.
        name: by default `predict_<model>`.
        description: by default the model's purpose.
        terms: by default those of a tool that reads.
    """

    model: str
    explain: bool = False
    name: str = ""
    description: str = ""
    terms: ToolTerms = field(default_factory=ToolTerms)

    kind = "predict"

    def __post_init__(self) -> None:
        _settle(self, f"predict_{self.model}", "")


@dataclass(frozen=True, slots=True)
class FeaturesTool:
    """Looks up what a stored feature view has of a key, with how fresh it is.

    Args:
        view: its name.
        name: by default `get_<view>`.
        description: for the model.
        terms: by default those of a tool that reads.
    """

    view: str
    name: str = ""
    description: str = ""
    terms: ToolTerms = field(default_factory=ToolTerms)

    kind = "features"

    def __post_init__(self) -> None:
        _settle(self, f"get_{self.view}", f"What {self.view} has of a key.")


@dataclass(frozen=True, slots=True)
class HttpTool:
    """Asks one address over HTTP. Nothing but the declared host is reached: no redirect elsewhere, no address that a model made.

    Args:
        name: by which a model calls it.
        url: with `{parameter}` in path and query; each is a text that is escaped.
        description: for the model.
        method: GET reads; every other changes something unless the terms say otherwise.
        parameters: name → JSON schema, or a Python type; those in the URL need not be named.
        body: names of parameters that make the JSON body.
        headers: sent along; a value `env:NAME` is read from the environment and never recorded.
        terms: of GET those of a tool that reads; of other methods `keyed`: the key goes out as `Idempotency-Key`.
    """

    name: str
    url: str
    description: str
    method: Method = "GET"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    body: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    terms: ToolTerms | None = None

    kind = "http"

    def __post_init__(self) -> None:
        if self.terms is None:
            object.__setattr__(self, "terms", ToolTerms(effect="none" if self.method == "GET" else "keyed"))
        object.__setattr__(self, "body", tuple(self.body))
        _settle(self, self.name, self.description)
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "{" in parts.netloc:
            raise BadAgent(
                f"The tool {self.name!r} has the address {self.url!r}.",
                hint="Write http(s)://HOST/path with {parameters} behind the host.",
            )
        if self.method not in _METHODS:
            raise BadAgent(
                f"The tool {self.name!r} has the method {self.method!r}.", hint=f"Use {', '.join(_METHODS)}."
            )


@dataclass(frozen=True, slots=True)
class McpTools:
    """Tools of a server that speaks the Model Context Protocol (extra `mcp`). What it offers is pinned when a version is made.

    Args:
        name: of the server; its tools are `<name>_<tool>`.
        command: program and arguments of a server over stdin and stdout; or
        url: of one over HTTP.
        only: its tools that may be called; empty: all that it offers.
        env: names of environment variables that the program gets.
        terms: of each of its tools: by default `once`, for nothing says what they do.
        terms_of: other terms of single tools.
        pinned: what it offers, as `perdure apply` found it; nothing is offered to a model that is not in it.
    """

    name: str
    command: Sequence[str] = ()
    url: str = ""
    only: Sequence[str] = ()
    env: Sequence[str] = ()
    terms: ToolTerms = field(default_factory=lambda: ToolTerms(effect="once"))
    terms_of: Mapping[str, ToolTerms] = field(default_factory=dict)
    pinned: Sequence[Mapping[str, Any]] = ()

    kind = "mcp"

    def __post_init__(self) -> None:
        for each in ("command", "only", "env", "pinned"):
            object.__setattr__(self, each, tuple(getattr(self, each)))
        _check_name(self.name)
        if bool(self.command) == bool(self.url):
            raise BadAgent(f"The MCP server {self.name!r} needs a command or a URL.", hint="Give one of the two.")


@dataclass(frozen=True, slots=True)
class AgentTool:
    """Another agent as a tool: a run below this one, within what is left of its limits.

    Args:
        agent: its name.
        description: for the model: what it is good for.
        name: by default `ask_<agent>`.
        terms: by default those of a tool that reads: its own tools have their own.
    """

    agent: str
    description: str
    name: str = ""
    terms: ToolTerms = field(default_factory=ToolTerms)

    kind = "agent"

    def __post_init__(self) -> None:
        _settle(self, f"ask_{self.agent}", self.description)


@dataclass(frozen=True, slots=True, eq=False)
class FunctionTool:
    """A Python function as a tool; made by `@tool`. Its parameters need types: they are what a model may send."""

    function: Callable[..., Any]
    name: str
    description: str
    terms: ToolTerms
    happened: Callable[[ToolCall], Any] | None = None
    """Of an effect `once`: asked after a crash whether the call of this key happened: what it gave, or None."""

    kind = "function"

    def __post_init__(self) -> None:
        _settle(self, self.name, self.description)
        if not self.description.strip():
            raise BadAgent(
                f"The tool {self.name!r} says nothing of what it is for.", hint="Give its function a docstring."
            )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function itself: for tests."""
        return self.function(*args, **kwargs)


Tool = SearchTool | PredictTool | FeaturesTool | HttpTool | McpTools | AgentTool | FunctionTool


@overload
def tool(function: Callable[..., Any], /) -> FunctionTool: ...


@overload
def tool(
    *, happened: Callable[[ToolCall], Any] | None = None, name: str = "", **terms: Any
) -> Callable[[Callable[..., Any]], FunctionTool]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    happened: Callable[[ToolCall], Any] | None = None,
    name: str = "",
    **terms: Any,
) -> FunctionTool | Callable[[Callable[..., Any]], FunctionTool]:
    """Make a function a tool: its name, its docstring and its typed parameters are what a model sees.

    Args:
        function: sync or async; a first parameter `call: ToolCall` is ours.
        happened: of an effect `once`: whether the call of a key happened.
        name: by default the function's.
        terms: members of `ToolTerms`.

    Raises:
        BadAgent: a parameter has no type, there is no docstring, or the terms mean nothing.
    """

    def made(function: Callable[..., Any]) -> FunctionTool:
        _check_parameters(function)
        return FunctionTool(
            function, name or function.__name__, inspect.getdoc(function) or "", ToolTerms(**terms), happened
        )

    return made if function is None else made(function)


def tool_definition(declared: Tool) -> dict[str, Any]:
    """What a version says of a tool: JSON-compatible, without code but with the digest of a function's source."""
    if isinstance(declared, FunctionTool):
        own: dict[str, Any] = {
            "name": declared.name,
            "description": declared.description,
            "function": f"{declared.function.__module__}:{declared.function.__qualname__}",
            "code": source_digest(declared.function),
        }
    else:
        own = {each.name: getattr(declared, each.name) for each in fields(declared)}
        own.pop("terms")
        if isinstance(declared, McpTools):
            own["terms_of"] = {name: each.definition() for name, each in sorted(declared.terms_of.items())}
        if isinstance(declared, HttpTool):
            own["parameters"] = {name: _schema(each) for name, each in declared.parameters.items()}
    terms = declared.terms
    assert terms is not None
    found: dict[str, Any] = plain({"kind": declared.kind, **own, "terms": terms.definition()})
    return found


def source_digest(function: Callable[..., Any]) -> str:
    """Digest of a function's source, or of its bytecode where there is no source."""
    try:
        return content_hash(inspect.getsource(function))
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return content_hash("" if code is None else code.co_code.hex())


def _schema(declared: Any) -> Any:
    if isinstance(declared, Mapping):
        return dict(declared)
    from pydantic import TypeAdapter

    return TypeAdapter(declared).json_schema()


def _check_parameters(function: Callable[..., Any]) -> None:
    for place, (name, parameter) in enumerate(inspect.signature(function).parameters.items()):
        ours = place == 0 and parameter.annotation in ("ToolCall", ToolCall)
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise BadAgent(
                f"The tool {function.__name__!r} takes *{name}: a model could not know what to send.",
                hint="Name each parameter, with its type.",
            )
        if parameter.annotation is parameter.empty and not ours:
            raise BadAgent(
                f"The parameter {name!r} of the tool {function.__name__!r} has no type.", hint=f"Write {name}: str."
            )


def _settle(declared: Any, name: str, description: str) -> None:
    if not declared.name:
        object.__setattr__(declared, "name", name)
    if not declared.description and description:
        object.__setattr__(declared, "description", description)
    _check_name(declared.name)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadAgent(f"The tool name {name!r} is not legal.", hint="Use a-z, 0-9 and _, up to 64.")


def renamed(declared: Tool, name: str) -> Tool:
    """The same tool under another name."""
    return replace(declared, name=name)
