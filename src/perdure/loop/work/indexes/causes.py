"""What may be behind an index's ill health: the causes of the kind "index".

| cause | what speaks for it | weight |
|---|---|---|
| `source_down` | the newest census could not list the source whole | 0.97 |
| `source_shrank` | more documents are gone at the source than may go at once | 0.95 |
| `embedder_changed` | fixed sentences are embedded elsewhere than when the version was built, or no chunk's vector is made again | 0.93 |
| `store_damaged` | rows are not what their checksums say, words are not those of their chunks, the file cannot be read | 0.9 |
| `served_differed` | memory of a server was not what its store has | 0.89 |
| `outside_write` | rows came, went or changed, and no generation tells of it | 0.88 |
| `chunker_changed` | documents were cut by another chunker or parser than the present one | 0.85 |
| `sync_stopped` | documents changed or went longer ago than a census, and wait | 0.8 |
| `source_changed` | documents changed or went since the last census, and wait | 0.75 |
| `documents_unreadable` | documents of the source cannot be indexed | 0.7 |
| `found_late` | changes were found later than they should be, and none waits now | 0.5 |
| `questions_moved` | index and source agree, and people ask what it does not find | 0.6 |

What is wrong further up comes first: of a source that does not answer nothing is known, and what another embedder makes of new texts
would only be mixed with what the old one made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from perdure.assets.health import Cause as RankedCause
from perdure.assets.health import Finding, State
from perdure.assets.index import Index
from perdure.core.units import duration_text
from perdure.engines.retrieval.planning import make_plan
from perdure.engines.retrieval.skew import Census, Skew
from perdure.loop.protocols import Cause, Watched, Workplace
from perdure.loop.work.indexes.sentinels import MOVED, SentinelsSeen, find_sentinels, most_differ
from perdure.loop.work.indexes.served import ServedDiffered
from perdure.loop.work.indexes.watched import SOURCE_DOWN, census_of, index_of

SOURCE_SHRANK = "source_shrank"
EMBEDDER_CHANGED = "embedder_changed"
STORE_DAMAGED = "store_damaged"
OUTSIDE_WRITE = "outside_write"
CHUNKER_CHANGED = "chunker_changed"
SYNC_STOPPED = "sync_stopped"
SOURCE_CHANGED = "source_changed"
DOCUMENTS_UNREADABLE = "documents_unreadable"
QUESTIONS_MOVED = "questions_moved"
FOUND_LATE = "found_late"
_ASKED = ("golden_recall", "golden_ndcg", "query_shift", "unanswered_ratio")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of an index that is ill."""

    index: Index
    census: Census
    sentinels: SentinelsSeen | None
    sick: frozenset[str]
    """Signals that are broken."""

    def documents(self, *kinds: str, part: str = "") -> list[str]:
        """Documents with a skew of one of the kinds, of a part alone where one is named."""
        return sorted({skew.document for skew in self.skews(*kinds, part=part)})

    def skews(self, *kinds: str, part: str = "") -> list[Skew]:
        """The skews of the kinds."""
        return [each for each in self.census.skews if each.kind in kinds and part in ("", each.part)]

    @property
    def embedder_moved(self) -> bool:
        """Whether vectors are made otherwise than when they were written."""
        if self.sentinels is not None and self.sentinels.shift > MOVED:
            return True
        wrong = self.skews("wrong_embedder")
        if not wrong:
            return False
        if len({each.document for each in wrong}) * 2 > self.census.n_documents:
            return True
        return self.sentinels is None and most_differ(self.census)

    @property
    def embedder_doubted(self) -> bool:
        """Whether most of what was embedded anew differs, and the fixed sentences were not looked at since: the round that says so looks."""
        late = self.sentinels is not None and self.sentinels.now_us < self.census.at_us
        return late and most_differ(self.census)


Found = tuple[float, Mapping[str, Any], str]
"""Weight, evidence, words."""


