"""One search of one version: ranked in memory or by the store, checked hit by hit, spares moving up for what is dropped.

Called on a thread, for it computes and reads. All hits of one answer stand in one generation: what the guard takes away leaves a part
of it, and where much of it is gone the newest generation is followed and asked as a whole.

What surprised us: on a busy machine a store that is written all the time is younger than memory again and again between following and
checking. So the last try gives what stood in the generation that it followed: that was the newest while the search ran.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from perdure.core.clock import from_us, iso
from perdure.core.documents import Hit, Where
from perdure.core.errors import NotFound
from perdure.engines.retrieval.searching.asking import MOST_HITS, Ask, Fusion, Mode, Wording
from perdure.engines.retrieval.searching.diversity import diverse
from perdure.engines.retrieval.verifying import NEVER_GIVEN
from perdure.serve.retrieval.billing import Payer
from perdure.serve.retrieval.guarding import Bounds, Checked, check, is_behind, is_doubtful
from perdure.serve.retrieval.held import Held, ServedIndex
from perdure.stores.capture.events import Dropped
from perdure.stores.vectors.protocols import ChunkRow, Generation, IndexStore, Query, checksum_of

_SPARE = 8
"""Hits that are ranked beside those that are asked for: they move up for what is dropped."""
_TRIES = 3
_SMALL = 2_000
"""Documents. Following reads the record whole, at 10 µs each."""
_RANK_OFFSET = 60


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """What is searched, decoded and allowed."""

    query: str
    k: int = 10
    mode: Mode = "hybrid"
    where: Where = field(default_factory=dict)
    groups: Sequence[str] | None = None
    """Of whoever asks; None: everything may be found."""
    as_of_us: int = 0
    """Domain instant; 0: now."""
    fusion: Fusion = "ranks"
    diversity: float = 0.0
    others: Sequence[str] = ()
    """Other wordings of the question."""
    expand: bool = False
    """Give the section around each chunk, too."""
    rerank: bool = False
    """Order what was found anew by the index's reranker; see `reordering`."""
    picture: bytes | None = None
    """What is like it is found by its vector, and by the words of `query` beside; None: the question is words."""
    payer: Payer | None = None
    """Of what an upstream embeds; None: nobody is billed."""


