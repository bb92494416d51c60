"""What a version of a prompt is for one model: its own words where it has a variant, else the same as for all.

The gateway chooses by the first target of the prompt's route, evals by the model that they ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def for_model(definition: Mapping[str, Any], model: str) -> Mapping[str, Any]:
    """The definition as one model gets it, without variants.

    Args:
        definition: as `Prompt.definition` gives it.
        model: `upstream/model`.

    >>> told = {"messages": ["a"], "params": {"n": 1}, "variants": {"x/y": {"messages": ["b"], "params": {"m": 2}}}}
    >>> for_model(told, "x/y")
    {'messages': ['b'], 'params': {'n': 1, 'm': 2}}
    >>> for_model(told, "x/z")["messages"]
    ['a']
    """
    if "variants" not in definition:
        return definition
    plain = {name: value for name, value in definition.items() if name != "variants"}
    own = definition["variants"].get(model)
    if own is None:
        return plain
    return {**plain, "messages": own["messages"], "params": {**definition["params"], **own["params"]}}
