"""What searches and answers look like over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perdure.core.clock import from_us, iso
from perdure.engines.retrieval.searching.searcher import Searcher
from perdure.serve.retrieval.citing import Checked, Cited
from perdure.serve.retrieval.finding import Found, Given, Search
from perdure.serve.retrieval.held import ServedIndex

Json = dict[str, Any]


def told_found(served: ServedIndex, search: Search, found: Found, search_id: str) -> Json:
    """A search's answer."""
    generation = found.generation
    # What may not be found is not told of either.
    dropped = [each for each in found.dropped if not each.marked and each.key not in found.hidden]
    return {
        "search": search_id,
        "index": served.index.name,
        "version": served.version,
        "generation": generation.number,
        "at": instant(generation.at_us),
        "seen_at": instant(generation.seen_us),
        "mode": search.mode,
        "hits": [_hit(each, ranks) for each, ranks in zip(found.hits, _ranks(found.hits), strict=True)],
        "dropped": [{"document": each.document, "reason": each.reason} for each in dropped],
    }


def instant(us: int) -> str | None:
    """An instant in words; None for none."""
    return iso(from_us(us)) if us else None


def _hit(given: Given, ranks: Json) -> Json:
    row, document, hit = given.row, given.checked.document, given.checked.hit
    told: Json = {
        "key": row.key,
        "document": row.document,
        "title": "" if document is None else document.title,
        "position": row.position,
        "text": row.text,
        "context": row.context,
        "start": row.start,
        "end": row.end,
        "form": row.form,
        "metadata": {} if document is None else dict(document.metadata),
        "changed_at": None if document is None or document.changed_us is None else instant(document.changed_us),
        "score": hit.score,
        "dense": hit.dense,
        "lexical": hit.lexical,
        "ranks": ranks,
        "checked": not given.checked.reason,
    }
    if given.checked.reason:
        told["skew"] = given.checked.reason
    if given.section is not None:
        start, end, text = given.section
        told["section"] = {"start": start, "end": end, "text": text}
    return told


def _ranks(hits: Sequence[Given]) -> list[Json]:
    """Of each hit among those that are given: by its vector, and by its words; None where it was not found so."""
    told: list[Json] = [{"dense": None, "lexical": None} for _ in hits]
    for name in ("dense", "lexical"):
        scores = [(getattr(each.checked.hit, name), i) for i, each in enumerate(hits)]
        ordered = sorted((-score, i) for score, i in scores if score is not None)
        for rank, (_, i) in enumerate(ordered, 1):
            told[i][name] = rank
    return told


def told_claims(checked: Checked, shown: Sequence[Given]) -> Json:
    """What an answer rests on: citations with places in the documents, claims that nothing bears."""
    citations = [
        {
            "claim": each.text,
            "start": each.start,
            "end": each.end,
            "marks": list(each.marks),
            "source": _place(each.evidence, shown),
        }
        for each in checked.claims
        if each.supported and each.evidence is not None
    ]
    unsupported = [
        {
            "claim": each.text,
            "start": each.start,
            "end": each.end,
            "marks": list(each.marks),
            "lacks": each.lacks,
            "missing": list(each.missing),
        }
        for each in checked.claims
        if not each.supported
    ]
    return {
        "grounded": checked.grounded,
        "citations": citations,
        "unsupported": unsupported,
        "unknown_marks": list(checked.unknown),
        "misquoted": list(checked.misquoted),
    }


def _place(cited: Cited, shown: Sequence[Given]) -> Json:
    """Where a quote stands in its document; what stands in the headings above a chunk has no place of its own."""
    row = shown[cited.source - 1].row
    within = cited.end <= len(row.text)
    return {
        "number": cited.source,
        "document": row.document,
        "start": row.start + cited.start if within else None,
        "end": row.start + cited.end if within else None,
        "quote": cited.quote,
    }


def told_shown(shown: Sequence[Given]) -> list[Json]:
    """The sources that a model was shown, by number."""
    return [
        {
            "number": number,
            "key": each.row.key,
            "document": each.row.document,
            "start": each.row.start,
            "end": each.row.end,
            "text": each.row.text,
            "context": each.row.context,
            "score": each.checked.hit.score,
        }
        for number, each in enumerate(shown, 1)
    ]


def _width(searcher: Searcher) -> Json:
    """Rows a hit that signs leave for a second look, and the recall that was measured so; None: it was not."""
    tuning = searcher.state.tuning
    return {"rows_a_hit": tuning.oversample, "recall": tuning.recall}


def _compared(served: ServedIndex) -> Json | None:
    """The last round that held memory against the store; None before the first."""
    newest = served.comparing.newest
    if newest is None:
        return None
    told = {"generation": newest.generation, "n_chunks": newest.n_chunks, "n_differing": len(newest.differing)}
    return {**told, "healed": newest.healed}


def told_served(served: ServedIndex, arm: str, share: float) -> Json:
    """What of a version is served."""
    held = served.held
    generation = held.generation
    return {
        "arm": arm,
        "share": share,
        "version": served.version,
        "generation": generation.number,
        "at": instant(generation.at_us),
        "seen_at": instant(generation.seen_us),
        "n_documents": generation.n_documents,
        "n_chunks": generation.n_chunks,
        "resident": held.searcher is not None,
        "n_bytes": 0 if held.searcher is None else held.searcher.n_bytes,
        "width": None if held.searcher is None else _width(held.searcher),
        "embeds": bool(served.fingerprint),
        "last_error": served.last_error,
        "compared": _compared(served),
    }
