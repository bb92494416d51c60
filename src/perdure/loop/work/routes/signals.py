"""What is measured of a route: errors, times, refusals, money, shifted answers, new intents; scores of `routes.scores`.

Each reads a window of what the gateway recorded. Signals of traffic leave out probes and shadows; answers from the cache are
left out of times, which would be its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import polars as pl

from perdure.assets.health import Reading
from perdure.assets.objective import SignalSpec
from perdure.core.canonical import plain
from perdure.core.errors import TooFewRows
from perdure.core.stats import Interval, proportion_interval, quantile_interval
from perdure.core.units import days
from perdure.core.usage import PICO
from perdure.engines.answers.intents import BASE, new_intents
from perdure.engines.answers.refusals import FILTERED, refuses
from perdure.loop.protocols import Signal, Watched, Workplace
from perdure.loop.work.calls import read_calls, read_guarded
from perdure.loop.work.dear_hours import CostAnomaly
from perdure.loop.work.readings import reading_of
from perdure.loop.work.routes.bodies import message_of, read_probed, read_questions, reference_of, shift_of
from perdure.loop.work.routes.definitions import target_ids
from perdure.loop.work.routes.scores import RouteHallucinations, RouteScore
from perdure.loop.work.routes.suites import RouteSuites
from perdure.loop.work.routes.traffic import mean, read_traffic, read_tries, share
from perdure.loop.work.versions import find_champion

ENDED = ("answered", "cut", "failed")
"""Outcomes that an upstream has a part in: not what the client, a limit or a guard ended."""
_BLOCKED = "blocked"
_CACHED = ("exact", "semantic")
_MEMORY = 7
"""New intents are held against so many windows before, a week at least."""


def route_signals(suites: RouteSuites | None = None) -> Mapping[str, Callable[[], Signal]]:
    """The signals of the kind "route": name → what makes it.

    Args:
        suites: by which its answers are scored; None: by none.
    """
    return {
        "answer_shift": AnswerShift,
        "cost_anomaly": partial(CostAnomaly, "route"),
        "cost_usd": CostUsd,
        "error_ratio": ErrorRatio,
        "eval_score": partial(RouteScore, suites),
        "first_token_ms": partial(Times, "first_token_ms", "first_us"),
        "hallucination_ratio": RouteHallucinations,
        "latency_ms": partial(Times, "latency_ms", "latency_us"),
        "new_intents": NewIntents,
        "refusal_ratio": RefusalRatio,
        "spend_usd": SpendUsd,
        "tokens_per_s": TokensPerS,
    }


def _by_target(rows: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """The rows of each target, with its slice; by name."""
    parts = rows.partition_by("target", as_dict=True, maintain_order=True)
    return [(f"target={key[0]}", part) for key, part in sorted(parts.items(), key=lambda each: str(each[0][0]))]


def _tries(place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> pl.DataFrame:
    """Tries of clients' calls at targets that the champion names: what was taken out of it is mended."""
    tries = read_tries(place.stores.lake, asset.name, now - spec.over, now).filter(~pl.col("is_probe"))
    champion = find_champion(place.stores.ledger, asset.name)
    return tries if champion is None else tries.filter(pl.col("target").is_in(target_ids(champion.definition)))


