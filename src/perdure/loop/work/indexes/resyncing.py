"""Runs a plan: each document is read, cut, embedded where its vectors are not known, and written; then looked at again.

A plan says what to look at; what is done follows from source and index as they are then. So a plan that is run twice, or after
half of it was done by somebody else, does what is left and no more, and a document that came back is not deleted.

Documents are written in slices, each a generation: after kill -9 every document is as it was or as it is to be, searches go on
meanwhile, and the next run goes on from there. Deletions come first, and what few documents there are is one slice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from perdure.core.clock import from_us, monotonic_s
from perdure.core.documents import RawDocument, Trouble
from perdure.core.errors import Conflict, StoreError
from perdure.engines.retrieval.census import UNSETTLED, Seen, lacks
from perdure.engines.retrieval.embedders.batching import EmbeddingProgress, OnProgress
from perdure.engines.retrieval.planning import make_plan
from perdure.engines.retrieval.skew import Census, PlanStep, ResyncPlan
from perdure.loop.protocols import Workplace
from perdure.loop.work.indexes.building import Draft, Mark, draft_document, draft_embedded, draft_mark, embed
from perdure.loop.work.indexes.counting import Look, list_source, take_census
from perdure.loop.work.indexes.kept import Resynced, keep_resync
from perdure.loop.work.indexes.opening import OpenIndex, OpensIndexes
from perdure.stores.vectors.protocols import ChunkRow, DocumentRow

SLICE = 512
"""Documents of one generation at most."""
_SLICE_CHUNKS = 8_000
_TRIES = 3
NO_ANSWER = (
    "Nothing is deleted for that. See that it is where the index declares it, and may be read; then run this again."
)
"""What to do about a source that does not answer."""
_READING = frozenset({"add", "update", "rechunk", "touch"})


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a plan is."""

    n_done: int
    """Steps."""
    n_steps: int
    texts: EmbeddingProgress
    """Those that are embedded; how many they are in all is told by documents that were read. Seconds are those of the whole run."""

    @property
    def n_embedded(self) -> int:
        """Texts until now."""
        return self.texts.n_done


Told = Callable[[Progress], None]
"""Called now and then; what it raises ends the run after what was written."""


