"""What every kind of tool is to the toolbox: what it offers, what it does, how it fails.

A kind of tool is a file beside this one; `toolbox` checks, marks and cuts for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from perdure.serve.runs.protocols import Json, Offered, ToolAsked, ToolContext

Facts = Mapping[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool gave, before it is cut and marked."""

    value: Any
    """JSON-compatible."""
    versions: Mapping[str, str] = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)
    is_whole: bool = True
    """False where more came than was read."""


class ToolFailure(Exception):
    """A call failed; what a model is told of it.

    Args:
        code: `tool.failed`, `tool.wrong_type`, …
        text: what happened, in our words.
        quoted: what somebody else said of it; it is data.
        again: doing it again may help. Of an effect it leaves open whether it happened, unless `undone`.
        undone: certainly nothing was done.
    """

    def __init__(self, code: str, text: str, *, quoted: str = "", again: bool = False, undone: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.quoted = quoted
        self.again = again
        self.undone = undone


class Held(Protocol):
    """One tool of a toolbox."""

    @property
    def offered(self) -> Offered:
        """As a model sees it."""
        ...

    @property
    def is_outward(self) -> bool:
        """Whether it sends something out of this process or changes something: then what it sends is judged by where it comes from."""
        ...

    async def work(self, asked: ToolAsked, context: ToolContext) -> Result:
        """Do it, once, with arguments that fit the schema.

        Raises:
            ToolFailure: it failed.
            PerdureError: what it asks within this process said no.
        """
        ...


def told_age(seconds: float | None) -> str:
    """How long ago, as a person says it.

    >>> told_age(40), told_age(5400), told_age(200_000), told_age(None)
    ('40 seconds', '2 hours', '2 days', 'not known')
    """
    if seconds is None:
        return "not known"
    for unit, name in ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute")):
        number = round(seconds / unit.total_seconds())
        if seconds >= unit.total_seconds():
            return f"{number} {name}{'' if number == 1 else 's'}"
    return f"{seconds:.0f} second{'' if round(seconds) == 1 else 's'}"


def object_schema(properties: Mapping[str, Any], required: tuple[str, ...]) -> Json:
    """JSON schema of an object with these members and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }
