"""A judge's figure is corrected by people's labels, or refused in words."""

from __future__ import annotations

import numpy as np
import pytest

from perdure.core.errors import DeclarationError
from perdure.core.stats.agreement import agreement, kappa
from perdure.core.stats.corrected import correct, panel, power_tuned
from perdure.core.stats.elsewhere import kept_errors, rogan_gladen, shift_p


def study(share: float, right: float, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Truth, and a judge that is right this often."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < share).astype(float)
    return truth, np.where(rng.random(n) < right, truth, 1.0 - truth)


def test_the_corrected_share_mends_what_the_judge_gets_wrong() -> None:
    truth, judged = study(0.9, 0.85, 4000)

    found = correct(truth[:200], judged[:200], judged[200:])

    assert found.method == "ppi++"
    assert found.raw.high < 0.85
    assert found.corrected is not None
    assert found.corrected.low < 0.9 < found.corrected.high
    assert "200 labels and 3,800 judged cases; the judge alone says 78" in found.text


def test_the_interval_is_narrower_than_that_of_the_labels_alone() -> None:
    truth, judged = study(0.5, 0.9, 4000)

    with_judge = correct(truth[:100], judged[:100], judged[100:]).corrected
    alone = correct(truth[:100], judged[:100], np.zeros(0))

    assert alone.method == "labels"
    assert with_judge is not None
    assert alone.corrected is not None
    assert with_judge.high - with_judge.low < 0.75 * (alone.corrected.high - alone.corrected.low)


def test_without_trust_it_is_the_mean_of_the_labels_and_with_full_trust_plain_ppi() -> None:
    truth, judged = study(0.6, 0.8, 500)
    labels, own, others = truth[:80], judged[:80], judged[80:]

    none, full = power_tuned(labels, own, others, trust=0.0), power_tuned(labels, own, others, trust=1.0)

    assert none.value == pytest.approx(labels.mean())
    assert full.value == pytest.approx(others.mean() + (labels - own).mean())
    errors = labels - own
    assert full.variance == pytest.approx(others.var(ddof=1) / 420 + errors.var() * 80 / 78 / 80)


def test_the_trust_chosen_makes_the_variance_smallest() -> None:
    truth, judged = study(0.6, 0.8, 600)
    best = power_tuned(truth[:200], judged[:200], judged[200:])

    others = [power_tuned(truth[:200], judged[:200], judged[200:], trust=t).variance for t in np.linspace(0, 1, 41)]

    assert best.variance <= min(others) * 1.01


def test_clusters_widen_the_interval_where_cases_move_together() -> None:
    truth, judged = study(0.6, 0.85, 150)
    labels, own, others = np.repeat(truth[:50], 4), np.repeat(judged[:50], 4), np.repeat(judged[50:], 4)
    clusters = np.repeat(np.arange(150), 4)

    wide = correct(labels, own, others, clusters=clusters).corrected
    narrow = correct(labels, own, others).corrected
    of_labels_only = correct(labels, own, others, clusters=clusters[:200]).corrected

    assert wide is not None
    assert narrow is not None
    assert of_labels_only is not None
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
    assert narrow.high - narrow.low < of_labels_only.high - of_labels_only.low < wide.high - wide.low


@pytest.mark.parametrize("right", [0.5, 0.53, 0.3])
def test_a_judge_hardly_better_than_a_coin_or_worse_is_refused_in_words(right: float) -> None:
    truth, judged = study(0.5, right, 1000, seed=3)

    found = correct(truth[:120], judged[:120], judged[120:])

    assert (found.method, found.corrected) == ("refused", None)
    assert "hardly better than a coin" in found.text
    assert "its figures are not used" in found.text
    assert "The labels alone say " in found.text


def test_a_judge_that_always_says_the_same_tells_nothing() -> None:
    truth, _ = study(0.9, 1.0, 300)

    assert correct(truth[:100], np.ones(100), np.ones(200)).method == "refused"


def test_too_few_labels_and_labels_of_one_class_refuse() -> None:
    truth, judged = study(0.5, 0.9, 100)

    assert "9 labels are too few" in correct(truth[:9], judged[:9], judged[9:]).text
    assert "called all 20 cases the same" in correct(np.ones(20), judged[:20], judged[20:]).text
    assert correct(np.zeros(0), np.zeros(0), judged).method == "refused"


def test_under_a_shift_the_labelled_share_does_not_pull_the_answer() -> None:
    anchor, judged_then = study(0.5, 0.85, 400)
    now, judged_now = study(0.2, 0.85, 3000, seed=1)

    shifted = correct(anchor, judged_then, judged_now, shifted=True)
    pulled = correct(anchor, judged_then, judged_now).corrected

    assert shifted.method == "rogan-gladen"
    assert shifted.corrected is not None
    assert shifted.corrected.low < now.mean() < shifted.corrected.high
    assert pulled is not None
    assert not pulled.low < now.mean() < pulled.high
    assert "drawn elsewhere" in shifted.text


def test_a_perfect_judge_s_share_stays_what_it_is() -> None:
    truth = np.repeat([1.0, 0.0], 5000)

    found = rogan_gladen(np.repeat([1.0, 0.0], [300, 700]), truth, truth)

    assert found.value == pytest.approx(0.3)
    assert found.low < 0.3 < found.high


def test_a_shift_of_what_is_judged_is_seen_and_so_is_a_change_of_the_judge_s_errors() -> None:
    anchor, judged_then = study(0.5, 0.85, 300)
    fresh, judged_fresh = study(0.2, 0.85, 60, seed=5)
    _, same = study(0.5, 0.85, 300, seed=6)

    assert shift_p(judged_then, study(0.2, 0.85, 900, seed=2)[1]) < 0.001
    assert shift_p(judged_then, same) > 0.05
    assert kept_errors(anchor, judged_then, fresh, judged_fresh) > 0.05
    assert kept_errors(anchor, judged_then, fresh, 1.0 - judged_fresh) < 0.001


def test_a_mean_of_graded_scores_is_corrected_and_one_under_shift_is_not() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(3.0, 1.0, 2000)
    judged = truth + 0.5 + rng.normal(0.0, 0.5, 2000)

    found = correct(truth[:100], judged[:100], judged[100:], kind="mean")

    assert found.corrected is not None
    assert found.raw.value > 3.4
    assert abs(found.corrected.value - 3.0) < 0.2
    assert correct(truth[:100], judged[:100], judged[100:], kind="mean", shifted=True).method == "refused"
    assert correct(truth[:100], rng.normal(size=100), judged[100:], kind="mean").method == "refused"


def test_several_judges_together_are_at_least_as_good_as_the_best_of_them() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=3000)
    each = truth[:, None] + rng.normal(0.0, [0.8, 0.9, 5.0], (3000, 3))
    own, others = panel(truth[:200], each[:200], each[200:])

    together = power_tuned(truth[:200], own, others).variance
    best = min(power_tuned(truth[:200], each[:200, k], each[200:, k]).variance for k in range(3))

    assert together < best


