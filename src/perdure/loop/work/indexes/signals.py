"""What the newest census of an index says: `ghosts`, `skew_ratio`, `trouble_ratio`, `lag_s` and `source_down`.

A census that is older than the window says nothing of it. What its source changed a moment before it was taken is no skew yet: it
counts once a minute went by, or, where nobody knows when it changed, once two censuses found it. Where the source did not answer whole, what was found is told, and what was
not found is unknown: such a reading is unsure, never healthy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from perdure.assets.health import Reading
from perdure.assets.objective import SignalSpec
from perdure.assets.version import Version
from perdure.core.clock import to_us
from perdure.core.stats.intervals import Interval
from perdure.engines.retrieval.skew import SKEWS, Census, Skew
from perdure.loop.protocols import Signal, Watched, Workplace
from perdure.loop.work.indexes.kept import census_before
from perdure.loop.work.indexes.served import served_skews
from perdure.loop.work.indexes.signals_quality import GoldenSignal, SentinelShift
from perdure.loop.work.indexes.signals_traffic import QueryShift, StaleAnswers, UnansweredRatio
from perdure.loop.work.indexes.watched import SOURCE_DOWN, IndexesAtWork, census_of
from perdure.loop.work.readings import exactly, reading_of

_SHOWN = 5
_FOLLOWED = ("missing", "stale", "ghost")
_ON_ITS_WAY_US = 60_000_000
"""Changes are found within a second of being seen; a source over a network is listed once a minute."""


def index_signals(opens: IndexesAtWork | None) -> Mapping[str, Signal]:
    """The signals of the kind "index", by name.

    Args:
        opens: opens versions; None: what must look into one gives no reading.
    """
    counted: tuple[Callable[[Counted], Interval | None], ...] = (_ghosts, _troubles, _down)
    names = ("ghosts", "trouble_ratio", SOURCE_DOWN)
    return {
        **{name: CensusSignal(name, count) for name, count in zip(names, counted, strict=True)},
        "skew_ratio": SkewRatio(),
        "lag_s": Lag(opens),
        "sentinel_shift": SentinelShift(),
        "golden_recall": GoldenSignal("golden_recall", opens),
        "golden_ndcg": GoldenSignal("golden_ndcg", opens),
        "stale_answers": StaleAnswers(opens),
        "unanswered_ratio": UnansweredRatio(),
        "query_shift": QueryShift(),
    }


@dataclass(frozen=True, slots=True)
class Counted:
    """A census within the window."""

    version: Version
    census: Census
    skews: Sequence[Skew]
    """Those of it that are no change on its way, and what servers found in their memory."""

    @property
    def n(self) -> int:
        """Documents that it is about."""
        return max(self.census.n_source, self.census.n_documents, 1)


def counted(place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Counted | None:
    """The newest census of what answers, where it lies in the window; None: there is none."""
    version, census = census_of(place, asset, now)
    if version is None or census is None or census.at_us < to_us(now - spec.over):
        return None
    standing = _standing(census, census_before(place, asset.name, version.id))
    return Counted(version, census, [*standing, *served_skews(place.stores.lake, asset.name, version.id, now)])


def _standing(census: Census, before: Census | None) -> list[Skew]:
    """The skews without what changed at the source just now, which whoever follows it may be about to index."""
    known = None if before is None else {(each.kind, each.document) for each in before.skews}

    def on_its_way(skew: Skew) -> bool:
        if skew.part != "document" or skew.kind not in _FOLLOWED:
            return False
        if skew.since_us is not None:
            return census.at_us - skew.since_us < _ON_ITS_WAY_US
        return known is not None and (skew.kind, skew.document) not in known

    return [skew for skew in census.skews if not on_its_way(skew)]


class CensusSignal:
    """One figure of a census.

    Args:
        name: of the signal.
        count: the figure; None: it is not known.
    """

    def __init__(self, name: str, count: Callable[[Counted], Interval | None]) -> None:
        self.name = name
        self._count = count

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading; none without a census in the window."""
        found = counted(place, asset, spec, now)
        if found is None:
            return []
        facts = {"text": found.census.why_not} if not found.census.whole else {}
        return [_reading(asset, spec, now, found, self._count(found), facts=facts)]


class SkewRatio:
    """Share of documents with a skew; `by="skew"`: a reading for each kind."""

    name = "skew_ratio"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """A reading, or one a kind; none without a census in the window."""
        found = counted(place, asset, spec, now)
        if found is None:
            return []
        kinds = [""] if spec.by is None else SKEWS
        readings = []
        for kind in kinds:
            documents = {skew.document for skew in found.skews if kind in ("", skew.kind)}
            bounds = _known(found, min(1.0, len(documents) / found.n))
            facts = {"documents": sorted(documents)[:_SHOWN]} if documents else {}
            part = f"{spec.by}={kind}" if kind else ""
            readings.append(_reading(asset, spec, now, found, bounds, slice=part, facts=facts))
        return readings


class Lag:
    """Seconds from a document's change at its source to its being found: of what changed in the window, and of what waits."""

    name = "lag_s"

    def __init__(self, opens: IndexesAtWork | None) -> None:
        self._opens = opens

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading, 0 where nothing changed; none without a census in the window.

        What changed before the version was first filled has no lag: nobody could have found it by then.
        """
        found = counted(place, asset, spec, now)
        if found is None or self._opens is None:
            return []
        lags, n_waiting = self._lags(asset.name, found, to_us(now - spec.over), to_us(now))
        value = float(np.quantile(lags, spec.params["quantile"], method="inverted_cdf")) if lags else 0.0
        facts = {"n_waiting": n_waiting}
        return [_reading(asset, spec, now, found, exactly(value, len(lags)), unit="s", facts=facts)]

    def _lags(self, name: str, found: Counted, start_us: int, now_us: int) -> tuple[list[float], int]:
        assert self._opens is not None
        with closing(self._opens.open_store(name, found.version.id, read_only=True)) as store:
            generations = store.generations()
            first_us = generations[0].at_us if generations else now_us
            rows = {row.id: row for row in store.documents()}
        lags = [
            (row.indexed_us - row.changed_us) / 1e6
            for row in rows.values()
            if row.changed_us is not None
            and first_us < row.changed_us <= row.indexed_us
            and start_us <= row.indexed_us <= now_us
        ]
        # What was indexed since the census waits no more.
        waiting = [
            each
            for each in found.census.waiting
            if each.document not in rows or rows[each.document].indexed_us <= found.census.at_us
        ]
        lags += [max(0.0, (now_us - max(each.changed_us, first_us)) / 1e6) for each in waiting]
        return lags, len(waiting)


def _ghosts(found: Counted) -> Interval | None:
    return _known(found, float(len({skew.document for skew in found.skews if skew.kind == "ghost"})))


def _troubles(found: Counted) -> Interval | None:
    return _known(found, min(1.0, len(found.census.troubles) / found.n))


def _down(found: Counted) -> Interval | None:
    return exactly(float(not found.census.whole), found.n)


def _known(found: Counted, value: float) -> Interval | None:
    """A figure of a census that saw half is known as far as it is not zero."""
    return exactly(value, found.n) if found.census.whole or value > 0.0 else None


def _reading(
    asset: Watched, spec: SignalSpec, now: datetime, found: Counted, bounds: Interval | None, **more: object
) -> Reading:
    told = {"unit": "", "version": found.version.id, **more}
    return reading_of(asset, spec, now, bounds, **told)
