"""Replays a model's history through policies, and measures what each would have given.

`surface.backtest` calls it. At the start of each step every policy may act, on what was known by then; then the
rows of the step are answered by what is in charge. Policies run one after the other and share their fits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from perdure.assets.model import Model
from perdure.assets.policy import Policy
from perdure.core.clock import from_us, iso
from perdure.core.errors import DeclarationError
from perdure.core.units import days, duration_text
from perdure.engines.backtest import cheapest_schedule, daily_cost, price_of
from perdure.loop.protocols import Workplace
from perdure.loop.work.backtesting.declared import Declared
from perdure.loop.work.backtesting.fits import Fits, windows_of
from perdure.loop.work.backtesting.history import Assumed, Float1D, History, Int1D, read_history, without_labels
from perdure.loop.work.backtesting.line import Line
from perdure.loop.work.backtesting.results import Backtest, Optimum, PolicyResult, Stretch
from perdure.loop.work.backtesting.yardsticks import Every, Never, OnAlarm, Rule
from perdure.loop.work.rows import AS_OF

RATIOS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
EVERY = (3, 10)
"""Steps from one retrain to the next of the policies that retrain by the calendar."""
_AT_ONCE = 0.25
"""Share of the history before the replay begins, where the model has no version that tells when it began."""
_SAME = 1e-9
"""Share by which two sums of the same errors may differ."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """What to replay, and under which assumptions."""

    start: datetime | None = None
    """None: when the model's first version was made, else after a quarter of the history."""
    end: datetime | None = None
    """None: after the newest labelled row."""
    step: timedelta = field(default_factory=lambda: days(3))
    assumed: Assumed = field(default_factory=Assumed)
    quiet: tuple[datetime, datetime] | None = None
    """Where nothing drifts: retrains inside count as false."""
    policies: Sequence[tuple[str, Policy]] = ()
    """Beside the declared one, with their names."""
    ratios: Sequence[float] = RATIOS
    """What one retrain costs, in days of the error of the version that is never replaced."""


def replay(
    place: Workplace, model: type[Model], now: datetime, settings: Settings, progress: Progress | None = None
) -> Backtest:
    """Replay the labelled history of a model through every policy.

    Args:
        place: where the history is; nothing is written.
        model: as declared.
        now: rows and labels are those known by then.
        settings: what to replay.
        progress: told after each fit and each policy how much of how much is done.

    Raises:
        NotReady: too little labelled history.
        DeclarationError: a stretch that holds no row, or a step of no length.
        BadModel: the model's `fit` failed on the first version.
    Cost: a fit a step and window, and its answers to every later row; memory 16 bytes a row and fit.
    """
    if settings.step <= timedelta(0):
        raise DeclarationError(f"A step of {settings.step} goes nowhere.", hint="Give 1d or 3d, for example.")
    history = read_history(place, model, now, settings.assumed)
    start, end = _span(place, history, settings)
    if settings.assumed.unlabelled:
        history = without_labels(history, start)
    run = _Replay(Fits(history), settings, start, end, progress or _silent)
    return run.result(_rules(model, settings))


def _silent(done: int, total: int, text: str) -> None:
    """Nobody watches."""


def _rules(model: type[Model], settings: Settings) -> list[Rule]:
    periods = [Every(f"every {duration_text(k * settings.step)}", k) for k in EVERY]
    own: list[Rule] = [Declared("declared", model.policy)]
    if model.policy.autonomy != "act":
        trigger = "evidence" if model.policy.trigger == "manual" else model.policy.trigger
        acting = replace(model.policy, autonomy="act", trigger=trigger, approve_by=None, four_eyes=False)
        own.append(Declared("declared, if it acted", acting))
    own += [Declared(name, policy) for name, policy in settings.policies]
    return [Never(), Every("always"), *periods, OnAlarm(), *own]


def _span(place: Workplace, history: History, settings: Settings) -> tuple[datetime, datetime]:
    oldest, newest = from_us(int(history.as_of[0])), from_us(int(history.as_of[-1]))
    end = newest + timedelta(microseconds=1)
    if settings.end is not None:
        end = min(end, settings.end)
    start = settings.start or _began(place, history) or oldest + _AT_ONCE * (end - oldest)
    if history.row_at(start) >= history.row_at(end):
        raise DeclarationError(
            f"No labelled row lies between {iso(start)} and {iso(end)}.",
            hint=f"The labelled history is from {iso(oldest)} to {iso(newest)}: give --from and --to inside.",
        )
    return start, end


def _began(place: Workplace, history: History) -> datetime | None:
    """When the model's first version was made, if it could be made by then from what the lake has."""
    with place.stores.ledger.read() as session:
        made = [each.created_at for each in session.registry.list_versions(history.model.name)]
    inside = [at for at in made if history.known_by(at).any() and history.row_at(at) < len(history.y)]
    return min(inside, default=None)


