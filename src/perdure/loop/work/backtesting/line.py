"""What a policy puts in charge over time, and what that answered: one line a policy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from perdure.loop.work.backtesting.fits import Candidate, Fits
from perdure.loop.work.backtesting.history import Float1D, History


@dataclass(frozen=True, slots=True)
class Change:
    """A candidate that began to answer."""

    at: datetime
    number: int
    text: str
    back: bool = False
    """Whether it was in charge before."""


@dataclass(slots=True, eq=False)
class Line:
    """One policy's line. A later change takes over from its instant on."""

    fits: Fits
    start: datetime
    first: Candidate
    changes: list[Change] = field(default_factory=list)
    retrains: list[datetime] = field(default_factory=list)
    """When candidates were made; of several at one instant it is one retrain."""
    n_rejected: int = 0
    n_rollbacks: int = 0
    cpu_s: float = 0.0
    predictions: Float1D = field(init=False)
    """Of every row; NaN before the replay begins."""
    losses: Float1D = field(init=False)
    _charged: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        n = len(self.history.y)
        self.predictions, self.losses = np.full(n, np.nan), np.full(n, np.nan)
        self._answer(self.start, self.first)

    @property
    def history(self) -> History:
        """What is replayed."""
        return self.fits.history

    def champion(self, at: datetime) -> Candidate:
        """What is in charge at an instant."""
        number = next((each.number for each in reversed(self.changes) if each.at <= at), self.first.number)
        return self.fits.made[number]

    def past(self) -> list[Candidate]:
        """Everything that was ever in charge, in the order in which it came to be, each once."""
        numbers = dict.fromkeys([self.first.number, *(change.number for change in self.changes)])
        return [self.fits.made[number] for number in numbers]

    def retrained(self, at: datetime, made: Iterable[Candidate]) -> None:
        """Count a retrain and the CPU seconds of its fits; a fit that is found again costs nothing."""
        self.retrains.append(at)
        for candidate in made:
            if candidate.number not in self._charged:
                self._charged.add(candidate.number)
                self.cpu_s += candidate.cpu_s

    def release(self, at: datetime, candidate: Candidate) -> None:
        """Put a candidate in charge; nothing changes where it is already."""
        if candidate.number == self.champion(at).number:
            return
        back = any(candidate.number == each.number for each in self.past())
        self.changes.append(Change(at, candidate.number, candidate.text, back))
        self._answer(at, candidate)

    def _answer(self, at: datetime, candidate: Candidate) -> None:
        row = self.history.row_at(at)
        self.predictions[row:] = candidate.predictions[row - candidate.since :]
        self.losses[row:] = candidate.losses[row - candidate.since :]
