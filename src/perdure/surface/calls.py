"""Verbs of calls: the newest ones, and one told whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.core.errors import NotFound, nearest, not_found
from perdure.core.units import days
from perdure.core.usage import PICO
from perdure.surface.drained import AsOf, drained
from perdure.surface.governance.entries import by_beginning
from perdure.surface.opened import Opened, When, instant_of

if TYPE_CHECKING:
    import polars as pl

OUTCOMES = ("answered", "cut", "cancelled", "blocked", "refused", "failed")
_SEARCHED = 1_000
"""So many of the newest ids are compared with one that is not known."""
_US = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class CallRow:
    """One call of the gateway, without its bodies."""

    id: str
    at: datetime
    """Domain time at which it began."""
    route: str
    endpoint: str
    version: str
    """Of the route."""
    arm: str
    prompt: str
    team: str
    key: str
    stream: bool
    status: int
    outcome: str
    finish: str
    latency_ms: float
    first_ms: float | None
    """To the first byte of the body; None without one."""
    cache: str
    tokens: Mapping[str, int]
    """Those that were counted, by kind: `input`, `output`, `cached`, …; parts are in their whole."""
    estimated: bool
    cost_usd: float | None
    """None: not known."""
    saved_usd: float
    n_attempts: int


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One try."""

    target: str
    status: int
    began_ms: float
    """After the call's begin."""
    first_ms: float | None
    took_ms: float
    error: str
    tokens: Mapping[str, int]
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class GuardRow:
    """What one guard said."""

    guard: str
    version: str
    arm: str
    side: str
    action: str
    check: str
    kind: str
    score: float
    took_ms: float
    text: str | None


@dataclass(frozen=True, slots=True)
class SaidRow:
    """What somebody said of the call later."""

    at: datetime
    key: str
    name: str
    value: float
    text: str


@dataclass(frozen=True, slots=True)
class CallStory:
    """One call, whole."""

    call: CallRow
    attempts: Sequence[AttemptRow]
    guards: Sequence[GuardRow]
    feedback: Sequence[SaidRow]
    request: Any
    """The neutral messages as they are kept; None where they are not."""
    answer: Any
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Calls:
    """The newest calls of a stretch."""

    since: datetime
    until: datetime
    rows: Sequence[CallRow]
    """Newest first."""
    n: int
    """How many there are of the stretch that were asked for."""
    as_of: AsOf


class Called(Opened):
    """Calls of the gateway."""

    def calls(
        self,
        *,
        route: str | None = None,
        outcome: str | None = None,
        limit: int = 20,
        since: timedelta = days(7),
        at: When = None,
        drains: bool = True,
    ) -> Calls:
        """The newest calls, shadows and probes too. Drains first, if nobody else runs the loop.

        Args:
            route: only of this one.
            outcome: only those that ended so: one of `OUTCOMES`.
            limit: how many.
            since: how far back from `at`.
            at: domain time.
            drains: False: nothing is written, and what is captured and not yet in the lake is not told.

        Raises:
            NotFound: no such outcome; or no such route, now or in what is on record.
        """
        import polars as pl

        from perdure.loop.work.calls import read_calls

        if outcome is not None and outcome not in OUTCOMES:
            raise not_found("outcome of calls", outcome, OUTCOMES)
        until = instant_of(at)
        as_of = drained(self, until, drains=drains)
        calls = read_calls(self.place.stores.lake, route, until - since, until, _columns())
        if route is not None and calls.is_empty() and route not in self.project.routes:
            known = read_calls(self.place.stores.lake, None, None, None, ["route"])["route"].unique().to_list()
            if route not in known:
                raise not_found("route", route, {*self.project.routes, *filter(None, known)})
        if outcome is not None:
            calls = calls.filter(pl.col("outcome") == outcome)
        newest = calls.reverse().head(limit)
        return Calls(until - since, until, [_call(row) for row in newest.iter_rows(named=True)], calls.height, as_of)

    def call(self, call: str, *, at: When = None, drains: bool = True) -> CallStory:
        """One call, whole: who, attempts, guards, tokens, money, what was said of it later, bodies as they are kept.

        Args:
            call: its id, or how it begins; answers carry it.
            at: domain time.
            drains: as of `calls`.

        Raises:
            NotFound: none was recorded under it.
            BadRequest: several begin so.

        Cost: the ids of all calls are read, some 0.1 s a million.
        """
        import polars as pl

        from perdure.loop.work.calls import read_attempts, read_calls, read_feedback, read_guarded

        drained(self, instant_of(at), drains=drains)
        lake = self.place.stores.lake
        all_ids = read_calls(lake, None, None, None, [])
        ids = all_ids.filter(
            pl.col("call_id").str.starts_with(call) | pl.col("call_id").str.contains(f"_{call}", literal=True)
        )
        known = dict(ids.select("call_id", "served_at").iter_rows())
        if not call or not known:
            near = nearest(call, all_ids["call_id"].tail(_SEARCHED))
            raise NotFound(
                f"No call {call!r} was recorded.",
                hint=f"{f'Did you mean {near!r}? ' if near else ''}perdure calls lists the newest; --since looks further back.",
                call=call,
                nearest=near,
            )
        found = by_beginning("call", call, known)
        start, end = known[found], known[found] + _US

        def of_call(frame: pl.DataFrame) -> list[dict[str, Any]]:
            return frame.filter(pl.col("call_id") == found).to_dicts()

        [row] = of_call(read_calls(lake, None, start, end))
        return CallStory(
            call=_call(row),
            attempts=[_attempt(each) for each in of_call(read_attempts(lake, None, start, end))],
            guards=[_guard(each) for each in of_call(read_guarded(lake, None, start, end))],
            feedback=[_said(each) for each in of_call(read_feedback(lake, None, start, None))],
            request=_body(row["request"]),
            answer=_body(row["answer"]),
            tags=msgspec.json.decode(row["tags"] or "{}", type=dict[str, str]),
        )


