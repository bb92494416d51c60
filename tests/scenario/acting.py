"""A small world for runs: tools that do things to it and may die on the way, and a driver that goes by a script."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

from msgspec.structs import replace

from perdure.assets.agent import RunLimits
from perdure.assets.tools import ToolTerms
from perdure.core.canonical import bytes_hash, canonical_json
from perdure.core.clock import machine_us
from perdure.core.runs import RunRecord, StepRecord
from perdure.core.usage import Usage
from perdure.serve.retrieval.callers import Caller
from perdure.serve.runs.doing import Around, RunDoing
from perdure.serve.runs.journaling import InMemory, RunJournal
from perdure.serve.runs.limiting import Limiter
from perdure.serve.runs.protocols import Ended, LimitHit, Offered, ToolAsked, ToolGave

NOBODY = Caller("", None)


class Killed(BaseException):
    """The process died here."""


def new_run(id_="run_1", script=(), **given):
    """A run of the agent `desk` that a `Scripted` driver drives."""
    told = {"kind": "agent", "asset": "desk", "version": "desk@1", "arm": "champion", "status": "running", "root": id_}
    return RunRecord(
        id=id_, input=json.dumps({"script": list(script)}).encode(), began_us=machine_us(), **{**told, **given}
    )


def offered(name, uses="", **terms):
    """A tool as a model sees it."""
    return Offered(name, f"Does {name}.", {"type": "object"}, ToolTerms(**terms), f"tool:{name}", uses)


def gave(value, error="", **more):
    """What a tool gives: JSON, and the same as text."""
    data = json.dumps(value).encode()
    return ToolGave(data, data.decode(), error, **more)


@dataclass
class Tools:
    """Tools of a test (a `Toolbox`): each a function of the call and its context, plain or async."""

    offered: list
    does: dict = field(default_factory=dict)
    knows: dict = field(default_factory=dict)
    """Tool → what `happened` says."""
    calls: list = field(default_factory=list)

    async def call(self, asked, context):
        """Do it."""
        self.calls.append((asked.name, json.dumps(asked.arguments, sort_keys=True), context.key))
        if asked.name not in self.does:
            return gave(None, "tool.unknown")
        done = self.does[asked.name](asked, context)
        return await done if asyncio.iscoroutine(done) else done

    async def happened(self, asked, context):
        """What the tool can tell of it."""
        known = self.knows.get(asked.name)
        return known(asked, context) if known is not None else None


class Hands:
    """The calls of one run in memory: `again()` is another process that takes the run over."""

    def __init__(self, tools, *, limits=None, run=None, caller=NOBODY, steps=(), waits=(), world=None):
        self.tools, self.caller, self.world = tools, caller, world
        self.limits, self.run = limits or RunLimits(), run or new_run()
        self.events = []
        self.journal = RunJournal(self.run.id, InMemory(), None, steps, waits, self.events.append)
        self.limiter = Limiter(self.limits, self.journal)
        self.doing = RunDoing(Around(self.run, caller, world), self.journal, self.limiter, tools)

    def again(self, **answers):
        """The same run as its journal stands, in another process; questions by `call=WaitAnswer` are answered."""
        from msgspec.structs import replace

        waits = [
            replace(each, answer=answers[each.call]) if each.call in answers and each.answer is None else each
            for each in self.journal.waits
        ]
        given = {"limits": self.limits, "run": self.run, "caller": self.caller, "world": self.world}
        return Hands(self.tools, **given, steps=self.journal.steps, waits=waits)

    def do(self, name, arguments=None, call="0.0"):
        """One call, to its end."""
        return asyncio.run(self.doing.do(ToolAsked(name, arguments or {}, call)))

    def states(self, call="0.0"):
        """What the journal says of a call."""
        return [step.state for step in self.journal.steps if step.call == call]


class Scripted:
    """A driver (`Driver`) that goes by `input.script`: for each answer of a model, the calls that it asks for side by side.

    Each call is `[tool, arguments]`. What every call gave is the output.
    """

    def __init__(self, chat_s=0.0):
        self.chat_s = chat_s
        self.asked = []
        """Requests that no journal and no record answered."""

    async def drive(self, driven):
        """From where the journal stands."""
        script = json.loads(driven.run.input)["script"]
        output = {}
        for number, calls in enumerate(script):
            try:
                await self._chat(driven, number, output)
                asked = [ToolAsked(name, given, f"{number}.{place}") for place, (name, given) in enumerate(calls)]
                results = await asyncio.gather(*(driven.doing.do(each) for each in asked), return_exceptions=True)
            except LimitHit as hit:
                return Ended("limited", json.dumps(output).encode(), hit.why, hit.text)
            for each, result in zip(asked, results, strict=True):
                if isinstance(result, LimitHit):
                    return Ended("limited", json.dumps(output).encode(), result.why, result.text)
                if isinstance(result, BaseException):
                    raise result
                output[each.call] = [result.text, result.error]
        return Ended("done", json.dumps(output).encode())

    async def _chat(self, driven, number, seen):
        """An answer that depends on what was seen: of the journal, of the record of a replay, or new."""
        call = f"chat.{number}"
        if any(step.call == call for step in driven.journal.steps):
            return
        driven.limits.check()
        request = canonical_json({"n": number, "seen": seen})
        recorded = None if driven.replayer is None else driven.replayer.chat(request)
        if recorded is not None:
            await driven.journal.write(replace(recorded, call=call))
            return
        self.asked.append(number)
        began_us = machine_us()
        await asyncio.sleep(self.chat_s)
        given = {"version": driven.run.swaps.get("prompt:desk", "desk@1"), "facts": {"request": bytes_hash(request)}}
        await driven.journal.write(chat_step(call, began_us=began_us, output=request, **given))


def chat_step(call, *, tokens=10, pusd=1_000_000, began_us=0, **given):
    """What a model answered, as a driver writes it."""
    return StepRecord(
        run="", n=0, kind="chat", state="done", node="prompt:desk", call=call, began_us=began_us,
        usage=Usage(n_input=tokens), cost_pusd=pusd, **given,
    )  # fmt: skip