class ErrorRatio:
    """Share of calls that upstreams failed or cut, or that a guard could not judge; by target, of its tries."""

    name = "error_ratio"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading, or one a target; none while nothing was asked."""
        if spec.by == "target":
            tries = _tries(place, asset, spec, now).filter(pl.col("failed") | pl.col("answered"))
            return [
                reading_of(
                    asset, spec, now, share(part["failed"], part["served_at"], spec.over, confidence=spec.confidence),
                    unit="ratio", slice=target, facts={"errors": _errors(part)},
                )
                for target, part in _by_target(tries)
            ]  # fmt: skip
        columns = ["outcome", "n_attempts"]
        calls = read_traffic(place.stores.lake, asset.name, now - spec.over, now, columns)
        # A call that failed before anybody was asked says nothing of upstreams.
        told = pl.col("outcome").is_in(ENDED) & ((pl.col("outcome") != "failed") | (pl.col("n_attempts") > 0))
        if (calls["outcome"] == _BLOCKED).any():
            told |= (pl.col("outcome") == _BLOCKED) & pl.col("call_id").is_in(_unjudged(place, asset, spec, now))
        ended = calls.filter(told)
        if ended.is_empty():
            return []
        found = share(ended["outcome"] != "answered", ended["served_at"], spec.over, confidence=spec.confidence)
        counts = {name: int((calls["outcome"] == name).sum()) for name in sorted(set(calls["outcome"]))}
        return [reading_of(asset, spec, now, found, unit="ratio", facts={"outcomes": counts})]


def _unjudged(place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> list[str]:
    """Calls of the window that a guard could not judge, and none found anything in: nobody is at fault but we."""
    looks = read_guarded(place.stores.lake, None, now - spec.over, now, ["route", "arm", "action"])
    looks = looks.filter((pl.col("route") == asset.name) & (pl.col("arm") != "shadow"))
    found = looks.filter(pl.col("action") == _BLOCKED)["call_id"].to_list()
    failed = looks.filter((pl.col("action") == "failed") & ~pl.col("call_id").is_in(found))
    return failed["call_id"].unique(maintain_order=True).to_list()


def _errors(tries: pl.DataFrame) -> dict[str, int]:
    counted = tries.filter(pl.col("failed")).group_by("error", "status").len().sort("error", "status")
    return {f"{error} {status}" if status else str(error): n for error, status, n in counted.iter_rows()}


class Times:
    """A quantile of a time of answered calls, with the interval of its order statistics; by target, of its tries."""

    def __init__(self, name: str, column: str) -> None:
        self.name = name
        self._column = column

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading, or one a target; without an interval, and so without a verdict, where they are too few."""
        if spec.by == "target":
            tries = _tries(place, asset, spec, now).filter(pl.col("answered"))
            column = "first_ms" if self._column == "first_us" else pl.col("took_us") / 1000.0
            parts = [(target, part.select(ms=column)["ms"]) for target, part in _by_target(tries)]
        else:
            columns = ["outcome", "cache", self._column]
            calls = read_traffic(place.stores.lake, asset.name, now - spec.over, now, columns)
            calls = calls.filter(pl.col("outcome").is_in(("answered", "cut")) & ~pl.col("cache").is_in(_CACHED))
            parts = [("", calls[self._column] / 1000.0)]
        return [
            _quantile(asset, spec, now, took, spec.params["quantile"], unit="ms", slice=target)
            for target, took in parts
            if len(took)
        ]


class TokensPerS:
    """The median of output tokens a second after the first, over streamed answers of eight tokens or more."""

    name = "tokens_per_s"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading, or one a target; none while nothing was streamed."""
        tries = _tries(place, asset, spec, now).filter(pl.col("tokens_per_s").is_not_null())
        parts = _by_target(tries) if spec.by == "target" else [("", tries)]
        return [
            _quantile(asset, spec, now, part["tokens_per_s"], 0.5, unit="tokens/s", slice=target)
            for target, part in parts
            if part.height
        ]


def _quantile(
    asset: Watched, spec: SignalSpec, now: datetime, values: pl.Series, quantile: float, **more: Any
) -> Reading:
    data = values.cast(pl.Float64).to_numpy()
    try:
        return reading_of(asset, spec, now, quantile_interval(data, quantile, confidence=spec.confidence), **more)
    except TooFewRows:
        # No order statistic bounds so far a quantile yet: the largest is shown, and nothing is judged.
        return reading_of(asset, spec, now, None, n=len(data), facts={"largest": float(data.max())}, **more)


class RefusalRatio:
    """Share of answers in which the model refuses, by the rule of `engines.answers.refusals`."""

    name = "refusal_ratio"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading, or one a target; none while no answer is kept. Where none ever is, the provider's word alone counts."""
        columns = ["outcome", "endpoint", "finish", "answer", "cache"]
        calls = read_traffic(place.stores.lake, asset.name, now - spec.over, now, columns)
        calls = calls.filter((pl.col("outcome") == "answered") & pl.col("endpoint").is_in(("chat", "messages")))
        kept = calls.filter(pl.col("answer").is_not_null())
        seen = calls if kept.is_empty() else kept
        if seen.is_empty():
            return []
        refused = [
            refuses(message_of(answer), finish) for answer, finish in seen.select("answer", "finish").iter_rows()
        ]
        seen = seen.with_columns(refused=pl.Series(refused))
        facts = {
            "n_not_kept": calls.height - kept.height,
            "n_filtered": int((seen["finish"] == FILTERED).sum()),
            "n_refused": sum(refused),
        }
        parts = [("", seen)]
        if spec.by == "target":
            answered = _tries(place, asset, spec, now).filter(pl.col("answered")).select("call_id", "target")
            parts = _by_target(seen.join(answered, on="call_id", how="inner", maintain_order="left"))
        return [
            reading_of(
                asset, spec, now, share(part["refused"], part["served_at"], spec.over, confidence=spec.confidence),
                unit="ratio", slice=target, facts=facts,
            )
            for target, part in parts
        ]  # fmt: skip