@dataclass(frozen=True, slots=True)
class Given:
    """One chunk that is given."""

    checked: Checked
    section: tuple[int, int, str] | None = None
    """Start, end and text of what it is part of."""

    @property
    def row(self) -> ChunkRow:
        """As it stands in the store."""
        assert self.checked.row is not None
        return self.checked.row


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a search gives."""

    generation: Generation
    """That was searched."""
    hits: Sequence[Given]
    dropped: Sequence[Dropped]
    hidden: frozenset[int] = frozenset()
    """Keys of what was dropped and is not for whoever asks: it is counted and kept, and not told."""


def find(served: ServedIndex, search: Search) -> Found:
    """Search a version. Cost: the searcher's, and 15 µs a hit that is checked.

    Raises:
        NotFound: the index had no generation by the instant that is asked as of.
        MissingExtra, NotReady: the question cannot be embedded here.
        LimitReached, BudgetSpent, Refused: whoever asks cannot pay for its embedding.
        UpstreamError: the embedder does not answer.
        StoreError: the store cannot be read.
        BadIndex: the filter asks for what is no declared field.
        BadRequest: the embedder cannot read what is asked.
    """
    ask = _ask(served, search)
    found, behind = _found(served, search, ask, served.held)
    for left in reversed(range(_TRIES - 1)):
        if not behind or not served.follow(anew=False):
            break
        try:
            found, behind = _found(served, search, ask, served.held, steady=not left)
        except NotFound:  # it was pruned as soon as it was followed
            break
    return found


def _found(served: ServedIndex, search: Search, ask: Ask, held: Held, *, steady: bool = False) -> tuple[Found, bool]:
    """What one state gives, and whether too little of it is left because the store went on; `steady`: as of that state."""
    then = _as_of(held.store, search.as_of_us, held)
    at = 0 if then is held.generation else then.number
    fingerprint = served.fingerprint if search.mode != "lexical" else ""
    bounds = Bounds(held, at or (then.number if steady else 0), search.groups, search.where, fingerprint)
    marks = served.index.unverified == "mark"
    n = search.k + _SPARE
    while True:
        hits = _ranked(replace(ask, k=min(n, MOST_HITS)), held, at)
        checked = check(held.store, hits[: search.k], bounds)
        if any(each.reason for each in checked) and len(hits) > search.k:
            checked += check(held.store, hits[search.k :], bounds)
        good = [each for each in checked if not each.reason or (marks and _may_be_marked(each))]
        if len(good) >= search.k or len(hits) < n or n >= MOST_HITS:
            break
        n *= 4
    if is_doubtful(checked, bounds):
        served.doubt()
    # What was replaced just now is often what is asked for: without it an answer is true, and lacks the best.
    near = checked if marks or len(good) < search.k else checked[: search.k] if _is_small(held) else []
    behind = is_behind(near, bounds)
    return _given(held.store, search, (then, good[: search.k], checked)), behind


def _may_be_marked(each: Checked) -> bool:
    return each.readable and each.reason not in NEVER_GIVEN


def _is_small(held: Held) -> bool:
    """Whether its newest generation is followed within the time of a search."""
    return held.generation.n_documents <= _SMALL and held.generation.n_chunks <= 10 * _SMALL


def _given(store: IndexStore, search: Search, of: tuple[Generation, Sequence[Checked], Sequence[Checked]]) -> Found:
    generation, good, checked = of
    last = max((checked.index(each) for each in good), default=len(checked) - 1)
    # A spare that nobody would have seen was dropped for nobody.
    wrong = [each for i, each in enumerate(checked) if each.reason and (i <= last or len(good) < search.k)]
    dropped = [Dropped(each.hit.key, each.name, each.reason, each in good) for each in wrong]
    sections = _sections(store, good, generation.number) if search.expand else {}
    hidden = frozenset(each.hit.key for each in wrong if not each.readable)
    return Found(generation, [Given(each, sections.get(each.hit.key)) for each in good], dropped, hidden)


def _as_of(store: IndexStore, as_of_us: int, held: Held) -> Generation:
    """The generation that was the newest at an instant.

    Raises:
        NotFound: there was none, or it was pruned.
    """
    if not as_of_us:
        return held.generation
    generations = store.generations()
    then = [each for each in generations if each.at_us <= as_of_us]
    if not then:
        begins = f"It begins at {iso(from_us(generations[0].at_us))}." if generations else "Nothing was ever written."
        raise NotFound(
            f"The index cannot be asked as of {iso(from_us(as_of_us))}. {begins}",
            hint="Ask for a later instant; `history` of the index says how long what was replaced is kept.",
        )
    return held.generation if then[-1].number == held.generation.number else then[-1]


def _ask(served: ServedIndex, search: Search) -> Ask:
    texts = [search.query, *search.others]
    vectors: list[NDArray[np.float32] | None] = [None] * len(texts)
    if search.mode != "lexical":
        asked = (search.picture or search.query, *search.others)
        vectors = [served.embedded(each, search.payer) for each in asked]
    others = [Wording(text, vector) for text, vector in zip(texts[1:], vectors[1:], strict=True)]
    return Ask(
        search.query,
        vectors[0],
        search.k,
        search.mode,
        search.where,
        search.groups,
        search.fusion,
        diversity=search.diversity,
        others=others,
    )


def _ranked(ask: Ask, held: Held, at: int) -> list[Hit]:
    if held.searcher is not None and not at:
        return held.searcher.search(ask)
    return search_store(held.store, ask, at or held.generation.number)


def search_store(store: IndexStore, ask: Ask, at: int) -> list[Hit]:
    """The same of a store that searches itself, at a generation: several wordings are fused by rank, likeness comes after.

    Raises: as `IndexStore.search`.
    """
    if not at:
        return []
    pool = max(2 * ask.k, 50) if ask.diversity else ask.k
    rankings = [store.search(_query(each, ask, pool, at)) for each in ask.wordings]
    hits = rankings[0] if len(rankings) == 1 else _fused(rankings)
    if ask.diversity and hits:
        rows = store.fetch([hit.key for hit in hits])
        size = max((len(row.vector) for row in rows if row is not None), default=0)
        told = b"".join(row.vector if row and len(row.vector) == size else b"\0" * size for row in rows)
        vectors = np.frombuffer(told, dtype="<f4").reshape(len(rows), size // 4).astype(np.float32)
        return diverse(hits, vectors, ask.k, ask.diversity)
    return hits[: ask.k]


def _query(wording: Wording, ask: Ask, k: int, at: int) -> Query:
    vector = b"" if wording.vector is None or ask.mode == "lexical" else np.asarray(wording.vector, "<f4").tobytes()
    words = "" if ask.mode == "dense" else wording.words
    return Query(k, vector, words, ask.where, ask.groups, at)


def _fused(rankings: Sequence[Sequence[Hit]]) -> list[Hit]:
    scores: dict[int, float] = {}
    known: dict[int, Hit] = {}
    for ranking in rankings:
        for rank, hit in enumerate(ranking, _RANK_OFFSET + 1):
            scores[hit.key] = scores.get(hit.key, 0.0) + 1.0 / rank
            known.setdefault(hit.key, hit)
    ordered = sorted(scores.items(), key=lambda each: (-each[1], each[0]))
    return [replace(known[key], score=score) for key, score in ordered]


def _sections(store: IndexStore, good: Sequence[Checked], newest: int) -> dict[int, tuple[int, int, str]]:
    """Text of the section that each chunk is part of, put together from the chunks that stand there, with blanks where there is none.

    What came after the generation that was searched is of another text, and perhaps for other readers. Of a document that was replaced
    since there is what was found of it.
    """
    rows = [each.row for each in good if each.row is not None and each.row.parent is not None and not each.reason]
    around: dict[str, dict[int, ChunkRow]] = {}
    for row in rows:
        around.setdefault(row.document, {})[row.key] = row
    for row in store.chunks_of(list(around)):
        if row.born <= newest and checksum_of(row) == row.checksum:
            around[row.document][row.key] = row
    return {row.key: _section(row, list(around[row.document].values())) for row in rows}


def _section(row: ChunkRow, around: Sequence[ChunkRow]) -> tuple[int, int, str]:
    start, end = row.parent or (row.start, row.end)
    text, at = "", start
    for each in sorted(around, key=lambda one: one.start):
        if each.start < start or each.end > end or each.end <= at:
            continue
        text += " " * (each.start - at) + each.text[max(0, at - each.start) :]
        at = each.end
    return start, end, text.rstrip()
