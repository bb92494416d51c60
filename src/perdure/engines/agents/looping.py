"""Whether a run goes round in circles: the same calls with the same arguments, and nothing new in what they give.

Asked by `serve.runs.doing` before each call of a tool. A call that was made before is no loop as long as its result changes: waiting for
a parcel by asking where it is, is asking again on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perdure.core.canonical import bytes_hash, canonical_json
from perdure.core.errors import DeclarationError

_LONGEST = 4
"""Calls in a circle; of a longer one each call still is counted by itself."""
_TIMES = 2
"""Rounds that make a circle; one round is a run that does its work."""


@dataclass(frozen=True, slots=True)
class Made:
    """One call as far as a loop is concerned."""

    tool: str
    arguments: str
    """Digest of the arguments in canonical form; see `digest_of`."""
    result: str
    """Digest of what it gave."""


def digest_of(value: object) -> str:
    """Digest of a JSON value: the same for the same members in any order; of what has no such form, of how Python writes it.

    >>> digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    True
    """
    try:
        return bytes_hash(canonical_json(value))
    except (DeclarationError, RecursionError):
        return bytes_hash(repr(value).encode(errors="replace"))


def find_loop(made: Sequence[Made], tool: str, arguments: str, same_calls: int) -> str:
    """Why a call would only go round once more, in words; empty where it may give something new.

    Two rules. The same call has given its newest result more than `same_calls` times already. Or the newest calls are a circle of two to
    four different ones (A-B-A-B), made `same_calls` times over with the same results, at least twice, and this call begins it again.

    Args:
        made: calls of the run that are over, in order.
        tool: that is to be called.
        arguments: digest of its arguments.
        same_calls: times that a call may give nothing new.

    Cost: O(calls of the run).

    >>> looks = [Made("look", "a", "r")] * 3
    >>> find_loop(looks, "look", "a", 2)
    'look was called 3 times with the same arguments, and gave the same each time.'
    >>> find_loop(looks[:2], "look", "a", 2), find_loop([*looks[:2], Made("look", "a", "new")], "look", "a", 2)
    ('', '')
    >>> find_loop([Made("a", "", "r"), Made("b", "", "r")] * 2, "a", "", 2)
    'The calls a, b were made 2 times over, and gave the same each time.'
    """
    mine = [each.result for each in made if each.tool == tool and each.arguments == arguments]
    n_same = mine.count(mine[-1]) if mine else 0
    if n_same > same_calls:
        return f"{tool} was called {n_same} times with the same arguments, and gave the same each time."
    rounds = max(_TIMES, same_calls)
    for length in range(2, _LONGEST + 1):
        circle = made[len(made) - length * rounds :][:length] if len(made) >= length * rounds else ()
        if circle and _begins(circle, tool, arguments) and list(made[-length * rounds :]) == list(circle) * rounds:
            names = ", ".join(each.tool for each in circle)
            return f"The calls {names} were made {rounds} times over, and gave the same each time."
    return ""


def _begins(circle: Sequence[Made], tool: str, arguments: str) -> bool:
    """Whether a call is the first of a circle of different ones."""
    first = circle[0]
    return first.tool == tool and first.arguments == arguments and len(set(circle)) == len(circle)
