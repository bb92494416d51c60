"""Scorers of JSON: whether an answer fits a schema, and how much of it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import jsonschema_rs

from perdure.assets.scorers import FitsSchema
from perdure.assets.suite import Case
from perdure.core.errors import BadSuite
from perdure.core.ports import Answered
from perdure.engines.evals.parts import Tools, failed
from perdure.engines.evals.protocols import Score
from perdure.engines.evals.reading import GOOD, json_of

_MOST_ERRORS = 1_000


def _nowhere(address: str) -> NoReturn:
    raise ValueError(f"a schema refers to {address!r}")


class FitsSchemaPart:
    """The answer is JSON that fits: every draft up to 2020-12, by `jsonschema-rs`; a schema never reaches out.

    An answer that is one fenced block of JSON counts as what the fence holds. No JSON, a member that is there twice, NaN:
    failed.
    """

    needs = "nothing: the schema is the scorer's, or the prompt's `output`"
    code = 1

    def __init__(self, declared: FitsSchema, tools: Tools) -> None:
        schema = declared.schema if declared.schema is not None else tools.schema
        if schema is None:
            raise BadSuite(
                "FitsSchema has no schema, and the prompt declares no `output`.",
                hint="Give FitsSchema(schema=…), or declare what the prompt's answers must be.",
            )
        self.schema: dict[str, Any] = dict(schema)
        # Both were checked where they were declared; a schema never reaches out.
        self._validator = jsonschema_rs.validator_for(
            self.schema, mask="it", retriever=_nowhere, pattern_options=jsonschema_rs.RegexOptions()
        )

    def lacks(self, case: Case) -> str:  # noqa: ARG002 - one shape for all
        """It applies to every case."""
        return ""

    def score(self, case: Case, answer: Answered) -> Score:  # noqa: ARG002 - one shape for all
        """1 or 0; `facts` say the share of members that are right, and where it broke. Cost: 5 µs for a small object."""
        try:
            value = json_of(answer.text)
        except ValueError as error:
            return failed(f"the answer is no JSON: {_short(error)}")
        try:
            if self._validator.is_valid(value):
                return GOOD
            errors = [each for _, each in zip(range(_MOST_ERRORS), self._validator.iter_errors(value), strict=False)]
        except (ValueError, RecursionError) as error:
            return failed(f"the answer is no JSON: {_short(error)}")
        first = errors[0]
        at = "/".join(map(str, first.instance_path)) or "the whole"
        facts: dict[str, Any] = {"at": ["/".join(map(str, each.instance_path)) for each in errors[:10]]}
        if isinstance(value, Mapping):
            facts["share"] = self._share(value, errors)
        return Score(0.0, why=f"{at[:100]}: {first.message.splitlines()[0][:200]}", facts=facts)

    def _share(self, value: Mapping[str, Any], errors: list[Any]) -> float:
        """Of the members that are there or should be, those that nothing is said against."""
        names = {str(each) for each in self.schema.get("required", ())} | value.keys()
        wrong = {str(each.instance_path[0]) for each in errors if each.instance_path}
        wrong |= {name for name in names if name not in value}
        if self.schema.get("additionalProperties") is False:
            wrong |= value.keys() - self.schema.get("properties", {}).keys()
        return (len(names) - len(wrong & names)) / len(names) if names else 0.0


def _short(error: BaseException) -> str:
    return (str(error).splitlines() or ["it cannot be read"])[0][:120]