def index_causes() -> tuple[Cause, ...]:
    """The causes of the kind "index"."""
    weighed: dict[str, Callable[[Seen], Found | None]] = {
        SOURCE_DOWN: _source_down,
        SOURCE_SHRANK: _source_shrank,
        EMBEDDER_CHANGED: _embedder_changed,
        STORE_DAMAGED: _store_damaged,
        OUTSIDE_WRITE: _outside_write,
        CHUNKER_CHANGED: _chunker_changed,
        SYNC_STOPPED: _sync_stopped,
        SOURCE_CHANGED: _source_changed,
        DOCUMENTS_UNREADABLE: _unreadable,
        QUESTIONS_MOVED: _questions_moved,
        FOUND_LATE: _found_late,
    }
    return (*(CensusCause(name, weigh) for name, weigh in weighed.items()), ServedDiffered())


class CensusCause:
    """A cause that the newest census speaks for.

    Args:
        name: of the cause.
        weigh: what speaks for it.
    """

    def __init__(self, name: str, weigh: Callable[[Seen], Found | None]) -> None:
        self.name = name
        self._weigh = weigh

    def weigh(self, place: Workplace, asset: Watched, findings: Sequence[Finding], now: datetime) -> RankedCause | None:
        """The cause with what speaks for it; None else, or where nothing is broken."""
        sick = {each.reading.signal.partition("@")[0] for each in findings if each.state is State.BROKEN}
        champion, census = census_of(place, asset, now)
        if not sick or champion is None or census is None:
            return None
        sentinels = find_sentinels(place, asset.name, champion.id)
        found = self._weigh(Seen(index_of(asset), census, sentinels, frozenset(sick)))
        return None if found is None else RankedCause(self.name, *found)


def _source_down(seen: Seen) -> Found | None:
    if seen.census.whole:
        return None
    text = f"Its source does not answer whole: {seen.census.why_not} Nothing is deleted for that."
    return 0.97, {"n_documents": seen.census.n_documents, "n_listed": seen.census.n_source}, text


def _source_shrank(seen: Seen) -> Found | None:
    plan = make_plan(seen.census, most_deleted=seen.index.most_deleted)
    if not plan.held_back or not seen.census.whole:
        return None
    evidence = {"n_gone": len(plan.held_back), "n_documents": seen.census.n_documents}
    return 0.95, evidence, f"{plan.held_back_why} Nothing was deleted: rather a source broke than documents went."


def _embedder_changed(seen: Seen) -> Found | None:
    if not seen.embedder_moved:
        return None
    n_wrong, told = len(seen.skews("wrong_embedder")), []
    evidence: dict[str, Any] = {"n_wrong": n_wrong, "n_embedded": seen.census.n_embedded}
    if seen.sentinels is not None and seen.sentinels.shift > MOVED:
        evidence["shift"] = round(seen.sentinels.shift, 6)
        told.append(f"fixed sentences are up to {seen.sentinels.shift:.3g} (1 - cosine) from where they were")
    if n_wrong:
        told.append(f"{n_wrong} of {seen.census.n_embedded} chunks that were embedded again differ")
    return 0.93, evidence, f"The embedder changed behind its name: {', and '.join(told)}."


def _store_damaged(seen: Seen) -> Found | None:
    rows = seen.skews("corrupt")
    broken = [each for each in seen.census.skews if each.part in ("store", "words")]
    if not rows and not broken:
        return None
    documents = sorted({each.document for each in (*rows, *broken)} - {""})
    evidence = {"n_chunks": len({each.key for each in rows if each.key}), "n_documents": len(documents)}
    first = (rows or broken)[0].why
    text = f"What stands in the index is not what was written, in {_counted(documents)}. {first}"
    return 0.9, evidence, text.strip()


def _outside_write(seen: Seen) -> Found | None:
    found = [*seen.skews("missing", "ghost", "duplicate", "orphan", part="chunk")]
    found += [] if seen.embedder_moved or seen.embedder_doubted else seen.skews("wrong_embedder")
    if not found:
        return None
    kinds: dict[str, int] = {
        kind: sum(each.kind == kind for each in found) for kind in dict.fromkeys(each.kind for each in found)
    }
    documents = sorted({each.document for each in found})
    told = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in kinds.items())
    text = f"Rows changed and no generation tells of it, in {_counted(documents)}: {told}."
    return 0.88, {**kinds, "n_documents": len(documents)}, text


