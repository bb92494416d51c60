"""What can be asked of indexes: signals to compare with a bound, as those of `assets.objective`.

lag_s(quantile=0.99, over=days(1)) <= 600
ghosts(over=hours(1)) <= 0
skew_ratio(over=hours(1), by="skew") <= 0.001
stale_answers(over=days(1)) <= 0.01
sentinel_shift(over=days(1)) <= 0.001
golden_recall(k=10, over=days(1)) >= 0.9
"""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType

from perdure.assets.objective import SignalSpec
from perdure.core.errors import BadObjective


def lag_s(*, quantile: float = 0.99, over: timedelta) -> SignalSpec:
    """A quantile of the seconds from a document's change at its source to its being found; what waits still counts as it waits now."""
    if not 0.0 < quantile < 1.0:
        raise BadObjective(f"A quantile of {quantile!r} means nothing.", hint="Use 0 to 1, exclusive, such as 0.99.")
    return SignalSpec("lag_s", over, None, MappingProxyType({"quantile": quantile}), f"lag_s_p{100 * quantile:g}")


def ghosts(*, over: timedelta) -> SignalSpec:
    """Documents that are gone at their source and are still found, by the newest census of the window."""
    return SignalSpec("ghosts", over)


def skew_ratio(*, over: timedelta, by: str | None = None) -> SignalSpec:
    """Share of documents with a skew of any kind, 0 to 1, by the newest census of the window; `by="skew"`: of each kind."""
    return SignalSpec("skew_ratio", over, by)


def stale_answers(*, over: timedelta) -> SignalSpec:
    """Share of searches, 0 to 1, that gave a chunk whose document had changed or gone at its source by then: weighted by traffic."""
    return SignalSpec("stale_answers", over)


def sentinel_shift(*, over: timedelta) -> SignalSpec:
    """How far fixed sentences are embedded from where they were when the version was built: 1 - cosine, the worst of them."""
    return SignalSpec("sentinel_shift", over)


def golden_recall(*, k: int = 10, over: timedelta) -> SignalSpec:
    """Share of what golden questions should find that is among the first k."""
    return SignalSpec("golden_recall", over, None, _first(k), f"golden_recall_at_{k}")


def golden_ndcg(*, k: int = 10, over: timedelta) -> SignalSpec:
    """Normalised discounted cumulative gain (nDCG) of golden questions among the first k, 0 to 1."""
    return SignalSpec("golden_ndcg", over, None, _first(k), f"golden_ndcg_at_{k}")


def query_shift(*, over: timedelta) -> SignalSpec:
    """Share of questions, 0 to 1, that are like none of the reference time."""
    return SignalSpec("query_shift", over)


def unanswered_ratio(*, over: timedelta) -> SignalSpec:
    """Share of searches, 0 to 1, that found nothing near: what people ask for, and the documents do not tell."""
    return SignalSpec("unanswered_ratio", over)


def trouble_ratio(*, over: timedelta) -> SignalSpec:
    """Share of the source's documents that cannot be indexed, 0 to 1, by the newest census of the window."""
    return SignalSpec("trouble_ratio", over)


def _first(k: int) -> MappingProxyType[str, int]:
    if type(k) is not int or not 1 <= k <= 1000:
        raise BadObjective(f"The first {k!r} mean nothing.", hint="Use 1 to 1000, such as 10.")
    return MappingProxyType({"k": k})
