"""Reviews that were drawn with unequal probability weigh what they stand for, wherever a judge is held to them."""

from __future__ import annotations

import numpy as np
import pytest

from perdure.core.stats.shares import clustered_share
from perdure.engines.judges.anchors import Judgeable, Labelled, Said, merged
from perdure.engines.judges.calibration import auc_interval, calibrate, paired
from perdure.engines.judges.choosing import chances
from perdure.engines.judges.correcting import corrected_share
from perdure.engines.judges.deciding import Judgement
from perdure.engines.judges.drift import tells_more

N = 1_500


def case(number: int, label: float, inclusion: float | None = None, who: str = "ana") -> Labelled:
    return Labelled(Judgeable.of({"n": number}, ["an answer"]), (Said(who, label),), inclusion)


class Traffic:
    """Cases of which people would call half good; of the quarter where its orders disagree the judge errs on 40%."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        labels = (self.rng.random(N) < 0.5).astype(float)
        torn = self.rng.random(N) < 0.25
        self.said = np.where(self.rng.random(N) < np.where(torn, 0.6, 0.95), labels, 1.0 - labels)
        self.cases = [case(n, label) for n, label in enumerate(labels.tolist())]
        self.judgements = {
            one.case.id: Judgement(one.case.id, "given", said, repeats=(said, 1.0 - said) if wavers else (said, said))
            for one, said, wavers in zip(self.cases, self.said.tolist(), torn.tolist(), strict=True)
        }

    def drawn(self, n_labels: float) -> list[Labelled]:
        """By what earlier labels tell of where it errs, as the queue does."""
        probabilities = chances(list(self.judgements.values()), n_labels, (self.cases[:300], self.judgements))
        return [
            Labelled(one.case, one.said, chance)
            for one, chance in zip(self.cases, probabilities.tolist(), strict=True)
            if self.rng.random() < chance
        ]


RIGHT = 0.75 * 0.95 + 0.25 * 0.6


def test_the_calibration_is_of_the_traffic_and_not_of_what_people_were_asked_about() -> None:
    weighted, plain, auc = 0, 0, 0
    for seed in range(60):
        one = Traffic(seed)
        asked = one.drawn(150.0)
        found = calibrate(asked, one.judgements)
        without = calibrate([Labelled(each.case, each.said) for each in asked], one.judgements)
        weighted += found.accuracy.low <= RIGHT <= found.accuracy.high
        plain += without.accuracy.low <= RIGHT <= without.accuracy.high
        auc += found.auc is not None and found.auc.low <= RIGHT <= found.auc.high
        assert found.kappa is not None
        assert found.kappa.low < 2 * found.accuracy.value - 1.0 < found.kappa.high

    assert min(weighted, auc) >= 54
    assert plain <= 42


def test_a_figure_corrected_by_drawn_labels_of_its_own_cases_holds_the_truth() -> None:
    held = 0
    for seed in range(60):
        one = Traffic(seed)
        values = {name: said.value for name, said in one.judgements.items()}
        asked, anchor = one.drawn(100.0), one.cases[:200]
        figure = corrected_share(values, asked, (anchor, one.judgements), calibrate(anchor, one.judgements))
        truth = float(np.mean([each.value for each in one.cases]))
        assert figure.raw.n == N
        assert figure.n_labels == len(asked)
        held += figure.corrected is not None and figure.corrected.low <= truth <= figure.corrected.high

    assert held >= 54


def test_cases_of_the_file_stand_for_themselves_and_what_was_drawn_for_as_many_cases_as_were_drawn() -> None:
    labelled = [case(0, 1.0), case(1, 0.0), case(2, 1.0, 0.1), case(3, 0.0, 0.3)]
    both = paired(labelled, {each.case.id: Judgement(each.case.id, "given", 1.0) for each in labelled})

    assert both.weights is not None
    assert both.weights.tolist() == pytest.approx([1.0, 1.0, 1.5, 0.5])


def test_what_was_drawn_alike_weighs_alike() -> None:
    labelled = [case(0, 1.0), case(1, 0.0, 0.2), case(2, 1.0, 0.2)]

    assert paired(labelled, {each.case.id: Judgement(each.case.id, "given", 1.0) for each in labelled}).weights is None


def test_of_two_draws_the_likelier_counts_and_what_the_file_has_is_not_drawn() -> None:
    twice = merged([case(1, 1.0, 0.1), case(1, 0.0, 0.4, "bo"), case(1, 1.0, None, "cy")])
    in_file = merged([case(2, 1.0), case(2, 0.0, 0.4, "bo")])

    assert [(each.inclusion, len(each.said)) for each in (*twice, *in_file)] == [(0.4, 3), (None, 2)]


def test_the_gain_of_a_candidate_is_that_on_the_traffic() -> None:
    """It is better where cases were drawn often, and as much worse where they stand for many."""
    labelled = [case(n, float(n % 2), 0.9 if n < 180 else 0.1) for n in range(200)]
    truth = {each.case.id: Judgement(each.case.id, "given", each.value) for each in labelled}
    wrong = {each.case.id: Judgement(each.case.id, "given", 1.0 - each.value) for each in labelled}
    often = {each.case.id for each in labelled[:180]}
    first = {name: (truth if name in often else wrong)[name] for name in truth}
    second = {name: (wrong if name in often else truth)[name] for name in truth}

    found = tells_more(labelled, first, second, 0.95)
    plain = tells_more([Labelled(each.case, each.said) for each in labelled], first, second, 0.95)

    assert found.first == pytest.approx(0.0, abs=1e-9)
    assert found.difference is not None
    assert found.difference.low < 0.0 < found.difference.high
    assert plain.difference is not None
    assert plain.difference.low > 1.0


def test_ten_labels_that_all_agree_make_no_judge_usable_and_it_is_told_how_many_more_would() -> None:
    ten = [case(n, float(n % 2)) for n in range(10)]
    forty = [case(n, float(n % 2)) for n in range(40)]
    said = {each.case.id: Judgement(each.case.id, "given", each.value) for each in forty}

    few, enough = calibrate(ten, said), calibrate(forty, said)

    assert (few.verdict, few.n_more) == ("refused", 20)
    assert "10 labels are too few to trust it: label about 20 more" in few.text
    assert (enough.verdict, enough.n_more) == ("usable", 0)


def test_the_weighted_order_is_that_of_copies() -> None:
    """A case of weight 3 counts as three of weight 1, in the value."""
    labels, judged = np.array([1.0, 1.0, 0.0, 0.0, 0.0]), np.array([0.9, 0.4, 0.5, 0.1, 0.4])
    weights = np.array([1.0, 3.0, 2.0, 1.0, 1.0])
    copies = weights.astype(int)

    found = auc_interval(labels, judged, weights=weights)
    copied = auc_interval(np.repeat(labels, copies), np.repeat(judged, copies))

    assert found is not None
    assert copied is not None
    assert found.value == pytest.approx(copied.value)
    assert found.high - found.low > copied.high - copied.low
    assert clustered_share(judged.round(), weights=weights).value == pytest.approx(
        np.repeat(judged.round(), copies).mean()
    )
