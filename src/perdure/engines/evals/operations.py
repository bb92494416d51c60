"""Scorers of what an answer took and whether it is one: time, money, refusals."""

from __future__ import annotations

from perdure.assets.scorers import Cheaper, Faster
from perdure.assets.suite import Case
from perdure.core.ports import Answered
from perdure.core.texts.refusals import refuses
from perdure.core.usage import picodollars, usd_text
from perdure.engines.evals.parts import not_applicable
from perdure.engines.evals.protocols import Score
from perdure.engines.evals.reading import GOOD, member_of


class FasterPart:
    """The answer took at most so long; a kept answer took what it took when it was made."""

    needs = "nothing: the answer's latency is measured"
    code = 1

    def __init__(self, declared: Faster) -> None:
        self._most_us = declared.ms * 1_000.0

    def lacks(self, case: Case) -> str:  # noqa: ARG002 - one shape for all
        """It applies to every case."""
        return ""

    def score(self, case: Case, answer: Answered) -> Score:  # noqa: ARG002 - one shape for all
        """1 or 0."""
        if answer.latency_us <= self._most_us:
            return GOOD
        return Score(0.0, why=f"{answer.latency_us / 1_000:.0f} ms")


class CheaperPart:
    """The answer cost at most so much; a kept answer cost what it cost when it was made."""

    needs = "nothing: the answer's cost is known where its price is"
    code = 1

    def __init__(self, declared: Cheaper) -> None:
        self._most = picodollars(declared.usd)

    def lacks(self, case: Case) -> str:  # noqa: ARG002 - one shape for all
        """It applies to every case."""
        return ""

    def score(self, case: Case, answer: Answered) -> Score:  # noqa: ARG002 - one shape for all
        """1 or 0; where the price is unknown it does not apply."""
        if answer.cost_pusd is None:
            return not_applicable("the price is not known")
        return GOOD if answer.cost_pusd <= self._most else Score(0.0, why=usd_text(answer.cost_pusd))


class RefusesPart:
    """The model refuses where the case says so, and nowhere else: both mistakes count."""

    needs = "nothing; `expected: {refuses: true}` where it is to refuse"
    code = 1

    def lacks(self, case: Case) -> str:  # noqa: ARG002 - one shape for all
        """It applies to every case."""
        return ""

    def score(self, case: Case, answer: Answered) -> Score:
        """1 or 0. Cost: 40 µs."""
        should = member_of(case, "refuses") is True
        does = refuses(answer.message, answer.finish)
        if does == should:
            return GOOD
        return Score(0.0, why="refused what it should answer" if does else "answered what it should refuse")
