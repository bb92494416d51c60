"""Golden questions from elsewhere than a person's pen: from searches that people made, and from a model that read the index.

Both go into the review queue under the index's name, a question with one chunk each: does this text answer it? What was labelled is
taken into the golden file. `perdure index sample`, `draft` and `accept` call it.

Searches are drawn by chance, what is asked often more likely. Of each, the chunks to be labelled are the nearest by vector and the
best by words: judging only what one way of searching finds would call it right whatever the other one finds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from perdure.assets.index import Index
from perdure.core.canonical import content_hash
from perdure.core.errors import BadIndex
from perdure.engines.judges.anchors import Judgeable
from perdure.engines.retrieval.golden import Golden, GoldenQuestion, Relevant, read_golden
from perdure.engines.retrieval.protocols import Unparsable
from perdure.loop.protocols import Workplace
from perdure.loop.work.evals.corpus import Passage
from perdure.loop.work.evals.drafting import DraftedCase
from perdure.loop.work.indexes.opening import OpenIndex
from perdure.loop.work.indexes.signals_traffic import questions, read_searches
from perdure.loop.work.judges.growing import append_line
from perdure.loop.work.judges.labels import find_case, put_case
from perdure.loop.work.judges.queue import SYNTHETIC, review_of
from perdure.stores.ledger.protocols import Review
from perdure.stores.vectors.protocols import ChunkRow, Query

SEARCHED = "searched"
"""Why a chunk is in the queue: somebody searched, and it may be what answers."""
DEPTH = 3
"""Chunks that are asked about: so many by vector, and so many by words."""
_SHORTEST = 80
"""Characters of a chunk that questions are made of: below, there is little to ask about."""
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of labelled reviews."""

    added: Sequence[GoldenQuestion]
    n_there: int
    """Questions that the file has already."""
    unanswered: Sequence[str]
    """Searches of which nobody found a chunk that answers."""
    n_bad: int
    """Drafts that people turned down."""
    n_waiting: int
    """Questions of which not every chunk is labelled yet."""


def declared_file(index: Index) -> Path | None:
    """Where its golden questions are declared to stand; None: nowhere yet."""
    return None if index.golden is None else Path(index.golden)


