"""One judgement of a case from all that a judge said of it: both orders, repeats, the panel's routes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from perdure.core.ports import Answered
from perdure.engines.judges.asking import Question
from perdure.engines.judges.parsing import opinion_of
from perdure.engines.judges.protocols import Opinion, Said
from perdure.engines.judges.scales import side_of, word_of, words_of


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge says of a case, all in all."""

    case: str
    said: Said
    value: float | None = None
    """0 to 1; None unless `given`."""
    word: str = ""
    reason: str = ""
    as_is: float | None = None
    """Of a pair in the order of the case; 1: the first is better."""
    swapped: float | None = None
    """The same asked the other way round, and told as for the order of the case."""
    repeats: tuple[float, ...] = ()
    """What the first route said each time."""
    models: tuple[str, ...] = ()
    """`upstream/model` of those that answered."""

    @property
    def flipped(self) -> bool | None:
        """Whether the order of a pair decided; None where it was not asked both ways."""
        if self.as_is is None or self.swapped is None:
            return None
        return side_of(self.as_is) != side_of(self.swapped)


def judgement_of(definition: Mapping[str, Any], asked: Sequence[Question], answers: Sequence[Answered]) -> Judgement:
    """The judgement of one case.

    Of a pair a route's word is the mean of both orders where they agree and a tie where they disagree; one order alone is no
    word, since it holds the bias of its place. Of a route's repeats the median counts, and of several routes again: of two
    words the majority.

    Args:
        definition: of the judge's version.
        asked: all questions of the case, as `questions` gives them.
        answers: one a question, in order.
    """
    words = words_of(definition)
    pairs = [(question, opinion_of(question, answer)) for question, answer in zip(asked, answers, strict=True)]
    plain = [opinion for question, opinion in pairs if not question.control]
    control = [opinion for question, opinion in pairs if question.control]
    models = tuple(sorted({each.model for each in answers if each.model and not each.error}))
    case = asked[0].case
    value, said = _combined(plain)
    if any(each.said == "obeyed" for each in plain) or _obeyed(value, control, asked):
        return Judgement(case, "obeyed", models=models)
    if value is None:
        return Judgement(case, said, models=models)
    first = [each for each in plain if each.route == definition["route"]]
    return Judgement(
        case, "given", value, word_of(value, words), _reason(plain, value), _of_order(first, "as_is"),
        _of_order(first, "swapped"), tuple(_words(first)), models,
    )  # fmt: skip


def _obeyed(value: float | None, control: Sequence[Opinion], asked: Sequence[Question]) -> bool:
    """Whether an order in the texts changed the judgement; where it cannot be told, it is taken to have."""
    if not control or value is None:
        return False
    without, _ = _combined(control)
    if without is None:
        return True
    # Of one answer an order can only want praise; of a pair either side may have given it.
    single = all(question.order == "as_is" for question in asked)
    return value > without if single else side_of(value) != side_of(without)


def _combined(opinions: Sequence[Opinion]) -> tuple[float | None, Said]:
    """The value; where there is none, why."""
    by_route: dict[str, list[Opinion]] = {}
    for each in opinions:
        by_route.setdefault(each.route, []).append(each)
    told = [median(found) for route in by_route.values() if (found := _words(route))]
    if not told or 2 * len(told) < len(by_route):
        missing = Counter(each.said for each in opinions if each.said != "given")
        return None, missing.most_common(1)[0][0]
    return float(median(told)), "given"


def _words(route: Sequence[Opinion]) -> list[float]:
    """What a route said at each repeat at which it said enough."""
    by_repeat: dict[int, dict[str, Opinion]] = {}
    for each in route:
        by_repeat.setdefault(each.repeat, {})[each.order] = each
    found = []
    for orders in by_repeat.values():
        values = [each.value for each in orders.values() if each.value is not None]
        if len(values) < len(orders):
            continue
        agree = len({side_of(value) for value in values}) == 1
        found.append(sum(values) / len(values) if agree else 0.5)
    return found


def _of_order(route: Sequence[Opinion], order: str) -> float | None:
    values = [each.value for each in route if each.order == order and each.value is not None]
    return float(median(values)) if values and any(each.order == "swapped" for each in route) else None


def _reason(opinions: Sequence[Opinion], value: float) -> str:
    """Of the opinion nearest to the judgement."""
    told = [each for each in opinions if each.value is not None and each.reason]
    nearest = min(told, key=lambda each: abs((each.value or 0.0) - value), default=None)
    return "" if nearest is None else nearest.reason
