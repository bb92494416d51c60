"""Whether an index still finds what it should: `sentinel_shift`, `golden_recall` and `golden_ndcg`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from perdure.assets.health import Reading
from perdure.assets.objective import SignalSpec
from perdure.core.clock import to_us
from perdure.core.errors import TooFewRows
from perdure.core.stats.ranking import measured
from perdure.loop.protocols import Watched, Workplace
from perdure.loop.work.indexes.asking import ask, golden_of, placed, scores
from perdure.loop.work.indexes.sentinels import find_sentinels
from perdure.loop.work.indexes.watched import IndexesAtWork, index_of
from perdure.loop.work.readings import exactly, reading_of
from perdure.loop.work.versions import find_champion

_SHOWN = 5


class SentinelShift:
    """How far fixed sentences are embedded from where they were: 1 less the worst cosine."""

    name = "sentinel_shift"

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading; none where they were not embedded in the window."""
        champion = find_champion(place.stores.ledger, asset.name)
        seen = None if champion is None else find_sentinels(place, asset.name, champion.id)
        if champion is None or seen is None or not to_us(now - spec.over) <= seen.now_us <= to_us(now):
            return []
        facts = {"behaviour": seen.behaviour}
        bounds = exactly(seen.shift, len(seen.now))
        return [reading_of(asset, spec, now, bounds, unit="", version=champion.id, facts=facts)]


class GoldenSignal:
    """A measure of golden questions among the first k.

    Args:
        name: `golden_recall` or `golden_ndcg`.
        opens: opens the version that is asked; None: nothing is.
    """

    def __init__(self, name: str, opens: IndexesAtWork | None) -> None:
        self.name = name
        self._opens = opens

    def observe(self, place: Workplace, asset: Watched, spec: SignalSpec, now: datetime) -> Sequence[Reading]:
        """One reading of what answers, as it is now; none without golden questions, unsure with fewer than two clusters.

        Raises:
            BadIndex: the file of questions cannot be read.
            UpstreamError, NotReady: the embedder does not answer.
        """
        champion = find_champion(place.stores.ledger, asset.name)
        golden = golden_of(index_of(asset))
        if champion is None or golden is None or self._opens is None:
            return []
        k = int(spec.params["k"])
        with self._opens.open(asset.name, champion.id) as opened:
            if not opened.store.generation().number:
                return []
            golden = placed(opened, golden)
            values = scores(golden, ask(opened, golden.queries, k), self.name, k)
        facts: dict[str, Any] = {"n_troubles": len(golden.troubles), "troubles": list(golden.troubles[:_SHOWN])}
        try:
            bounds = measured(values, golden.clusters, confidence=spec.confidence)
        except TooFewRows:
            bounds = None
        return [reading_of(asset, spec, now, bounds, unit="ratio", version=champion.id, facts=facts)]
