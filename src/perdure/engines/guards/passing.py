"""The short way of a guard: whether nothing is in a conversation, which is so of nearly all.

`CompiledGuard` asks it first, and works out which check found what, and where, only where the answer is no. It looks at the same
texts with the same checks; where none of them is slow, looking twice at what was found costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from perdure.engines.guards.checks import PointingCheck, ScoringCheck, TextCheck
from perdure.engines.guards.conversation import said
from perdure.engines.guards.folding import unveiled

Json = dict[str, Any]
Passes = Callable[[str], bool]
TRUSTED = ("system", "developer")
"""Roles whose texts are the operator's own: nobody injects into them."""


def passing(checks: Sequence[TextCheck]) -> Callable[[Sequence[Json]], bool] | None:
    """Messages → whether no check finds anything in them; None where a check is slow, or may fail.

    Made once: what is called for each text is one function a check.
    """
    if any(check.slow for check in checks):
        return None
    passes = _of_text(
        tuple(_pointing(check) for check in checks if isinstance(check, PointingCheck)),
        tuple(_scoring(check) for check in checks if isinstance(check, ScoringCheck)),
    )

    def passes_all(messages: Sequence[Json]) -> bool:
        for message in messages:
            content = message.get("content")
            if len(message) == 2 and type(content) is str:
                if not passes(content, message.get("role")):
                    return False
            elif not all(passes(each.text, each.role) for each in said((message,))):
                return False
        return True

    return passes_all


def _of_text(pointing: Sequence[Passes], scoring: Sequence[Passes]) -> Callable[[str, object], bool]:
    def passes_text(text: str, role: object) -> bool:
        seen = text if text.isascii() else unveiled(text).text
        for passes in pointing:
            if not passes(seen):
                return False
        if role not in TRUSTED:
            for passes in scoring:
                if not passes(text):
                    return False
        return True

    return passes_text


def _pointing(check: PointingCheck) -> Passes:
    clean, may_hold, first = check.clean, check.may_hold, check.first
    if clean is None or may_hold is None:
        return lambda text: first(text) is None
    known, scan, add = clean.__contains__, may_hold, clean.add

    def passes(text: str) -> bool:
        if known(text):
            return True
        if scan(text):
            return first(text) is None
        add(text)
        return True

    return passes


def _scoring(check: ScoringCheck) -> Passes:
    judge = check.judge
    return lambda text: judge(text) is None
