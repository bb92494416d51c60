"""Two deployments that answered the same traffic, side by side: what a comparison is told and drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from perdure.surface.repairs import Release, Repairs, Told
from perdure.surface.summary import Outcome, mean_error


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time with what was the matter in it, such as an injected fault."""

    text: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class MonthPair:
    """One month of both."""

    month: str
    n: int
    frozen: float
    managed: float

    @property
    def change(self) -> float:
        """Managed against frozen: -0.4 is 40% less error."""
        return self.managed / self.frozen - 1.0 if self.frozen else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A frozen and a managed deployment after the same traffic."""

    title: str
    frozen: Outcome
    managed: Outcome
    repairs: Repairs
    """Of the managed one."""
    faults: Sequence[Stretch] = ()
    """What was injected."""

    def months(self) -> list[MonthPair]:
        """Months that both have."""
        managed = {month.month: month for month in self.managed.months}
        return [
            MonthPair(month.month, month.n, month.mae, managed[month.month].mae)
            for month in self.frozen.months
            if month.month in managed
        ]

    def improvement(self, first: date, last: date) -> float | None:
        """How many times smaller the managed error is over all rows of these days; None where there are none."""
        frozen, managed = (mean_error(each.days, first, last) for each in (self.frozen, self.managed))
        return frozen / managed if frozen is not None and managed else None


def incident_text(incident: Told) -> str:
    """An incident in one sentence or two: what, why, what was done, how it ended."""
    cause = incident.cause.replace("_", " ")
    lasted = "still open" if incident.closed is None else f"over after {_lasted(incident.opened, incident.closed)}"
    done = f"{incident.remedy}; " if incident.remedy else ""
    return f"{cause}. {done}{lasted}."


def release_text(release: Release) -> str:
    """A release in a sentence."""
    back = f", taken back {release.rolled_back:%d %b}" if release.rolled_back else ""
    rivals = f" of {release.rivals} that competed" if release.rivals > 1 else ""
    return f"{release.version} replaced {release.replaced or 'nothing'}, the best{rivals}{back}"


def _lasted(start: datetime, end: datetime) -> str:
    n_hours = round((end - start).total_seconds() / 3600)
    return f"{n_hours} h" if n_hours < 48 else f"{n_hours / 24:.0f} days"
