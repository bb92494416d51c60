"""Scorers as data: by what name a file calls each, and what of it makes a suite's version.

`assets.suite` asks for definitions, `assets.suite_file` reads scorers from files.

    scorers: [exact, {token_f1: {weight: 0.5}}, {judged: helpfulness}]
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from perdure.assets.core_schema import code_digest
from perdure.assets.scorers import SCORERS, Custom, Judged, Scorer, Together
from perdure.core.canonical import plain


def scorer_name(kind: type[Scorer]) -> str:
    """What files and reports call a kind of scorer.

    >>> from perdure.assets.scorers import TokenF1
    >>> scorer_name(TokenF1)
    'token_f1'
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind.__name__).lower()


SCORER_NAMES: Mapping[str, type[Scorer]] = {scorer_name(kind): kind for kind in SCORERS}
"""Name in files → kind."""


def label_of(scorer: Scorer) -> str:
    """By what a scorer goes in reports: its label, else its kind's name.

    >>> label_of(Judged("helpfulness"))
    'judged:helpfulness'
    """
    if scorer.label:
        return scorer.label
    name = scorer_name(type(scorer))
    if isinstance(scorer, Judged):
        return f"{name}:{scorer.judge}"
    return name


def scorer_definition(scorer: Scorer) -> dict[str, Any]:
    """A scorer as data: its kind and its settings; a function by its code.

    >>> from perdure.assets.scorers import Number
    >>> scorer_definition(Number(absolute=0.5))["absolute"]
    0.5
    """
    found: dict[str, Any] = {"scorer": scorer_name(type(scorer))}
    for field in fields(scorer):
        value = getattr(scorer, field.name)
        if isinstance(scorer, Custom) and field.name == "function":
            found["function"] = getattr(value, "__qualname__", type(value).__qualname__)
            found["code"] = code_digest(value)
        elif isinstance(scorer, Together) and field.name == "of":
            found["of"] = [scorer_definition(each) for each in value]
        else:
            found[field.name] = plain(value)
    return found


def flattened(scorers: Sequence[Scorer]) -> Iterator[Scorer]:
    """Scorers and the parts of those that are several as one, at any depth."""
    for scorer in scorers:
        yield scorer
        if isinstance(scorer, Together):
            yield from flattened(scorer.of)
