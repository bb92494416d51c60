"""Whether arguments fit what a tool takes: before a person is asked about them, and when a person has changed them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perdure.engines.prompts.variables import validator_of
from perdure.serve.runs.protocols import Offered

_TOLD = 5
"""Errors that are told."""


def misfit(offered: Offered, arguments: Mapping[str, Any]) -> str:
    """What of the arguments does not fit their schema, in words; no value of them is told, and nothing where they fit."""
    errors = validator_of(f"The schema of the tool {offered.name!r}", offered.schema).iter_errors(arguments)
    told = [f"{'/'.join(map(str, each.instance_path)) or 'arguments'}: {each.message}" for each in errors]
    return f"The arguments of {offered.name} do not fit: {'; '.join(told[:_TOLD])}" if told else ""