def _columns() -> list[str]:
    from perdure.loop.work.captured_calls import CALLS_SCHEMA

    return [name for name in CALLS_SCHEMA if name not in ("request", "answer", "tags")]


def _call(row: Mapping[str, Any]) -> CallRow:
    same = (
        "route",
        "endpoint",
        "version",
        "arm",
        "prompt",
        "team",
        "key",
        "stream",
        "status",
        "outcome",
        "finish",
        "cache",
    )
    return CallRow(
        id=row["call_id"],
        at=row["served_at"],
        latency_ms=row["latency_us"] / 1000.0,
        first_ms=_ms(row["first_us"]),
        tokens=_tokens(row),
        estimated=bool(row["estimated"]),
        cost_usd=_usd(row["cost_pusd"]),
        saved_usd=(row["saved_pusd"] or 0) / PICO,
        n_attempts=row["n_attempts"],
        **{name: row[name] for name in same},
    )


def _attempt(row: Mapping[str, Any]) -> AttemptRow:
    return AttemptRow(
        target=row["target"],
        status=row["status"],
        began_ms=row["began_us"] / 1000.0,
        first_ms=_ms(row["first_us"]),
        took_ms=row["took_us"] / 1000.0,
        error=row["error"],
        tokens=_tokens(row),
        cost_usd=_usd(row["cost_pusd"]),
    )


def _guard(row: Mapping[str, Any]) -> GuardRow:
    same = ("guard", "version", "arm", "side", "action", "check", "kind", "score", "text")
    return GuardRow(took_ms=row["took_us"] / 1000.0, **{name: row[name] for name in same})


def _said(row: Mapping[str, Any]) -> SaidRow:
    return SaidRow(row["received_at"], row["key"], row["name"], row["value"], row["text"])


def _tokens(row: Mapping[str, Any]) -> dict[str, int]:
    from perdure.loop.work.captured_calls import USAGE

    counted = {name.removeprefix("n_"): row[name] for name in USAGE if name != "estimated"}
    return {name: n for name, n in counted.items() if n or (n is not None and name in ("input", "output"))}


def _usd(picos: int | None) -> float | None:
    return None if picos is None else picos / PICO


def _ms(us: int) -> float | None:
    return us / 1000.0 if us else None


def _body(kept: str | None) -> Any:
    """What is kept of a body: JSON, or the text as it is where it was cut."""
    if kept is None:
        return None
    try:
        return msgspec.json.decode(kept)
    except msgspec.DecodeError:
        return kept


__all__ = ["OUTCOMES", "AttemptRow", "CallRow", "CallStory", "Called", "Calls", "GuardRow", "SaidRow"]
