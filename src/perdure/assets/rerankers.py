"""What orders anew what was found, as it is declared. `engines.retrieval.searching.reranking` calls it where a search asks for it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from perdure.assets.core_schema import code_digest
from perdure.core.errors import BadIndex


@dataclass(frozen=True, slots=True, eq=False)
class CustomReranker:
    """A function of one's own that reads question and texts together: question, texts → a score a text, higher is better.

    Args:
        function: called with the question and up to 500 texts; gives a finite number each.
        fingerprint: changes when its scores change, such as the digest of its weights; the function's code joins it.
    """

    function: Callable[[str, Sequence[str]], Sequence[float]]
    fingerprint: str = ""


def reranker_definition(reranker: CustomReranker) -> dict[str, Any]:
    """What of a reranker is part of an index's versions.

    Raises:
        BadIndex: it is none, or its function is no plain one.
    """
    if not isinstance(reranker, CustomReranker):
        raise BadIndex(f"{reranker!r} is no reranker.", hint="Use CustomReranker.")
    function: Any = reranker.function
    if not callable(function) or inspect.iscoroutinefunction(function):
        raise BadIndex("CustomReranker was given no plain function.", hint="Give `def f(query, texts)`.")
    return {"by": "CustomReranker", "code": code_digest(function), "fingerprint": reranker.fingerprint}
