"""What every `Runs` guarantees, as tests. Subclass it and give the fixture `runs`:

    class TestMyRuns(RunsConformance):
        @pytest.fixture
        def runs(self, tmp_path):
            return MyRuns(tmp_path / "runs")

Needs pytest only.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from perdure.core.errors import Conflict, LostLease, NotFound
from perdure.core.runs import Claim, RunRecord, StepRecord, Wait, WaitAnswer
from perdure.core.usage import Usage
from perdure.stores.runs.protocols import Progress, Runs, Told, Wanted

SECOND = 1_000_000
ASSETS = ("support", "refunds")


def a_run(n: int = 1, **changes: Any) -> RunRecord:
    """A run of a caller's that has just begun; its id sorts by `n`."""
    run = RunRecord(
        id=f"run_{n:06d}",
        kind="agent",
        asset="support",
        version="support@000000000001",
        arm="champion",
        status="running",
        input=b'{"task": "Where is my parcel?"}',
        root=f"run_{n:06d}",
        served_us=n * SECOND,
        began_us=n * SECOND,
    )
    return msgspec.structs.replace(run, **changes)


def a_step(run: str, n: int, **changes: Any) -> StepRecord:
    """An entry that tells of a tool that reads."""
    step = StepRecord(
        run=run,
        n=n,
        kind="tool",
        state="done",
        node="tool:search_handbook",
        call=f"{n}.0",
        versions={"index:handbook": "handbook@000000000001:17"},
        input=b'{"query": "parcels"}',
        output=b'["Parcels take two days."]',
        began_us=n * SECOND,
        took_us=1500,
        facts={"search": f"s_{n}", "cached": False},
    )
    return msgspec.structs.replace(step, **changes)


def a_wait(run: str, n: int = 0, **changes: Any) -> Wait:
    """A question whether a reply may be sent."""
    wait = Wait(
        id=f"{run}.wait.{n}",
        run=run,
        asset="support",
        call=f"{n}.0",
        tool="send_reply",
        question="approve",
        text="May this reply be sent?",
        arguments=b'{"to": "ann"}',
        role="desk",
        asked_us=SECOND,
    )
    return msgspec.structs.replace(wait, **changes)


def yes(at_us: int = SECOND, **changes: Any) -> WaitAnswer:
    """A person says yes."""
    return msgspec.structs.replace(
        WaitAnswer(actor="ann", approves=True, reason="It is right.", at_us=at_us), **changes
    )


def begun(runs: Runs, run: RunRecord, worker: str = "one", until_us: int = 10 * SECOND) -> Claim:
    """Begin a run; its claim."""
    claim = runs.begin(run, worker, until_us)[1]
    assert claim is not None
    return claim


def ended(run: RunRecord, at_us: int = 5 * SECOND, **changes: Any) -> RunRecord:
    """The same run, over."""
    return msgspec.structs.replace(run, **({"status": "done", "output": b'"Tomorrow."', "ended_us": at_us} | changes))


def parked(runs: Runs, run: RunRecord, *waits: Wait) -> Claim:
    """Begin a run and let it wait; the claim that it had."""
    claim = begun(runs, run)
    assert runs.write([Progress(claim, waits=waits, run=msgspec.structs.replace(run, status="waiting"))]) == [True]
    return claim


def claimed(runs: Runs, now_us: int, worker: str = "two", most: int = 10) -> list[str]:
    """Ids of the runs that a worker gets."""
    return [each.run for each in runs.claim(worker, now_us, now_us + 10 * SECOND, ASSETS, most)]


