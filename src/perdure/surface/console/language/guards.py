"""`/language/guards/{name}`: what a guard looks for, how often it acted lately, and which calls it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from perdure.surface.console.asking import address, one_of
from perdure.surface.console.language.call import ACTIONS
from perdure.surface.console.language.calls import SPANS
from perdure.surface.console.language.cells import NONE, OVERVIEW, at, count, ms, share
from perdure.surface.console.language.standing import Standing, standing
from perdure.surface.console.records import Asked, Bars, Cell, Table, View
from perdure.surface.words import number

_SHOWN = 100
_COLUMNS = ("guard", "version", "arm", "side", "action", "check", "kind", "score", "took_us", "team", "route")
_ACTED = ("blocked", "redacted", "warned", "failed")


@dataclass(frozen=True, slots=True)
class GuardPage:
    """The whole page."""

    standing: Standing
    mode: str
    sides: tuple[str, ...]
    fails: str
    checks: Table
    since: str
    spans: tuple[str, ...]
    n: int
    """Looks in the stretch."""
    n_acted: int
    acted: str
    """Share of them."""
    p95: str
    by_action: Table
    by_check: Bars
    n_found: int
    newest: Table


def view(asked: Asked) -> View:
    """The page.

    Raises:
        NotFound: no such guard.
    """
    from perdure.loop.work.calls import read_guarded

    name = asked.path["name"]
    guard = asked.project.project.guard(name)
    since = one_of(asked.query, "since", tuple(SPANS), "7d")
    found = read_guarded(asked.project.place.stores.lake, name, asked.now - SPANS[since], asked.now, _COLUMNS)
    said = found.filter(pl.col("arm") != "shadow")
    acted = said.filter(pl.col("action").is_in(_ACTED))
    p95 = said["took_us"].quantile(0.95) if said.height else None
    data = GuardPage(
        standing=standing(asked, "guard", name),
        mode=guard.mode,
        sides=tuple(guard.on),
        fails=guard.fails,
        checks=_checks(guard.definition()),
        since=since,
        spans=tuple(SPANS),
        n=said.height,
        n_acted=acted.height,
        acted=share(acted.height / said.height) if said.height else NONE,
        p95=ms(None if p95 is None else p95 / 1000.0),
        by_action=_by_action(found),
        by_check=_by_check(name, acted),
        n_found=acted.height,
        newest=_newest(acted),
    )
    return View(name, data, (OVERVIEW,), f"perdure calls --outcome blocked --since {since}", ("health", "releases"))


def _checks(told: Mapping[str, Any]) -> Table:
    rows = []
    for each in told["checks"]:
        settings = {name: value for name, value in each.items() if name != "check"}
        rows.append((str(each.get("check", "")), msgspec.json.encode(settings).decode() if settings else NONE))
    return Table(("Check", "Settings"), rows, "What it looks for: one that finds is enough")


def _by_action(found: pl.DataFrame) -> Table:
    counted = found.group_by("arm", "side", "action").len().sort("len", "arm", "side", "action", descending=True)
    rows = [
        (Cell(action, tone=ACTIONS.get(action, "mute")), side, arm or NONE, count(n), share(n / found.height))
        for arm, side, action, n in counted.iter_rows()
    ]
    return Table(
        headings=("Did", "Side", "Arm", "Times", "Of all"),
        rows=rows,
        caption="What it did",
        numeric=frozenset({3, 4}),
        empty="It looked at nothing in this stretch. A longer one? Calls come here with each round of the loop.",
    )


def _by_check(name: str, acted: pl.DataFrame) -> Bars:
    counted = acted.group_by("check", "kind").len().sort("len", "check", "kind", descending=[True, False, False])
    rows = [
        (" ".join(part for part in (check, kind) if part) or "unknown", float(n), None)
        for check, kind, n in counted.head(12).iter_rows()
    ]
    return Bars(f"found-{name}", "What it found", "times", rows)


def _newest(acted: pl.DataFrame) -> Table:
    rows = [
        (
            Cell(row["call_id"], address("/language/calls", row["call_id"])),
            at(row["served_at"]),
            row["side"],
            Cell(row["action"], tone=ACTIONS.get(row["action"], "mute")),
            " ".join(part for part in (row["check"], row["kind"]) if part) or NONE,
            number(row["score"]) if row["score"] else NONE,
            row["team"] or NONE,
            row["route"] or NONE,
            row["version"],
        )
        for row in acted.reverse().head(_SHOWN).iter_rows(named=True)
    ]
    return Table(
        headings=("Call", "When", "Side", "Did", "Found", "Score", "Team", "Route", "Version"),
        rows=rows,
        caption="What it stopped or changed, newest first",
        numeric=frozenset({5}),
        empty="It stopped nothing in this stretch.",
    )