def _chunker_changed(seen: Seen) -> Found | None:
    documents = seen.documents("wrong_chunker")
    if not documents:
        return None
    text = f"{_counted(documents)} were cut by another chunker or parser than the present one."
    return 0.85, {"n_documents": len(documents)}, text


def _sync_stopped(seen: Seen) -> Found | None:
    waited = _waited(seen)
    if waited is None or waited <= seen.index.census:
        return None
    text = f"{_behind(seen)} The oldest change waits for {about(waited)}: nothing follows the source."
    return 0.8, _counts(seen), text


def _source_changed(seen: Seen) -> Found | None:
    waited = _waited(seen)
    if waited is None or waited > seen.index.census:
        return None
    return 0.75, _counts(seen), _behind(seen)


def _unreadable(seen: Seen) -> Found | None:
    if "trouble_ratio" not in seen.sick or not seen.census.troubles:
        return None
    codes = list(seen.census.troubles.values())
    counted = {code: codes.count(code) for code in sorted(set(codes))}
    told = ", ".join(f"{n} {code.replace('_', ' ')}" for code, n in counted.items())
    first = min(seen.census.troubles)
    return 0.7, counted, f"{len(codes)} documents cannot be indexed: {told}; {first} for one."


def _questions_moved(seen: Seen) -> Found | None:
    asked = sorted(seen.sick.intersection(_ASKED) | {each for each in seen.sick if each.startswith(_ASKED)})
    if not asked or seen.census.skews or not seen.census.whole or seen.embedder_moved:
        return None
    text = f"Index and source agree, and {', '.join(asked)} moved: people ask what the documents do not tell."
    return 0.6, {"n_documents": seen.census.n_documents}, text


def _found_late(seen: Seen) -> Found | None:
    late = any(each.startswith("lag_s") for each in seen.sick)
    if not late or seen.census.waiting or not seen.census.whole:
        return None
    text = "Changes were found later than they should be; none waits now."
    return 0.5, {"n_documents": seen.census.n_documents}, text


def about(span: timedelta) -> str:
    """A duration as people say it, in whole seconds, minutes or hours.

    >>> about(timedelta(seconds=5399.2)), about(timedelta(seconds=40)), about(timedelta(days=3, seconds=7))
    ('90m', '40s', '3d')
    """
    total_s = span.total_seconds()
    unit_s = 1 if total_s < 120 else 60 if total_s < 3 * 3600 else 3600
    return duration_text(timedelta(seconds=unit_s * round(total_s / unit_s)))


def _waited(seen: Seen) -> timedelta | None:
    """For how long the oldest change waits; None where none does, 0 where nobody knows since when."""
    behind = [each for each in seen.skews("missing", "ghost", "stale", part="document") if each.document]
    if not behind or not seen.census.whole:
        return None
    since = [each.since_us for each in behind if each.since_us is not None]
    return timedelta(microseconds=max(0, seen.census.at_us - min(since))) if since else timedelta(0)


def _counts(seen: Seen) -> dict[str, int]:
    kinds = ("missing", "stale", "ghost")
    return {kind: len(seen.documents(kind, part="document")) for kind in kinds}


def _behind(seen: Seen) -> str:
    counts = _counts(seen)
    words = {"missing": "new", "stale": "changed", "ghost": "gone"}
    told = ", ".join(f"{n} {words[kind]}" for kind, n in counts.items() if n)
    return f"The source is ahead of the index: {told} of {seen.census.n_source} documents."


def _counted(documents: Sequence[str]) -> str:
    shown = ", ".join(each or "?" for each in documents[:_SHOWN])
    more = f" and {len(documents) - _SHOWN} more" if len(documents) > _SHOWN else ""
    named = f"{len(documents)} document{'s' * (len(documents) != 1)} ({shown}{more})"
    return named if documents else "no document that is known"
