"""Texts of a route's calls and probes, read day by day: bodies are wide, and most of a day's are not wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
import polars as pl

from perdure.assets.version import Version
from perdure.core.errors import TooFewRows
from perdure.core.units import days
from perdure.engines.answers.refusals import refuses, text_of
from perdure.engines.answers.shifts import ProbeAnswer, Shift, shift
from perdure.loop.work.calls import read_calls
from perdure.loop.work.routes.traffic import NOBODYS, PROBE
from perdure.stores.lake.protocols import Lake

MOST_A_DAY = 400
"""Questions of a day that are looked at, evenly spread."""
_ENDPOINTS = ("chat", "messages")


@dataclass(frozen=True, slots=True, eq=False)
class Probed:
    """Answers of one target to the probes of a route, in the order of time."""

    answers: Sequence[ProbeAnswer]
    served_at: Sequence[datetime]

    def between(self, start: datetime, end: datetime) -> list[ProbeAnswer]:
        """Those that were asked for in `[start, end)`."""
        return [answer for answer, at in zip(self.answers, self.served_at, strict=True) if start <= at < end]


def read_probed(lake: Lake, version: Version, start: datetime, end: datetime) -> Mapping[str, Probed]:
    """Answers to the probes of a version's suite by target; of a question whose words changed, those to the newest words."""
    suite = version.definition["probes"]
    if not suite:
        return {}
    every_us = max(1, int(suite["every_s"] * 1e6))
    rows = list(_probe_rows(lake, version.asset, start, end))
    newest = {row["probe"]: row["request"] for row in rows}
    asked = {question["name"] for question in suite["questions"]}
    found: dict[str, tuple[list[ProbeAnswer], list[datetime]]] = {}
    for row in rows:
        if row["probe"] not in asked or row["request"] != newest[row["probe"]]:
            continue
        message = message_of(row["answer"])
        run = int(row["served_at"].timestamp() * 1e6) // every_us
        answers, times = found.setdefault(row["target"], ([], []))
        answers.append(ProbeAnswer(row["probe"], run, text_of(message), refuses(message, row["finish"])))
        times.append(row["served_at"])
    return {target: Probed(*each) for target, each in sorted(found.items())}


def shift_of(probed: Probed | None, version: Version, start: datetime, end: datetime) -> Shift | None:
    """How far a target's answers of `[start, end)` are from those of the reference time before; None: too few to tell."""
    if probed is None:
        return None
    since = start - reference_of(version)
    return _shift(tuple(probed.between(since, start)), tuple(probed.between(start, end)))


@lru_cache(maxsize=64)
def _shift(reference: tuple[ProbeAnswer, ...], current: tuple[ProbeAnswer, ...]) -> Shift | None:
    """Signal, cause and gates of one round ask about the same answers."""
    try:
        return shift(reference, current)
    except TooFewRows:
        return None


def reference_of(version: Version) -> Any:
    """How long the reference time of a version's probes is."""
    return days(1) * (float(version.definition["probes"]["reference_s"]) / 86400.0)


def _probe_rows(lake: Lake, route: str, start: datetime, end: datetime) -> Iterator[dict[str, Any]]:
    columns = ["arm", "outcome", "finish", "request", "answer", "tags"]
    for rows in _by_day(lake, route, start, end, columns):
        asked = rows.filter((pl.col("arm") == PROBE) & (pl.col("outcome") == "answered"))
        yield from asked.with_columns(
            probe=pl.col("tags").str.json_path_match("$.probe").fill_null(""),
            target=pl.col("tags").str.json_path_match("$.target").fill_null(""),
        ).iter_rows(named=True)


def read_questions(lake: Lake, route: str, start: datetime, end: datetime) -> list[str]:
    """What clients asked last in each call of the window whose body is kept; at most 400 a day."""
    found: list[str] = []
    for rows in _by_day(lake, route, start, end, ["arm", "endpoint", "request"]):
        told = rows.filter(
            ~pl.col("arm").is_in(NOBODYS) & pl.col("endpoint").is_in(_ENDPOINTS) & pl.col("request").is_not_null()
        )
        if told.height > MOST_A_DAY:
            told = told.gather_every(-(-told.height // MOST_A_DAY))
        found += [question for request in told["request"] if (question := _question(request))]
    return found


def _by_day(lake: Lake, route: str, start: datetime, end: datetime, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    while start < end:
        until = min(end, start + days(1))
        yield read_calls(lake, route, start, until, columns)
        start = until


def message_of(kept: str | None) -> Mapping[str, Any]:
    """The first message of what a record keeps of an answer; empty where there is none."""
    first = _decoded(kept)
    if isinstance(first, list):
        first = first[0] if first else None
    return first if isinstance(first, dict) else {}


def _question(kept: str) -> str:
    messages = _decoded(kept)
    asked = (
        [each for each in messages if isinstance(each, dict) and each.get("role") == "user"]
        if isinstance(messages, list)
        else []
    )
    return text_of(asked[-1]) if asked else ""


def _decoded(kept: str | None) -> Any:
    """What was cut or is no JSON any more tells nothing."""
    if not kept:
        return None
    decode: Callable[[str], Any] = msgspec.json.decode
    try:
        return decode(kept)
    except msgspec.DecodeError:
        return None
