"""The scorer of grounding: the share of an answer's claims that its contexts support, without asking a model.

Without contexts it is self-consistency: for each claim the share of the other samples that say it too. A model that knows says
the same each time; one that invents says something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from perdure.assets.scorers import Grounded
from perdure.assets.suite import Case
from perdure.core.ports import Answered, Entails
from perdure.engines.evals.evidence import Claim, Sentence, look_up
from perdure.engines.evals.parts import Tools, failed, not_applicable
from perdure.engines.evals.protocols import Score
from perdure.engines.evals.reading import contexts_of

_MOST_SPANS = 50
_SAID = {
    "numbers": "is not in the contexts",
    "names": "is not in the contexts",
    "words": "the contexts do not speak of it",
    "negation": "the contexts say the contrary",
    "entailment": "it does not follow from the contexts",
}


class GroundedPart:
    """Supported claims by claims; where they are not, `facts` say which stretch of the answer and what is nearest to it."""

    needs = "`contexts`; without them two samples or more"
    code = 1

    def __init__(self, declared: Grounded, tools: Tools) -> None:
        given = declared.entails
        self._entails: Entails | None = (tools.entails if given else None) if isinstance(given, bool) else given

    @property
    def entails(self) -> bool:
        """A model of entailment decides too."""
        return self._entails is not None

    def lacks(self, case: Case) -> str:  # noqa: ARG002 - one shape for all
        """It depends on contexts and samples together."""
        return ""

    def score(self, case: Case, answer: Answered) -> Score:
        """Against the contexts. Cost: 60 µs a sentence of the answer, and 1 µs for each sentence of the contexts."""
        contexts = contexts_of(case)
        if not contexts:
            return not_applicable("there are no contexts, and no other samples to compare with")
        claims = look_up(answer.text, [each.text for each in contexts], self._entails)
        if not claims:
            return not_applicable("the answer claims nothing")
        wrong = [each for each in claims if not each.supported]
        facts: dict[str, Any] = {"claims": len(claims), "supported": len(claims) - len(wrong)}
        if not wrong:
            return Score(1.0, facts=facts)
        facts["spans"] = [_span(each.at) for each in wrong[:_MOST_SPANS]]
        facts["lacking"] = [[each.lacks, list(each.missing[:10])] for each in wrong[:_MOST_SPANS]]
        facts["evidence"] = [_nearest(each) for each in wrong[:_MOST_SPANS]]
        return Score((len(claims) - len(wrong)) / len(claims), why=_told(wrong, len(claims)), facts=facts)

    def score_samples(self, case: Case, answers: Sequence[Answered]) -> list[Score]:
        """With contexts each by itself; without them each against the others that did not fail."""
        if case.contexts:
            return [failed(f"no answer: {each.error}") if each.error else self.score(case, each) for each in answers]
        texts = [None if each.error else each.text for each in answers]
        return [self._consistent(place, texts, answers[place]) for place in range(len(answers))]

    def _consistent(self, place: int, texts: Sequence[str | None], answer: Answered) -> Score:
        text = texts[place]
        if text is None:
            return failed(f"no answer: {answer.error}")
        others = [each for at, each in enumerate(texts) if at != place and each is not None]
        if not others:
            return not_applicable("there are no contexts, and no other samples to compare with")
        claims = look_up(text, others[:1], self._entails)
        if not claims:
            return not_applicable("the answer claims nothing")
        by_sample = [claims, *(look_up(text, [each], self._entails) for each in others[1:])]
        shares = [fmean(found[at].supported for found in by_sample) for at in range(len(claims))]
        alone = [each.at for each, share in zip(claims, shares, strict=True) if share < 0.5]
        facts: dict[str, Any] = {"claims": len(claims), "supported": len(claims) - len(alone), "samples": len(others)}
        if not alone:
            return Score(fmean(shares), facts=facts)
        facts["spans"] = [_span(each) for each in alone[:_MOST_SPANS]]
        why = (
            f"{len(alone)} of {len(claims)} claims are in less than half of the other samples: {alone[0].text[:120]!r}"
        )
        return Score(fmean(shares), why=why, facts=facts)


def _span(at: Sentence) -> list[Any]:
    return [at.start, at.end, at.text[:500]]


def _nearest(claim: Claim) -> list[Any] | None:
    """Context, start, end, text of the sentence that is nearest; None where nothing is."""
    return None if claim.evidence is None else [claim.evidence.source, *_span(claim.evidence.at)]


def _told(wrong: Sequence[Claim], n: int) -> str:
    first = wrong[0]
    missing = f"{', '.join(first.missing[:5])} " if first.missing else ""
    return f"{len(wrong)} of {n} claims are not supported: {first.at.text[:120]!r}: {missing}{_SAID[first.lacks]}"