class _Replay:
    """One replay on its way."""

    def __init__(self, fits: Fits, settings: Settings, start: datetime, end: datetime, progress: Progress) -> None:
        self._fits = fits
        self._history = fits.history
        self._settings = settings
        self._start = start
        self._end = end
        self._progress = progress
        self._rows = slice(self._history.row_at(start), self._history.row_at(end))
        n_steps = -((start - end) // settings.step)
        self._instants = [start + step * settings.step for step in range(n_steps)]

    def result(self, rules: Sequence[Rule]) -> Backtest:
        windows = windows_of(self._history.model)
        total = 1 + (len(self._instants) - 1) * len(windows) + len(rules)
        first = self._fits.first(self._start)
        done = 1
        self._progress(done, total, first.text)
        # All fits that a policy may ask for by the calendar: the optimum chooses among them, too.
        for at in self._instants[1:]:
            for window in windows:
                self._fits.window(at, window)
                done += 1
                self._progress(done, total, f"{at:%Y-%m-%d}")
        lines: list[tuple[str, Line]] = []
        for rule in rules:
            lines.append((rule.name, self._followed(rule, Line(self._fits, self._start, first))))
            done += 1
            self._progress(done, total, rule.name)
        return self._measured(lines)

    def _followed(self, rule: Rule, line: Line) -> Line:
        for step, at in enumerate(self._instants[1:], 1):
            rule.act(line, step, at)
        return line

    def _measured(self, lines: Sequence[tuple[str, Line]]) -> Backtest:
        history, settings = self._history, self._settings
        model, policy = history.model, history.model.policy
        errors = {name: float(line.losses[self._rows].mean()) for name, line in lines}
        frozen = errors["never"]
        prices = {ratio: price_of(ratio, frozen, (self._end - self._start) / days(1)) for ratio in settings.ratios}
        costs = {
            name: {ratio: daily_cost(errors[name], len(line.retrains), price) for ratio, price in prices.items()}
            for name, line in lines
        }
        optima = self._optima(prices, lines, errors, costs)
        cheapest = {each.ratio: each.cost for each in optima}
        results = [
            PolicyResult(
                name=name,
                error=errors[name],
                change=errors[name] / frozen - 1.0 if frozen else 0.0,
                n_retrains=len(line.retrains),
                n_releases=sum(change.at < self._end for change in line.changes) - line.n_rollbacks,
                n_rejected=line.n_rejected,
                n_rollbacks=line.n_rollbacks,
                cpu_s=round(line.cpu_s, 3),
                n_false_retrains=self._false(line),
                costs=costs[name],
                regrets={ratio: max(0.0, cost - cheapest[ratio]) for ratio, cost in costs[name].items()},
                by_month=self._stretches(line.losses, "1mo"),
                by_week=self._stretches(line.losses, "1w"),
                changes=tuple(change for change in line.changes if change.at < self._end),
            )
            for name, line in lines
        ]
        return Backtest(
            model=model.name,
            policy=f"{policy.autonomy} on {policy.trigger}",
            metric="mae" if model.task == "regression" else "log_loss",
            unit=model.label.column if model.task == "regression" else "nats",
            start=self._start,
            end=self._end,
            step=settings.step,
            label_delay=_delay_text(settings.assumed),
            quiet=settings.quiet,
            n_rows=self._rows.stop - self._rows.start,
            n_fits=len(self._fits.made) - 1,
            fits_cpu_s=round(sum(each.cpu_s for each in self._fits.made[1:]), 3),
            ratios=tuple(settings.ratios),
            policies=results,
            optima=optima,
        )

    def _false(self, line: Line) -> int | None:
        quiet = self._settings.quiet
        return None if quiet is None else sum(quiet[0] <= at < quiet[1] for at in line.retrains)

    def _optima(
        self,
        prices: dict[float, float],
        lines: Sequence[tuple[str, Line]],
        errors: dict[str, float],
        costs: dict[str, dict[float, float]],
    ) -> list[Optimum]:
        """The cheapest schedule at each price: of all that keep or retrain, and of those that policies took."""
        losses, made_at = self._losses()
        found = []
        for ratio, price in prices.items():
            best = cheapest_schedule(losses, made_at, price)
            name, line = min(lines, key=lambda each: costs[each[0]][ratio])
            if costs[name][ratio] < best.cost * (1.0 - _SAME):
                found.append(Optimum(ratio, costs[name][ratio], errors[name], len(line.retrains), name))
            else:
                error = best.cost - best.n_retrains * price
                found.append(Optimum(ratio, best.cost, error, best.n_retrains, "hindsight"))
        return found

    def _losses(self) -> tuple[Float1D, Int1D]:
        """What each candidate's answers add to the mean error in each step, and from which step on it is there."""
        borders = np.array([self._history.row_at(at) for at in self._instants])
        made_at = np.searchsorted(
            [each.timestamp() for each in self._instants], [each.made_at.timestamp() for each in self._fits.made]
        )
        losses = np.zeros((len(borders), len(made_at)))
        for column, candidate in enumerate(self._fits.made):
            row = max(self._rows.start, candidate.since)
            sums = np.concatenate([[0.0], np.cumsum(candidate.losses[row - candidate.since :])])
            at = np.clip(np.append(borders, self._rows.stop) - row, 0, None)
            losses[:, column] = np.diff(sums[at])
        return losses / (self._rows.stop - self._rows.start), made_at

    def _stretches(self, losses: Float1D, every: str) -> tuple[Stretch, ...]:
        frame = self._history.rows[self._rows].select(AS_OF, loss=pl.Series(losses[self._rows]))
        grouped = frame.group_by_dynamic(AS_OF, every=every).agg(n=pl.len(), error=pl.col("loss").mean())
        name = "%Y-%m" if every == "1mo" else "%Y-%m-%d"
        return tuple(Stretch(f"{at:{name}}", at, n, error) for at, n, error in grouped.iter_rows())


def _delay_text(assumed: Assumed) -> str:
    if assumed.unlabelled:
        return "infinite"
    return "declared" if assumed.label_delay is None else duration_text(assumed.label_delay)
