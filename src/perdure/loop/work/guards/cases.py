"""Labelled texts of a guard: its declared examples, and calls whose verdict people overrode or confirmed.

Everything that learns or judges reads them here, and here alone it is decided which of them are kept from training: a
quarter of the groups of near-duplicates, by the hash of each group's first text, so that a text stays on its side while
others come. What surprised us: an attack comes in a hundred wordings, so that single texts split at chance would put nearly
every attack on both sides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
import polars as pl

from perdure.assets.guard import Guard, Learned
from perdure.assets.source import Source
from perdure.core.errors import BadGuard
from perdure.core.units import days
from perdure.engines.guards.learned_duplicates import Keys, groups, keys
from perdure.engines.guards.learned_text import normalise
from perdure.loop.intake import table_of
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.calls import read_feedback, read_guarded
from perdure.loop.work.captured_calls import FEEDBACK, GUARDED
from perdure.loop.work.feed import known_span
from perdure.stores.lake.protocols import Lake

HELD_OUT = 4
"""Of so many groups of texts one is kept from training."""
HARMFUL_AT = 0.5
"""An override of this value or more says: it should have been caught."""
ACTED = ("blocked", "redacted", "warned", "shadowed")
"""Actions of a guard that found something."""

MEMORY = days(365)
"""Overrides are learned from for so long."""
LATE = days(30)
"""An override that comes later than this after its call is not found any more."""
_KEPT: WeakKeyDictionary[Lake, dict[str, tuple[Any, list[Case]]]] = WeakKeyDictionary()

Origin = Literal["examples", "calls"]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One labelled text."""

    text: str
    harmful: bool
    family: str
    """As labelled; of a harmless text the kind of look-alike. Empty: not known."""
    known_at: datetime | None
    """When its label came; None: known from the beginning."""
    origin: Origin
    said_by: str = ""
    """Id of the key that labelled it, of calls."""
    held_out: bool = False
    """Never trained on."""
    group: int = 0
    """Texts that are nearly the same share it, within what was read together."""
    keys: Keys | None = None


def learned_of(guard: Guard) -> Learned | None:
    """Its check that learns, or None.

    Raises:
        BadGuard: it has several.
    """
    found = [check for check in guard.checks if isinstance(check, Learned)]
    if len(found) > 1:
        raise BadGuard(
            f"Guard {guard.name!r} has {len(found)} learned checks.", hint="Put each into a guard of its own."
        )
    return found[0] if found else None


def read_cases(place: Workplace, guard: Guard, now: datetime) -> list[Case]:
    """Every labelled text known at an instant, each text once, split and grouped.

    Raises:
        BadGuard: the examples have no columns `text` and `label`.

    Cost: about 0.3 ms a text that was never read before, 10 µs one that was; nothing when asked again of an instant.
    """
    lake, learned = place.stores.lake, learned_of(guard)
    source = learned.examples if learned is not None and isinstance(learned.examples, Source) else None
    tables = [GUARDED, FEEDBACK, *([] if source is None else [table_of(source.name)])]
    # Of a function of the user's own, what it gave at an instant stands for that instant.
    state = (guard, now, tuple(lake.version(table) for table in tables))
    kept = _KEPT.setdefault(lake, {})
    if guard.name not in kept or kept[guard.name][0] != state:
        examples = [] if learned is None else _examples(lake, guard, learned, now)
        kept[guard.name] = state, grouped([*examples, *read_overrides(lake, guard.name, now - MEMORY, now)])
    return kept[guard.name][1]


def grouped(cases: Sequence[Case]) -> list[Case]:
    """Each text once, with its group and whether it is held out; in the order in which the texts came.

    Of several labels the newest stands, but for a declared example: what somebody says of a call does not change it.
    """
    newest: dict[str, Case] = {}
    for case in cases:
        same = normalise(case.text)
        known = newest.get(same)
        if known is None or known.origin == case.origin:
            newest[same] = replace(case, held_out=case.held_out or (known is not None and known.held_out))
    ordered = list(newest.values())
    found = [_keys(case.text) for case in ordered]
    of_group = groups(found)
    flagged = {int(group) for group, case in zip(of_group, ordered, strict=True) if case.held_out}
    return [
        replace(case, group=int(group), keys=own,
                held_out=int(group) in flagged or _falls_out(ordered[int(group)].text))
        for case, group, own in zip(ordered, of_group, found, strict=True)
    ]  # fmt: skip


@lru_cache(maxsize=1 << 16)
def _keys(text: str) -> Keys:
    return keys(text)