class RunsConformance:
    """All that a store of runs guarantees."""

    @pytest.fixture
    def runs(self) -> Runs:
        """An empty store."""
        pytest.fail("Override the fixture `runs` with one that returns an empty store.")

    def test_what_is_written_comes_back_as_it_was_in_order(self, runs: Runs) -> None:
        """Every member survives, unknown prices and bytes that are no text too."""
        run = a_run(team="desk", user="u", key="k", tags={"channel": "mail"}, trace="00-1-2-01", depth=1)
        claim = begun(runs, run)
        usage = Usage(n_input=12, n_output=3)
        first = a_step(run.id, 0, kind="chat", usage=usage, cost_pusd=None, version="support@1", output=b"\x00\xff")
        second = a_step(run.id, 1, state="failed", error="tool.failed", text="It broke.", key="k1", facts={"loop": 0.5})
        third = a_step(run.id, 2, state="begun")
        wait = a_wait(run.id, expires_us=7)
        assert runs.write([Progress(claim, steps=[first, second])]) == [True]
        assert runs.write([Progress(claim, steps=[third], waits=[wait])]) == [True]
        told = runs.get(run.id)
        assert told.run == run
        assert list(told.steps) == [first, second, third]
        assert list(told.waits) == [wait]

    def test_an_unknown_run_or_question_is_not_found(self, runs: Runs) -> None:
        """Both are said, not answered with nothing."""
        with pytest.raises(NotFound):
            runs.get("run_x")
        with pytest.raises(NotFound):
            runs.answer("wait_x", yes())

    def test_a_run_is_begun_once_under_the_caller_s_key(self, runs: Runs) -> None:
        """Of one asset and key; the first comes back as it stands now."""
        claim = begun(runs, a_run(1, idempotency="i", key="k"))
        over = ended(a_run(1, idempotency="i", key="k"))
        runs.write([Progress(claim, run=over)])
        assert runs.begin(a_run(2, idempotency="i", key="k"), "one", 1) == (over, None)
        for n, changes in enumerate(
            ({"asset": "refunds", "key": "k"}, {"key": "other"}, {"key": "k", "idempotency": "j"})
        ):
            assert runs.begin(a_run(3 + n, **({"idempotency": "i"} | changes)), "one", 1)[1] is not None
        assert len(runs.list(Wanted())) == 4

    def test_runs_without_a_caller_s_key_are_all_begun(self, runs: Runs) -> None:
        """And no two have one id."""
        begun(runs, a_run(1))
        begun(runs, a_run(2))
        with pytest.raises(Conflict):
            runs.begin(a_run(2), "one", 1)

    def test_nothing_is_begun_below_a_run_that_is_over(self, runs: Runs) -> None:
        """What was begun before stays known: a run that is driven once more finds it."""
        claim = begun(runs, a_run(1))
        below = a_run(2, parent="run_000001", idempotency="child")
        begun(runs, below)
        runs.write([Progress(claim, run=ended(a_run(1), status="cancelled"))])
        with pytest.raises(LostLease):
            runs.begin(a_run(3, parent="run_000001"), "one", SECOND)
        assert runs.begin(a_run(4, parent="run_000001", idempotency="child"), "one", SECOND) == (below, None)

    def test_threads_that_begin_one_run_get_one(self, runs: Runs) -> None:
        """A caller who asks twice at once."""
        with ThreadPoolExecutor(8) as pool:
            told = list(pool.map(lambda n: runs.begin(a_run(n, idempotency="i"), f"w{n}", SECOND), range(16)))
        assert sum(claim is not None for _, claim in told) == 1
        assert len({run.id for run, _ in told}) == 1

    def test_only_who_has_the_claim_writes(self, runs: Runs) -> None:
        """A worker that lost it changes nothing: no entry, question or state; others in the same call are written."""
        old, other = begun(runs, a_run(1)), begun(runs, a_run(2), until_us=90 * SECOND)
        (new,) = runs.claim("two", 11 * SECOND, 20 * SECOND, ASSETS, 10)
        assert (new.run, new.worker, new.until_us) == (old.run, "two", 20 * SECOND)
        assert new.epoch > old.epoch
        late = Progress(old, [a_step(old.run, 0)], [a_wait(old.run)], ended(a_run(1)))
        fine = Progress(other, [a_step(other.run, 0)])
        assert runs.write([late, fine, Progress(new, [a_step(new.run, 0, text="mine")])]) == [False, True, True]
        told = runs.get(old.run)
        assert (told.run.status, [step.text for step in told.steps], list(told.waits)) == ("running", ["mine"], [])
        assert len(runs.get(other.run).steps) == 1

    def test_a_claim_that_ran_out_still_writes_until_another_takes_it(self, runs: Runs) -> None:
        """A slow worker that nobody replaced goes on."""
        claim = begun(runs, a_run(), until_us=SECOND)
        assert runs.write([Progress(claim, [a_step(claim.run, 0)])]) == [True]

    def test_entries_go_on_from_the_last(self, runs: Runs) -> None:
        """A journal has no gap and no second entry of one number, whoever writes."""
        claim = begun(runs, a_run())

        def write(*ns: int) -> list[bool]:
            return list(runs.write([Progress(claim, [a_step(claim.run, n) for n in ns])]))

        assert write(0, 1) == [True]
        assert [write(1), write(3), write(2, 4), write(2), write()] == [[False], [False], [False], [True], [True]]
        assert [step.n for step in runs.get(claim.run).steps] == [0, 1, 2]

    def test_one_call_may_write_to_one_run_twice(self, runs: Runs) -> None:
        """In the order of the call; what comes after its end is refused."""
        claim = begun(runs, a_run())
        steps = [Progress(claim, [a_step(claim.run, n)]) for n in range(2)]
        assert runs.write([*steps, Progress(claim, run=ended(a_run())), Progress(claim, [a_step(claim.run, 2)])]) == [
            *[True, True],
            *[True, False],
        ]
        assert len(runs.get(claim.run).steps) == 2

    def test_nothing_is_written_and_renewed_without_complaint(self, runs: Runs) -> None:
        """As an idle process does."""
        assert list(runs.write([])) == [] == list(runs.renew([], 1))
        assert list(runs.claim("two", 1, 2, [], 5)) == []

    def test_a_run_whose_worker_is_silent_is_taken_once(self, runs: Runs) -> None:
        """Not before its claim ran out, and by one of many workers."""
        for n in range(1, 13):
            begun(runs, a_run(n), until_us=10 * SECOND)
        assert claimed(runs, 10 * SECOND - 1) == []
        with ThreadPoolExecutor(6) as pool:
            got = list(pool.map(lambda n: claimed(runs, 10 * SECOND, f"w{n}", most=3), range(6)))
        assert sorted(run for each in got for run in each) == [f"run_{n:06d}" for n in range(1, 13)]

    def test_the_oldest_go_first_and_only_of_assets_that_are_asked_for(self, runs: Runs) -> None:
        """A process drives what it serves, and not more than it can."""
        for n, asset in ((1, "support"), (2, "unknown"), (3, "refunds"), (4, "support")):
            begun(runs, a_run(n, asset=asset), until_us=n)
        assert claimed(runs, SECOND, most=2) == ["run_000001", "run_000003"]
        assert claimed(runs, SECOND) == ["run_000004"]
        assert claimed(runs, SECOND) == []

    def test_a_renewed_claim_is_kept_and_a_lost_one_is_told(self, runs: Runs) -> None:
        """Of several at once, each for itself."""
        kept, lost = begun(runs, a_run(1), until_us=SECOND), begun(runs, a_run(2), until_us=SECOND)
        assert list(runs.renew([kept], 9 * SECOND)) == [True]
        assert claimed(runs, 2 * SECOND) == [lost.run]
        assert list(runs.renew([kept, lost], 8 * SECOND)) == [True, False]
        assert claimed(runs, 2 * SECOND, "three") == []

    def test_a_claim_that_is_given_back_is_nobody_s(self, runs: Runs) -> None:
        """From its instant on others may take the run; who gave it back writes nothing more."""
        back, lost = begun(runs, a_run(1), until_us=99 * SECOND), begun(runs, a_run(2), until_us=SECOND)
        assert claimed(runs, 2 * SECOND) == [lost.run]
        assert list(runs.let_go([back, lost], 5 * SECOND)) == [True, False]
        assert list(runs.let_go([], 5 * SECOND)) == []
        assert runs.write([Progress(back, [a_step(back.run, 0)])]) == [False]
        assert list(runs.renew([back], 9 * SECOND)) == [False]
        assert claimed(runs, 5 * SECOND - 1, "three") == []
        assert claimed(runs, 5 * SECOND, "three") == [back.run]

    def test_claims_that_ran_out_without_a_new_entry_are_counted(self, runs: Runs) -> None:
        """Who dies on a run leaves its claim; what was given back, waited, or got on counts for nothing."""
        run = a_run()
        claim = begun(runs, run, until_us=SECOND)

        def taken(now_s: int) -> Claim:
            (mine,) = runs.claim(f"w{now_s}", now_s * SECOND, (now_s + 1) * SECOND, ASSETS, 10)
            return mine

        assert claim.deaths == 0
        assert [taken(n).deaths for n in (1, 2)] == [1, 2]
        third = taken(3)
        runs.write([Progress(third, [a_step(run.id, 0)])])
        assert third.deaths == 3
        fourth = taken(4)
        assert fourth.deaths == 1
        assert list(runs.let_go([fourth], 5 * SECOND)) == [True]
        assert [taken(n).deaths for n in (5, 6)] == [1, 2]
        (last,) = runs.claim("w7", 7 * SECOND, 8 * SECOND, ASSETS, 10)
        runs.write([Progress(last, run=msgspec.structs.replace(run, status="waiting"))])
        assert [taken(n).deaths for n in (8, 9)] == [0, 1]

    def test_what_is_kept_of_a_run_takes_the_place_of_its_texts_with_its_end(self, runs: Runs) -> None:
        """All with the end or nothing; an answer that came meanwhile stays, and so does the record."""
        run = a_run()
        claim = begun(runs, run)
        steps, waits = [a_step(run.id, n) for n in range(3)], [a_wait(run.id, n) for n in range(2)]
        runs.write([Progress(claim, steps[:2], waits)])
        runs.answer(waits[1].id, yes())
        kept = Told(
            run,
            [msgspec.structs.replace(step, input=b"", output=b"[]") for step in steps],
            [msgspec.structs.replace(wait, text="", arguments=b"") for wait in waits],
        )
        short = Told(run, kept.steps[:2], kept.waits)
        assert runs.write([Progress(claim, steps[2:], run=ended(run), kept=short)]) == [False]
        assert runs.get(run.id).run.status == "running"
        assert runs.write([Progress(claim, steps[2:], run=ended(run), kept=kept)]) == [True]
        told = runs.get(run.id)
        assert (told.run, list(told.steps)) == (ended(run), list(kept.steps))
        assert told.waits[0] == kept.waits[0]
        assert told.waits[1].answer == yes()
        assert runs.prune(99 * SECOND, 10) == 1

    def test_a_run_that_waits_or_is_over_is_nobody_s(self, runs: Runs) -> None:
        """Its claim went back with the state: nothing more is written under it, and nobody takes it."""
        waits = parked(runs, a_run(1), a_wait("run_000001"))
        over = begun(runs, a_run(2))
        runs.write([Progress(over, run=ended(a_run(2)))])
        for claim in (waits, over):
            assert runs.write([Progress(claim, [a_step(claim.run, 0)])]) == [False]
        assert list(runs.renew([waits, over], 99 * SECOND)) == [False, False]
        assert claimed(runs, 10**6 * SECOND) == []
        assert [runs.get(each.run).run.status for each in (waits, over)] == ["waiting", "done"]

    def test_an_answer_lets_the_run_go_on(self, runs: Runs) -> None:
        """By whoever asks first, as a run that is driven."""
        claim = parked(runs, a_run(), a_wait("run_000001"))
        assert claimed(runs, SECOND) == []
        answer = yes(value=b'{"to": "bob"}')
        assert runs.answer("run_000001.wait.0", answer).answer == answer
        (new,) = runs.claim("two", SECOND, 9 * SECOND, ASSETS, 10)
        assert (new.run, new.epoch > claim.epoch) == (claim.run, True)
        told = runs.get(claim.run)
        assert (told.run.status, [each.answer for each in told.waits]) == ("running", [answer])
        assert claimed(runs, SECOND) == []

    def test_the_first_answer_counts(self, runs: Runs) -> None:
        """Of two people at once too; nor does the run that asks again change it."""
        claim = begun(runs, a_run())
        runs.write([Progress(claim, waits=[a_wait(claim.run)])])
        with ThreadPoolExecutor(4) as pool:
            said = list(
                pool.map(lambda n: runs.answer("run_000001.wait.0", yes(actor=f"p{n}", approves=n % 2 == 0)), range(8))
            )
        assert len({each.answer.actor for each in said if each.answer}) == 1
        assert runs.write([Progress(claim, waits=[a_wait(claim.run, text="Again?")])]) == [True]
        assert list(runs.get(claim.run).waits) == [said[0]]

    def test_an_answer_for_a_run_that_is_over_is_refused(self, runs: Runs) -> None:
        """Whoever says yes as it is called off must not believe that it is done; what was said before stands."""
        run = a_run()
        parked(runs, run, a_wait(run.id, 0), a_wait(run.id, 1))
        said = runs.answer(f"{run.id}.wait.0", yes())
        (mine,) = runs.claim("two", SECOND, 9 * SECOND, [], 1, run.id)
        runs.write([Progress(mine, run=ended(run, status="cancelled"))])
        assert runs.answer(f"{run.id}.wait.0", yes(actor="bob")) == said
        with pytest.raises(Conflict):
            runs.answer(f"{run.id}.wait.1", yes())
        assert runs.get(run.id).waits[1].answer is None

    def test_a_run_waits_for_all_its_questions(self, runs: Runs) -> None:
        """One that is asked and answered before the run parks counts."""
        run = a_run()
        claim = begun(runs, run)
        runs.write([Progress(claim, waits=[a_wait(run.id, 0), a_wait(run.id, 1)])])
        runs.answer(f"{run.id}.wait.0", yes())
        runs.write([Progress(claim, run=msgspec.structs.replace(run, status="waiting"))])
        assert claimed(runs, SECOND) == []
        runs.answer(f"{run.id}.wait.1", yes(approves=False))
        assert claimed(runs, SECOND) == [run.id]

    def test_a_run_that_parks_after_the_answer_goes_on_at_once(self, runs: Runs) -> None:
        """A person may be quicker than the process."""
        run = a_run()
        claim = begun(runs, run)
        runs.write([Progress(claim, waits=[a_wait(run.id)])])
        runs.answer(f"{run.id}.wait.0", yes())
        runs.write([Progress(claim, run=msgspec.structs.replace(run, status="waiting"))])
        assert claimed(runs, SECOND) == [run.id]

    def test_a_question_whose_time_is_over_is_a_no_for_good(self, runs: Runs) -> None:
        """The run goes on, and reads the same as everybody after."""
        parked(
            runs, a_run(), a_wait("run_000001", expires_us=30 * SECOND), a_wait("run_000001", 1, expires_us=20 * SECOND)
        )
        assert claimed(runs, 30 * SECOND - 1) == []
        assert claimed(runs, 30 * SECOND) == ["run_000001"]
        said = runs.answer("run_000001.wait.0", yes(29 * SECOND))
        assert said.answer is not None
        assert (said.answer.approves, said.answer.actor, said.answer.at_us) == (False, "perdure", 30 * SECOND)
        assert [each.answer is not None for each in runs.get("run_000001").waits] == [True, True]

    def test_an_answer_that_comes_too_late_is_a_no(self, runs: Runs) -> None:
        """Though nobody took the run in between."""
        parked(runs, a_run(), a_wait("run_000001", expires_us=30 * SECOND))
        said = runs.answer("run_000001.wait.0", yes(30 * SECOND)).answer
        assert said is not None
        assert not said.approves
        assert claimed(runs, SECOND) == ["run_000001"]

    def test_a_run_waits_for_the_runs_below_it(self, runs: Runs) -> None:
        """It is taken when the last of them is over; whichever of the two writes last."""
        for above, first in ((1, "child"), (3, "parent")):
            parent, child = a_run(above), a_run(above + 1, parent=f"run_{above:06d}", asset="refunds", depth=1)
            claims = {"parent": begun(runs, parent), "child": begun(runs, child)}
            states = {"parent": msgspec.structs.replace(parent, status="waiting"), "child": ended(child)}
            second = "parent" if first == "child" else "child"
            runs.write([Progress(claims[first], run=states[first])])
            assert claimed(runs, SECOND) == []
            runs.write([Progress(claims[second], run=states[second])])
            assert claimed(runs, SECOND) == [parent.id]

    def test_one_run_is_taken_from_whoever_has_it(self, runs: Runs) -> None:
        """As a person cancels it: one that waits, or one that another process drives; one that is over stays."""
        first = parked(runs, a_run(1), a_wait("run_000001"))
        second, third = begun(runs, a_run(2)), begun(runs, a_run(3))
        runs.write([Progress(third, run=ended(a_run(3)))])
        for claim in (first, second):
            (mine,) = runs.claim("two", SECOND, 9 * SECOND, [], 1, claim.run)
            assert runs.write([Progress(claim, [a_step(claim.run, 0)])]) == [False]
            over = ended(runs.get(claim.run).run, status="cancelled")
            assert runs.write([Progress(mine, run=over)]) == [True]
        assert list(runs.claim("two", SECOND, 9 * SECOND, [], 1, third.run)) == []
        assert list(runs.claim("two", SECOND, 9 * SECOND, [], 1, "run_x")) == []
        assert claimed(runs, 99 * SECOND) == []

    def test_runs_are_listed_newest_first_by_what_is_wanted(self, runs: Runs) -> None:
        """Each member narrows; pages follow each other; questions of runs that are over are not open."""
        begun(runs, a_run(1, team="desk"))
        begun(runs, a_run(2, asset="refunds", kind="graph"))
        begun(runs, a_run(3, replay_of="run_000001"))
        begun(runs, a_run(4, parent="run_000001"))
        parked(runs, a_run(5), a_wait("run_000005"))
        claim = parked(runs, a_run(6), a_wait("run_000006"))
        (claim,) = runs.claim("two", SECOND, SECOND, [], 1, claim.run)
        runs.write([Progress(claim, run=ended(a_run(6), status="cancelled"))])

        def numbers(**wanted: Any) -> list[int]:
            return [int(each.id[-6:]) for each in runs.list(Wanted(**wanted))]

        assert numbers() == [6, 5, 4, 2, 1]
        assert numbers(replays=None) == [6, 5, 4, 3, 2, 1]
        assert numbers(replays=True) == [3]
        assert (numbers(team="desk"), numbers(team=""), numbers(asset="refunds")) == ([1], [6, 5, 4, 2], [2])
        assert (numbers(kinds=["graph"]), numbers(parent="run_000001"), numbers(parent="")) == ([2], [4], [6, 5, 2, 1])
        assert (numbers(statuses=["waiting", "cancelled"]), numbers(waiting=True)) == ([6, 5], [5])
        assert (numbers(limit=2), numbers(limit=2, before="run_000005")) == ([6, 5], [4, 2])

    def test_old_runs_are_removed_with_all_that_belongs_to_them(self, runs: Runs) -> None:
        """Those that ended before; what waits or goes on stays, however old, with the runs below it."""
        over = [a_run(1), a_run(2), a_run(3, parent="run_000004")]
        for run, at_us in zip(over, (3 * SECOND, 5 * SECOND, SECOND), strict=True):
            claim = begun(runs, run)
            runs.write([Progress(claim, [a_step(run.id, 0)], [a_wait(run.id)], ended(run, at_us))])
        parked(runs, a_run(4), a_wait("run_000004"))
        assert runs.prune(5 * SECOND, 10) == 1
        assert [each.id for each in runs.list(Wanted())] == ["run_000004", "run_000003", "run_000002"]
        with pytest.raises(NotFound):
            runs.get("run_000001")
        with pytest.raises(NotFound):
            runs.answer("run_000001.wait.0", yes())
        assert len(runs.get("run_000002").steps) == 1
        assert (runs.prune(99 * SECOND, 0), runs.prune(99 * SECOND, 10), runs.prune(99 * SECOND, 10)) == (0, 1, 0)
        claim = begun(runs, a_run(9))
        assert runs.write([Progress(claim, [a_step(claim.run, 0)])]) == [True]
        assert [len(runs.get(claim.run).steps), len(runs.get(claim.run).waits)] == [1, 0]
