"""What can be asked of agents and graphs: signals to compare with a bound, as those of `assets.objective`.

    task_success(over=days(1)) >= 0.8
    grounded_ratio(over=days(1)) >= 0.95
    tool_error_ratio(over=hours(6), by="tool") <= 0.05
    usd_per_success(over=days(7)) <= 0.02
    s_per_success(over=days(7)) <= 30.0
    needless_ratio(over=days(1)) <= 0.2

All are of runs of production that ended in the window; replays count nowhere.
"""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType

from perdure.assets.objective import SignalSpec
from perdure.core.errors import BadObjective


def task_success(*, over: timedelta, by: str | None = None) -> SignalSpec:
    """Share of judged runs that did what they were asked, 0 to 1: by feedback, else by the declared scorers; `by`: a tag."""
    return SignalSpec("task_success", over, by)


def grounded_ratio(*, over: timedelta) -> SignalSpec:
    """Share of claims in final answers that what tools and nodes gave supports, 0 to 1; a model of the run supports none."""
    return SignalSpec("grounded_ratio", over)


def needless_ratio(*, over: timedelta) -> SignalSpec:
    """Share of steps, 0 to 1, that repeated one before or whose result nothing afterwards used."""
    return SignalSpec("needless_ratio", over)


def tool_error_ratio(*, over: timedelta, by: str | None = None) -> SignalSpec:
    """Share of calls of tools, 0 to 1, that failed, timed out or gave what they must not; `by="tool"`: of each."""
    if by not in (None, "tool"):
        raise BadObjective(f"Calls of tools cannot be told apart by {by!r}.", hint='Use by="tool".')
    return SignalSpec("tool_error_ratio", over, by)


def limited_ratio(*, over: timedelta) -> SignalSpec:
    """Share of runs, 0 to 1, that a limit or a loop ended."""
    return SignalSpec("limited_ratio", over)


def failed_ratio(*, over: timedelta) -> SignalSpec:
    """Share of runs, 0 to 1, that ended in an error."""
    return SignalSpec("failed_ratio", over)


def injected_ratio(*, over: timedelta) -> SignalSpec:
    """Share of runs, 0 to 1, in which a tool gave what reads as instructions."""
    return SignalSpec("injected_ratio", over)


def usd_per_success(*, over: timedelta) -> SignalSpec:
    """US dollars that all runs cost, to those that succeeded."""
    return SignalSpec("usd_per_success", over)


def s_per_success(*, over: timedelta) -> SignalSpec:
    """Seconds that all runs took while they were driven, waits for people left out, to those that succeeded."""
    return SignalSpec("s_per_success", over)


def run_s(*, quantile: float = 0.95, over: timedelta) -> SignalSpec:
    """A quantile of the seconds that runs took while they were driven, waits for people left out."""
    if not 0.0 < quantile < 1.0:
        raise BadObjective(f"A quantile of {quantile!r} means nothing.", hint="Use 0 to 1, exclusive, such as 0.95.")
    params = MappingProxyType({"quantile": quantile})
    return SignalSpec("run_s", over, None, params, f"run_s_p{100 * quantile:g}")
