"""Processes that drive runs over one store, with what they told to the capture log."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from acting import NOBODY, Scripted, Tools, gave, new_run, offered

from perdure.assets.agent import RunLimits
from perdure.core.clock import machine_us
from perdure.core.runs import WaitAnswer
from perdure.serve.runs.going import Parts, Prepared
from perdure.serve.runs.protocols import ToolGave
from perdure.serve.runs.running import Runtime, Served, Terms
from perdure.stores.runs.sqlite import SqliteRuns


class Log:
    """What was told to the capture log."""

    def __init__(self):
        self.told = []

    def append(self, event):
        self.told.append(event)
        return True


@dataclass
class Desk:
    """A store, tools, and the processes that drive runs over them."""

    store: SqliteRuns
    tools: Tools = field(default_factory=lambda: Tools([offered("look")], {"look": lambda a, c: gave(a.arguments)}))
    limits: RunLimits = field(default_factory=RunLimits)
    keeps: str = "redacted"
    log: Log = field(default_factory=Log)
    driver: object = field(default_factory=Scripted)
    prepare: object = None
    ttl_s: float = 5.0

    def process(self, **terms):
        """A process that runs go on in."""

        async def prepare(run):
            return Prepared(None, self.tools, self.limits, self.keeps)

        parts = Parts(
            {"agent": self.driver}, self.prepare or prepare, lambda run: NOBODY, self, self.log,
            lambda text: text.replace("a@b.c", "[email]"),
        )  # fmt: skip
        served = Served(lambda: ["desk", "helper"], lambda kind, asset, parent: (f"{asset}@1", "champion"))
        runtime = Runtime(self.store, parts, served, Terms(**{"poll_s": 0.02, "ttl_s": self.ttl_s, **terms}))
        self.child = runtime.child
        return runtime

    async def driven(self, asked):
        """A run that is begun, and waited for, in a process of its own."""
        runtime = self.process()
        await runtime.begin(asked)
        done = await runtime.wait(asked.id, 5)
        await runtime.stop()
        return done

    async def over(self, *ids, begins=None):
        """A process that takes runs up until these are over; `begins`: one that it begins itself."""
        runtime = self.process()
        runtime.start()
        if begins is not None:
            await runtime.begin(begins)
        await until(lambda: all(self.store.get(each).run.ended for each in ids))
        await runtime.stop()

    def crowd(self, pause_s):
        """Tools `look` take a while; gives how many were at work, each time that one began."""
        at_work, most = set(), []

        async def look(asked, context):
            at_work.add(context.run.id)
            most.append(len(at_work))
            await asyncio.sleep(pause_s)
            at_work.remove(context.run.id)
            return gave("ok")

        self.tools.does["look"] = look
        return most

    def helped(self, *chats):
        """A tool that begins a run of the helper below, which makes these chats; gives what that gave."""

        async def helped(asked, context):
            below = await self.child("agent", "helper", {"script": list(chats)}, context.run, asked.call)
            return ToolGave(below.output, below.status)

        return helped

    def has_helper_who_asks(self):
        """The tools are then a helper, and one that a person has to allow him."""
        self.tools = Tools(
            [offered("help", uses="agent:helper"), offered("send", effect="keyed", approve_by="boss")],
            {"help": self.helped([["send", {}]]), "send": lambda a, c: gave("sent")},
        )


def scripted(*calls, id_="run_1", **given):
    """A run that makes calls, one after the other."""
    return new_run(id_, [[each] for each in calls], **given)


def yes(reason="", value=b""):
    """A person allows it."""
    return WaitAnswer(actor="anna", approves=True, reason=reason, at_us=machine_us(), value=value)


def run(work):
    """To its end, within a time."""

    async def bounded():
        async with asyncio.timeout(20):
            return await work

    return asyncio.run(bounded())


async def until(true):
    """Wait until something is true."""
    while not true():  # noqa: ASYNC110 - what is waited for stands in a store
        await asyncio.sleep(0.005)
