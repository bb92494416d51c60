"""Indexes: every one, and one with its generations, what a census found, how fresh it is, and its golden questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from perdure.core.clock import from_us
from perdure.core.errors import StoreError
from perdure.engines.retrieval.skew import Census
from perdure.loop.work.indexes.kept import Resynced
from perdure.stores.vectors.protocols import Generation
from perdure.surface.console.asking import address, text
from perdure.surface.console.language.cells import NONE, OVERVIEW, at, at_us, count, page_of, state
from perdure.surface.console.language.kept import Kept
from perdure.surface.console.language.standing import Standing, standing
from perdure.surface.console.records import Asked, Cell, Table, View
from perdure.surface.indexing import IndexShown
from perdure.surface.words import counted, words

_SHOWN = 100
_PAGE = 200


@dataclass(frozen=True, slots=True)
class IndexList:
    """Every declared index."""

    indexes: Table


@dataclass(frozen=True, slots=True)
class IndexPage:
    """One version of an index with what is in it."""

    standing: Standing
    version: str
    source: str
    embedder: str
    generation: int
    n_documents: int
    n_chunks: int
    seen_at: datetime | None
    """When its source was listed for what is in it: it is as fresh as that."""
    age: str
    built: bool
    damage: str
    census_at: datetime | None
    census_text: str
    n_wrong: int
    """Documents with a finding."""
    skews: Table
    waiting: Table
    troubles: Table
    resync: Table
    generations: Table
    golden: str
    has_golden: bool
    search: str
    map: str
    reviews: str
    may_search: bool


@dataclass(frozen=True, slots=True)
class GoldenPage:
    """Golden questions of an index."""

    name: str
    questions: Table
    note: str
    reviews: str


_READ: Kept[IndexShown] = Kept(16)


def list_view(asked: Asked) -> View:
    """`/language/indexes`."""
    tiles = asked.board.by_name
    rows = [
        (
            Cell(name, page_of("index", name)),
            state(tiles[name].state if name in tiles else "not measured"),
            type(index.documents).__name__,
            type(index.embedder).__name__,
            (tiles[name].champion if name in tiles else "") or "not released",
        )
        for name, index in sorted(asked.project.project.indexes.items())
    ]
    table = Table(
        headings=("Index", "Health", "Documents from", "Embedder", "Answers"),
        rows=rows[:_PAGE],
        caption="Indexes, a line each",
        empty='No index is declared: Index("handbook", Folder("docs")), then perdure index build handbook',
    )
    return View("Indexes", IndexList(table), (OVERVIEW,), "perdure index list", ("health",))


def view(asked: Asked) -> View:
    """`/language/indexes/{name}`.

    Raises:
        NotFound: no such index or version.
    """
    name, wanted = asked.path["name"], text(asked.query, "version", most=200)
    index, damage = asked.project.project.index(name), ""
    generations: Sequence[Generation] = ()
    key = (name, wanted, asked.board.sequence)
    shown = _READ.get(asked.project, key, lambda: asked.project.show_index(name, wanted))
    try:
        generations = asked.project.index_history(name, wanted)
    except StoreError as error:
        damage = error.message
    newest, census = shown.generation, shown.census
    page = page_of("index", name)
    data = IndexPage(
        standing=standing(asked, "index", name),
        version=shown.version,
        source=type(index.documents).__name__,
        embedder=type(index.embedder).__name__,
        generation=newest.number,
        n_documents=newest.n_documents,
        n_chunks=newest.n_chunks,
        seen_at=from_us(newest.seen_us) if newest.number else None,
        age=_age(asked.now, newest),
        built=shown.built,
        damage=damage,
        census_at=None if census is None else from_us(census.at_us),
        census_text=_census_text(census, newest),
        n_wrong=0 if census is None else len({each.document or str(each.key) for each in census.skews}),
        skews=_skews(census),
        waiting=_waiting(census),
        troubles=_troubles(shown.troubles),
        resync=_resync(shown.resync),
        generations=_generations(generations),
        golden=page + "/golden",
        has_golden=index.golden is not None,
        search=page + "/search",
        map=page + "/map",
        reviews=address("/language/reviews", subject=name),
        may_search=asked.person.may("bodies"),
    )
    return View(name, data, (OVERVIEW, ("Indexes", "/language/indexes")), f"perdure index show {name}", ("health",))


def _age(now: datetime, newest: Generation) -> str:
    """How long ago the source was listed, in words."""
    if not newest.number:
        return "nothing is in it"
    seconds = max(0.0, (now - from_us(newest.seen_us)).total_seconds())
    for size, one in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return f"{counted(int(seconds // size), one)} ago"
    return "just now"


def _census_text(census: Census | None, newest: Generation) -> str:
    if census is None:
        return "No census was taken yet: perdure index census"
    of = "" if census.generation == newest.number else f", of generation {census.generation}"
    deep = "every chunk embedded anew" if census.deep else "by tokens and checksums"
    found = "all is what the source says" if not census.skews else f"{len(census.skews):,} findings"
    cut = "" if census.whole else f"; the source did not answer whole: {census.why_not}"
    return f"{counted(census.n_source, 'document')} at the source, {census.n_documents:,} in the record, {deep}{of}: {found}{cut}."


def _skews(census: Census | None) -> Table:
    found = () if census is None else census.skews
    rows = [
        (each.document or NONE, Cell(words(each.kind), tone="bad"), each.part, each.why, at_us(each.since_us or 0))
        for each in found[:_SHOWN]
    ]
    return Table(
        headings=("Document", "Finding", "What", "Why", "Since"),
        rows=rows,
        caption=f"What index and source disagree about ({len(found):,})",
        empty="Index and source agree." if census is not None else "Not known before a census: perdure index census",
    )


def _waiting(census: Census | None) -> Table:
    found = () if census is None else census.waiting
    rows = [(each.document, at_us(each.changed_us)) for each in found[:_SHOWN]]
    return Table(
        ("Document", "Changed at the source"), rows, "Changes that are not found yet", empty="No change waits."
    )


def _troubles(found: dict[str, str]) -> Table:
    rows = [(document, Cell(words(code), tone="warn")) for document, code in sorted(found.items())[:_SHOWN]]
    return Table(("Document", "Trouble"), rows, f"Documents that cannot be indexed ({len(found):,})", empty="None.")


def _resync(found: Resynced | None) -> Table:
    rows: list[tuple[Cell | str, ...]] = []
    if found is not None:
        rows = [
            ("when", at_us(found.at_us)),
            ("under", found.step or "following the source"),
            ("done", ", ".join(f"{words(verb)} {n:,}" for verb, n in found.done.items()) or "nothing"),
            ("chunks", f"{found.n_chunks_made:,} made, {found.n_chunks_dropped:,} dropped"),
            ("embedded anew", count(found.n_embedded)),
            ("generation", f"{found.before} → {found.generation}"),
            ("a census after it", "found nothing" if found.verified else f"found {found.n_left:,}"),
        ]
        rows += [("held back", f"{found.held_back:,}: {found.held_back_why}")] if found.held_back else []
        rows += [("from change to plan", f"{found.detect_s:,.0f} s")] if found.detect_s is not None else []
    return Table(("What", "How"), rows, "The last plan that was run", empty="None was run yet.")


def _generations(found: Sequence[Generation]) -> Table:
    newest = list(reversed(found))
    rows = [
        (
            f"{each.number:,}",
            at(from_us(each.at_us)),
            each.reason or NONE,
            count(each.n_documents),
            count(each.n_chunks),
            at_us(each.seen_us),
        )
        for each in newest[:_SHOWN]
    ]
    return Table(
        headings=("Generation", "Written", "Why", "Documents", "Chunks", "Source listed"),
        rows=rows,
        caption=f"Generations that can be asked ({len(found):,}), newest first",
        numeric=frozenset({3, 4}),
        empty="Nothing was written yet: perdure index build",
    )


def golden_view(asked: Asked) -> View:
    """`/language/indexes/{name}/golden`.

    Raises:
        NotFound: no such index, or nothing was built of it.
        BadIndex: the golden file cannot be read.
    """
    name = asked.path["name"]
    index = asked.project.project.index(name)
    found = asked.project.golden_questions(name) if index.golden is not None else []
    rows = [
        (
            each.query,
            ", ".join(each.documents),
            each.origin,
            Cell(each.state, tone="good" if each.state == "stands" else "warn"),
        )
        for each in found[:_PAGE]
    ]
    table = Table(
        headings=("Question", "Should find", "From", "Its text"),
        rows=rows,
        caption=f"Golden questions ({len(found):,})",
        empty=f"None yet: perdure index draft {name} lets a model write some, perdure index sample {name} draws searches.",
    )
    stands = sum(each.state == "stands" for each in found)
    note = (
        f"{stands:,} of {counted(len(found), 'question')} rest on texts that stand as they were noted." if found else ""
    )
    data = GoldenPage(name, table, note, address("/language/reviews", subject=name))
    crumbs = (OVERVIEW, ("Indexes", "/language/indexes"), (name, page_of("index", name)))
    return View("Golden questions", data, crumbs, f"perdure index golden {name}")
