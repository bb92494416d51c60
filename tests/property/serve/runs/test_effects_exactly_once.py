"""Whatever dies, and wherever: each effect of a run happens exactly once, and the run ends as if nothing had died."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

from acting import NOBODY, Hands, Killed, Scripted, Tools, gave, new_run, offered
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.assets.agent import RunLimits
from perdure.core.runs import WaitAnswer
from perdure.serve.runs.journaling import InMemory
from perdure.serve.runs.protocols import Driven, Parked

LIMITS = RunLimits(steps=1000, same_calls=1000)
TOOLS = {
    "look": {"effect": "none"},
    "keyed": {"effect": "keyed"},
    "once": {"effect": "once"},
    "known": {"effect": "once"},
    "asked": {"effect": "once", "approve_by": "boss"},
    "asked_keyed": {"effect": "keyed", "approve_by": "boss"},
}
calls = st.tuples(st.sampled_from(sorted(TOOLS)), st.integers(0, 3).map(lambda n: {"n": n})).map(list)
scripts = st.lists(st.lists(calls, min_size=1, max_size=3), min_size=1, max_size=4)


class Desk:
    """What the tools change, and a fate that kills at some of the places where a process may die."""

    def __init__(self, kills):
        self.kills = iter(kills)
        self.done = Counter()
        self.n_killed = 0

    def may_die(self):
        if next(self.kills, False):
            self.n_killed += 1
            raise Killed

    def act(self, asked, context):
        """A service: what comes under a key that it knows changes nothing more."""
        self.may_die()
        if TOOLS[asked.name]["effect"] == "keyed":
            self.done[context.key] = 1
        elif TOOLS[asked.name]["effect"] == "once":
            self.done[asked.call] += 1
        self.may_die()
        return gave([asked.name, asked.arguments])

    def tools(self):
        knows = {"known": lambda asked, context: gave(["known", asked.arguments]) if self.done[asked.call] else None}
        return Tools([offered(name, **terms) for name, terms in TOOLS.items()], dict.fromkeys(TOOLS, self.act), knows)

    def says(self, wait, refused):
        """What a person says, who looks before he does."""
        if wait.question == "approve":
            return WaitAnswer(actor="anna", approves=wait.call not in refused, reason="no", at_us=1)
        happened = self.done[wait.call] > 0
        value = json.dumps([wait.tool, json.loads(wait.arguments)]).encode() if happened else b""
        return WaitAnswer(actor="anna", approves=happened, reason="", at_us=1, value=value)


class Mortal(InMemory):
    """A journal whose process may die before an entry is durable, and right after."""

    def __init__(self, desk):
        self.desk = desk

    async def keep(self, journal, entry):
        self.desk.may_die()
        await super().keep(journal, entry)
        self.desk.may_die()


def drive(desk, script, refused):
    """Drives, each of another process, until the run is over; and how it ended."""
    hands = Hands(desk.tools(), run=new_run(script=script), limits=LIMITS)
    for _ in range(300):
        hands.journal._keeps = Mortal(desk)
        driven = Driven(
            hands.run, None, hands.journal, hands.doing, hands.tools, NOBODY, None, hands.limiter, streams=False
        )
        try:
            return asyncio.run(Scripted().drive(driven)), hands
        except (Killed, Parked):
            answers = {wait.call: desk.says(wait, refused) for wait in hands.journal.waits if wait.answer is None}
            hands = hands.again(**answers)
    raise AssertionError("the run did not end")


@settings(max_examples=150)
@given(scripts, st.lists(st.booleans(), max_size=60), st.sets(st.sampled_from(["0.0", "0.1", "1.0", "2.0"])))
def test_any_kills_leave_each_effect_done_once_and_the_same_end(script, kills, refused):
    calm, killed = Desk([]), Desk(kills)
    expected, _ = drive(calm, script, refused)
    ended, hands = drive(killed, script, refused)
    assert killed.done == calm.done
    assert set(killed.done.values()) <= {1}
    assert json.loads(ended.output) == json.loads(expected.output)
    ends = Counter(step.call for step in hands.journal.steps if step.state in ("done", "failed", "refused"))
    assert set(ends.values()) == {1}, "each call and each answer ends once"
    assert [step.n for step in hands.journal.steps] == list(range(len(hands.journal.steps)))


@settings(max_examples=40)
@given(scripts, st.integers(0, 40))
def test_a_run_that_is_over_is_driven_again_without_any_effect(script, n):
    desk = Desk([n % 2 == 0 for n in range(n)])
    ended, hands = drive(desk, script, set())
    before = desk.done.copy(), len(hands.journal.steps)
    hands = hands.again()
    driven = Driven(
        hands.run, None, hands.journal, hands.doing, hands.tools, NOBODY, None, hands.limiter, streams=False
    )
    again = asyncio.run(Scripted().drive(driven))
    assert (again, desk.done, len(hands.journal.steps)) == (ended, *before)
