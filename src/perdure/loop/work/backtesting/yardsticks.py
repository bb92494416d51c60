"""The policies that any other is measured by: never, always, every k steps, on an alarm.

All retrain on every window that the model's declaration allows, and put the best of the newest rows in charge
without asking for proof. So they differ from the declared policy in when they retrain and in what they ask of a
candidate, not in what they fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from perdure.loop.work.backtesting.fits import Candidate, windows_of
from perdure.loop.work.backtesting.line import Line
from perdure.loop.work.backtesting.observed import findings, is_broken


class Rule(Protocol):
    """A policy in a backtest."""

    @property
    def name(self) -> str:
        """How it is called in the table."""
        ...

    def act(self, line: Line, step: int, at: datetime) -> None:
        """What it does at a step, from 1 on; it sees nothing that was not known by `at`."""
        ...


@dataclass(frozen=True, slots=True)
class Never:
    """The first version answers for ever."""

    name: str = "never"

    def act(self, line: Line, step: int, at: datetime) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Every:
    """Retrains every k steps."""

    name: str
    k: int = 1

    def act(self, line: Line, step: int, at: datetime) -> None:
        """Retrain when its turn has come."""
        if step % self.k == 0:
            retrain(line, at)


@dataclass(frozen=True, slots=True)
class OnAlarm:
    """Retrains when an error objective is broken for sure by what was answered since the last retrain."""

    name: str = "on alarm"

    def act(self, line: Line, step: int, at: datetime) -> None:  # noqa: ARG002 - the Protocol's
        """Retrain on an alarm."""
        if is_broken(findings(line, at, since=line.retrains[-1] if line.retrains else None)):
            retrain(line, at)


def retrain(line: Line, at: datetime) -> None:
    """Fit on every window, and release the one with the least error on the newest rows that none was fitted on."""
    made = fitted(line, at)
    if not made:
        return
    line.retrained(at, made)
    rows = line.history.between(*line.history.holdout(at), at)
    best = min(made, key=lambda candidate: (float(candidate.of(rows).mean()), candidate.number))
    line.release(at, best)


def fitted(line: Line, at: datetime) -> list[Candidate]:
    """A candidate a window; fewer where there is too little to fit on."""
    found = [line.fits.window(at, window) for window in windows_of(line.history.model)]
    return [candidate for candidate in found if candidate is not None]
