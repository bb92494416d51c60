"""Durable work as a user of it writes it down: a function over steps, and how its failures are tried again.

    def greet(steps: Steps, given):
        text = steps.do("write", lambda key: f"Hello {given['name']}")
        steps.commit("send", "greeting", lambda session: session.audit.append("greet", given["name"], {"text": text}))
        return {"text": text}

    durable = Durable(ledger, [Workflow("greet", greet, code="1")], actor="ana")

See `steps` for what a step guarantees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from perdure.durable.retry import Retry
from perdure.durable.steps import Steps

__all__ = ["Retry", "Steps", "Workflow"]


@dataclass(frozen=True, slots=True)
class Workflow:
    """A kind of durable work.

    Args:
        name: under which its jobs are kept.
        run: what is done; called from the top each time a job goes on. Gives the job's output, JSON-compatible.
        code: version of the code; another one when the steps that it takes are others.
        continues: versions whose jobs it can go on with, because it takes the same steps.
    """

    name: str
    run: Callable[[Steps, Mapping[str, Any]], Mapping[str, Any]]
    code: str
    continues: tuple[str, ...] = ()

    def takes(self, code: str) -> bool:
        """Whether it goes on with a job that was begun under a code."""
        return code == self.code or code in self.continues
