"""What a rendering is given, held against what the prompt declares: nothing is missing, unknown or of another type."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, NoReturn

import jsonschema_rs

from perdure.core.errors import BadPrompt, nearest

_ATOMS = (str, int, float, bool, type(None))


def _nowhere(address: str) -> NoReturn:
    raise ValueError(f"a schema refers to {address!r}")


def validator_of(what: str, schema: Any) -> Any:
    """What judges by a JSON schema; its errors hold no value.

    Raises:
        BadPrompt: it is no schema, or refers to another document; `what` begins the message.
    """
    try:
        return jsonschema_rs.validator_for(
            schema, mask="it", retriever=_nowhere, pattern_options=jsonschema_rs.RegexOptions()
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        raise BadPrompt(
            f"{what} is no JSON schema: {str(error).splitlines()[0]}", hint="Use one that stands on its own."
        ) from error


class Variables:
    """The variables of one version.

    Args:
        prompt: its name, for errors.
        schema: a JSON schema of an object.

    Raises:
        BadPrompt: it is no schema, or refers to another document.
    """

    def __init__(self, prompt: str, schema: Mapping[str, Any]) -> None:
        self._prompt = prompt
        properties: Mapping[str, Any] = schema.get("properties", {})
        self.names = frozenset(properties)
        self.schema = schema
        self._required = frozenset(schema.get("required", ()))
        self._defaults = {name: each["default"] for name, each in properties.items() if "default" in each}
        self._plain_defaults = all(isinstance(each, _ATOMS) for each in self._defaults.values())
        self._whole = tuple(name for name, each in properties.items() if each.get("type") == "integer")
        self._validator = validator_of(
            f"The list of variables of prompt {prompt!r}", {**schema, "additionalProperties": False}
        )

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values with defaults, in a new mapping.

        Raises:
            BadPrompt: one is missing, unknown or of another type; the message names it, and holds no value.
        """
        values = dict(given)
        if not self.names >= values.keys():
            raise self._unknown(next(str(name) for name in values if name not in self.names))
        try:
            good = self._validator.is_valid(values)
        except (ValueError, RecursionError) as error:
            raise self._wrong("", "it is nothing that JSON has") from error
        if not good:
            self._explain(values)
        for name in self._whole:
            if isinstance(values.get(name), float):
                raise self._wrong(name, "it is no whole number")
        for name, default in self._defaults.items():
            if name not in values:
                values[name] = default if self._plain_defaults else deepcopy(default)
        return values

    def _explain(self, values: Mapping[str, Any]) -> NoReturn:
        missing = sorted(self._required - values.keys())
        if missing:
            raise BadPrompt(
                f"Prompt {self._prompt!r} lacks the variable {missing[0]!r}.",
                hint=f"It needs {', '.join(sorted(self._required))}.",
                variable=missing[0],
            )
        error = next(iter(self._validator.iter_errors(values)))
        path = [str(each) for each in error.instance_path]
        raise self._wrong(".".join(path), error.message)

    def _unknown(self, name: str) -> BadPrompt:
        near = nearest(name, self.names)
        known = f"It has {', '.join(sorted(self.names))}." if self.names else "It has none."
        return BadPrompt(
            f"Prompt {self._prompt!r} has no variable {name[:80]!r}.",
            hint=f"Did you mean {near!r}?" if near else known,
            variable=name[:80],
        )

    def _wrong(self, name: str, why: str) -> BadPrompt:
        told = f"The variable {name!r}" if name else "A variable"
        return BadPrompt(
            f"{told} of prompt {self._prompt!r} is wrong: {why}.",
            hint="`perdure prompt show` tells what it may be.",
            variable=name,
        )