def _falls_out(text: str) -> bool:
    digest = hashlib.sha256(normalise(text).encode("utf-8", "surrogatepass")).digest()
    return digest[0] % HELD_OUT == 0


def _examples(lake: Lake, guard: Guard, learned: Learned, now: datetime) -> list[Case]:
    frame = _frame(lake, learned, now)
    missing = {"text", "label"} - set(frame.columns)
    if frame.is_empty():
        return []
    if missing:
        raise BadGuard(
            f"The examples of guard {guard.name!r} have no column {', '.join(sorted(missing))}.",
            hint="Give `text` and `label`, and where known `family` and `held_out`.",
        )
    columns = {name: frame[name].to_list() for name in frame.columns}
    nothing: list[Any] = [None] * frame.height
    parts = zip(
        columns["text"],
        columns["label"],
        columns.get("family", nothing),
        columns.get("known_at", nothing),
        columns.get("held_out", nothing),
        strict=True,
    )
    return [
        Case(str(text), bool(label), str(family or ""), known_at, "examples", held_out=bool(held_out))
        for text, label, family, known_at, held_out in parts
        if text is not None and label is not None
    ]


def _frame(lake: Lake, learned: Learned, now: datetime) -> pl.DataFrame:
    """The examples known at an instant, the oldest first."""
    if isinstance(learned.examples, Source):
        table = table_of(learned.examples.name)
        if lake.version(table) is None:
            return pl.DataFrame()
        rows = lake.read(table, span=known_span("_available_at", None, now))
        rows = rows.sort("_available_at", "text")
        return rows.with_columns(known_at=pl.col("_available_at"))
    frame = learned.examples()
    if not isinstance(frame, pl.DataFrame):
        raise BadGuard(
            f"The examples of a learned check are a {type(frame).__name__}.", hint="Return a polars DataFrame."
        )
    if "known_at" not in frame.columns:
        return frame
    return frame.filter(pl.col("known_at").is_null() | (pl.col("known_at") <= now)).sort("known_at", "text")


def read_overrides(lake: Lake, guard: str, start: datetime | None, end: datetime) -> list[Case]:
    """Calls with a text that people labelled in `[start, end]`, the oldest label first."""
    rows = labelled_calls(lake, guard, start, end)
    told = rows.filter(pl.col("text").is_not_null() & (pl.col("text") != "")).sort("received_at", "call_id", "said_by")
    return [
        Case(text, value >= HARMFUL_AT, "", received_at, "calls", said_by)
        for text, value, received_at, said_by in told.select("text", "value", "received_at", "said_by").iter_rows()
    ]


def labelled_calls(lake: Lake, guard: str, start: datetime | None, end: datetime) -> pl.DataFrame:
    """What people said of a guard's verdicts in `[start, end]`, a row a call and key, with what was judged.

    Columns: call_id, received_at, said_by, value, note, and those of `judged_calls`.
    """
    said = read_feedback(lake, f"guard:{guard}", start, None).filter(pl.col("received_at") <= end)
    said = said.select("call_id", "received_at", "value", said_by="key", note="text")
    first, last = said["received_at"].min(), said["received_at"].max()
    # Without any, no call is read: there may be millions.
    since, until = (first - LATE, last) if isinstance(first, datetime) and isinstance(last, datetime) else (end, end)
    return said.join(judged_calls(lake, guard, since, until), on="call_id", how="inner")


def judged_calls(lake: Lake, guard: str, start: datetime | None, end: datetime | None) -> pl.DataFrame:
    """Calls that a guard judged in `[start, end)`, each once; where it looked twice, the look that acted.

    Columns: call_id, served_at, version, acted, score, check, kind, text. Shadows and checks that failed are left out.
    """
    wanted = ["version", "arm", "action", "check", "kind", "score", "text", "side"]
    rows = read_guarded(lake, guard, start, end, wanted)
    rows = rows.filter((pl.col("arm") != "shadow") & (pl.col("action") != "failed"))
    rows = rows.with_columns(acted=pl.col("action").is_in(ACTED), told=pl.col("text").fill_null("") != "")
    rows = rows.sort(
        ["served_at", "call_id", "acted", "told", "place"], descending=[False, False, True, True, False]
    ).unique("call_id", keep="first", maintain_order=True)
    return rows.select("call_id", "served_at", "version", "acted", "score", "check", "kind", "text")


def guard_of(asset: Watched) -> Guard:
    """The declared guard."""
    guard: Guard = asset.declaration
    return guard


def group_numbers(cases: Sequence[Case]) -> np.ndarray[Any, np.dtype[np.intp]]:
    """The group of each case."""
    return np.array([case.group for case in cases], dtype=np.intp)
