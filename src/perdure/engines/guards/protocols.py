"""What a compiled guard does with a conversation and with an answer.

`compile_guard` makes a `Compiled` from a version's definition and artifacts. Serve asks `judge` about the whole conversation
(never the last message alone), and `judge_answer` or a `Filter` about what comes back. Finding is the check's part; what is
done about it is the guard's mode, and serve's part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one text that was found."""

    start: int
    end: int
    kind: str
    """Such as `email` or `aws_key`."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a guard says of some texts."""

    found: bool
    check: str = ""
    """Name of the check that found, such as `pii`; empty when none did."""
    kind: str = ""
    """What it found, such as `email`; for a learned check the family it resembles, where it can tell."""
    score: float = 0.0
    """0 to 1: how sure the check is; 1 for patterns."""
    failed: str = ""
    """Why the check could not be done; empty when it could."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """JSON-compatible; never the secret or the personal data itself."""


@dataclass(frozen=True, slots=True)
class Masked:
    """A conversation or a text with what was found masked, and how to put it back."""

    value: Any
    """The neutral messages, the request, the answer."""
    spans: int
    """How many stretches were masked."""
    stuck: str = ""
    """Kind of what was found where no mask can stand, such as in an address; empty where there was none."""
    restore: Mapping[str, str] = field(default_factory=dict)
    """Mask → what it stands for; masks are unguessable, and the same text has the same mask within a call."""


class Filter(Protocol):
    """Judges one streamed answer, and holds back what is not judged yet; made anew for each."""

    def feed(self, text: str) -> str:
        """What may be sent now of everything fed so far. With mode `block`, nothing more once `verdict.found`."""
        ...

    def end(self, answer: Json | None = None) -> str:
        """What may be sent of what was still held back.

        Args:
            answer: the whole neutral answer with its tool calls, where the caller has it; else the text that was fed.
        """
        ...

    @property
    def verdict(self) -> Verdict:
        """So far."""
        ...

    @property
    def held(self) -> str:
        """What of everything fed so far is still held back, as it came."""
        ...


class Compiled(Protocol):
    """A guard ready to judge. Safe to share between threads."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def fails(self) -> str: ...
    @property
    def wait_ms(self) -> float: ...
    @property
    def on(self) -> Sequence[str]: ...
    @property
    def whole(self) -> bool:
        """True where a check needs the whole answer: in mode `block` a stream is held to its end, tool calls too."""
        ...

    @property
    def slow(self) -> bool:
        """True where it takes more than a millisecond: then serve runs it in a thread, beside the upstream call."""
        ...

    def judge(self, messages: Sequence[Json], request: Json) -> Verdict:
        """Of a whole conversation, in neutral form. Checks do not raise: see `Verdict.failed`.

        Args:
            messages: the conversation.
            request: all that goes out, in which every string beside the conversation is looked through; may be empty.
        """
        ...

    def mask_request(self, request: Json) -> Masked:
        """A request, its `messages` in neutral form, with every stretch found masked wherever it stands; for mode `redact`.

        Where nothing can be masked, what was found stays, and `Masked.stuck` says so.
        """
        ...

    def mask(self, messages: Sequence[Json]) -> Masked:
        """A conversation with every stretch found masked in every string of it, names of members too; for records."""
        ...

    def judge_answer(self, answer: Json, messages: Sequence[Json]) -> Verdict:
        """Of a whole neutral answer to that conversation, its tool calls too."""
        ...

    def mask_answer(self, answer: Json, messages: Sequence[Json] = ()) -> Masked:
        """The answer with every stretch found masked; with the conversation, what it recites of its system prompt too."""
        ...

    def filter(self, messages: Sequence[Json]) -> Filter:
        """For one streamed answer to that conversation. Checks that need the whole answer judge at its end."""
        ...
