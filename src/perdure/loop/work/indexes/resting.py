"""What rests on an index's documents: golden questions and cases of suites that were made of texts which changed or went since.

The last of a round looks where an index moved on, or what rests on it did. Of each text that was there and is no more people are asked
once, as `outdated`: are question and answer still right? A text that stands there again, or a question that was mended or removed, ends
the review. Cached answers are dropped by `loop.outdated`, which asks nobody.

A case names its document as the corpus did that it was made of, by a file, and has its passage among its contexts. Only what was once seen
to stand in the index is told of later: a corpus may be read otherwise than the index's chunker reads it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from perdure.assets.index import Index
from perdure.assets.suite import Suite
from perdure.assets.suite_file import case_digest, cases_file
from perdure.core.canonical import content_hash, plain
from perdure.core.errors import BadIndex, BadSuite, NotFound, NotReady
from perdure.engines.judges.anchors import Judgeable
from perdure.engines.retrieval.standing import Standing
from perdure.loop.protocols import Workplace
from perdure.loop.work.indexes.golden_asking import declared_file, golden_there
from perdure.loop.work.indexes.watched import IndexesAtWork
from perdure.loop.work.judges.labels import put_case
from perdure.loop.work.judges.queue import OUTDATED, review_of
from perdure.loop.work.versions import find_champion
from perdure.stores.ledger.protocols import Review
from perdure.stores.vectors.protocols import ChunkRow, IndexStore

_EMPTY = ":0"
"""How the place of an index ends that nothing was written of yet."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Something that rests on a text."""

    of: str
    """Name of the suite, or of the index whose golden question it is."""
    key: str
    """Digest of what it asks, expects and rests on."""
    named: str
    """Its document, as it names it: an id, or a path that ends with one."""
    text: str
    case: Judgeable
    """As people see it, with the text as it was."""
    sure: bool
    """Whether its text was taken from the index itself."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What rests on an index, held against it."""

    standing: frozenset[str]
    """Keys of those whose text is there."""
    outdated: Mapping[str, tuple[Rest, str]]
    """Key → what rests on a text that is there no more, with `changed` or `gone`."""


class Resting:
    """Looks after what rests on indexes.

    Args:
        indexes: those that are declared.
        suites: those that are declared.
        opens: opens versions of indexes.
    """

    def __init__(self, indexes: Sequence[Index], suites: Sequence[Suite], opens: IndexesAtWork) -> None:
        self._indexes = indexes
        self._suites = suites
        self._opens = opens

    def run(self, place: Workplace, now: datetime) -> None:
        """Look at every index that moved on. Cost: where none did, a look at the ledger, each store and each file's times.

        Raises:
            StoreError: an index's store cannot be read; the next round tries again.
        """
        for index in self._indexes:
            champion = find_champion(place.stores.ledger, index.name)
            if champion is None:
                continue
            try:
                store = self._opens.open_store(index.name, champion.id, read_only=True)
            except (NotFound, NotReady):
                continue
            with closing(store):
                self._look(place, index, store, f"{champion.id}:{store.generation().number}", now)

    def _look(self, place: Workplace, index: Index, store: IndexStore, at: str, now: datetime) -> None:
        cursor = f"index/{index.name}/resting"
        stamp = content_hash([at, _stamp(declared_file(index)), *map(_suite_stamp, self._suites)])
        with place.stores.ledger.read() as session:
            kept = session.cursors.get(cursor) or {}
            if kept.get("stamp") == stamp or at.endswith(_EMPTY):
                return
            reviews = [each for each in session.reviews.list() if _is_of(each, index)]
        rests, unread = self._rests(index)
        seen = set(kept.get("seen", ()))
        held = held_against(store, rests, seen)
        # What a person dropped stays so; what stood there again meanwhile is asked about anew.
        told = {each.facts["rests"] for each in reviews if each.status != "done"}
        new = [(rest, how) for key, (rest, how) in held.outdated.items() if key not in told]
        asked = [_review(place, index, rest, how, at, now) for rest, how in new]
        over = [each for each in reviews if each.status == "open" and each.facts["rests"] not in held.outdated]
        with place.transaction(now, f"what rests on {index.name}") as session:
            session.reviews.ask(asked)
            for each in over:
                if each.subject not in unread:
                    session.reviews.close(each.id, "done")
            left = seen if unread else set[str]()
            session.cursors.put(cursor, {"stamp": stamp, "seen": sorted({*held.standing, *held.outdated, *left})})

    def _rests(self, index: Index) -> tuple[list[Rest], set[str]]:
        """What may rest on an index, and what cannot be read now, of which nothing is known: `perdure check` tells of it."""
        found, unread = list[Rest](), set[str]()
        try:
            found += _golden_rests(index)
        except BadIndex:
            unread.add(index.name)
        for suite in self._suites:
            try:
                found += _suite_rests(suite, index)
            except BadSuite:
                unread.add(suite.name)
        return found, unread


