"""Scorers of what was retrieved for a case: whether the relevant stands first, and whether all of it is there.

Relevance is the case's own word (`relevant` of a context, or ids in `expected: {relevant: [...]}`), else a context is relevant
where it supports a claim of the expected text.
"""

from __future__ import annotations

from perdure.assets.suite import Case
from perdure.core.ports import Answered
from perdure.core.stats.ranking import average_precision
from perdure.engines.evals.evidence import claims_of, look_up, stands_in
from perdure.engines.evals.parts import not_applicable
from perdure.engines.evals.protocols import Score
from perdure.engines.evals.reading import Context, contexts_of, expected_of, member_of, texts_of


class ContextPrecisionPart:
    """Average precision over the contexts in their order."""

    needs = "`contexts`, and which are relevant: their own `relevant`, ids in `expected.relevant`, or an expected text"
    code = 1

    def lacks(self, case: Case) -> str:
        """No contexts, or no word of which are relevant."""
        if not case.contexts:
            return "the case has no contexts"
        return "" if self._relevant(case) is not None else "the case does not tell which contexts are relevant"

    def score(self, case: Case, answer: Answered) -> Score:  # noqa: ARG002 - of what was retrieved, not of the answer
        """0 where none is relevant."""
        relevant = self._relevant(case) or []
        value = average_precision(relevant)
        return Score(value, why="" if value == 1.0 else f"relevant: {sum(relevant)} of {len(relevant)}")

    @staticmethod
    def _relevant(case: Case) -> list[bool] | None:
        contexts = contexts_of(case)
        ids = _ids(case)
        if ids is not None:
            return [each.id in ids for each in contexts]
        if any(each.relevant is not None for each in contexts):
            return [bool(each.relevant) for each in contexts]
        texts = texts_of(expected_of(case, "text"))
        return [_supports(each, texts[0]) for each in contexts] if texts else None


class ContextRecallPart:
    """Of the relevant ids the share that was retrieved, or of the expected text's claims the share that is supported."""

    needs = "`contexts`, and ids in `expected.relevant` or an expected text"
    code = 1

    def lacks(self, case: Case) -> str:
        """No contexts, or nothing to recall."""
        if not case.contexts:
            return "the case has no contexts"
        if _ids(case) or texts_of(expected_of(case, "text")):
            return ""
        return "the case expects neither ids nor a text"

    def score(self, case: Case, answer: Answered) -> Score:  # noqa: ARG002 - of what was retrieved, not of the answer
        """The share; `why` tells the first that is missing."""
        contexts = contexts_of(case)
        ids = _ids(case)
        if ids:
            missing = sorted(ids - {each.id for each in contexts})
            return Score(1.0 - len(missing) / len(ids), why=f"missing: {', '.join(missing[:5])}" if missing else "")
        text = texts_of(expected_of(case, "text"))[0]
        sources = [each.text for each in contexts]
        claims = look_up(text, sources)
        if not claims:
            if not text.strip():
                return not_applicable("the expected text is empty")
            return Score(float(stands_in(text, sources)))
        wrong = [each.at.text for each in claims if not each.supported]
        why = f"not in the contexts: {wrong[0][:200]!r}" if wrong else ""
        return Score(1.0 - len(wrong) / len(claims), why=why, facts={"claims": len(claims), "missing": wrong[:20]})


def _ids(case: Case) -> set[str] | None:
    given = member_of(case, "relevant")
    return {str(each) for each in given} if isinstance(given, list | tuple) else None


def _supports(context: Context, text: str) -> bool:
    if not claims_of(text):
        return stands_in(text, [context.text])
    return any(each.supported for each in look_up(text, [context.text]))
