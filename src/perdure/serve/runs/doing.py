"""Calls of tools in one run: allowed, limited, approved, written down before and after, and never done twice in effect.

What a crash leaves is told by the journal alone. A call that is over is answered from it. One that was begun and has no end goes by the
effect of its tool: what reads is called again; `keyed` is called again under the same key; of `once` the tool is asked whether it
happened, and a person where it cannot tell. Before a run waits for a person every call that is under way comes to its end or asks too, so
that one answer of a model with three approvals is three questions at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from perdure.assets.tools import ToolTerms
from perdure.core.canonical import content_hash
from perdure.core.clock import machine_us, monotonic_s
from perdure.core.errors import LostLease, PerdureError, StoreError
from perdure.core.runs import Effect, RunRecord, StepRecord, StepState, Wait
from perdure.core.usage import picodollars
from perdure.engines.agents.looping import digest_of, find_loop
from perdure.serve.boundary import contained_async, is_cancelled
from perdure.serve.retrieval.callers import Caller
from perdure.serve.runs.fitting import misfit
from perdure.serve.runs.journaling import sound
from perdure.serve.runs.limiting import Limiter
from perdure.serve.runs.protocols import (
    Journal,
    Json,
    LimitHit,
    Offered,
    Parked,
    ToolAsked,
    Toolbox,
    ToolContext,
    ToolGave,
    World,
)
from perdure.serve.runs.showing import value_of
from perdure.serve.runs.standing import ASKED, OPEN, Standing, Standings, gave_of
from perdure.serve.runs.waiting import approval, happened_question, json_of

REFUSED = "tool.refused"
TIMED_OUT = "tool.timed_out"
UNDONE = "undone"
"""Member of `ToolGave.facts`: certainly nothing was done."""
ANSWERED_BY = "answered_by"
"""Member of `facts`: who said yes or no, or whether it happened."""
_NOT_CALLED = ("tool.unknown", "tool.bad_arguments", REFUSED)
_PASSES = (Parked, LimitHit, LostLease)
_PASSES_BELOW = (*_PASSES, StoreError)
"""A run below that could not be written down is no failure of its tool: the run goes on later."""
_PAUSE_S = 0.2
_TURNS = 4
"""Of the event loop, in which calls that were asked for side by side come to begin."""


@dataclass(frozen=True, slots=True, eq=False)
class Around:
    """What is around the calls of one run.

    Args:
        run: as it was begun.
        caller: who acts.
        world: what tools reach.
        expires_us: how long an approval waits; 0: for ever.
    """

    run: RunRecord
    caller: Caller
    world: World
    expires_us: int = 0


@dataclass(frozen=True, slots=True)
class _Call:
    """One call on its way."""

    asked: ToolAsked
    """With the arguments that a person changed, where one did."""
    terms: ToolTerms
    effect: Effect
    node: str
    key: str
    standing: Standing
    began_us: int
    facts: Mapping[str, str | int | float | bool]
    began_s: float = field(default_factory=monotonic_s)
    """What it takes is told by a clock that nobody sets."""


def key_of(run: RunRecord, call: str) -> str:
    """Idempotency key of a call: the same for every try on every machine, of no other call.

    >>> run = RunRecord(id="run_1", kind="agent", asset="a", version="a@1", arm="champion", status="running", input=b"")
    >>> key_of(run, "1.0") == key_of(run, "1.0"), key_of(run, "1.0") == key_of(run, "1.1")
    (True, False)
    """
    return content_hash([run.root or run.id, run.id, call])[:32]


def effect_of(offered: Offered | None) -> Effect:
    """Of a run below it is `keyed` at most: it is begun once under the call, whatever its terms say."""
    if offered is None:
        return "none"
    return "keyed" if _is_run(offered) and offered.terms.effect == "once" else offered.terms.effect


def _is_run(offered: Offered | None) -> bool:
    return offered is not None and offered.uses.startswith(("agent:", "graph:"))


class RunDoing:
    """The calls of one run (`Doing`). Cost: 60 µs of CPU a call besides the tool and the journal.

    Args:
        around: the run, and what tools reach.
        journal: of the run.
        limiter: of the run.
        toolbox: of its version.
    """

    def __init__(self, around: Around, journal: Journal, limiter: Limiter, toolbox: Toolbox) -> None:
        self._around = around
        self._journal = journal
        self._limiter = limiter
        self._toolbox = toolbox
        self._standings = Standings(journal)
        self._offered = {each.name: each for each in toolbox.offered}
        self._under_way: list[str] = []
        """Tools that are called now, one entry a call."""
        self._settled = asyncio.Event()

    async def do(self, asked: ToolAsked) -> ToolGave:
        """The result: of the journal where it is there, else of the tool; see `Doing.do`."""
        self._under_way.append(asked.name)
        self._settled.clear()
        try:
            try:
                return await self._do(asked)
            finally:
                self._under_way.remove(asked.name)
                if not self._under_way:
                    self._settled.set()
        except Parked:
            await self._wait_for_others()
            raise

    async def _wait_for_others(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        while self._under_way:
            await self._settled.wait()

    async def _do(self, asked: ToolAsked) -> ToolGave:
        standing = self._standings.of(asked.call)
        if standing.ended is not None:
            if standing.ended.error.startswith("limit."):
                raise LimitHit(standing.ended.error, standing.ended.text)
            return gave_of(standing.ended)
        call = self._call(asked, standing)
        if standing.n_begun and not self._did_not_happen(call):
            return await self._effected(call)
        try:
            with self._limiter.step(asked.call):
                return await (self._effected(call) if standing.n_begun else self._begin(call))
        except LimitHit as hit:
            await self._end(call, ToolGave(b"", hit.text, hit.why), 0)
            raise

    def _call(self, asked: ToolAsked, standing: Standing) -> _Call:
        offered = self._offered.get(asked.name)
        effect, key = effect_of(offered), ""
        begun = standing.begun
        if begun is not None:
            asked = replace(asked, arguments=_arguments(begun.input))
            key = begun.key
        elif effect != "none":
            same = digest_of(asked.arguments)
            key = self._standings.take_key(asked.name, same, asked.call) if effect == "keyed" else ""
            key = key or key_of(self._around.run, asked.call)
        node = f"tool:{asked.name}" if offered is None else offered.node
        terms = ToolTerms(tries=1) if offered is None else offered.terms
        facts = dict(begun.facts) if begun is not None else {}
        return _Call(asked, terms, effect, node, key, standing, machine_us(), facts)

    async def _begin(self, call: _Call) -> ToolGave:
        """A call that was not begun before: is it allowed, and does somebody say yes?"""
        self._check_calls(call)
        teams, team = call.terms.teams, self._around.caller.team
        if teams and (team is None or team.name not in teams):
            text = f"The tool {call.asked.name!r} is not allowed on behalf of this caller. Do not try it again."
            return await self._end(call, ToolGave(b"", text, REFUSED), 0)
        if call.terms.approve_by is not None or call.effect != "none":
            wrong = self._wrong(call.asked)
            if wrong:  # neither a person nor the disk is bothered with it
                return await self._end(call, ToolGave(b"", wrong, "tool.bad_arguments"), 0)
        if call.terms.approve_by is not None:
            said = await self._approved(call)
            if isinstance(said, ToolGave):
                return await self._end(call, said, 0)
            call = said
        return await self._effected(call)

    def _wrong(self, asked: ToolAsked) -> str:
        """What of the arguments does not fit their schema, in words; no value of them is told."""
        offered = self._offered.get(asked.name)
        if offered is None:
            return ""
        return misfit(offered, asked.arguments)

    def _check_calls(self, call: _Call) -> None:
        name, most = call.asked.name, call.terms.calls
        under_way = self._under_way.count(name) - 1
        n_calls = self._standings.n_calls[name] + under_way
        if most is not None and n_calls >= most:
            raise LimitHit("limit.calls", f"The tool {name!r} was called {n_calls} times of {most} in this run.")
        same_calls = self._limiter.limits.same_calls
        why = find_loop(self._standings.made, name, digest_of(call.asked.arguments), same_calls)
        if why:
            raise LimitHit("limit.loop", why)

    async def _approved(self, call: _Call) -> _Call | ToolGave:
        """The call as a person allowed it, or why not.

        Raises:
            Parked: nobody said anything yet.
        """
        wait = self._standings.wait(call.asked.call, "approve")
        if wait is None:
            await self._ask(
                call, approval(self._around.run, call.asked, call.terms, self._around.expires_us), "waiting"
            )
            raise Parked
        answer = wait.answer
        if answer is None:
            if not 0 < wait.expires_us <= machine_us():
                raise Parked
            return ToolGave(b"", f"Nobody answered in time whether {call.asked.name} may be called.", REFUSED)
        who = {ANSWERED_BY: answer.actor}
        if not answer.approves:
            text = f"A person said no to {call.asked.name}" + (f": {answer.reason}" if answer.reason else ".")
            return ToolGave(b"", text, REFUSED, facts=who)
        if not answer.value:
            return replace(call, facts=who)
        changed = {**who, ASKED: digest_of(call.asked.arguments)}
        return replace(call, asked=replace(call.asked, arguments=_arguments(answer.value)), facts=changed)

    async def _effected(self, call: _Call) -> ToolGave:
        """Do it, with what its effect asks for before and after."""
        if call.effect == "none":
            return await self._end(call, *await self._tried(call))
        if call.standing.n_begun == 0:
            await self._journal.write(self._entry(call, "begun"))
        elif call.effect == "once":
            if not self._did_not_happen(call):
                return await self._found_out(call)
            await self._journal.write(self._entry(call, "begun"))
        if call.effect == "keyed":
            gave, tries = await self._tried(call)
            if gave.error and gave.again and not gave.facts.get(UNDONE):
                text = (
                    f"{gave.text} It may have happened all the same; the same call again goes out under the same key."
                )
                gave = replace(gave, text=text, facts={**gave.facts, OPEN: True})
            return await self._end(call, gave, tries)
        gave = await self._tried_once(call)
        if gave.error and gave.again and not gave.facts.get(UNDONE):
            return await self._found_out(call)
        return await self._end(call, gave, 1)

    def _did_not_happen(self, call: _Call) -> bool:
        """Whether a person said of the last beginning that nothing happened: then it is begun once more, within the limits."""
        wait = self._question(call) if call.effect == "once" else None
        return wait is not None and wait.answer is not None and not wait.answer.approves

    async def _found_out(self, call: _Call) -> ToolGave:
        """What became of an effect that was begun and may not be done again: by its tool, else by a person.

        Raises:
            Parked: nobody knows yet.
        """
        wait = self._question(call)
        if wait is None:
            gave = await contained_async(
                partial(self._toolbox.happened, call.asked, self._context(call)), _nobody_knows
            )
            if gave is not None:
                return await self._end(call, replace(gave, facts={**gave.facts, "found_out": True}), 1)
            number = self._standings.of(call.asked.call).n_begun
            await self._ask(call, happened_question(self._around.run, call.asked, call.terms, number), "unknown")
            raise Parked
        if wait.answer is None or not wait.answer.approves:
            raise Parked
        value = wait.answer.value or b'{"happened": true}'
        gave = ToolGave(
            value, value.decode(errors="replace"), facts={ANSWERED_BY: wait.answer.actor, "found_out": True}
        )
        return await self._end(call, gave, 1)

    def _question(self, call: _Call) -> Wait | None:
        """Whether the last beginning of a call happened, where it was asked."""
        wait = self._standings.wait(call.asked.call, "happened")
        number = self._standings.of(call.asked.call).n_begun
        asked = happened_question(self._around.run, call.asked, call.terms, number)
        return wait if wait is not None and wait.id == asked.id else None

    async def _ask(self, call: _Call, wait: Wait, state: StepState) -> None:
        await self._journal.write(self._entry(call, state, ToolGave(b"", wait.text)), waits=(wait,))

    async def _tried(self, call: _Call) -> tuple[ToolGave, int]:
        """What it gave, tried again where it failed for now; and the tries."""
        for n in range(1, call.terms.tries + 1):
            gave = await self._tried_once(call)
            if not (gave.error and gave.again) or n == call.terms.tries or self._limiter.left_s() <= 0.0:
                return gave, n
            await asyncio.sleep(min(_PAUSE_S * 2 ** (n - 1), self._limiter.left_s()))
        raise AssertionError("a tool has one try at least")

    async def _tried_once(self, call: _Call) -> ToolGave:
        seconds, is_run = self._limiter.left_s(), _is_run(self._offered.get(call.asked.name))
        if not is_run:  # which has limits of its own, and may wait for a person
            seconds = min(seconds, call.terms.timeout.total_seconds())
        try:
            async with asyncio.timeout(seconds):
                tried = partial(self._toolbox.call, call.asked, self._context(call))
                return await contained_async(tried, partial(_broke, passes=_PASSES_BELOW if is_run else _PASSES))
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise
            return await _broke(RuntimeError(str(error)))
        except TimeoutError:
            return ToolGave(b"", f"{call.asked.name} gave nothing within {seconds:.3g} s.", TIMED_OUT, again=True)

    def _context(self, call: _Call) -> ToolContext:
        around = self._around
        key, approved = call.key or key_of(around.run, call.asked.call), bool(call.facts.get(ANSWERED_BY))
        return ToolContext(around.run, around.caller, key, around.world, self._journal.steps, approved)

    async def _end(self, call: _Call, gave: ToolGave, tries: int) -> ToolGave:
        """Write down what it gave."""
        if gave.error not in _NOT_CALLED and not gave.error.startswith("limit."):
            gave = replace(gave, cost_pusd=gave.cost_pusd + picodollars(call.terms.cost_usd))
        if tries > 1:
            gave = replace(gave, facts={**gave.facts, "tries": tries})
        gave = replace(gave, text=sound(gave.text), facts={**call.facts, **gave.facts})
        refused = gave.error == REFUSED or gave.error.startswith("limit.")
        await self._journal.write(self._entry(call, "refused" if refused else "failed" if gave.error else "done", gave))
        return gave

    def _entry(self, call: _Call, state: StepState, gave: ToolGave | None = None) -> StepRecord:
        """An entry of a call; its text is what the model reads, where that is not what it gave as it is."""
        gave = ToolGave(b"", "", facts=call.facts) if gave is None else gave
        offered = self._offered.get(call.asked.name)
        is_same = not gave.error and gave.text.encode(errors="replace") == gave.value
        return StepRecord(
            run=self._around.run.id,
            n=0,
            kind="tool",
            state=state,
            node=call.node,
            call=call.asked.call,
            key=call.key if state != "refused" else "",
            version="" if offered is None else gave.versions.get(offered.uses, ""),
            versions=gave.versions,
            input=json_of(call.asked.arguments),
            output=gave.value,
            error=gave.error,
            text="" if is_same else gave.text,
            began_us=call.began_us,
            took_us=int((monotonic_s() - call.began_s) * 1e6),
            cost_pusd=gave.cost_pusd,
            facts=gave.facts,
        )


async def _broke(error: Exception, passes: tuple[type[Exception], ...] = _PASSES) -> ToolGave:
    """The toolbox itself failed: nobody knows what was done."""
    if isinstance(error, passes):
        raise error
    why = error.message if isinstance(error, PerdureError) else type(error).__name__
    return ToolGave(b"", f"The tool failed: {why}", "tool.failed", again=True)


async def _nobody_knows(error: Exception) -> ToolGave | None:
    if isinstance(error, _PASSES):
        raise error
    return None


def _arguments(data: bytes) -> Json:
    """An object from JSON; whatever else a person may have written is given under `value`, which the tool's schema judges."""
    found = value_of(data)
    return found if isinstance(found, dict) else {"value": found}