def golden_there(path: Path | None) -> Golden:
    """The questions that a file has now; none where there is no file yet.

    Raises:
        BadIndex: it cannot be read.
    """
    if path is None or not path.exists():
        return Golden(())
    try:
        return read_golden(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadIndex(
            f"The golden questions in {path.name} cannot be read: {type(error).__name__}.",
            hint="They are JSON lines in UTF-8.",
        ) from error


def passages_of(opened: OpenIndex) -> list[Passage]:
    """What a model may write questions about: the chunks that stand in a version, as they are found."""
    rows = (row for row in opened.store.chunks() if row.form != "image" and len(row.text) >= _SHORTEST)
    return [Passage(row.document, row.start, row.end, row.text) for row in rows]


def asked_of(place: Workplace, index: str) -> list[tuple[Review, Judgeable]]:
    """What people were asked about an index, whatever became of it, but for what was forgotten."""
    with place.stores.ledger.read() as session:
        found = [each for each in session.reviews.list(subject=index) if each.why in (SYNTHETIC, SEARCHED)]
    cases = [(each, find_case(place, each.case)) for each in found]
    return [(review, case) for review, case in cases if case is not None]


def ask_drafted(place: Workplace, index: Index, drafted: Sequence[DraftedCase], now: datetime) -> list[Review]:
    """Ask people whether questions that a model wrote are good ones; the same is never asked twice."""
    asked = [
        _review(
            place, index, _asked(each.passage, str(each.case.inputs["question"]), each.case.expected), SYNTHETIC, now
        )
        for each in drafted
    ]
    asked = [
        replace(review, facts={**review.facts, "model": each.model})
        for review, each in zip(asked, drafted, strict=True)
    ]
    with place.transaction(now, f"drafted for index {index.name}") as session:
        return session.reviews.ask(asked)


def ask_searched(
    place: Workplace, opened: OpenIndex, n: int, start: datetime, now: datetime, depth: int = DEPTH
) -> list[Review]:
    """Draw `n` questions that people asked an index, and ask which chunks answer them.

    Args:
        place: where searches are captured, and where people are asked.
        opened: the version whose chunks are asked about.
        n: questions.
        start: searches since then.
        now: domain time, before which they were.
        depth: chunks by vector, and by words.

    Raises:
        UpstreamError, NotReady: the embedder does not answer.
    """
    index = opened.index
    known = {each.query for each in golden_there(declared_file(index)).questions}
    known |= {str(case.inputs.get("question", "")) for _, case in asked_of(place, index.name)}
    said = questions(read_searches(place.stores.lake, index.name, start, now))
    drawn = _drawn(Counter(said), known, n)
    asked = [_review(place, index, each, SEARCHED, now) for query in drawn for each in _pooled(opened, query, depth)]
    with place.transaction(now, f"drawn from searches of {index.name}") as session:
        return session.reviews.ask(asked)


def take_labelled(place: Workplace, index: Index, path: Path, now: datetime) -> Taken:
    """Take what people labelled into a golden file, and end its reviews; a question that stands there is not added.

    A search is taken when each of its chunks is labelled. Of several opinions the mean counts: above a half is an answer, graded by it.

    Raises:
        BadIndex: the file cannot be read.
    """
    there = {each.query for each in golden_there(path).questions}
    added, counts, unanswered = list[GoldenQuestion](), Counter[str](), list[str]()
    ended: list[str] = []
    for query, group in _groups(asked_of(place, index.name)).items():
        if not all(review.labels for review, _ in group):
            counts["waiting"] += 1
            continue
        ended += [review.id for review, _ in group]
        good = [(review, case) for review, case in group if _mean(review) > _HALF]
        drafted = group[0][0].why == SYNTHETIC
        if not good:
            counts["bad"] += drafted
            unanswered += [] if drafted else [query]
        elif query in there:
            counts["there"] += 1
        else:
            added.append(_question(query, good))
            append_line(path, golden_row(added[-1]))
            there.add(query)
    with place.transaction(now, f"golden questions of {index.name}") as session:
        for id_ in ended:
            session.reviews.close(id_, "done")
    return Taken(added, counts["there"], unanswered, counts["bad"], counts["waiting"])


def golden_row(question: GoldenQuestion) -> dict[str, Any]:
    """A question as a line of a golden file."""
    return {
        "query": question.query,
        "relevant": [_relevant_row(each) for each in question.relevant],
        "cluster": question.cluster,
        "provenance": dict(question.provenance),
    }


def _relevant_row(item: Relevant) -> dict[str, Any]:
    told = {"document": item.document, "start": item.start, "end": item.end, "grade": item.grade, "text": item.text}
    return {name: value for name, value in told.items() if value is not None}


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question with a chunk."""

    question: str
    document: str
    start: int
    end: int
    text: str
    expected: str | None = None

    @property
    def case(self) -> Judgeable:
        """As people see it."""
        return Judgeable.of({"question": self.question, "document": self.document}, [self.text], self.expected)


def _asked(passage: Passage, question: str, expected: Any) -> _Asked:
    return _Asked(question, passage.file, passage.start, passage.end, passage.text, str(expected))


def _review(place: Workplace, index: Index, asked: _Asked, why: str, now: datetime) -> Review:
    key = content_hash([asked.question, asked.document, asked.start, asked.end])[:24]
    facts = {"document": asked.document, "start": asked.start, "end": asked.end}
    return replace(review_of(index.name, f"golden:{key}", put_case(place, asked.case), why, now), facts=facts)


def _drawn(counts: Mapping[str, int], known: set[str], n: int) -> list[str]:
    """Questions by chance, without one twice, each by how often it was asked (Efraimidis and Spirakis 2006): the same way again."""

    def order(query: str) -> float:
        chance = (int(content_hash(query)[:13], 16) + 1) / (16**13 + 1)
        return -math.log(chance) / counts[query]

    return sorted((each for each in counts if each not in known), key=order)[:n]


def _pooled(opened: OpenIndex, query: str, depth: int) -> list[_Asked]:
    try:
        [vector] = opened.embedder.embed([query], "query")
    except Unparsable:
        found = b""
    else:
        found = vector.astype("<f4").tobytes() if vector.any() else b""
    asked = [Query(depth, b"", query), *([Query(depth, found)] if found else [])]
    keys = dict.fromkeys(hit.key for each in asked for hit in opened.store.search(each))
    rows: Iterable[ChunkRow | None] = opened.store.fetch(list(keys))
    return [_Asked(query, row.document, row.start, row.end, row.text) for row in rows if row is not None and row.text]


def _groups(asked: Sequence[tuple[Review, Judgeable]]) -> dict[str, list[tuple[Review, Judgeable]]]:
    """Question → its open reviews; a draft is of one chunk, a search of several."""
    groups: dict[str, list[tuple[Review, Judgeable]]] = {}
    for review, case in asked:
        if review.status == "open":
            groups.setdefault(str(case.inputs["question"]), []).append((review, case))
    return groups


def _mean(review: Review) -> float:
    return sum(each.value for each in review.labels) / len(review.labels)


def _question(query: str, good: Sequence[tuple[Review, Judgeable]]) -> GoldenQuestion:
    """What was labelled as its answers; questions on one document move together."""
    relevant = tuple(
        Relevant(
            str(review.facts["document"]),
            int(review.facts["start"]),
            int(review.facts["end"]),
            round(_mean(review), 3),
            case.answers[0],
        )
        for review, case in good
    )
    first = good[0][0]
    provenance: dict[str, Any] = {"from": SYNTHETIC if first.why == SYNTHETIC else "searches"}
    provenance |= {"model": first.facts["model"]} if "model" in first.facts else {}
    provenance["reviews"] = [review.id for review, _ in good]
    return GoldenQuestion(query, relevant, relevant[0].document, provenance)
