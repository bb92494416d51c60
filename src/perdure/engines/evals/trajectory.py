"""The scorer of tool calls: which were made, in which order, with which arguments.

Expected calls are `{"name": …, "arguments": {…}}`, or `{"name": …, "schema": {…}}` where arguments only have to fit; without
either any arguments will do. A list among them is a set of calls that may come in any order. Ids of calls say nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from perdure.assets.scorers import Match, ToolCalls
from perdure.assets.suite import Case
from perdure.core.ports import Answered
from perdure.engines.evals.overlap import f1
from perdure.engines.evals.parts import not_applicable
from perdure.engines.evals.protocols import Score
from perdure.engines.evals.reading import GOOD, expected_of, same

_MOST = 200
_ANY: Any = object()


@dataclass(frozen=True, slots=True)
class _Call:
    name: str
    arguments: Any


@dataclass(frozen=True, slots=True)
class _Wanted:
    name: str
    arguments: Any
    validator: Any = None

    def met_by(self, call: _Call, *, arguments: bool) -> bool:
        if call.name != self.name:
            return False
        if not arguments:
            return True
        if self.validator is not None:
            try:
                return bool(self.validator.is_valid(call.arguments))
            except (ValueError, RecursionError):
                return False
        return self.arguments is _ANY or same(call.arguments, self.arguments)


class ToolCallsPart:
    """Expected calls against made ones.

    `exact`: all of them in order and nothing else, 1 or 0. `in_order`: share of the expected that were made in order (longest
    common subsequence). `any_order`: share of the expected that were made. `subset`: share of the made that were expected, 1
    where none was made. Where no call is expected, any call is wrong.
    """

    needs = "`expected`: a list of calls, `[{name, arguments}]`"
    code = 1

    def __init__(self, declared: ToolCalls) -> None:
        self._match: Match = declared.match
        self._arguments = declared.arguments

    def lacks(self, case: Case) -> str:
        """No list of calls is expected."""
        expected = expected_of(case, "tool_calls")
        try:
            return (
                ""
                if expected is not None and _groups(expected) is not None
                else "the case expects no list of tool calls"
            )
        except ValueError as error:
            return str(error)

    def score(self, case: Case, answer: Answered) -> Score:
        """Cost: 10 µs for three calls without schemas; of more than 200 calls the first count."""
        groups = _groups(expected_of(case, "tool_calls"))
        if groups is None:
            return not_applicable("the case expects no list of tool calls")
        made = _made(answer.message.get("tool_calls"))
        n_wanted = sum(map(len, groups))
        if not n_wanted or not made:
            right = not made and (not n_wanted or self._match == "subset")
            return GOOD if right else Score(0.0, why=f"{len(made)} calls, {n_wanted} expected")
        wanted = self._ordered(groups, made)
        met = [[each.met_by(call, arguments=self._arguments) for call in made] for each in wanted]
        n_in_order, n_met = _in_order(met), _matched(met)
        whole = n_in_order == len(wanted) == len(made)
        value = {
            "exact": float(whole),
            "in_order": n_in_order / len(wanted),
            "any_order": n_met / len(wanted),
            "subset": n_met / len(made),
        }[self._match]
        facts = {"expected": len(wanted), "made": len(made), "met": n_met, "f1": f1(n_met, len(made), len(wanted))}
        return GOOD if value == 1.0 else Score(value, why=_told(wanted, made, met), facts=facts)

    def _ordered(self, groups: Sequence[Sequence[_Wanted]], made: Sequence[_Call]) -> list[_Wanted]:
        """The expected calls; those of a set in the order in which they were made."""

        def place(each: _Wanted) -> int:
            found = (at for at, call in enumerate(made) if each.met_by(call, arguments=self._arguments))
            return next(found, len(made))

        return [each for group in groups for each in (sorted(group, key=place) if len(group) > 1 else group)]


def _groups(expected: Any) -> list[list[_Wanted]] | None:
    if not isinstance(expected, list | tuple):
        return None
    return [
        [_wanted(one) for one in each] if isinstance(each, list | tuple) else [_wanted(each)]
        for each in expected[:_MOST]
    ]


def _wanted(given: Any) -> _Wanted:
    if isinstance(given, str):
        return _Wanted(given, _ANY)
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise ValueError("an expected tool call has no name")  # noqa: TRY004 - of a case, and told as its lack
    schema = given.get("schema")
    if schema is None:
        return _Wanted(given["name"], given.get("arguments", _ANY))
    try:
        validator = jsonschema_rs.validator_for(dict(schema), pattern_options=jsonschema_rs.RegexOptions())
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, TypeError):
        raise ValueError(f"the schema of the expected call of {given['name']!r} is none") from None
    return _Wanted(given["name"], _ANY, validator)


def _made(calls: Any) -> list[_Call]:
    found = []
    for each in calls[:_MOST] if isinstance(calls, list | tuple) else ():
        function = each.get("function", each) if isinstance(each, Mapping) else None
        if isinstance(function, Mapping):
            found.append(_Call(str(function.get("name", "")), _arguments(function.get("arguments"))))
    return found


def _arguments(given: Any) -> Any:
    if not isinstance(given, str):
        return {} if given is None else given
    try:
        return json.loads(given) if given.strip() else {}
    except (ValueError, RecursionError):
        return given


def _in_order(met: Sequence[Sequence[bool]]) -> int:
    """Length of the longest common subsequence where what is equal is given as a table."""
    row = [0] * (len(met[0]) + 1)
    for line in met:
        before = row
        row = [0]
        for at, is_met in enumerate(line):
            row.append(before[at] + 1 if is_met else max(row[at], before[at + 1]))
    return row[-1]


def _matched(met: Sequence[Sequence[bool]]) -> int:
    """How many rows can have a column of their own (Kuhn's augmenting paths): one call meets one expectation."""
    owner: dict[int, int] = {}

    def place(row: int, seen: set[int]) -> bool:
        for column, is_met in enumerate(met[row]):
            if is_met and column not in seen:
                seen.add(column)
                if column not in owner or place(owner[column], seen):
                    owner[column] = row
                    return True
        return False

    return sum(place(row, set()) for row in range(len(met)))


def _told(wanted: Sequence[_Wanted], made: Sequence[_Call], met: Sequence[Sequence[bool]]) -> str:
    lost = next((each for each, line in zip(wanted, met, strict=True) if not any(line)), None)
    if lost is None:
        more = next((call for at, call in enumerate(made) if not any(line[at] for line in met)), None)
        return "the calls are in another order, or repeated" if more is None else f"{more.name[:60]} was not expected"
    same_name = any(call.name == lost.name for call in made)
    return f"{lost.name[:60]} was called with other arguments" if same_name else f"{lost.name[:60]} was not called"
