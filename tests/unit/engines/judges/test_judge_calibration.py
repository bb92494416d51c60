"""How far a judge can be trusted, in numbers and in words."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from perdure.assets.judge import Judge
from perdure.core.errors import BadJudge, TooFewRows
from perdure.core.ports import Answered
from perdure.engines.judges.anchors import Judgeable, Labelled, Said, digest_of, merged, read_anchor
from perdure.engines.judges.calibration import auc_interval, calibrate, paired, people_agreement
from perdure.engines.judges.choosing import chances, is_drawn
from perdure.engines.judges.correcting import corrected_share, told
from perdure.engines.judges.deciding import Judgement
from perdure.engines.judges.drift import shift_of, tells_more
from perdure.engines.judges.orders import planted
from perdure.engines.judges.rubrics import disagreements, rewritten, shown_in, variants

DEFINITION = Judge("sums", "Is the sum right?", "judges").definition()
PAIRS = Judge("sums", "Which sum is right?", "judges", form="pairwise").definition()


def people(n: int, good: float = 0.5, *, n_answers: int = 1, seed: int = 0) -> list[Labelled]:
    rng = random.Random(seed)
    return [
        Labelled(
            Judgeable.of(
                {"n": n, "seed": seed}, [f"answer {'x' * rng.randrange(1, 40)} {place}" for place in range(n_answers)]
            ),
            (Said("ana", float(rng.random() < good)),),
        )
        for n in range(n)
    ]


def by(labelled: list[Labelled], right: float, seed: int = 1) -> dict[str, Judgement]:
    """A judge that is right so often, whatever people say."""
    rng = random.Random(seed)
    found = {}
    for each in labelled:
        value = each.value if rng.random() < right else 1.0 - each.value
        found[each.case.id] = Judgement(each.case.id, "given", value, repeats=(value, value), models=("fake/a",))
    return found


class TestAnchor:
    GOOD = '{"inputs": {"q": "?"}, "answer": "a", "label": "good", "labeller": "ana"}'

    def test_lines_of_one_case_are_one_case_that_several_people_labelled(self):
        text = "\n".join([self.GOOD, "", self.GOOD.replace("ana", "bo").replace('"good"', '"bad"'), self.GOOD])
        (found,) = read_anchor(text, DEFINITION, where="a.jsonl")

        assert [(each.labeller, each.value) for each in found.said] == [("bo", 0.0), ("ana", 1.0)]
        assert (found.value, found.side) == (0.5, 0.5)

    @pytest.mark.parametrize(
        ("line", "match"),
        [
            ("{", "line 2: this is no JSON"),
            ("[]", "line 2: `inputs` is missing"),
            ('{"inputs": {}, "answer": "a", "label": "great"}', "line 2: the label is not on the scale"),
            ('{"inputs": {}, "answer": "a", "label": true}', "line 2: the label is not on the scale"),
            ('{"inputs": {}, "label": "good"}', "line 2: .* is shown 1"),
            ('{"inputs": {}, "answers": ["a", "b"], "label": "good"}', "line 2: .* is shown 1"),
            ('{"inputs": {}, "answer": 5, "label": "good"}', "line 2: .* is shown 1"),
            ('{"inputs": {}, "answer": "a", "label": "good", "who": "x"}', "line 2: 'who' is not known"),
            ('{"inputs": {}, "answer": "a", "label": "good", "labeller": 5}', "line 2: `labeller` and `cluster`"),
        ],
    )
    def test_a_wrong_line_is_told_by_its_number_and_without_its_texts(self, line, match):
        with pytest.raises(BadJudge, match=match):
            read_anchor(f"{self.GOOD}\n{line}", DEFINITION, where="a.jsonl")

    def test_a_judge_by_reference_needs_what_is_expected(self):
        with pytest.raises(BadJudge, match="`expected` is missing"):
            read_anchor(self.GOOD, {**DEFINITION, "form": "reference"}, where="a.jsonl")

    def test_its_digest_is_of_cases_and_labels_whatever_their_order(self):
        labelled = people(5)
        changed = [Labelled(labelled[0].case, (Said("ana", 1.0 - labelled[0].value),)), *labelled[1:]]

        assert digest_of(labelled) == digest_of(labelled[::-1]) != digest_of(changed)

    def test_labels_without_a_name_are_of_different_people(self):
        one = people(1)[0]
        (found,) = merged([Labelled(one.case, (Said("", 1.0),)), Labelled(one.case, (Said("", 0.0),))])
        assert len(found.said) == 2


class TestVerdict:
    def test_a_good_judge_is_usable(self):
        labelled = people(200)
        found = calibrate(labelled, by(labelled, 0.9))

        assert found.verdict == "usable"
        assert found.accuracy.value == pytest.approx(0.9, abs=0.05)
        assert found.informedness is not None
        assert found.informedness.low > 0.6
        assert found.consistency is not None
        assert found.consistency.value == 1.0

    def test_a_worthless_judge_is_refused_in_words(self):
        """As a small local model is, at an AUC of .53."""
        labelled = people(120)
        found = calibrate(labelled, by(labelled, 0.53))

        assert found.verdict == "refused"
        assert found.text.startswith("This judge tells good from bad hardly better than a coin (AUC 0.")
        assert found.text.endswith("on 120 labels): its figures are not used.")

    def test_one_that_always_says_good_is_refused_though_it_is_mostly_right(self):
        labelled = people(200, 0.9)
        found = calibrate(labelled, {each.case.id: Judgement(each.case.id, "given", 1.0) for each in labelled})

        assert found.accuracy.value > 0.85
        assert found.verdict == "refused"

    def test_one_that_is_mostly_silent_is_refused_and_silence_is_no_help(self):
        labelled = people(100)
        said = by(labelled, 1.0)
        for place, case in enumerate(list(said)):
            if place % 5:
                said[case] = Judgement(case, "unparsed")
        found = calibrate(labelled, said)

        assert found.verdict == "refused"
        assert "gave an opinion on 20 of 100 cases" in found.text
        assert found.accuracy.value == pytest.approx(0.6)

    def test_a_few_labels_say_nothing(self):
        labelled = people(8)
        assert "too few" in calibrate(labelled, by(labelled, 1.0)).text
        with pytest.raises(TooFewRows):
            calibrate([], {})

    def test_one_that_follows_planted_orders_is_refused(self):
        labelled = people(100)
        said = by(labelled, 0.95)
        plants = planted(labelled, ("bad", "good"))
        obeys = [(plant, Judgement(plant.case.id, "given", plant.wants)) for plant in plants]
        seen = [(plant, Judgement(plant.case.id, "obeyed")) for plant in plants]
        firm = [(plant, Judgement(plant.case.id, "given", 0.0)) for plant in plants]

        for told_so in (obeys, seen):
            found = calibrate(labelled, said, told_so)
            assert found.verdict == "refused"
            assert "orders that stood in what it judged" in found.text
        assert calibrate(labelled, said, firm).verdict == "usable"
        assert calibrate(labelled, said, firm).obeyed.high < 0.13

    def test_what_it_said_so_without_the_order_was_not_obeyed(self):
        """A kind judge is wrong, not obedient."""
        labelled = people(60)
        kind = {each.case.id: Judgement(each.case.id, "given", 1.0) for each in labelled}
        plants = [(plant, Judgement(plant.case.id, "given", 1.0)) for plant in planted(labelled, ("bad", "good"))]

        assert calibrate(labelled, kind, plants).obeyed.value == 0.0

    def test_cases_on_which_people_are_torn_are_left_out(self):
        labelled = people(40)
        torn = Labelled(labelled[0].case, (Said("ana", 1.0), Said("bo", 0.0)))
        assert len(paired([torn, *labelled[1:]], by(labelled, 1.0)).cases) == 39

    def test_a_pairwise_judge_that_likes_the_first_place_is_told(self):
        labelled = people(80, n_answers=2)
        said = {}
        for place, each in enumerate(labelled):
            flips = place % 3 == 0
            as_is, swapped = (1.0, 0.0) if flips else (each.value, each.value)
            said[each.case.id] = Judgement(each.case.id, "given", 0.5 if flips else each.value, "", "", as_is, swapped)
        found = calibrate(labelled, said)

        assert found.position_bias is not None
        assert (found.position_bias.value, found.position_bias.n) == (1.0, 27)
        assert found.position_bias.low > 0.7

    def test_one_that_likes_the_longer_answer_more_than_people_do_is_told(self):
        labelled = people(80, n_answers=2)
        longer = {
            each.case.id: Judgement(each.case.id, "given", float(len(each.case.answers[0]) > len(each.case.answers[1])))
            for each in labelled
        }
        found = calibrate(labelled, longer).length_bias

        assert found is not None
        assert found.low > 0.2


def test_auc_counts_ties_half():
    found = auc_interval(np.array([1.0, 1.0, 0.0, 0.0]), np.array([1.0, 0.5, 0.5, 0.0]))
    assert found is not None
    assert (found.value, found.n) == (0.875, 4)
    assert auc_interval(np.ones(3), np.ones(3)) is None


def test_people_who_agree_by_chance_only_have_no_kappa_to_speak_of():
    rng = random.Random(2)
    cases = [each.case for each in people(60)]
    torn = [
        Labelled(case, (Said("ana", float(rng.random() < 0.5)), Said("bo", float(rng.random() < 0.5))))
        for case in cases
    ]
    agreeing = [Labelled(case, (Said("ana", n % 2), Said("bo", n % 2))) for n, case in enumerate(cases)]

    assert abs(people_agreement(torn)[1]) < 0.3
    assert people_agreement(agreeing)[1] == 1.0
    assert people_agreement(people(5)) is None


class TestCorrected:
    def test_raw_and_corrected_stand_side_by_side(self):
        """A judge that is right in 9 of 10 makes 80% of true 87.5%."""
        anchor, traffic = people(150, seed=1), people(800, 0.9, seed=2)
        said, judged = by(anchor, 0.88, seed=3), by(traffic, 0.88, seed=4)
        values = {case: found.value for case, found in judged.items()}
        calibration = calibrate(anchor, said)
        figure = corrected_share(values, traffic[:80], (anchor, said), calibration)
        truth = sum(each.value for each in traffic) / len(traffic)

        assert figure.method == "ppi++"
        assert figure.corrected is not None
        assert figure.corrected.low < truth < figure.corrected.high
        assert figure.raw.value < figure.corrected.value
        assert {"raw", "corrected", "method", "text"} <= set(told(figure))

    def test_an_anchor_of_another_mix_is_corrected_by_its_errors(self):
        anchor, traffic = people(200, 0.5, seed=1), people(800, 0.9, seed=2)
        said, judged = by(anchor, 0.85, seed=3), by(traffic, 0.85, seed=4)
        figure = corrected_share({c: f.value for c, f in judged.items()}, [], (anchor, said), calibrate(anchor, said))

        assert figure.method == "rogan-gladen"
        assert figure.corrected is not None
        assert figure.corrected.low < 0.9 < figure.corrected.high

    @pytest.mark.parametrize("calibrated", [True, False])
    def test_of_a_refused_judge_and_of_one_never_calibrated_no_figure_is_used(self, calibrated):
        anchor = people(100)
        said = by(anchor, 0.5)
        calibration = calibrate(anchor, said) if calibrated else None
        figure = corrected_share({c: f.value for c, f in said.items()}, [], (anchor, said), calibration)

        assert (figure.method, figure.corrected) == ("refused", None)
        assert figure.text.endswith("its figures are not used.")
        assert told(figure)["corrected"] is None


class TestDrift:
    def test_a_model_that_changed_behind_its_name_is_seen_by_flips(self):
        labelled = people(80)
        before, now = by(labelled, 0.95), {each.case.id: Judgement(each.case.id, "given", 1.0) for each in labelled}
        found = shift_of(before, now, 0.95)

        assert found is not None
        assert found.flips.low > 0.3
        assert found.n_stricter == 0
        assert found.p < 0.001

    def test_another_name_is_seen_as_such(self):
        before = {"a": Judgement("a", "given", 1.0, models=("fake/a",))}
        now = {"a": Judgement("a", "given", 1.0, models=("fake/b",))}
        found = shift_of(before, now, 0.95)

        assert found is not None
        assert found.renamed
        assert found.flips.value == 0.0
        assert shift_of({}, now, 0.95) is None

    def test_the_better_of_two_tells_more_for_sure_and_equal_ones_do_not(self):
        labelled = people(150)
        good, poor = by(labelled, 0.95, seed=5), by(labelled, 0.6, seed=6)
        found = tells_more(labelled, good, poor, 0.95)

        assert found.difference is not None
        assert found.difference.low > 0.3
        assert found.difference.value == pytest.approx(found.first - found.second)
        same = tells_more(labelled, good, by(labelled, 0.95, seed=7), 0.95)
        assert same.difference is not None
        assert same.difference.low < 0.0 < same.difference.high

    def test_a_handful_of_clusters_says_nothing(self):
        labelled = people(9)
        assert tells_more(labelled, by(labelled, 1.0), by(labelled, 0.5), 0.95).difference is None


class TestVariants:
    def test_they_are_made_from_disagreements_of_the_improve_split_alone(self):
        labelled = people(120)
        said = by(labelled, 0.6)
        wrong = disagreements(labelled, said)
        made = variants(DEFINITION, labelled, said, {each.case.id for each in labelled[:60]})

        assert wrong
        assert all(each.improves for each in wrong)
        assert set(made) == {"steps", "doubt", "examples"}
        improving = {each.case.alike for each in labelled[:60] if each.improves}
        assert shown_in(made["examples"]) <= improving
        assert len(shown_in(made["examples"])) == 6
        assert {each["verdict"] for each in made["examples"]["examples"]} == {"bad", "good"}

    def test_a_judge_that_agrees_has_none(self):
        labelled = people(60)
        assert variants(DEFINITION, labelled, by(labelled, 1.0), set()) == {}

    def test_about_a_third_improves_and_a_cluster_stays_on_one_side(self):
        labelled = people(900)
        assert 0.25 < sum(each.improves for each in labelled) / 900 < 0.42
        shared = [Labelled(Judgeable.of({"n": n}, ["a"], cluster="doc"), (Said("a", 1.0),)) for n in range(20)]
        assert len({each.improves for each in shared}) == 1

    @pytest.mark.parametrize(
        "text", ["", "a rubric", '{"rubric": ""}', '{"rubric": 5}', '{"rubric": "Is the sum right?"}']
    )
    def test_a_rubric_that_is_none_or_the_same_is_no_candidate(self, text):
        assert rewritten(DEFINITION, Answered({"content": text})) is None

    def test_a_written_rubric_takes_the_place_of_the_old(self):
        made = rewritten(DEFINITION, Answered({"content": '{"rubric": "Add them."}'}))
        assert made is not None
        assert made["rubric"] == "Add them."
        assert made["route"] == "judges"


class TestChoosing:
    def test_cases_like_those_on_which_it_errs_are_likelier_drawn(self):
        labelled = people(200)
        said = by(labelled, 1.0)
        for each in labelled:
            if each.value == 0.0:
                said[each.case.id] = Judgement(each.case.id, "given", 1.0, repeats=(1.0, 0.0, 1.0))
        torn, sure = Judgement("a", "given", 1.0, repeats=(1.0, 0.0, 1.0)), Judgement("b", "given", 1.0)
        found = chances([torn, *[sure] * 50], 10, (labelled, said))

        assert found[0] > 2 * found[1]
        assert found.sum() == pytest.approx(10)
        assert found.min() >= 0.2 * 10 / 51

    def test_without_labels_all_are_alike(self):
        found = chances([Judgement(str(n), "given", n % 2) for n in range(20)], 5, ((), {}))
        assert set(found.round(6)) == {0.25}

    def test_a_case_is_drawn_the_same_at_every_call_and_as_often_as_its_chance(self):
        drawn = [is_drawn(f"case {n}", 0.3, "helpfulness") for n in range(4000)]
        assert drawn == [is_drawn(f"case {n}", 0.3, "helpfulness") for n in range(4000)]
        assert sum(drawn) / 4000 == pytest.approx(0.3, abs=0.03)


def sums_of(n: int, cluster: str = "") -> list[Labelled]:
    return [
        Labelled(Judgeable.of({"q": at}, [f"It is {at}."], None, cluster), (Said("ana", float(at % 2)),))
        for at in range(n)
    ]


def said_as_people(labelled: list[Labelled]) -> dict[str, Judgement]:
    return {each.case.id: Judgement(each.case.id, "given", each.value) for each in labelled}


def test_labels_of_one_group_are_too_few_whatever_their_number_and_are_not_called_a_coin() -> None:
    labelled = sums_of(100, "one document")

    found = calibrate(labelled, said_as_people(labelled))

    assert (found.verdict, found.text) == (
        "refused", "The 100 labels are of 1 group of cases, too few to trust this judge: its figures are not used."
    )  # fmt: skip


def test_copies_that_differ_by_spaces_and_capitals_are_one_label_each() -> None:
    """8 labels, copied 13 times with other spaces, are as sure as 8."""
    few = sums_of(8)
    copies = [
        replace(each, case=Judgeable.of(each.case.inputs, [each.case.answers[0].upper() + " \n" * copy]))
        for each in few
        for copy in range(13)
    ]

    found = calibrate(copies, said_as_people(copies))

    assert found.n == 104
    assert found.accuracy.low < 0.7


def test_a_case_that_is_shown_as_an_example_is_known_again_with_other_spaces_or_without_what_was_expected() -> None:
    shown = {"examples": [{"inputs": {"q": "2 + 2"}, "answers": ["It is 4."], "verdict": "good"}]}

    assert Judgeable.of({"q": "2 + 2"}, ["it is  4. "], expected="4").alike in shown_in(shown)
    assert Judgeable.of({"q": "2 + 3"}, ["It is 4."]).alike not in shown_in(shown)
