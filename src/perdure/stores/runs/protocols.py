"""Where runs are kept while they go on: each entry durable before what it tells of is relied on, each write fenced by a claim.

Serve writes, the surface answers what waits, the loop removes what ended long ago and is in the lake. An entry about a side effect is
on the disk when `write` returns, so that neither kill −9 nor a power cut does it twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from perdure.core.runs import Claim, RunRecord, RunStatus, StepRecord, Wait, WaitAnswer


@dataclass(frozen=True, slots=True)
class Told:
    """A run with its journal."""

    run: RunRecord
    steps: Sequence[StepRecord]
    """In order."""
    waits: Sequence[Wait]
    """Every question that was asked, answered or not, in order."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs; every member that is given narrows them."""

    asset: str = ""
    kinds: Sequence[str] = ()
    statuses: Sequence[RunStatus] = ()
    team: str | None = None
    parent: str | None = None
    replays: bool | None = False
    """None: replays too; True: only they."""
    waiting: bool = False
    """Only those with an open question."""
    before: str = ""
    """Ids below this one: the next page."""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Progress:
    """What is written to one run at once: all of it or nothing."""

    claim: Claim
    steps: Sequence[StepRecord] = ()
    waits: Sequence[Wait] = ()
    run: RunRecord | None = None
    """Its new state; one that waits or has ended gives its claim back."""
    kept: Told | None = None
    """With the end of a run: what stays of its entries and questions in place of what was written; as many, in their order."""


class Runs(Protocol):
    """Runs, by project. Safe for threads; several processes may share one."""

    def begin(self, run: RunRecord, worker: str, until_us: int) -> tuple[RunRecord, Claim | None]:
        """A new run with the claim of who began it; under an idempotency key that its asset and caller's key know already, that run and None.

        Raises:
            Conflict: another run has this id.
            LostLease: the run above it is over, so that whoever asks for this one has lost that.
            StoreFull: there is no room; nothing is written.
        """
        ...

    def write(self, progress: Sequence[Progress]) -> Sequence[bool]:
        """Append to journals, one transaction for all; False for a run whose claim is another's now: nothing of it is written.

        Entries are numbered on from the last that is written: False too where they are not, for then it was not read to its end. A
        question that has an answer stays as it is. A claim that ran out still writes until somebody else has the run.

        Raises:
            StoreFull: there is no room; nothing is written.
            StoreError: it cannot be reached.
        """
        ...

    def claim(
        self, worker: str, now_us: int, until_us: int, assets: Sequence[str], most: int, run: str = ""
    ) -> Sequence[Claim]:
        """Runs of these assets that nobody drives, oldest first: their claim ran out, or they wait for nothing any more.

        What a run waits for: an answer to each of its questions, and the end of each run below it. One whose time is over when its run is
        claimed is answered with no, by `perdure`: no later answer counts. A run that is claimed is `running`. `Claim.deaths` counts
        claims that ran out one after the other without a new entry; a run that waited begins to count anew.

        Args:
            worker: another name for each process.
            now_us: machine time.
            until_us: so long the claims hold.
            assets: names.
            most: so many at most.
            run: this one alone, of any asset, whoever drives it and whatever it waits for: to cancel it. None where it is over.
        """
        ...

    def renew(self, claims: Sequence[Claim], until_us: int) -> Sequence[bool]:
        """Hold claims for longer; False where another worker has it now, it was given back, waits or is over."""
        ...

    def let_go(self, claims: Sequence[Claim], from_us: int) -> Sequence[bool]:
        """Give claims back: nothing more is written under them, and anybody may take the runs from an instant on. False as `renew`."""
        ...

    def get(self, run: str) -> Told:
        """A run with its journal.

        Raises:
            NotFound: there is none.
        """
        ...

    def list(self, wanted: Wanted) -> Sequence[RunRecord]:
        """Runs, newest first."""
        ...

    def answer(self, wait: str, answer: WaitAnswer) -> Wait:
        """Answer a question; the first answer counts, and comes back; one that is too late by its own instant counts as no.

        Raises:
            NotFound: there is no such question.
            Conflict: its run is over, and nobody said anything before.
        """
        ...

    def prune(self, before_us: int, most: int) -> int:
        """Remove runs that ended before an instant of the machine's, with their journals; how many. Those below one that goes on stay."""
        ...
