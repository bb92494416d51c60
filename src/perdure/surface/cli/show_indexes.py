"""How indexes are told to a person: lists, censuses, plans, and what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from textwrap import shorten
from typing import TYPE_CHECKING

import msgspec
from rich.markup import escape

from perdure.core.clock import from_us
from perdure.surface.cli.printing import Column, Fitted, of_rows, print_json, put
from perdure.surface.words import counted, instant, words

if TYPE_CHECKING:
    from perdure.engines.retrieval.skew import Census, ResyncPlan
    from perdure.loop.work.indexes.kept import Resynced
    from perdure.stores.vectors.protocols import Generation
    from perdure.surface.index_found import FoundChunk
    from perdure.surface.indexing import IndexRow, IndexShown

_SHOWN = 20
_LINE = 160
"""Characters of a chunk that was found."""
_LISTED = {
    "name": Column("index", ()),
    "skew": Column("newest census", ()),
    "documents": Column("documents", (), right=True),
    "chunks": Column("chunks", (), right=True, spare=1),
    "seen": Column("source seen", (), spare=2),
    "generation": Column("generation", (), right=True, spare=3),
    "source": Column("source", (), spare=4),
    "embedder": Column("embedder", (), spare=5),
    "champion": Column("champion", (), spare=6),
}
_SKEWS = {
    "kind": Column("skew", ()),
    "document": Column("document", ()),
    "why": Column("why", (), spare=1),
    "key": Column("chunk", (), right=True, spare=2),
}
_STEPS = {
    "verb": Column("step", ()),
    "document": Column("document", ()),
    "chunks": Column("chunks", (), right=True, spare=1),
}
_GENERATIONS = {
    "number": Column("generation", (), right=True),
    "at": Column("at", ()),
    "documents": Column("documents", (), right=True),
    "chunks": Column("chunks", (), right=True),
    "reason": Column("done", (), spare=1),
}
_FOUND = {
    "score": Column("score", (), right=True),
    "document": Column("document", ()),
    "text": Column("text", ()),
    "place": Column("characters", (), right=True, spare=1),
}


def listed(rows: Sequence[IndexRow], *, as_json: bool) -> None:
    """The declared indexes."""
    if as_json:
        return print_json(msgspec.to_builtins(rows))
    if not rows:
        return put("No index is declared: docs/indexes.md tells how.")
    cells = [
        {
            "name": escape(row.name),
            "skew": "[red]damaged[/]" if row.damage else _verdict(row.census, row.generation, row.built),
            "documents": f"{row.n_documents:,}" if row.generation else "",
            "chunks": f"{row.n_chunks:,}" if row.generation else "",
            "seen": "" if row.seen_at is None else instant(row.seen_at),
            "generation": str(row.generation or ""),
            "source": row.source,
            "embedder": row.embedder,
            "champion": escape(row.champion),
        }
        for row in rows
    ]
    return put(Fitted(of_rows(_LISTED, cells)))


def shown(found: IndexShown, *, as_json: bool) -> None:
    """One version of an index."""
    if as_json:
        return print_json(msgspec.to_builtins(found))
    newest = found.generation
    put(f"[bold]{escape(found.version)}[/]  {_verdict(found.census, newest.number, found.built)}")
    if found.built and not newest.number:
        return put("  Nothing is in it: when it was built, its source had no documents, or did not answer.")
    if not newest.number:
        return put(f"  Nothing was built of it: perdure index build {escape(found.name)}")
    put(
        f"  generation {newest.number} of {instant(from_us(newest.at_us))}: {newest.n_documents:,} documents, "
        f"{newest.n_chunks:,} chunks; its source was seen {instant(from_us(newest.seen_us))}"
    )
    if found.census is not None:
        put(f"  counted {instant(from_us(found.census.at_us))}{' deeply' if found.census.deep else ''}")
    if found.resync is not None:
        put("  " + _done(found.resync))
    return _troubles(found.troubles)


def census(found: Census, *, as_json: bool) -> None:
    """What a census found."""
    if as_json:
        return print_json(msgspec.to_builtins(found))
    put(f"[bold]{escape(found.version)}[/]  {_verdict(found, found.generation or 1, True)}")
    put(
        f"  {counted(found.n_source, 'document')} at the source, {found.n_documents:,} in the record, {counted(found.n_chunks, 'chunk')} "
        f"read, {found.n_embedded:,} embedded anew; {found.cpu_s * 1000:,.0f} ms CPU"
    )
    if not found.whole:
        put(f"  [red]The source did not answer whole:[/] {escape(found.why_not)}")
    for note in found.notes:
        put(f"  [yellow]{escape(note)}[/]")
    if found.unsettled:
        put(f"  {counted(len(found.unsettled), 'document')} moved meanwhile: the next census tells")
    if found.troubles:
        put(f"  {counted(len(found.troubles), 'document')} cannot be indexed: perdure index show {escape(found.index)}")
    cells = [
        {
            "kind": f"[red]{skew.kind}[/]",
            "document": escape(skew.document),
            "why": escape(skew.why),
            "key": str(skew.key or ""),
        }
        for skew in found.skews[:_SHOWN]
    ]
    if cells:
        put("", Fitted(of_rows(_SKEWS, cells)))
    return _more(len(found.skews), "findings")


def plan(found: ResyncPlan, *, as_json: bool) -> None:
    """What a repair would do."""
    if as_json:
        return print_json(msgspec.to_builtins(found))
    if not found.steps and not found.held_back:
        return put(f"[green]Nothing is to be done[/] about {escape(found.version)}.")
    told = ", ".join(f"{verb} {n}" for verb, n in found.counts().items()) or "nothing"
    put(f"[bold]{escape(found.version)}[/]  {told}; about {counted(found.n_texts, 'text')} to embed")
    if found.rebuild:
        put("  [yellow]So much is wrong that a rebuild costs no more.[/]")
    cells = [
        {"verb": step.verb, "document": escape(step.document), "chunks": str(len(step.keys) or "")}
        for step in found.steps[:_SHOWN]
    ]
    if cells:
        put("", Fitted(of_rows(_STEPS, cells)))
    _more(len(found.steps), "steps")
    if found.held_back:
        put(f"[yellow]{counted(len(found.held_back), 'deletion')} held back:[/] {escape(found.held_back_why)}")
    return None


def filled(report: Resynced, *, as_json: bool) -> None:
    """What was done to one version."""
    if as_json:
        return print_json(msgspec.to_builtins(report))
    return resynced([report], as_json=False)


def resynced(found: Sequence[Resynced], *, as_json: bool) -> None:
    """What was done to each version."""
    if as_json:
        return print_json(msgspec.to_builtins(found))
    for report in found:
        put(f"[bold]{escape(report.version)}[/]  {_done(report)}")
        _troubles(report.troubles)
        if report.held_back:
            yes = f"perdure index sync {escape(report.index)} --allow-deletion"
            put(f"  [yellow]Nothing was deleted:[/] {escape(report.held_back_why)}", f"  If that is right: {yes}")
    return None


def pushed(ids: Sequence[str], *, deleted: bool, as_json: bool) -> None:
    """Documents that were pushed, or deleted."""
    if as_json:
        return print_json(list(ids))
    if not ids:
        return put("Nothing was pushed under such an id: nothing is deleted." if deleted else "Nothing was kept.")
    done, then = ("deleted", "found no more") if deleted else ("kept", "found")
    when = "in a second where perdure up follows the index, else after perdure index sync"
    return put(f"{counted(len(ids), 'document')} {done}, and {then} {when}.")


def history(found: Sequence[Generation], *, as_json: bool) -> None:
    """Generations, oldest first."""
    if as_json:
        return print_json(msgspec.to_builtins(found))
    if not found:
        return put("Nothing was built yet.")
    cells = [
        {
            "number": str(each.number),
            "at": instant(from_us(each.at_us)),
            "documents": f"{each.n_documents:,}",
            "chunks": f"{each.n_chunks:,}",
            "reason": escape(each.reason),
        }
        for each in found
    ]
    return put(Fitted(of_rows(_GENERATIONS, cells)))


def found(hits: Sequence[FoundChunk], *, as_json: bool) -> None:
    """Chunks that were found, best first."""
    if as_json:
        return print_json(msgspec.to_builtins(hits))
    if not hits:
        return put("Nothing was found.")
    cells = [
        {
            "score": f"{hit.score:.3f}",
            "document": escape(hit.document),
            "text": (f"[red]{words(hit.skew)}[/] " if hit.skew else "")
            + escape(shorten(hit.text, _LINE, placeholder=" …")),
            "place": f"{hit.start}-{hit.end}",
        }
        for hit in hits
    ]
    return put(Fitted(of_rows(_FOUND, cells)))


def _verdict(census: Census | None, generation: int, built: bool) -> str:
    """What the newest census says of a version; of which generation, where a newer one stands there."""
    if not generation:
        return "[yellow]empty[/]" if built else "[dim]not built[/]"
    if census is None:
        return "[dim]never counted[/]"
    before = "" if census.generation >= generation else f" [dim]at generation {census.generation}[/]"
    wrong = ", ".join(f"{words(kind)} {n}" for kind, n in census.counts().items() if n)
    if wrong:
        return f"[{'yellow' if before else 'red'}]{wrong}[/]{before}"
    return ("[green]whole[/]" if census.whole else "[yellow]source not whole[/]") + before


def _done(report: Resynced) -> str:
    if not report.done:
        return "[green]nothing was to be done[/]" if report.generation else "[yellow]its source has no documents[/]"
    told = ", ".join(f"{verb} {n:,}" for verb, n in report.done.items())
    left = "[green]verified[/]" if report.verified else f"[red]{counted(report.n_left, 'finding')} left[/]"
    seen = "" if report.detect_s is None or not report.before else f", oldest change {_age(report.detect_s)} old"
    return (
        f"{told}; {counted(report.n_embedded, 'text')} embedded; generation {report.before} to {report.generation} "
        f"in {report.repair_s:,.2f} s{seen}; {left}"
    )


def _age(seconds: float) -> str:
    from perdure.loop.work.indexes.causes import about

    return f"{seconds:.1f} s" if seconds < 60 else about(timedelta(seconds=seconds))


def _troubles(found: Mapping[str, str]) -> None:
    """Documents that cannot be indexed, by their codes."""
    shown = list(found.items())[:_SHOWN]
    width = max((len(words(code)) for _, code in shown), default=0)
    for document, code in shown:
        put(f"  [yellow]{escape(words(code)):{width}}[/]  {escape(document)}")
    _more(len(found), "documents in trouble")


def _more(n: int, what: str) -> None:
    if n > _SHOWN:
        put(f"  … and {n - _SHOWN:,} more {what}; all of them with --json")