def held_against(store: IndexStore, rests: Sequence[Rest], seen: Collection[str]) -> _Held:
    """Which texts stand in the newest generation of an index, and which do no more.

    Args:
        store: of the version that answers.
        rests: what rests on it, perhaps.
        seen: keys of those that stood there before.

    Cost: 2 µs a document, and 0.3 µs a character of the documents that are named.
    """
    known = {row.id for row in store.documents() if not row.trouble or row.n_chunks}
    named = {each.key: _named(each.named, known) for each in rests}
    chunks: dict[str, list[ChunkRow]] = {}
    for row in store.chunks_of(sorted({id_ for id_ in named.values() if id_})):
        chunks.setdefault(row.document, []).append(row)
    texts = {id_: Standing.of(rows) for id_, rows in chunks.items()}
    standing, outdated = set[str](), dict[str, tuple[Rest, str]]()
    for each in rests:
        id_ = named[each.key]
        text = texts.get(id_)
        if text is not None and text.find(each.text) is not None:
            standing.add(each.key)
        elif each.sure or each.key in seen:
            outdated[each.key] = (each, "changed" if id_ else "gone")
    return _Held(frozenset(standing), outdated)


def _golden_rests(index: Index) -> Iterator[Rest]:
    for question in golden_there(declared_file(index)).questions:
        for item in question.relevant:
            if item.text:
                case = Judgeable.of({"question": question.query, "document": item.document}, [item.text])
                key = content_hash([question.query, item.document, item.text])[:24]
                yield Rest(index.name, key, item.document, item.text, case, sure=True)


def _suite_rests(suite: Suite, index: Index) -> Iterator[Rest]:
    for case in suite.read().cases:
        told = case.provenance
        named = told.get("document", told.get("file"))
        if not isinstance(named, str) or told.get("index", index.name) != index.name:
            continue
        for text in case.contexts:
            if isinstance(text, str) and text.strip():
                shown = Judgeable.of(plain(dict(case.inputs)), [text], case.expected)
                key = content_hash([suite.name, case_digest(case), text])[:24]
                yield Rest(suite.name, key, named, text, shown, sure=False)


def _named(path: str, known: Collection[str]) -> str:
    """The longest id that a path ends with; empty: none does.

    >>> _named("handbook/more/pay.md", {"pay.md", "more/pay.md"}), _named("pay.md", {"y.md"})
    ('more/pay.md', '')
    """
    parts = path.split("/")
    return next((id_ for at in range(len(parts)) if (id_ := "/".join(parts[at:])) in known), "")


def _review(place: Workplace, index: Index, rest: Rest, how: str, at: str, now: datetime) -> Review:
    made = review_of(rest.of, f"outdated:{rest.key}:{at}", put_case(place, rest.case), OUTDATED, now)
    return replace(made, facts={"index": index.name, "document": rest.named, "rests": rest.key, "text": how})


def _is_of(review: Review, index: Index) -> bool:
    return review.why == OUTDATED and review.facts.get("index") == index.name


def _suite_stamp(suite: Suite) -> Any:
    if not isinstance(suite.cases, str | Path):
        return [suite.name, [case_digest(each) for each in suite.cases]]
    path = Path(suite.cases)
    try:
        return [suite.name, _stamp(path), _stamp(cases_file(path))]
    except BadSuite:
        return [suite.name, _stamp(path)]


def _stamp(path: Path | None) -> Any:
    """What tells a file from what it was."""
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return None if found is None else [found.st_mtime_ns, found.st_size, found.st_ino]
