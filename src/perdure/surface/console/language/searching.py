"""`/language/indexes/{name}/search`: asks an index, and shows why each chunk was found, whether it is what its source says, and how fresh it is.

Asked as servers ask: what is in memory ranks, the store vouches for each chunk. The index stays open, so that only the first question waits
for the embedder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from perdure.core.clock import from_us, monotonic_s, to_us
from perdure.surface.console.asking import instant, one_of, text, whole
from perdure.surface.console.language.cells import NONE, OVERVIEW, at_us, ms, page_of
from perdure.surface.console.language.opened import Opened, costs, open_index, version_of
from perdure.surface.console.records import Asked, Cell, Table, View
from perdure.surface.words import number, words

if TYPE_CHECKING:
    from perdure.core.documents import Hit
    from perdure.engines.retrieval.searching.asking import Mode
    from perdure.serve.retrieval.finding import Found, Given
    from perdure.stores.vectors.protocols import DocumentRow

MODES: tuple[Mode, ...] = ("hybrid", "dense", "lexical")
_MOST = 50


@dataclass(frozen=True, slots=True)
class FoundChunk:
    """One chunk, with why it was found."""

    rank: int
    document: str
    title: str
    place: str
    """Where in its document: characters, and which of its chunks."""
    score: str
    by_vector: str
    """Cosine to the question."""
    by_words: str
    """BM25."""
    reranked: str
    """What the reranker says, where it was asked; then `score` is its."""
    why: str
    """In words."""
    skew: str
    text: str
    context: str
    changed: Cell | str
    indexed: Cell | str
    generation: int
    """First generation that has it."""


@dataclass(frozen=True, slots=True)
class SearchPage:
    """The whole page."""

    index: str
    version: str
    q: str
    mode: str
    modes: tuple[str, ...]
    k: int
    rerank: bool
    has_reranker: bool
    as_of: str
    why_words: str
    """Why it was asked by words alone, though the question's vector was wanted; empty where it was not."""
    generation: int
    written_at: datetime | None
    seen_at: datetime | None
    took: str
    chunks: tuple[FoundChunk, ...]
    table: Table
    dropped: Table
    """What was found, and not given: the store does not vouch for it."""
    asked: bool


def view(asked: Asked) -> View:
    """The page.

    Raises:
        NotFound: no such index, nothing was built of it, or it was not there by the instant that is asked as of.
        BadRequest: a setting that there is not, or the embedder cannot read what is asked.
    """
    name, q = asked.path["name"], text(asked.query, "q", most=2_000)
    version = version_of(asked, name)
    opened = open_index(asked, name, version)
    mode = one_of(asked.query, "mode", MODES, "hybrid")
    k = whole(asked.query, "k", 10, least=1, most=_MOST)
    why = _why_words(asked, name, opened) if mode != "lexical" else ""
    rerank = one_of(asked.query, "rerank", ("yes",)) == "yes"
    held = opened.served.held.generation
    data = SearchPage(
        index=name,
        version=version,
        q=q,
        mode=mode,
        modes=MODES,
        k=k,
        rerank=rerank,
        has_reranker=opened.served.reranker is not None,
        as_of=asked.query.get("as_of", "").strip(),
        why_words=why,
        generation=held.number,
        written_at=from_us(held.at_us) if held.number else None,
        seen_at=from_us(held.seen_us) if held.number else None,
        took="",
        chunks=(),
        table=_table((), ""),
        dropped=_dropped(None),
        asked=bool(q),
    )
    crumbs = (OVERVIEW, ("Indexes", "/language/indexes"), (name, page_of("index", name)))
    if q:
        data = _answered(asked, opened, data)
    return View("Search", data, crumbs, "" if q else f"perdure index search {name} TEXT")