class CostUsd:
    """Mean cost of an answered call; calls of unknown price are left out, and counted."""

    name = "cost_usd"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading; none while nothing was answered, without a value where no price is known."""
        columns = ["outcome", "cost_pusd"]
        calls = read_traffic(place.stores.lake, asset.name, now - spec.over, now, columns)
        answered = calls.filter(pl.col("outcome") == "answered")
        if answered.is_empty():
            return []
        priced = answered.filter(pl.col("cost_pusd").is_not_null())
        facts = {"n_unpriced": answered.height - priced.height}
        cost = (priced["cost_pusd"] / PICO).to_numpy()
        try:
            found = mean(cost, priced["served_at"], spec.over, confidence=spec.confidence)
        except TooFewRows:
            return [reading_of(asset, spec, now, None, n=priced.height, unit="USD", facts=facts)]
        return [reading_of(asset, spec, now, found, unit="USD", facts=facts)]


class SpendUsd:
    """Money that the route spent in the window: all of it, that of probes and shadows too, which the facts tell apart."""

    name = "spend_usd"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading, exact but for calls of unknown price, which are counted; none while nothing was called."""
        calls = read_calls(place.stores.lake, asset.name, now - spec.over, now, ["arm", "cost_pusd"])
        if calls.is_empty():
            return []
        usd = {arm: int(rows["cost_pusd"].sum() or 0) / PICO for (arm,), rows in calls.group_by("arm")}
        facts = {"n_unpriced": calls["cost_pusd"].null_count(), "by_arm": dict(sorted(usd.items()))}
        total = sum(sorted(usd.values()))
        found = Interval(total, total, total, calls.height)
        return [reading_of(asset, spec, now, None if facts["n_unpriced"] == calls.height else found, unit="USD",
                         facts=facts)]  # fmt: skip


class AnswerShift:
    """How far each target's answers to the probes are from those of the reference time."""

    name = "answer_shift"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading a target (without `by`: the worst), none without probes or while they are too few to tell."""
        champion = find_champion(place.stores.ledger, asset.name)
        if champion is None or not champion.definition["probes"]:
            return []
        start = now - spec.over
        probed = read_probed(place.stores.lake, champion, start - reference_of(champion), now)
        readings = []
        for target in target_ids(champion.definition):
            found = shift_of(probed.get(target), champion, start, now)
            if found is not None:
                worst = dict(list(found.by_probe.items())[:5])
                facts = {"target": target, "n_reference_runs": found.n_reference_runs, "by_probe": worst, **found.parts}
                bounds = Interval(found.value, found.low, found.high, found.n_runs)
                readings.append(reading_of(asset, spec, now, bounds, unit="", slice=f"target={target}", facts=facts))
        if spec.by == "target" or not readings:
            return readings
        worst_of_all = max(readings, key=lambda reading: (reading.low or 0.0, reading.value or 0.0, reading.slice))
        bounds = Interval(worst_of_all.value or 0.0, worst_of_all.low or 0.0, worst_of_all.high or 0.0, worst_of_all.n)
        return [reading_of(asset, spec, now, bounds, unit="", facts=worst_of_all.facts)]


class NewIntents:
    """Share of questions like none of the reference time, of those whose bodies are kept."""

    name = "new_intents"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading; none while there are too few questions to tell."""
        start = now - spec.over
        before = max(_MEMORY * spec.over, days(7))
        try:
            found = new_intents(
                read_questions(place.stores.lake, asset.name, start - before, start),
                read_questions(place.stores.lake, asset.name, start, now),
            )
        except TooFewRows:
            return []
        facts = {
            "expected": BASE,
            "n_reference": found.n_reference,
            "new_languages": list(found.new_languages),
            "clusters": plain(list(found.clusters)),
        }
        bounds = proportion_interval(found.n_new, found.n, confidence=spec.confidence)
        return [reading_of(asset, spec, now, bounds, unit="ratio", facts=facts)]
