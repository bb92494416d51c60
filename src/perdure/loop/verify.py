"""Verify, the sixth step: every gate of a stage judges every trial, and the best that passes wins.

Gates are asked in the order of their registration, and all of them: a person who reads why a
candidate was refused wants every reason, not the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perdure.assets.health import Comparison, Verdict
from perdure.assets.repair import Trial
from perdure.core.canonical import plain
from perdure.core.errors import PerdureError, Permanent
from perdure.loop.protocols import Kind, Watched, Workplace


@dataclass(frozen=True, slots=True)
class Judged:
    """A trial with the verdict of every gate of its stage."""

    trial: Trial
    verdicts: tuple[Verdict, ...]

    @property
    def passed(self) -> bool:
        """Whether every gate let it through. What no gate verified is not proven to be better."""
        if self.trial.stage == "verify" and not self.verdicts:
            return False
        return all(verdict.passed for verdict in self.verdicts)

    @property
    def gain(self) -> float:
        """Sum of its gates' gains."""
        return sum(verdict.gain for verdict in self.verdicts)

    @property
    def refused_by(self) -> list[str]:
        """What the gates said that did not let it through."""
        return [f"{verdict.gate}: {verdict.text}" for verdict in self.verdicts if not verdict.passed]

    def as_facts(self) -> dict[str, Any]:
        """For the ledger."""
        return {
            "candidate": self.trial.candidate,
            "incumbent": self.trial.incumbent,
            "passed": self.passed,
            "gain": self.gain,
            "verdicts": plain(list(self.verdicts)),
        }


def judge(place: Workplace, kind: Kind, asset: Watched, trial: Trial, now: datetime) -> Judged:
    """One trial under every gate of its stage.

    A gate that fails for good lets nothing through: its error is its verdict. A temporary failure is
    raised, and the step is tried again.
    """
    return Judged(
        trial,
        tuple(_verdict(place, gate, asset, trial, now) for gate in kind.gates if trial.stage in gate.stages),
    )


def _verdict(place: Workplace, gate: Any, asset: Watched, trial: Trial, now: datetime) -> Verdict:
    try:
        verdict: Verdict = gate.judge(place, asset, trial, now)
    except PerdureError as error:
        if not isinstance(error, Permanent):
            raise
        return Verdict(gate.name, Comparison.NOT_ENOUGH_EVIDENCE, False, str(error), {"error": error.as_dict()})
    return verdict


def winner(judged: Sequence[Judged]) -> Judged | None:
    """Of those that passed the one with the largest gain; of equals the first by id. None when none passed."""
    passed = [each for each in judged if each.passed]
    return min(passed, key=lambda each: (-each.gain, each.trial.candidate), default=None)