@dataclass(slots=True)
class _Running:
    """A plan on its way."""

    opened: OpenIndex
    plan: ResyncPlan
    at_us: int
    told: Told
    seen: Seen
    record: dict[str, DocumentRow]
    done: dict[str, int] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)
    n_made: int = 0
    n_dropped: int = 0
    n_embedded: int = 0
    n_steps: int = 0
    changed: set[str] = field(default_factory=set)
    looked_at: set[str] = field(default_factory=set)
    began_s: float = field(default_factory=monotonic_s)

    def tell(self, n_wanted: int | None = None, n_read: int | None = None) -> None:
        """Say how far it is.

        Args:
            n_wanted: texts to embed of the steps that were read; None: as many as were embedded.
            n_read: those steps; None: those that are done.
        """
        n_steps = len(self.plan.steps)
        wanted = self.n_embedded if n_wanted is None else n_wanted
        read = self.n_steps if n_read is None else n_read
        n_texts = -(-wanted * n_steps // max(1, read))
        texts = EmbeddingProgress(self.n_embedded, n_texts, monotonic_s() - self.began_s)
        self.told(Progress(self.n_steps, n_steps, texts))

    def telling(self, n_taken: int) -> OnProgress:
        """Hears how far the texts of the next steps are."""
        before, n_read = self.n_embedded, self.n_steps + n_taken

        def told(at: EmbeddingProgress) -> None:
            self.n_embedded = before + at.n_done
            self.tell(before + at.n_all, n_read)

        return told


def run_plan(
    place: Workplace, opened: OpenIndex, plan: ResyncPlan, at_us: int, step: str = "", told: Told | None = None
) -> Resynced:
    """Do what a plan says, look at what was touched again, and keep what came of it.

    Args:
        place: where it is told.
        opened: the version that the plan is of.
        plan: of `make_plan`.
        at_us: domain time at which it becomes visible.
        step: of the loop's run that does it; empty: following the source.
        told: hears how far it is.

    Raises:
        StoreError: source or index do not answer. What was written until then stays, and is right by itself.
        UpstreamError, NotReady: the embedder does not answer.
    """
    running = _Running(opened, plan, at_us, told or _nobody, list_source(opened), record_of(opened))
    return _run(place, running, step)


def resync(
    place: Workplace, opened: OpenIndex, at_us: int, *, allow_deletion: bool = False, told: Told | None = None
) -> tuple[Census, ResyncPlan, Resynced]:
    """Make the index what its source says now, by source and record alone; what was found, planned and done.

    Raises: as `run_plan`, but for a source that does not answer: the census tells it, and nothing is done.
    """
    seen = list_source(opened)
    census = take_census(opened, at_us, look=Look(chunks=False, seen=seen))
    plan = make_plan(census, most_deleted=opened.index.most_deleted, allow_deletion=allow_deletion)
    if not census.whole:
        plan = msgspec.structs.replace(plan, steps=())
    running = _Running(opened, plan, at_us, told or _nobody, seen, record_of(opened))
    return census, plan, _run(place, running, "")


def rebuild(
    place: Workplace, opens: OpensIndexes, name: str, version: str, at_us: int, told: Told | None = None
) -> Resynced:
    """Build a version anew beside what is there, and put it in its place; vectors that are known are not made again.

    Raises: as `OpensIndexes.renew` and `run_plan`; then what was there stays.
    """
    with opens.renew(name, version) as opened:
        census, _, report = resync(place, opened, at_us, told=told)
        if not census.whole:
            raise StoreError(f"The source of {name!r} does not answer: {census.why_not}", hint=NO_ANSWER)
    return report


def _run(place: Workplace, running: _Running, step: str) -> Resynced:
    began, before = monotonic_s(), running.opened.store.generation().number
    plan, seen = running.plan, running.seen
    if not seen.whole and any(each.verb in _READING for each in plan.steps):
        raise StoreError(f"The source of {plan.index!r} does not answer: {seen.why_not}", hint=NO_ANSWER)
    for steps in _slices(plan.steps):
        _slice(running, steps)
    n_left = _left(running)
    report = _report(running, before, step)
    report = msgspec.structs.replace(report, n_left=n_left, verified=n_left == 0, repair_s=monotonic_s() - began)
    if plan.steps:
        with place.transaction(from_us(running.at_us), f"resync {step}".strip()) as session:
            keep_resync(session, report)
    return report


def _left(running: _Running) -> int:
    """Findings about what was touched, by a census of it alone."""
    touched = running.looked_at - {""}
    if not touched:
        return 0
    census = take_census(running.opened, running.at_us, look=Look(touched, n_sample=0, seen=running.seen))
    return len(census.skews)


def _slices(steps: Sequence[PlanStep]) -> Iterator[list[PlanStep]]:
    rest = iter(steps)
    while part := list(islice(rest, SLICE)):
        yield part


def _slice(running: _Running, steps: Sequence[PlanStep]) -> None:
    """Do some steps in one generation, or in more where their chunks are many; anew where somebody else wrote meanwhile."""
    rest = list(steps)
    tries = 0
    while rest:
        after = running.opened.store.generation().number
        draft, n_taken, troubles = _draft(running, rest)
        embed(running.opened, draft, running.telling(n_taken))
        change = draft.change(running.at_us, running.at_us, _reason(rest[:n_taken]), after)
        try:
            if change is not None:
                running.opened.store.apply(change)
        except Conflict:
            tries += 1
            if tries >= _TRIES:
                raise
            running.record = record_of(running.opened)
            continue
        if any(each.verb == "mend" for each in rest[:n_taken]):
            running.opened.store.mend()
        _note(running, rest[:n_taken], draft, {**troubles, **draft.troubles})
        rest = rest[n_taken:]
        running.tell()


def _draft(running: _Running, steps: Sequence[PlanStep]) -> tuple[Draft, int, dict[str, str]]:
    """The next generation from the first steps: as many as its chunks leave room for."""
    draft, troubles = Draft(), dict[str, str]()
    opened, n_taken = running.opened, 0
    reading = {each.document for each in steps if each.verb in _READING} & running.seen.refs.keys()
    refs = {each.document: running.seen.refs[each.document] for each in steps if each.document in reading}
    there = _there(opened, list(refs))
    read = opened.documents.read(list(refs.values()))
    for step in steps:
        n_taken += 1
        # A document may have two steps: some of its chunks are mended, and its token is written anew.
        if step.verb in _READING and step.document in refs:
            draft.unsure |= {row.digest for row in there.get(step.document, ()) if row.key in step.keys}
            code = _one(running, step, next(read), there.get(step.document, []), draft)
            if code:
                troubles[step.document] = code
        else:
            _other(running, step, draft)
        if len(draft.chunks) >= _SLICE_CHUNKS:
            break
    return draft, n_taken, troubles


def _one(
    running: _Running, step: PlanStep, found: RawDocument | Trouble, there: Sequence[ChunkRow], draft: Draft
) -> str:
    """Read a document into the draft; the code of its trouble, or empty."""
    before = running.record.get(step.document)
    if before is not None and before.damaged:
        before = None
    if isinstance(found, Trouble):
        if found.code != UNSETTLED:
            draft_mark(Mark(found.id, running.seen.refs[found.id].token, found.code), before, running.at_us, draft)
        return found.code
    if step.verb == "touch" and before is not None and not before.trouble and before.digest == found.digest:
        draft_mark(Mark(found.ref.id, found.ref.token), before, running.at_us, draft)
        return ""
    if not draft.dead_chunks.isdisjoint(row.key for row in there):
        # Chunks of it are mended just now, and it says something else meanwhile: the next look sees it as it is then.
        return UNSETTLED
    return draft_document(running.opened, found, before, there, running.at_us, draft)


def _other(running: _Running, step: PlanStep, draft: Draft) -> None:
    """What is done without reading a document."""
    before = running.record.get(step.document)
    if step.verb == "delete":
        if before is not None and running.seen.whole and lacks(running.seen, step.document):
            draft.dead_documents.append(step.document)
    elif step.verb == "drop":
        draft.dead_chunks |= set(step.keys)
    elif step.verb == "reembed":
        rows = [row for row in running.opened.store.fetch(step.keys) if row is not None and not row.died]
        draft_embedded(running.opened, before, rows, running.at_us, draft)


def _there(opened: OpenIndex, documents: Sequence[str]) -> dict[str, list[ChunkRow]]:
    found: dict[str, list[ChunkRow]] = {}
    for row in opened.store.chunks_of(documents):
        found.setdefault(row.document, []).append(row)
    return found


def _note(running: _Running, steps: Sequence[PlanStep], draft: Draft, troubles: Mapping[str, str]) -> None:
    for row in draft.documents:
        old = running.record.get(row.id)
        # What is in trouble has the digest of its bytes, and the texts of before.
        if old is None or (old.digest != row.digest and not row.trouble):
            running.changed.add(row.id)
        running.record[row.id] = row
    for id_ in draft.dead_documents:
        running.record.pop(id_, None)
        running.changed.add(id_)
    for step in steps:
        running.done[step.verb] = running.done.get(step.verb, 0) + 1
        running.looked_at.add(step.document)
    running.troubles.update(troubles)
    running.n_made += len(draft.chunks)
    running.n_dropped += len(draft.dead_chunks)
    running.n_steps += len(steps)


def _report(running: _Running, before: int, step: str) -> Resynced:
    plan, refs = running.plan, running.seen.refs
    changed = (refs[id_].changed_us for id_ in running.changed & refs.keys())
    waited = [each for each in changed if each is not None]
    return Resynced(
        index=plan.index,
        version=plan.version,
        step=step,
        at_us=running.at_us,
        before=before,
        generation=running.opened.store.generation().number,
        done=running.done,
        n_chunks_made=running.n_made,
        n_chunks_dropped=running.n_dropped,
        n_embedded=running.n_embedded,
        changed=len(running.changed),
        troubles=running.troubles,
        held_back=len(plan.held_back),
        held_back_why=plan.held_back_why,
        detect_s=max(0.0, (running.at_us - min(waited)) / 1e6) if waited else None,
    )


def record_of(opened: OpenIndex) -> dict[str, DocumentRow]:
    """The record of documents by id, as it is now."""
    return {row.id: row for row in opened.store.documents()}


def _reason(steps: Sequence[PlanStep]) -> str:
    counted: dict[str, int] = {}
    for step in steps:
        counted[step.verb] = counted.get(step.verb, 0) + 1
    return ", ".join(f"{verb} {n}" for verb, n in counted.items())


def _nobody(_: Progress) -> None:
    """Nobody wants to hear how far it is."""
