"""What a caller is told whose call does not fit under a limit or a budget, and when to come back."""

from __future__ import annotations

from perdure.core.clock import from_us, iso
from perdure.core.errors import BudgetSpent, LimitReached, NotReady, PerdureError, TooLarge
from perdure.core.usage import usd_text
from perdure.serve.gateway.allowance_plan import Limit
from perdure.serve.gateway.windows import MINUTE_US, NEVER_US, minute_delay_us
from perdure.stores.counters.protocols import Level

_SLOT_DELAY_S = 1.0
"""When a slot of concurrency is free again nobody knows."""
_WHAT = {"requests": "requests a minute", "tokens": "tokens a minute", "concurrency": "calls at a time"}


def refusal(limit: Limit, amount: int, levels: tuple[int, Level], now_us: int) -> PerdureError:
    """Why a call of `amount` does not fit. `levels`: the total of the minute before, and the bucket's own level."""
    before, level = levels
    if limit.kind == "usd":
        return _spent(limit, amount, level, now_us)
    if limit.kind == "concurrency":
        return _reached(limit, level.held, _SLOT_DELAY_S)
    if amount > limit.ceiling:
        return too_large(limit, amount)
    present = level.used + level.held
    delay_us = minute_delay_us(limit.ceiling, (before, present), amount, now_us % MINUTE_US)
    return _reached(limit, present, max(delay_us, 1000) / 1_000_000)


def too_large(limit: Limit, amount: int) -> TooLarge:
    """A call that would not fit into an empty minute."""
    return TooLarge(
        f"This call may need {amount:,} tokens, but {limit.scope} {limit.name!r} may use {limit.ceiling:,} a minute.",
        hint="Ask for fewer: send less, or set a smaller max_tokens.",
        limit=limit.kind,
        scope=limit.scope,
        name=limit.name,
        ceiling=limit.ceiling,
        amount=amount,
    )


def away(limit: Limit | None = None) -> NotReady:
    """The store is away, and what this worker had leased is used up, or may not be used any more."""
    of = (
        ""
        if limit is None
        else f" for the {'budget' if limit.kind == 'usd' else limit.kind} of {limit.scope} {limit.name!r}"
    )
    return NotReady(
        f"The store of limits and budgets cannot be reached, and nothing that was leased before is left{of}.",
        hint="Try again soon: it is asked again twice a second.",
        delay_s=1.0,
    )


def _reached(limit: Limit, present: int, delay_s: float) -> LimitReached:
    error = LimitReached(
        f"The limit of {limit.ceiling:,} {_WHAT[limit.kind]} of {limit.scope} {limit.name!r} is reached.",
        hint=f"Try again in {max(delay_s, 0.001):.3g} s.",
        limit=limit.kind,
        scope=limit.scope,
        name=limit.name,
        used=present,
        ceiling=limit.ceiling,
        delay_s=delay_s,
    )
    error.delay_s = delay_s
    return error


def _spent(limit: Limit, amount: int, level: Level, now_us: int) -> BudgetSpent:
    ends_us = limit.window(now_us).ends_us
    until = None if ends_us == NEVER_US else iso(from_us(ends_us))
    what = "in total" if limit.per == "total" else f"a {limit.per}"
    route = f" for route {limit.route!r}" if limit.route else ""
    return BudgetSpent(
        f"The budget of {usd_text(limit.ceiling)} {what}{route} of {limit.scope} {limit.name!r} has no room for this call: "
        f"{usd_text(level.used)} are spent, {usd_text(level.held)} kept aside for calls under way, and this one may cost "
        f"{usd_text(amount)}.",
        hint="Raise the budget, or ask for less." if until is None else f"A new window begins at {until}.",
        scope=limit.scope,
        name=limit.name,
        per=limit.per,
        route=limit.route,
        used_pusd=level.used,
        held_pusd=level.held,
        ceiling_pusd=limit.ceiling,
        until=until,
    )
