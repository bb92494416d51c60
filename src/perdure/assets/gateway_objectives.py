"""What can be asked of routes, guards and teams: signals to compare with a bound, as those of `assets.objective`.

    error_ratio(over=hours(1)) <= 0.02
    first_token_ms(quantile=0.95, over=minutes(30)) <= 900
    answer_shift(over=days(1)) <= 0.1
    miss_ratio(over=days(7)) <= 0.1

`latency_ms` is a model's and a route's alike.
"""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType

from perdure.assets.objective import SignalSpec
from perdure.core.errors import BadObjective


def error_ratio(*, over: timedelta, by: str | None = None) -> SignalSpec:
    """Share of a route's calls, 0 to 1, that upstreams failed or cut or a guard could not judge; `by="target"`: of tries."""
    return SignalSpec("error_ratio", over, by)


def first_token_ms(*, quantile: float = 0.95, over: timedelta, by: str | None = None) -> SignalSpec:
    """A quantile of the time to the first byte of an answer, in milliseconds; `by="target"` for each target."""
    if not 0.0 < quantile < 1.0:
        raise BadObjective(f"A quantile of {quantile!r} means nothing.", hint="Use 0 to 1, exclusive, such as 0.95.")
    params = MappingProxyType({"quantile": quantile})
    return SignalSpec("first_token_ms", over, by, params, f"first_token_ms_p{100 * quantile:g}")


def tokens_per_s(*, over: timedelta, by: str | None = None) -> SignalSpec:
    """Median of output tokens a second after the first, over streamed calls."""
    return SignalSpec("tokens_per_s", over, by)


def refusal_ratio(*, over: timedelta, by: str | None = None) -> SignalSpec:
    """Share of answers in which the model refuses, 0 to 1."""
    return SignalSpec("refusal_ratio", over, by)


def cost_usd(*, over: timedelta) -> SignalSpec:
    """Mean cost of an answered call in US dollars, with the interval of the mean; calls of unknown price are left out."""
    return SignalSpec("cost_usd", over)


def spend_usd(*, over: timedelta) -> SignalSpec:
    """Money that a route or a team spent in the window, in US dollars: the burn rate."""
    return SignalSpec("spend_usd", over)


def burn_ratio(*, over: timedelta, by: str | None = None) -> SignalSpec:
    """What a team will have spent of a budget at the end of its window at the rate of the newest `over`, to the budget.

    Above 1 it will be gone before; one for all time, within 30 days. Without `by` the worst of the team's budgets, its keys' too; `by="budget"`: each.
    """
    return SignalSpec("burn_ratio", over, by)


def cost_anomaly(*, over: timedelta) -> SignalSpec:
    """How far the dearest hour of the window is above such hours of the four weeks before, in robust standard deviations.

    Of a team or a route that is two weeks old; 0 where no hour is a dollar too dear. Above 6 hardly ever by chance.
    """
    return SignalSpec("cost_anomaly", over)


def answer_shift(*, over: timedelta, by: str | None = "target") -> SignalSpec:
    """How far the answers to the route's probes are from those of the reference time, 0 (the same) to 1."""
    return SignalSpec("answer_shift", over, by)


def new_intents(*, over: timedelta) -> SignalSpec:
    """Share of a route's questions that are like none of the reference time, 0 to 1."""
    return SignalSpec("new_intents", over)


def block_ratio(*, over: timedelta) -> SignalSpec:
    """Share of judged calls that a guard acted on (or, in shadow mode, would have), 0 to 1."""
    return SignalSpec("block_ratio", over)


def false_block_ratio(*, over: timedelta) -> SignalSpec:
    """Share of harmless texts that a guard acts on, 0 to 1: people's overrides, weighted by how cases were sampled."""
    return SignalSpec("false_block_ratio", over)


def miss_ratio(*, over: timedelta, by: str | None = None) -> SignalSpec:
    """Share of texts to be caught that a guard lets pass, 0 to 1; `by="family"` for each family."""
    return SignalSpec("miss_ratio", over, by)
