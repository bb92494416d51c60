"""What people asked an index, and what it gave them: `stale_answers`, `unanswered_ratio` and `query_shift`.

Read off the lake's table `searches`. Questions as of a past instant are left out: they asked for what is old.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from perdure.assets.health import Reading
from perdure.assets.objective import SignalSpec
from perdure.assets.version import Version
from perdure.core.clock import to_us
from perdure.core.errors import NotFound, TooFewRows
from perdure.core.stats.intervals import proportion_interval
from perdure.core.units import days
from perdure.engines.answers.intents import new_intents
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.captured_searches import SEARCHES
from perdure.loop.work.indexes.sentinels import find_sentinels
from perdure.loop.work.indexes.watched import IndexesAtWork, census_of
from perdure.loop.work.readings import reading_of
from perdure.loop.work.versions import find_champion
from perdure.stores.lake.protocols import Lake, Span

_COLUMNS = (
    "index",
    "version",
    "served_at",
    "as_of",
    "query",
    "mode",
    "documents",
    "best_cosine",
    "dropped_documents",
    "dropped_reasons",
    "dropped_marked",
)
_DROPPED = ("dropped_documents", "dropped_reasons", "dropped_marked")
_STALE = ("stale", "ghost", "corrupt")
"""Reasons of the guard for which what it marked is not what the source says."""
_MEMORY = 4
"""Windows of questions that are the time before."""
_SHOWN = 5


def read_searches(lake: Lake, index: str, start: datetime, end: datetime, version: str = "") -> pl.DataFrame:
    """What an index was asked of the present in `[start, end)`, by one version or all, in order."""
    try:
        rows = lake.read(SEARCHES, columns=_COLUMNS, span=Span("served_at", start, end))
    except NotFound:
        return pl.DataFrame(schema=dict.fromkeys(_COLUMNS, pl.Null))
    mine = (pl.col("index") == index) & pl.col("as_of").is_null()
    return rows.filter(mine & (pl.col("version") == version) if version else mine).sort("served_at", "query")


def questions(rows: pl.DataFrame) -> list[str]:
    """Those of which the text is kept."""
    return [each for each in rows["query"].to_list() if each]


class StaleAnswers:
    """Share of searches that gave a chunk whose document had changed or gone at its source by then."""

    name = "stale_answers"

    def __init__(self, opens: IndexesAtWork | None) -> None:
        self._opens = opens

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading; none where nothing was asked."""
        champion, _ = census_of(place, asset, now)
        if champion is None or self._opens is None:
            return []
        rows = read_searches(place.stores.lake, asset.name, now - spec.over, now, champion.id)
        if not rows.height:
            return []
        old = self._old(place, asset, champion, now)
        stale = [self._of(row, old) for row in rows.iter_rows(named=True)]
        n = sum(bool(each) for each in stale)
        counted: dict[str, int] = {}
        for document in (one for each in stale for one in each):
            counted[document] = counted.get(document, 0) + 1
        worst = sorted(counted, key=lambda document: (-counted[document], document))[:_SHOWN]
        bounds = proportion_interval(n, rows.height, confidence=spec.confidence)
        facts = {"n_stale": n, "documents": worst}
        return [reading_of(asset, spec, now, bounds, unit="ratio", version=champion.id, facts=facts)]

    def _old(self, place: Workplace, asset: Watched, champion: Version, now: datetime) -> dict[str, tuple[int, int]]:
        """Document → from when to when what was found of it was not what its source said."""
        assert self._opens is not None
        now_us = to_us(now)
        with closing(self._opens.open_store(asset.name, champion.id, read_only=True)) as store:
            rows = list(store.documents())
        old = {
            row.id: (row.changed_us, row.indexed_us)
            for row in rows
            if row.changed_us is not None and row.first_us < row.changed_us < row.indexed_us
        }
        _, census = census_of(place, asset, now)
        if census is not None:
            since = {each.document: each.changed_us for each in census.waiting}
            for skew in census.skews:
                if skew.kind in ("ghost", "stale") and skew.document:
                    since.setdefault(skew.document, skew.since_us or census.at_us)
            known = {row.id: row.indexed_us for row in rows}
            old |= {id_: (at_us, now_us) for id_, at_us in since.items() if known.get(id_, 0) <= census.at_us}
        return old

    def _of(self, row: dict[str, Any], old: dict[str, tuple[int, int]]) -> set[str]:
        """Documents that a search gave as they were no more."""
        served_us = to_us(row["served_at"])
        given = {id_ for id_ in row["documents"] or () if id_ in old and old[id_][0] <= served_us < old[id_][1]}
        dropped = zip(*(row[name] or () for name in _DROPPED), strict=True)
        return given | {id_ for id_, reason, marked in dropped if marked and reason in _STALE}


class UnansweredRatio:
    """Share of searches that found nothing nearer than what sentences about anything find."""

    name = "unanswered_ratio"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading; none where nothing was asked, or no sentinels are kept to say what is near."""
        champion = find_champion(place.stores.ledger, asset.name)
        seen = None if champion is None else find_sentinels(place, asset.name, champion.id)
        if champion is None or seen is None:
            return []
        rows = read_searches(place.stores.lake, asset.name, now - spec.over, now, champion.id)
        if not rows.height:
            return []
        best = rows["best_cosine"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        found = np.array([bool(each) for each in rows["documents"].to_list()])
        missed = ~found | unanswered(best, seen.near)
        worst = [each for each, miss in zip(rows["query"].to_list(), missed, strict=True) if miss and each]
        bounds = proportion_interval(int(missed.sum()), rows.height, confidence=spec.confidence)
        facts = {"near": seen.near, "n_questions_kept": len(worst)}
        return [reading_of(asset, spec, now, bounds, unit="ratio", version=champion.id, facts=facts)]


def unanswered(best: NDArray[np.float64], near: float) -> NDArray[np.bool_]:
    """Of best cosines those that are not near; what was found by its words alone has none, and answers."""
    missed: NDArray[np.bool_] = ~np.isnan(best) & (best < near)
    return missed


class QueryShift:
    """Share of questions that are like none of the four windows before."""

    name = "query_shift"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading; none while too few questions are kept to tell."""
        start = now - spec.over
        before = max(_MEMORY * spec.over, days(7))
        lake = place.stores.lake
        try:
            found = new_intents(
                questions(read_searches(lake, asset.name, start - before, start)),
                questions(read_searches(lake, asset.name, start, now)),
            )
        except TooFewRows:
            return []
        facts = {
            "n_reference": found.n_reference,
            "new_languages": list(found.new_languages),
            "words": [list(cluster.words) for cluster in found.clusters],
        }
        bounds = proportion_interval(found.n_new, found.n, confidence=spec.confidence)
        return [reading_of(asset, spec, now, bounds, unit="ratio", facts=facts)]