def test_what_does_not_pair_or_is_no_verdict_is_refused() -> None:
    some = np.array([1.0, 0.0])
    with pytest.raises(DeclarationError, match="do not pair"):
        correct(some, np.ones(3), some)
    with pytest.raises(DeclarationError, match="not finite"):
        correct(some, np.array([np.nan, 1.0]), some)
    with pytest.raises(DeclarationError, match="within 0 and 1"):
        correct(some, some, np.array([7.0]))
    with pytest.raises(DeclarationError, match="cluster numbers"):
        correct(some, some, some, clusters=np.arange(3))
    with pytest.raises(DeclarationError, match="Nothing"):
        correct(np.zeros(0), np.zeros(0), np.zeros(0))


def test_agreement_tells_all_figures_since_each_alone_misleads() -> None:
    """95% of answers are good; the judge says good to all but one."""
    truth, judged = np.repeat([1.0, 0.0], [190, 10]), np.repeat([1.0, 0.0], [199, 1])

    found = agreement(truth, judged)

    assert found.accuracy.value == pytest.approx(0.955)
    assert found.kappa is not None
    assert found.kappa.value < 0.2
    assert found.ac1 is not None
    assert found.ac1 > 0.9
    assert found.specificity is not None
    assert found.specificity.value == pytest.approx(0.1)
    assert found.usable == "refused"


def test_ties_count_half_and_clusters_widen() -> None:
    truth, judged = study(0.5, 0.9, 60)
    judged[:6] = 0.5
    plain = agreement(truth, judged)
    clustered = agreement(np.repeat(truth, 3), np.repeat(judged, 3), np.repeat(np.arange(60), 3))

    assert plain.accuracy.value == pytest.approx(1.0 - np.abs(truth - judged).mean())
    assert clustered.kappa is not None
    assert plain.kappa is not None
    assert clustered.kappa.value == pytest.approx(plain.kappa.value)
    assert clustered.kappa.high - clustered.kappa.low > 0.9 * (plain.kappa.high - plain.kappa.low)


def test_kappa_of_one_class_is_undefined_and_of_no_square_an_error() -> None:
    assert kappa(np.array([[10, 0], [0, 0]])) is None
    with pytest.raises(DeclarationError):
        kappa(np.zeros((2, 2)))
    with pytest.raises(DeclarationError, match="0 or 1"):
        agreement(np.array([0.3, 1.0]), np.ones(2))
