"""What scorers read of cases and answers: the parts of `expected`, contexts, the question, JSON as it was written.

`expected` is a value that all scorers share, or an object with a member for each way of comparing:
`{"text": "12 lanes", "number": 12, "relevant": ["doc-3"], "refuses": false}`. Each scorer reads its own member.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from perdure.assets.suite import Case
from perdure.core.ports import Answered
from perdure.engines.evals.protocols import Score

MEMBERS: Final = frozenset(("text", "number", "items", "json", "checks", "tool_calls", "relevant", "refuses"))
"""What an expected object may hold for scorers; an object with any other member is itself the expected value."""
GOOD: Final = Score(1.0)
BAD: Final = Score(0.0)
LONGEST: Final = 200_000
"""Characters of an answer that scorers look at."""
_FENCE = re.compile(r"\s*```[\w+-]*[ \t]*\n(.*?)\n?[ \t]*```\s*", re.DOTALL)
_QUESTIONS = ("question", "query", "input", "prompt", "message")


def expected_of(case: Case, member: str) -> Any:
    """What a scorer compares with; None where the case does not say.

    >>> expected_of(Case("a", {}, {"text": "Paris", "refuses": False}), "text"), expected_of(Case("a", {}, 12), "number")
    ('Paris', 12)
    """
    expected = case.expected
    if type(expected) is str:  # the usual case, without asking an abstract class
        return expected
    if isinstance(expected, Mapping) and expected and MEMBERS.issuperset(expected):
        return expected.get(member)
    return expected


def member_of(case: Case, member: str) -> Any:
    """The same, but only where the case names the member: a bare value is not meant for this way of comparing."""
    expected = case.expected
    return expected.get(member) if isinstance(expected, Mapping) and MEMBERS.issuperset(expected) else None


def texts_of(expected: Any) -> list[str]:
    """The texts that are right: one, or any of a list; numbers and truth values as JSON writes them.

    >>> texts_of("12"), texts_of(["twelve", 12]), texts_of(True), texts_of({"a": 1})
    (['12'], ['twelve', '12'], ['true'], [])
    """
    if isinstance(expected, str):
        return [expected]
    if isinstance(expected, bool):
        return ["true" if expected else "false"]
    if isinstance(expected, int | float):
        return [_written(expected)]
    if isinstance(expected, Sequence) and not isinstance(expected, bytes):
        return [text for each in expected if not isinstance(each, list | tuple) for text in texts_of(each)]
    return []


def _written(number: float) -> str:
    try:
        return str(number)
    except ValueError:  # more digits than Python turns into text
        return ""


def lacks_text(case: Case) -> str:
    """Why a case has no text to compare with; empty where it has one."""
    return "" if texts_of(expected_of(case, "text")) else "the case expects no text"


@dataclass(frozen=True, slots=True)
class Context:
    """One text that was retrieved for a case."""

    text: str
    id: str = ""
    relevant: bool | None = None
    """As the case says; None where it does not."""


def contexts_of(case: Case) -> list[Context]:
    """The contexts of a case, in the order in which they were retrieved."""
    return [_context(each) for each in case.contexts]


def _context(given: str | Mapping[str, Any]) -> Context:
    if isinstance(given, str):
        return Context(given)
    relevant = given.get("relevant")
    return Context(str(given.get("text", "")), str(given.get("id", "")), None if relevant is None else bool(relevant))


def question_of(case: Case) -> str:
    """What was asked: the last user message, the input of that name, or all texts among the inputs.

    >>> question_of(Case("a", {"question": "Where?", "tone": "dry"})), question_of(Case("a", {"topic": "rain"}))
    ('Where?', 'rain')
    """
    messages = case.inputs.get("messages")
    if isinstance(messages, list | tuple):
        asked = [each for each in messages if isinstance(each, Mapping) and each.get("role") == "user"]
        return Answered(asked[-1]).text if asked else ""
    named = next((case.inputs[name] for name in _QUESTIONS if isinstance(case.inputs.get(name), str)), None)
    return named if named is not None else "\n".join(each for each in case.inputs.values() if isinstance(each, str))


def unfenced(text: str) -> str:
    """What stands in a fenced block, where an answer is nothing else; otherwise the text."""
    fenced = _FENCE.fullmatch(text)
    return text if fenced is None else fenced[1]


def json_of(text: str) -> Any:
    """The JSON value that an answer is, alone or in one fenced block.

    Raises:
        ValueError: it is none: no JSON, NaN or infinities, a member that is there twice, or nested too deeply.
    """
    try:
        return json.loads(unfenced(text), object_pairs_hook=_members, parse_constant=_refused)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a member is there twice")
    return made


def _refused(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: 1 is 1.0, and true is not 1.

    >>> same({"a": [1, True]}, {"a": (1.0, True)}), same(True, 1)
    (True, False)
    """
    try:
        return _same(one, other)
    except RecursionError:
        return False


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def finite(value: Any) -> float | None:
    """A number as a finite float; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        made = float(value)
    except OverflowError:
        return None
    return made if math.isfinite(made) else None
