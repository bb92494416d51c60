"""The review queue: which judged cases people are asked about, and with which probability each was drawn.

Called by `perdure review`, by `perdure eval draft`, by remedies, and by whoever runs suites online.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from perdure.assets.judge import Judge
from perdure.assets.suite import Case, Suite
from perdure.assets.suite_file import case_digest
from perdure.assets.version import Version
from perdure.core.canonical import content_hash
from perdure.engines.judges.anchors import Judgeable, Labelled
from perdure.engines.judges.choosing import chances, is_drawn
from perdure.engines.judges.deciding import Judgement
from perdure.loop.protocols import Workplace
from perdure.loop.work.judges.labels import DraftCase, find_draft, put_case, put_draft, read_labelled
from perdure.loop.work.judges.state import find
from perdure.stores.ledger.protocols import Review

SYNTHETIC = "synthetic"
"""Why a case is in the queue that was made of a corpus."""
OUTDATED = "outdated"
"""Why a case is in the queue that rests on a text which changed, or went."""
_HALF = 0.5


def review_of(subject: str, key: str, digest: str, why: str, now: datetime) -> Review:
    """An open review of a blob's case; its id is made of subject and key, so that asking again makes no other."""
    made = f"rev_{content_hash([subject, key])[:17]}"
    return Review(id=made, subject=subject, key=key, case=digest, why=why, asked_at=now)


def draw(
    place: Workplace,
    judge: Judge,
    version: Version,
    judged: Sequence[tuple[Judgeable, Judgement]],
    n_labels: float,
    now: datetime,
) -> list[Review]:
    """Draw some of judged cases for people, each with its own known probability, and put them into the queue.

    The more, the likelier the judge errs there, as its calibration tells; without one all are alike. A case is drawn
    the same way however often it is offered.

    Args:
        place: where to keep it.
        judge: who judged.
        version: its version.
        judged: cases with what was said of them.
        n_labels: expected number of labels.
        now: domain time.

    Raises:
        DeclarationError: no case, or no label is wanted.
    """
    known = find(place, judge.name, version.id)
    anchored: tuple[Sequence[Labelled], Mapping[str, Judgement]] = ((), {})
    if known is not None:
        anchored = (read_labelled(place, judge, now), known.judgements)
    probabilities = chances([judgement for _, judgement in judged], n_labels, anchored)
    drawn = []
    for (case, judgement), chance in zip(judged, probabilities.tolist(), strict=True):
        if is_drawn(case.id, chance, judge.name):
            facts = {"judged": judgement.value, "said": judgement.said, "version": version.id}
            key, digest = f"case:{case.id}:{version.id}", put_case(place, case)
            asked = review_of(judge.name, key, digest, "drawn", now)
            drawn.append(replace(asked, inclusion=chance, facts=facts))
    with place.transaction(now, "drawn for review") as session:
        return session.reviews.ask(drawn)


def ask_again(place: Workplace, subject: str, cases: Sequence[Judgeable], step: str, now: datetime) -> list[Review]:
    """Ask people about cases chosen by hand or by a remedy: no estimate rests on them."""
    asked = [review_of(subject, f"{step}:{case.id}", put_case(place, case), "disputed", now) for case in cases]
    with place.transaction(now, "people are asked") as session:
        return session.reviews.ask(asked)


def ask_drafts(place: Workplace, suite: Suite, cases: Sequence[Case], now: datetime) -> list[Review]:
    """Ask people whether cases that were made of a corpus are good ones; the same case is never asked about twice.

    Args:
        place: where to keep it.
        suite: that may grow by them.
        cases: each with its passage as context, and in its provenance where that stands.
        now: domain time.
    """
    asked = []
    for case in cases:
        contexts = [each for each in case.contexts if isinstance(each, str)]
        digest = put_draft(place, case.inputs, case.expected, contexts, case.cluster)
        facts = {name: value for name, value in case.provenance.items() if name != "from"}
        review = review_of(suite.name, f"draft:{case_digest(case)}", digest, SYNTHETIC, now)
        asked.append(replace(review, facts=facts))
    with place.transaction(now, f"drafted for suite {suite.name}") as session:
        return session.reviews.ask(asked)


def drafts_of(place: Workplace, suite: str) -> list[DraftCase]:
    """What people were asked about a suite's drafts, whatever became of it."""
    with place.stores.ledger.read() as session:
        found = [each for each in session.reviews.list(subject=suite) if each.why == SYNTHETIC]
    drafts = [find_draft(place, each.case) for each in found]
    return [each for each in drafts if each is not None]


def n_outdated(place: Workplace, subject: str) -> int:
    """Cases of a suite, or golden questions of an index, that rest on texts which changed, and that nobody called right since."""
    with place.stores.ledger.read() as session:
        found = [each for each in session.reviews.list(subject=subject, status="open") if each.why == OUTDATED]
    return sum(not each.labels or sum(one.value for one in each.labels) <= _HALF * len(each.labels) for each in found)
