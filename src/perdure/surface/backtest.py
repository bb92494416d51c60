"""The verb that replays a model's history through policies, and what it writes: a page, or a table as CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from perdure.core.clock import parse_at
from perdure.core.errors import DeclarationError
from perdure.core.units import days, parse_duration
from perdure.surface.opened import Opened, When, instant_of

if TYPE_CHECKING:
    from perdure.assets.policy import Policy
    from perdure.loop.work.backtesting.history import Assumed
    from perdure.loop.work.backtesting.results import Backtest, PolicyResult

SHOWN = ("never", "always", "on alarm")
"""Yardsticks that are drawn beside the declared policies: with all of them nothing would be seen."""


@dataclass(frozen=True, slots=True)
class BacktestTerms:
    """What is replayed, and what is assumed.

    Args:
        start: when the replay begins; by default when the first version was made, else after a quarter.
        end: nothing that became known later is looked at; by default now.
        step: from one moment at which policies may act to the next.
        holdout: kept from every fit in place of `Model.holdout`.
        label_delay: `declared`: labels are known when they were; `infinite`: none comes any more; a span: each is known so
            long after its row.
        quiet: a stretch in which nothing drifts: retrains inside are counted as false.
        cost: of one retrain, in days of the frozen version's error; beside the usual sweep.
        policies: more of them, by name, beside the declared one.
    """

    start: When = None
    end: When = None
    step: timedelta = days(3)
    holdout: timedelta | None = None
    label_delay: timedelta | str = "declared"
    quiet: tuple[datetime, datetime] | None = None
    cost: float = 1.0
    policies: Mapping[str, Policy] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.cost >= 0.0:
            raise DeclarationError(f"A cost of {self.cost!r} means nothing.", hint="Use 0 or more.")


class Backtesting(Opened):
    """`backtest` of a project."""

    def backtest(
        self,
        model: str,
        terms: BacktestTerms | None = None,
        *,
        progress: Callable[[int, int, str], None] | None = None,
    ) -> Backtest:
        """Replay the labelled history of a model through policies; nothing is written.

        Args:
            model: its name.
            terms: what is replayed, and what is assumed.
            progress: told how much of how much is done.

        Raises:
            NotFound: no such model; the message names the nearest.
            NotReady: too little labelled history.
            DeclarationError: a stretch without rows, or a delay that means nothing.
        """
        from perdure.loop.work.backtesting.replay import RATIOS, Settings, replay

        terms = terms or BacktestTerms()
        settings = Settings(
            start=None if terms.start is None else instant_of(terms.start),
            end=None if terms.end is None else instant_of(terms.end),
            step=terms.step,
            assumed=_assumed(terms.holdout, terms.label_delay),
            quiet=terms.quiet,
            policies=tuple(terms.policies.items()),
            ratios=tuple(sorted({*RATIOS, float(terms.cost)})),
        )
        return replay(self.place, self.project.model(model), instant_of(terms.end), settings, progress)


def _assumed(holdout: timedelta | None, label_delay: timedelta | str) -> Assumed:
    from perdure.loop.work.backtesting.history import Assumed

    if isinstance(label_delay, timedelta):
        return Assumed(holdout, label_delay)
    if label_delay == "infinite":
        return Assumed(holdout, unlabelled=True)
    if label_delay != "declared":
        return Assumed(holdout, timedelta(0) if label_delay == "0" else parse_duration(label_delay))
    return Assumed(holdout)


def stretch_of(text: str) -> tuple[datetime, datetime]:
    """The stretch of `FROM/TO`, two ISO 8601 instants.

    >>> [at.isoformat() for at in stretch_of("2025-01-01/2025-01-08")]
    ['2025-01-01T00:00:00+00:00', '2025-01-08T00:00:00+00:00']

    Raises:
        DeclarationError: it is not two instants, the earlier one first.
    """
    first, sign, last = text.partition("/")
    if not sign or parse_at(first) >= parse_at(last):
        raise DeclarationError(f"{text!r} is no stretch of time.", hint="Write FROM/TO: 2025-01-01/2025-02-01.")
    return parse_at(first), parse_at(last)


def shown(result: Backtest) -> list[PolicyResult]:
    """The policies that are drawn."""
    return [each for each in result.policies if each.name in SHOWN or not each.name.startswith("every ")]


def check_out(path: Path) -> None:
    """Refuse a file that `write_backtest` does not know how to write.

    Raises:
        DeclarationError: neither `.html` nor `.csv`.
    """
    if path.suffix not in (".html", ".csv"):
        raise DeclarationError(f"{path.name} is neither a page nor a table.", hint="Name it .html or .csv.")


def write_backtest(result: Backtest, path: Path, *, cost: float = 1.0) -> None:
    """Write a page (`.html`), or a table of the policies (`.csv`).

    Args:
        result: what `backtest` gave.
        path: of the file; its folder is made.
        cost: the ratio that the page's table shows, one of the result's.

    Raises:
        DeclarationError: another kind of file.
    """
    check_out(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        return _write_csv(result, path)
    path.write_text(_page(result, cost), "utf-8")
    return None


def _write_csv(result: Backtest, path: Path) -> None:
    columns = ["error", "change", "n_retrains", "n_releases", "n_rejected", "n_rollbacks", "n_false_retrains", "cpu_s"]
    sweep = [f"{what}@{ratio:g}" for what in ("cost", "regret") for ratio in result.ratios]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["policy", *columns, *sweep])
        for each in result.policies:
            figures = [*(getattr(each, column) for column in columns)]
            writer.writerow([each.name, *figures, *each.costs.values(), *each.regrets.values()])


def _page(result: Backtest, cost: float) -> str:
    import jinja2

    from perdure.surface.report.chart import Chart, Line, Point, svg

    lines = [
        Line(each.name, [Point(week.start, week.error, week.error, week.error) for week in each.by_week])
        for each in shown(result)
    ]
    what = "mean absolute error" if result.metric == "mae" else "mean log loss"
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("perdure.surface.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("backtest.html").render(
        result=result, cost=float(cost), what=what, chart=svg(Chart(f"{what} by week", result.unit, lines))
    )
