"""What engines ask of the outside world, injected by compose: one required method a port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from perdure.core.runs import ReplayAsked, Replayed
from perdure.core.usage import Usage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Asked:
    """One question to a route, as an eval or a judge asks it."""

    route: str
    """Logical name of the route that answers."""
    messages: Sequence[Mapping[str, Any]]
    """As OpenAI's chat completions have them, rendered already."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Further members of the request: temperature, max_tokens, tools, response_format …"""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Kept with the call's record: suite, case, prompt version."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a question; a failure is an answer too, so that one case never ends a run."""

    message: Mapping[str, Any]
    """The neutral message: `content`, `tool_calls`, `refusal`; empty where it failed."""
    finish: str = ""
    usage: Usage | None = None
    cost_pusd: int | None = None
    """Picodollars; None: the price is not known."""
    latency_us: int = 0
    model: str = ""
    """`upstream/model` that answered."""
    call_id: str = ""
    """Of the gateway's record."""
    error: str = ""
    """Code of the error, such as `upstream.timed_out`, and empty for an answer."""
    retry_after_s: float = 0.0
    """Where it was asked to wait before trying again."""
    reported: str = ""
    """The model by the name that it gave itself, such as `large-2026-03-01`; empty where it gave none."""

    @property
    def text(self) -> str:
        """The text of the answer; empty where there is none."""
        content = self.message.get("content")
        if isinstance(content, str):
            return content
        parts = content if isinstance(content, Sequence) else ()
        return "".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping))


class Answerer(Protocol):
    """Asks models; normally through our own gateway, so that keys, limits, guards, money and records hold for evals too."""

    async def ask(self, asked: Asked) -> Answered:
        """The answer; never raises for an answer's own failure, and always asks anew (no cache of the gateway).

        Cancelling it cancels the call.
        """
        ...

    async def close(self) -> None:
        """Let connections go."""
        ...


class Replays(Protocol):
    """Does runs of agents and graphs again with something changed: for comparisons, and to find the node that is to blame."""

    async def replay(self, asked: ReplayAsked) -> Replayed:
        """The run as it would have gone; never raises for the run's own failure. Cancelling it cancels what it asks.

        Raises:
            NotFound: a swap names what is not there.
            NotReady: a version cannot be loaded.
        """
        ...

    async def close(self) -> None:
        """Let connections and memory go."""
        ...


@dataclass(frozen=True, slots=True)
class Embedded:
    """What an embedding model answered."""

    vectors: NDArray[np.float32]
    """One row a text, shape (len(texts), dimensions)."""
    n_tokens: int | None = None
    """As its upstream counted; None: it did not tell."""


class Embed(Protocol):
    """An embedding model behind a route."""

    def embed(self, route: str, texts: Sequence[str]) -> Embedded:
        """A row a text, and what they cost.

        Raises:
            UpstreamError: the route answered with an error or not in time.
        """
        ...


class Entails(Protocol):
    """A model of entailment (NLI), where one is installed; none comes with perdure."""

    def entails(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        """How probable it is, 0 to 1, that the first text of a pair entails the second; one a pair, in order."""
        ...


@dataclass(frozen=True, slots=True)
class CodeRun:
    """What came of code and its checks."""

    passed: bool
    """Every check was reached and held."""
    why: str = ""
    """For people: what failed, such as `AssertionError` or that the time was over; empty where it passed."""
    output: str = ""
    """The end of what it printed, cut."""


class RunCode(Protocol):
    """Runs code that a model wrote, apart from this process and with limits. No security boundary."""

    def run(self, code: str, checks: str, *, seconds: float, megabytes: int) -> CodeRun:
        """Run the code, then its checks in the same names; never raises for what they do. Blocks for up to `seconds`.

        Raises:
            NotReady: no process could be started here.
        """
        ...
