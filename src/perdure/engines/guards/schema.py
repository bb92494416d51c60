"""The answer is JSON that fits a JSON schema: every draft up to 2020-12, by `jsonschema-rs`.

Compiled once. A schema never reaches out: one that refers to another document is refused when it is compiled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from perdure.core.errors import BadGuard
from perdure.engines.guards.checks import Finding, Json


def _nowhere(address: str) -> NoReturn:
    raise ValueError(f"a schema refers to {address!r}")


class SchemaCheck:
    """Judges whether an answer is JSON that fits.

    Args:
        schema: a JSON schema.

    Raises:
        BadGuard: it is no schema, or refers to another document.
    """

    name = "fits_schema"

    def __init__(self, schema: Mapping[str, Any]) -> None:
        import jsonschema_rs

        try:
            # The linear engine for `pattern`: a schema's expression must not be run against a hostile answer otherwise.
            self._validator = jsonschema_rs.validator_for(
                dict(schema), retriever=_nowhere, pattern_options=jsonschema_rs.RegexOptions()
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            raise BadGuard(
                f"FitsSchema was given no JSON schema: {str(error).splitlines()[0]}",
                hint="Give a schema that stands on its own, in any draft up to 2020-12.",
            ) from error

    def judge(self, answers: Sequence[Json], messages: Sequence[Json]) -> Finding | None:  # noqa: ARG002 - one shape for all
        """A finding where a choice with text is no JSON, or JSON that does not fit. Tool calls alone have no text."""
        for answer in answers:
            text = answer.get("content")
            if not isinstance(text, str) or (not text and answer.get("tool_calls")):
                continue
            try:
                value = json.loads(text)
            except (ValueError, RecursionError):
                return Finding("not_json")
            if not self._validator.is_valid(value):
                error = next(iter(self._validator.iter_errors(value)))
                # Where in the schema it broke, not in what: the answer's own words stay out of records.
                return Finding("does_not_fit", evidence={"at": "/".join(str(each) for each in error.schema_path)})
        return None
