"""Which versions of a prompt answered clients, and whether anybody had released them.

A call is approved when a pointer held its version in the generation of the serving table that answered it, and still held
it, or had within the grace, when it began. So a server that swaps late is forgiven for as long as its polls take, and one that
goes on with an old wording, or with one that was never released, is found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from perdure.assets.version import PointerMove
from perdure.loop.protocols import Workplace
from perdure.loop.work.calls import read_calls
from perdure.loop.work.routes.traffic import NOBODYS
from perdure.stores.lake.protocols import Lake

GRACE_S = 5.0
"""Beside the polls of a server: what it takes to load the new versions."""


def read_served(lake: Lake, prompt: str, start: datetime, end: datetime) -> pl.DataFrame:
    """Calls of clients that a prompt's versions answered; `prompt` is the version."""
    calls = read_calls(lake, None, start, end, ["prompt", "generation", "outcome", "arm", "route"])
    return calls.filter(pl.col("prompt").str.starts_with(f"{prompt}@") & ~pl.col("arm").is_in(NOBODYS))


@dataclass(frozen=True, slots=True)
class _Held:
    """A stretch in which one pointer named one version."""

    sequence: int
    since: datetime
    to_sequence: float = float("inf")
    """First sequence number at which it did not any more; infinite while it does."""
    until: datetime | None = None


def unapproved(place: Workplace, prompt: str, calls: pl.DataFrame) -> pl.DataFrame:
    """The calls that a version answered which no pointer held then."""
    with place.stores.ledger.read() as session:
        held = _stretches(session.pointers.history(prompt))
    grace = timedelta(seconds=GRACE_S + 2.0 * place.settings.serve.poll_ms / 1000.0)
    fair = [
        _is_approved(held.get(version, ()), generation, at, grace)
        for version, generation, at in zip(calls["prompt"], calls["generation"], calls["served_at"], strict=True)
    ]
    return calls.filter(~pl.Series(fair, dtype=pl.Boolean))


def _is_approved(held: Sequence[_Held], generation: int, at: datetime, grace: timedelta) -> bool:
    """By the server's own table, and by the clock: a version that was released since is approved, whatever table named it."""
    in_table = any(each.sequence <= generation < each.to_sequence for each in held)
    in_time = any(each.since <= at and (each.until is None or at <= each.until + grace) for each in held)
    return in_table and in_time


def _stretches(moves: Sequence[PointerMove]) -> Mapping[str, Sequence[_Held]]:
    """By version, in the order of the chain."""
    found: dict[str, list[_Held]] = {}
    present: dict[str, PointerMove] = {}
    for move in moves:
        before = present.pop(move.name, None)
        if before is not None and before.version is not None:
            found.setdefault(before.version, []).append(_Held(before.sequence, before.at, move.sequence, move.at))
        present[move.name] = move
    for move in present.values():
        if move.version is not None:
            found.setdefault(move.version, []).append(_Held(move.sequence, move.at))
    return found