def _why_words(asked: Asked, name: str, opened: Opened) -> str:
    if opened.embedder is None:
        return "its embedder is not here"
    if costs(asked, name) and not asked.person.may("ask"):
        return "its embedder costs money, and asking it takes the role scientist, engineer or reviewer"
    return ""


def _answered(asked: Asked, opened: Opened, page: SearchPage) -> SearchPage:
    from perdure.serve.retrieval.finding import Search
    from perdure.serve.retrieval.reordering import find_best

    then = to_us(instant(asked.query, "as_of", asked.now)) if page.as_of else 0
    mode: Mode = "lexical" if page.why_words else one_of(asked.query, "mode", MODES, "hybrid")  # type: ignore[assignment]
    rerank = page.rerank and page.has_reranker
    began_s = monotonic_s()
    search = Search(page.q, page.k, mode, as_of_us=then, rerank=rerank)
    found = find_best(opened.served, search)
    # Of what was ordered anew the hits keep their cosine and BM25; what they were ranked by before is gone.
    chunks = tuple(_chunk(rank, each, reranked=rerank) for rank, each in enumerate(found.hits, 1))
    newest = found.generation
    return replace(
        page,
        generation=newest.number,
        written_at=from_us(newest.at_us) if newest.number else None,
        seen_at=from_us(newest.seen_us) if newest.number else None,
        took=ms(1000 * (monotonic_s() - began_s)),
        chunks=chunks,
        table=_table(chunks, page.index),
        dropped=_dropped(found),
    )


def _chunk(rank: int, given: Given, *, reranked: bool) -> FoundChunk:
    row, hit, document = given.row, given.checked.hit, given.checked.document
    return FoundChunk(
        rank=rank,
        document=row.document,
        title="" if document is None else document.title,
        place=f"characters {row.start:,} to {row.end:,}, chunk {row.position + 1:,}"
        + ("" if document is None else f" of {document.n_chunks:,}"),
        score=number(hit.score),
        by_vector=NONE if hit.dense is None else f"{hit.dense:.3f}",
        by_words=NONE if hit.lexical is None else number(hit.lexical),
        reranked=number(hit.score) if reranked else "",
        why=_why(hit, reranked=reranked),
        skew=str(given.checked.reason or ""),
        text=row.text,
        context=row.context,
        changed=_changed(document),
        indexed=NONE if document is None else at_us(document.indexed_us),
        generation=row.born,
    )


def _changed(document: DocumentRow | None) -> Cell | str:
    return NONE if document is None or document.changed_us is None else at_us(document.changed_us)


def _why(hit: Hit, *, reranked: bool) -> str:
    if hit.dense is not None and hit.lexical is not None:
        told = "its words match and its meaning is near"
    elif hit.dense is not None:
        told = "its meaning is near, without a word of the question"
    else:
        told = "its words match"
    return f"{told}; the reranker put it here" if reranked else told


def _table(chunks: tuple[FoundChunk, ...], index: str) -> Table:
    rows = [
        (
            f"{each.rank}",
            each.document,
            each.score,
            each.by_vector,
            each.by_words,
            each.changed,
            each.indexed,
            Cell(each.skew, tone="warn") if each.skew else Cell("sound", tone="good"),
        )
        for each in chunks
    ]
    return Table(
        headings=("#", "Document", "Score", "By vector", "By words", "Changed", "Indexed", "Chunk"),
        rows=rows,
        caption="Chunks, the best first",
        numeric=frozenset({2, 3, 4}),
        empty=f"Nothing was found: other words, or see what is in it: perdure index show {index}",
    )


def _dropped(found: Found | None) -> Table:
    rows = [
        (
            each.document or NONE,
            Cell(words(str(each.reason)), tone="warn"),
            "given, with the mark" if each.marked else "left out",
        )
        for each in (() if found is None else found.dropped)
        if found is not None and each.key not in found.hidden
    ]
    return Table(
        ("Document", "Why", "What was done"), rows, "Found, and not what the record says", empty="Nothing was left out."
    )
