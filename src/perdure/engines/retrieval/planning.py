"""From a census to the least that mends it. Pure: the same census gives the same plan, and nothing runs by it.

A document gets one step, the strongest that it needs: what is deleted is not cut anew, and what is cut anew needs no chunk dropped.
So many deletions at once are rather a source that broke than documents that went: they are held back, and a person is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from perdure.engines.retrieval.skew import Census, PlanStep, PlanVerb, ResyncPlan, Skew

FEW = 20
"""So many documents may go at once whatever their share is, as long as most stay."""
_MOST_WRONG = 0.5
"""Share of documents that are to be cut or embedded anew from which a rebuild costs no more."""
_Whole = Literal["delete", "update", "add", "rechunk"]
_OF_DOCUMENTS: dict[str, _Whole] = {"ghost": "delete", "stale": "update", "missing": "add", "wrong_chunker": "rechunk"}
_STRENGTH: Sequence[_Whole] = ("delete", "update", "add", "rechunk")
_ORDER: Sequence[PlanVerb] = ("delete", "drop", "update", "add", "rechunk", "reembed", "touch", "mend")


def most_deleted_of(n_documents: int, most_deleted: float) -> int:
    """How many documents may be deleted at once.

    Their share, or `FEW` where that is less than half of them, and one at least.

    >>> most_deleted_of(5_000, 0.2), most_deleted_of(60, 0.2), most_deleted_of(10, 0.2), most_deleted_of(2, 0.2)
    (1000, 20, 4, 1)
    """
    if n_documents <= 0:
        return 0
    return max(int(most_deleted * n_documents), min(FEW, (n_documents - 1) // 2), 1)


def make_plan(census: Census, *, most_deleted: float, allow_deletion: bool = False) -> ResyncPlan:
    """The least that makes the index what its source says.

    Args:
        census: what is wrong.
        most_deleted: share of the documents that may go at once, `Index.most_deleted`.
        allow_deletion: a person said yes to this many; it counts only where the source answered whole.
    """
    verbs = _verbs(census.skews)
    gone = sorted(id_ for id_, verb in verbs.items() if verb == "delete")
    why = _held_back(census, len(gone), most_deleted, allow_deletion=allow_deletion)
    held = gone if why else []
    for id_ in held:
        del verbs[id_]
    steps = [*_whole(verbs, census.skews), *_chunks(verbs, frozenset(held), census.skews)]
    steps += [PlanStep("touch", id_) for id_ in census.touched if id_ not in verbs]
    if any(skew.part == "words" or (skew.part == "record" and not skew.document) for skew in census.skews):
        steps.append(PlanStep("mend", ""))
    steps.sort(key=lambda step: (_ORDER.index(step.verb), step.document))
    return ResyncPlan(
        index=census.index,
        version=census.version,
        after=census.generation,
        steps=steps,
        held_back=held,
        held_back_why=why,
        n_texts=_n_texts(census, steps),
        rebuild=_rebuild(census, steps),
    )


def _verbs(skews: Sequence[Skew]) -> dict[str, _Whole]:
    """Document → the strongest that is to be done with the whole of it."""
    found: dict[str, _Whole] = {}
    for skew in skews:
        verb = _verb(skew)
        if verb is None or not skew.document:
            continue
        before = found.get(skew.document)
        if before is None or _STRENGTH.index(verb) < _STRENGTH.index(before):
            found[skew.document] = verb
    return found


def _verb(skew: Skew) -> _Whole | None:
    if skew.part in ("words", "store"):
        return None
    if skew.kind == "corrupt" or (skew.part == "chunk" and skew.kind == "missing"):
        return "rechunk"
    if skew.kind == "duplicate":
        return None if skew.key else "rechunk"
    return _OF_DOCUMENTS.get(skew.kind)


def _held_back(census: Census, n_gone: int, most_deleted: float, *, allow_deletion: bool) -> str:
    """Why nothing is deleted; empty: it may be."""
    if n_gone == 0:
        return ""
    if not census.whole:
        return f"The source did not answer whole: {census.why_not}"
    if allow_deletion or most_deleted >= 1.0:
        return ""
    if census.n_source == 0:
        return f"The source lists nothing any more, and the index has {census.n_documents} documents."
    most = most_deleted_of(census.n_documents, most_deleted)
    if n_gone > most:
        return (
            f"{n_gone} of {census.n_documents} documents are gone at their source, and at most {most} may go at once."
        )
    return ""


def _whole(verbs: dict[str, _Whole], skews: Sequence[Skew]) -> list[PlanStep]:
    unsure: dict[str, list[int]] = {}
    for skew in skews:
        if skew.kind == "wrong_embedder" and skew.key:
            unsure.setdefault(skew.document, []).append(skew.key)
    return [PlanStep(verb, id_, tuple(unsure.get(id_, ())) if verb != "delete" else ()) for id_, verb in verbs.items()]


def _chunks(verbs: dict[str, _Whole], held: frozenset[str], skews: Sequence[Skew]) -> list[PlanStep]:
    """Single chunks of documents of which nothing else is done."""
    keys: dict[tuple[PlanVerb, str], list[int]] = {}
    for skew in skews:
        if not skew.key or skew.part != "chunk" or skew.document in verbs or skew.document in held:
            continue
        if skew.kind == "wrong_embedder":
            keys.setdefault(("reembed", skew.document), []).append(skew.key)
        elif skew.kind in ("orphan", "duplicate"):
            keys.setdefault(("drop", skew.document), []).append(skew.key)
    return [PlanStep(verb, id_, tuple(found)) for (verb, id_), found in keys.items()]


def _n_texts(census: Census, steps: Sequence[PlanStep]) -> int:
    each = census.n_chunks / census.n_documents if census.n_documents else 1.0
    n_documents = sum(step.verb in ("add", "update") for step in steps)
    return round(n_documents * each) + sum(len(step.keys) for step in steps if step.verb in ("reembed", "rechunk"))


def _rebuild(census: Census, steps: Sequence[PlanStep]) -> bool:
    if any(skew.part == "store" for skew in census.skews):
        return True
    n_anew = sum(step.verb in ("rechunk", "reembed") for step in steps)
    return n_anew > max(FEW, _MOST_WRONG * census.n_documents)
