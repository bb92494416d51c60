"""Worlds whose history is replayed through policies: who retrains when it helps, who when nothing is wrong."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from repaired import SETTINGS, at

from perdure.assets.policy import Policy, Ramp
from perdure.core.canonical import canonical_json, plain
from perdure.core.clock import to_us
from perdure.core.errors import DeclarationError, NotReady
from perdure.core.units import days, hours, per_month
from perdure.loop import decide as deciding
from perdure.loop.work.backtesting import declared
from perdure.loop.work.backtesting.declared import Declared
from perdure.loop.work.backtesting.fits import Fits
from perdure.loop.work.backtesting.history import Assumed, read_history
from perdure.loop.work.backtesting.line import Line
from perdure.loop.work.backtesting.observed import findings
from perdure.loop.work.backtesting.yardsticks import retrain
from perdure.surface.backtest import BacktestTerms, write_backtest
from perdure.surface.sdk import Perdure
from perdure.testing.world import World

START, CHANGED, END = 14.0, 22.0, 44.0
ACTING = Policy.act(retrains=per_month(4), cool_down=days(3), watch=days(2))


def on_file(folder, world: World, policy: Policy = ACTING) -> Perdure:
    """A project whose sources are in the lake, and whose model has a policy of its own; nothing was ever served."""
    project = world.project()
    model = project.model("minutes")
    model.policy, model.recent, model.params = policy, (days(7),), {**model.params, "n_estimators": 25}
    perdure = Perdure(folder, SETTINGS, project=project)
    perdure.tick(at=at(END))
    return perdure


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """From day 22 on rain costs four times as much."""
    world = World(n_days=int(END), per_day=50, change_at=CHANGED)
    return on_file(tmp_path_factory.mktemp("changed"), world)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """Nothing ever changes."""
    return on_file(tmp_path_factory.mktemp("quiet"), World(n_days=int(END), per_day=50))


def replayed(perdure: Perdure, **assumed):
    return perdure.backtest("minutes", BacktestTerms(**{"start": at(START), "end": at(END), **assumed}))


@pytest.fixture(scope="module")
def result(changed):
    return replayed(changed, quiet=(at(START), at(CHANGED)))


def named(result, name: str):
    return next(each for each in result.policies if each.name == name)


def comparable(result):
    """A result without what it cost in CPU."""
    same = [replace(each, cpu_s=0.0) for each in result.policies]
    return canonical_json(plain(replace(result, policies=same, fits_cpu_s=0.0)))


@pytest.fixture(scope="module")
def lines(changed):
    """A line that has answered with the first version, for rules to act on."""
    history = read_history(changed.place, changed.project.model("minutes"), at(END), Assumed())
    fits = Fits(history)
    first = fits.first(at(START))
    return lambda: Line(fits, at(START), first)


class TestAConceptChange:
    def test_policies_that_look_at_the_error_beat_the_frozen_version(self, result):
        never = named(result, "never").error
        for name in ("on alarm", "declared"):
            assert named(result, name).error < 0.8 * never

    def test_they_do_so_after_the_change_and_not_before(self, result):
        assert min(change.at for change in named(result, "declared").changes) > at(CHANGED)
        assert named(result, "on alarm").n_false_retrains == named(result, "declared").n_false_retrains == 0

    def test_who_retrains_by_the_calendar_retrains_in_quiet_times_too(self, result):
        always = named(result, "always")
        assert always.n_retrains == 9
        assert always.n_false_retrains == 2

    def test_the_price_of_retrains_turns_the_order_round(self, result):
        always, alarm = named(result, "always"), named(result, "on alarm")
        assert always.costs[0.0] < alarm.costs[0.0]
        assert always.costs[3.0] > alarm.costs[3.0]

    def test_no_policy_is_cheaper_than_hindsight(self, result):
        for best in result.optima:
            costs = [each.costs[best.ratio] for each in result.policies]
            assert best.cost <= min(costs) + 1e-12
            assert [each.regrets[best.ratio] for each in result.policies] == pytest.approx(
                [cost - best.cost for cost in costs]
            )

    def test_a_dearer_retrain_makes_fewer_of_them_worth_it(self, result):
        counts = [best.n_retrains for best in result.optima]
        assert counts == sorted(counts, reverse=True)
        assert counts[0] > counts[-1]

    def test_the_months_add_up_to_the_whole(self, result):
        for each in result.policies:
            total = sum(month.n * month.error for month in each.by_month)
            assert total / result.n_rows == pytest.approx(each.error)

    def test_two_replays_give_the_same(self, changed, result):
        again = replayed(changed, quiet=(at(START), at(CHANGED)))
        assert comparable(again) == comparable(result)

    def test_nothing_is_written(self, changed):
        before = changed.place.stores.ledger.sequence()
        replayed(changed, step=days(10))
        assert changed.place.stores.ledger.sequence() == before


class TestNothingChanges:
    def test_the_frozen_version_is_nearly_the_best_and_nobody_retrains_on_evidence(self, quiet):
        result = replayed(quiet, quiet=(at(START), at(END)))
        assert named(result, "never").regrets[3.0] < 0.02 * named(result, "never").error
        assert named(result, "on alarm").n_false_retrains == named(result, "declared").n_false_retrains == 0
        assert named(result, "always").n_false_retrains == named(result, "always").n_retrains > 0


class TestTheDeclaredPolicy:
    def test_it_is_decided_by_the_function_of_the_loop(self):
        assert declared.decide is deciding.decide

    def test_who_only_observes_never_retrains_and_is_told_what_acting_would_give(self, tmp_path):
        world = World(n_days=int(END), per_day=50, change_at=CHANGED)
        result = replayed(on_file(tmp_path, world, Policy.observe()))
        observing, acting = named(result, "declared"), named(result, "declared, if it acted")
        assert (observing.n_retrains, observing.error) == (0, named(result, "never").error)
        assert acting.n_retrains > 0
        assert acting.error < observing.error

    def test_its_budget_holds(self, changed):
        none = replace(ACTING, retrains=per_month(0))
        once = replace(ACTING, retrains=per_month(1), trigger="schedule", every=days(3))
        result = replayed(changed, policies={"none": none, "once": once})
        assert named(result, "none").n_retrains == 0
        assert named(result, "once").n_retrains == 1

    def test_its_cool_down_holds(self, lines):
        rule, line = Declared("slow", replace(ACTING, cool_down=days(60), trigger="schedule", every=days(3))), lines()
        for step in range(1, 10):
            rule.act(line, step, at(START + 3 * step))
        assert len(line.retrains) == 1
        assert "cool-down" in rule.decisions[-1].reasons[0]

    def test_its_breaker_opens_after_repairs_that_came_to_nothing(self, lines):
        eager = replace(
            ACTING, cool_down=hours(0), breaker=2, retrains=per_month(30), trigger="schedule", every=days(1)
        )
        rule, line = Declared("eager", eager), lines()
        for step in range(1, 6):
            rule.act(line, step, at(START + step))
        assert [each.choice for each in rule.decisions][-1] == "ask"
        assert line.n_rejected == 2

    def test_a_release_takes_the_time_of_its_ramp(self, lines):
        slow = replace(ACTING, ramp=Ramp(shadow=days(1), canary=days(2)), trigger="schedule", every=days(13))
        rule, line = Declared("slow", slow), lines()
        rule.act(line, 1, at(27))
        assert [change.at for change in line.changes] == [at(30)]

    def test_a_release_that_is_worse_is_taken_back(self, lines, monkeypatch):
        rule, line = Declared("doubtful", replace(ACTING, trigger="schedule", every=days(13))), lines()
        told = iter([True, True, False])
        passes = declared._Repairing._passes
        monkeypatch.setattr(declared._Repairing, "_passes", lambda *given: passes(*given) and next(told))
        rule.act(line, 1, at(27))
        assert [change.back for change in line.changes] == [False, True]
        assert (line.n_rollbacks, rule.done[0].outcome) == (1, "rolled_back")


class TestWhatWasKnown:
    def test_no_candidate_learns_from_a_label_that_came_later(self, changed):
        """A label that comes on day 30 changes nothing before it, however absurd it is."""
        history = read_history(changed.place, changed.project.model("minutes"), at(END), Assumed())
        late = history.row_at(at(20.0))
        known, absurd = history.known.copy(), history.y.copy()
        known[late], absurd[late] = to_us(at(30.0)), 1e6
        planted = [replace(history, known=known), replace(history, known=known, y=absurd)]
        for day, same in ((28.0, True), (34.0, False)):
            plain, odd = (Fits(each).window(at(day), None) for each in planted)
            assert np.array_equal(plain.predictions, odd.predictions) is same

    def test_no_finding_counts_a_label_before_it_is_known(self, lines):
        line = lines()
        reading = findings(line, at(20.0))[0].reading
        history = line.history
        window = (history.as_of >= to_us(at(START))) & (history.as_of < to_us(at(20.0) - hours(3)))
        assert reading.n == int((window & (history.known <= to_us(at(20.0)))).sum())

    def test_features_are_those_of_each_rows_own_time(self, changed):
        """What is replayed for a row is what training would have prepared at that instant, to the bit."""
        model = changed.project.model("minutes")
        whole = read_history(changed.place, model, at(END), Assumed())
        early = read_history(changed.place, model, at(20.0), Assumed())
        assert whole.raw[: early.raw.height].equals(early.raw)

    def test_a_row_that_its_source_delivered_late_counts_from_then_on(self, tmp_path):
        """All orders come two days after they happened; their arrivals are on file long before."""
        world = World(n_days=20, per_day=20)
        project = world.project()
        object.__setattr__(project.source("orders"), "available_at", days(2))
        perdure = Perdure(tmp_path, SETTINGS, project=project)
        perdure.tick(at=at(20))
        history = read_history(perdure.place, project.model("minutes"), at(20), Assumed())
        assert (history.known - history.as_of).min() == days(2) // timedelta(microseconds=1)

    def test_without_labels_nothing_is_evident_and_there_is_next_to_nothing_to_retrain_on(self, changed):
        """What was known when they ended is still there to be fitted on, once."""
        result = replayed(changed, label_delay="infinite")
        assert named(result, "on alarm").n_retrains == named(result, "declared").n_retrains == 0
        assert named(result, "always").n_retrains <= 1
        assert result.label_delay == "infinite"

    def test_labels_that_come_at_once_are_no_worse_than_late_ones(self, changed, result):
        at_once = replayed(changed, label_delay="0")
        late = replayed(changed, label_delay=days(6))
        errors = [named(each, "on alarm").error for each in (at_once, late)]
        assert errors[0] < errors[1]
        assert (at_once.label_delay, late.label_delay) == ("0s", "6d")


class TestFits:
    def test_policies_share_them(self, lines):
        first, second = lines(), lines()
        retrain(first, at(26))
        n_made = len(first.fits.made)
        retrain(second, at(26))
        assert len(second.fits.made) == n_made
        assert first.champion(at(27)) is second.champion(at(27))

    def test_a_stateful_line_uses_each_row_once(self, lines):
        line = lines()
        first = line.first
        second = line.fits.fresh(at(26), first)
        third = line.fits.fresh(at(32), second)
        new = third.used & ~second.used
        assert (second.used & ~first.used).sum() > 0
        assert new.sum() > 0
        assert line.history.as_of[new].min() > line.history.as_of[first.used].max()
        assert np.array_equal(third.used & second.used, second.used)


class TestMistakes:
    def test_a_stretch_without_rows_is_told_with_what_there_is(self, changed):
        with pytest.raises(DeclarationError, match="No labelled row lies between"):
            replayed(changed, start=at(90))

    def test_too_little_history_is_told(self, changed):
        with pytest.raises(NotReady, match="labelled rows known by"):
            replayed(changed, start=at(0.1))

    def test_a_step_of_no_length_is_refused(self, changed):
        with pytest.raises(DeclarationError, match="goes nowhere"):
            replayed(changed, step=days(0))

    def test_another_kind_of_file_is_refused(self, result, tmp_path):
        with pytest.raises(DeclarationError, match="neither a page nor a table"):
            write_backtest(result, tmp_path / "report.pdf")


class TestWhatIsWritten:
    def test_the_page_has_every_policy_and_the_plot(self, result, tmp_path):
        write_backtest(result, tmp_path / "b.html")
        page = (tmp_path / "b.html").read_text()
        assert all(f"<td>{each.name}</td>" in page for each in result.policies)
        assert page.count("<polyline") == 4

    def test_the_table_has_a_row_a_policy(self, result, tmp_path):
        write_backtest(result, tmp_path / "b.csv")
        rows = list(csv.DictReader((tmp_path / "b.csv").read_text().splitlines()))
        assert [row["policy"] for row in rows] == [each.name for each in result.policies]
        assert float(rows[0]["cost@1"]) == named(result, "never").costs[1.0]
        assert float(rows[1]["regret@3"]) == pytest.approx(named(result, "always").regrets[3.0])

    def test_the_command_tells_the_same_as_text_and_as_json(self, cli, tmp_path):
        cli("perdure init shop", tmp_path)
        shop = tmp_path / "shop"
        cli("perdure tick --at 2025-03-01", shop)
        words = "perdure backtest shop --from 2025-02-10 --to 2025-03-01 --step 6d --quiet 2025-02-10/2025-03-01"
        told, found = cli(words, shop).out, json.loads(cli(f"{words} --json", shop).out)
        assert [each["name"] for each in found["policies"]][:2] == ["never", "always"]
        for each in found["policies"]:
            line = next(line for line in told.splitlines() if line.startswith(f"{each['name']}  "))
            assert f"{each['error']:.4g}" in line
        assert "hindsight" in told
        assert "by week" in told

    def test_the_frame_of_weeks_is_in_order(self, result):
        weeks = pl.Series([week.start for week in named(result, "never").by_week])
        assert weeks.is_sorted()
