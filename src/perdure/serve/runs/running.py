"""Runs of this process: begun, driven in the background, parked, called off, taken over from the dead. No HTTP here.

Called by the HTTP of runs, by tests, and by whoever runs agents without a server. Everything that outlives the process stands in the
store; here is only what goes on now. A run that waits for a person has no task and no memory here: whichever process sees first that it
can go on claims it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import msgspec

from perdure.core.clock import machine_us
from perdure.core.errors import LimitReached, LostLease, NotFound, NotReady
from perdure.core.runs import Claim, RunRecord, Wait, WaitAnswer
from perdure.serve.boundary import contained_async
from perdure.serve.runs.children import child_run, child_step, waited_us
from perdure.serve.runs.going import (
    CALLED_OFF,
    MOST_DEATHS,
    SUSPECT,
    Going,
    Parts,
    called_off,
    go,
    poisoned,
    settle,
    waited,
)
from perdure.serve.runs.hearing import Heard, Hearers, Listening
from perdure.serve.runs.journaling import JournalWriter, RunJournal, lost_claim
from perdure.serve.runs.protocols import Ended, Json, Parked
from perdure.serve.runs.terms import Begun, Served, Terms, worker_name
from perdure.stores.runs.protocols import Runs, Told, Wanted

__all__ = ["Begun", "Runtime", "Served", "Terms", "worker_name"]

log = logging.getLogger("perdure.serve")

_POLL_S = 0.2
"""How often a run that is driven elsewhere is asked for."""
_WAITING_RATIO = 4
"""Runs that may wait for their turn, times those that are driven at once."""
_STOP_S = 10.0
"""A drive that does not end for so long is left behind; its claim runs out."""
_MOST_CLAIMED = 16
BELOW_AN_END = "The run above it is over."
_MOST_BELOW = 1000
"""Runs below one that are called off together; then the next."""
_THREADS = 4
Answer = TypeVar("Answer")


@dataclass(slots=True, eq=False)
class Runtime:
    """The runs of one process; used on one event loop.

    `parts.world` begins runs below by `child`.

    Args:
        runs: the store.
        parts: what runs are driven with.
        served: what is served here.
        terms: how many, how often.
        worker: name of this process in claims.
    """

    runs: Runs
    parts: Parts
    served: Served
    terms: Terms = field(default_factory=Terms)
    worker: str = field(default_factory=worker_name)
    _going: dict[str, Going] = field(default_factory=dict)
    _hearers: Hearers = field(default_factory=Hearers)
    _writer: JournalWriter = field(init=False)
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_THREADS, "perdure-runs-store"))
    _turns: asyncio.Semaphore = field(init=False)
    _poked: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    _loops: list[asyncio.Task[None]] = field(default_factory=list)
    _is_stopping: bool = False

    def __post_init__(self) -> None:
        self.parts = replace(self.parts, find=self.get)
        self._writer = JournalWriter(self.runs)
        self._turns = asyncio.Semaphore(self.terms.most_at_once)

    @property
    def n_going(self) -> int:
        """Runs that go on here, those that wait for their turn and those below others too."""
        return len(self._going)

    def start(self) -> None:
        """Hold claims, and take over what can go on, from now on."""
        self._loops = [asyncio.create_task(each()) for each in (self._renew, self._resume)]

    async def stop(self) -> None:
        """End all drives where they are, write what they gave to be written, and then give every claim back: another process goes on at once.

        A drive that does not end keeps its claim, for it may be at work; that runs out.
        """
        self._is_stopping = True
        self._poked.set()
        for loop in self._loops[:1]:
            loop.cancel()  # of claims; what takes over ends by itself, for it may have just claimed
        going = list(self._going.values())
        for each in going:
            each.end("stop")
        tasks = [each.task for each in going if each.task is not None]
        waited = [*tasks, *self._loops, *self._tasks]
        if waited:
            await asyncio.wait(waited, timeout=_STOP_S)
        for loop in self._loops:
            loop.cancel()
        await self._writer.close()
        claims = [each.journal.claim for each in going if each.over.is_set() and each.journal.claim is not None]
        await contained_async(partial(self._ask, self.runs.let_go, claims, 0), _logged)

    async def begin(self, run: RunRecord, *, listens: bool = False) -> Begun:
        """A new run, driven in the background; of a known idempotency key the run that there is.

        Raises:
            LimitReached: too many wait for their turn here.
            NotReady: this process stops.
            StoreFull: no room for its journal.
        """
        if self._is_stopping:
            raise NotReady("This process stops, and begins no run.", hint="Ask again: another process answers.")
        most = self.terms.most_at_once * (1 + _WAITING_RATIO)
        if not run.parent and self.n_going >= most:
            raise LimitReached(
                f"{self.n_going} runs go on or wait for their turn here, of {most}.",
                hint="Ask again later, or raise [agents] most_at_once.",
            )
        return await asyncio.shield(self._begin(run, listens=listens))  # what is claimed is driven, whoever hangs up

    async def _begin(self, run: RunRecord, *, listens: bool) -> Begun:
        begun, claim = await self._ask(self.runs.begin, run, self.worker, self._until_us())
        listening = self.listen(begun.id) if listens else None
        if claim is not None and self._is_stopping:
            await self._ask(self.runs.let_go, [claim], 0)
        elif claim is not None:
            self._start(begun, claim)
        elif listening is not None and begun.id not in self._going:
            listening.end()
        return Begun(begun, claim is not None, listening)

    async def child(self, kind: str, asset: str, input_: Json, parent: RunRecord, call: str) -> RunRecord:
        """A run below a run that is driven here; see `World.child`. What it took is written to the journal above, once."""
        above = self._going.get(parent.id)
        if above is None or above.limiter is None or self._is_stopping:
            raise lost_claim(parent.id)
        above.limiter.check_depth()
        above.has_below = True
        run = await self._followed(await self._begun_below(kind, asset, input_, parent, call), above)
        if not run.ended:
            raise Parked
        if not any(step.kind == "child" and step.call == call for step in above.journal.steps):
            await above.journal.write(child_step(run, call, waited_us(await self.get(run.id))))
        return run

    async def _begun_below(self, kind: str, asset: str, input_: Json, parent: RunRecord, call: str) -> RunRecord:
        """A new run below, or the one that there is, also where its asset answers no more."""
        run = child_run(parent, (kind, asset, "", ""), input_, call)
        if self._going[parent.id].n_found:
            for known in await self.list(Wanted(parent=parent.id, replays=None, limit=_MOST_BELOW)):
                if known.idempotency == run.idempotency:
                    return known
        version, arm = self.served.choose(kind, asset, parent)
        return (await self.begin(msgspec.structs.replace(run, version=version, arm=arm))).run

    async def get(self, run: str) -> Told:
        """A run with its journal, as the store has it.

        Raises:
            NotFound: there is none.
        """
        return await self._ask(self.runs.get, run)

    async def list(self, wanted: Wanted) -> Sequence[RunRecord]:
        """Runs, newest first."""
        return await self._ask(self.runs.list, wanted)

    def listen(self, run: str) -> Listening:
        """Hear what a run does in this process from now on. `leave` when done."""
        return self._hearers.listen(run)

    def leave(self, run: str, listening: Listening) -> None:
        """Hear it no more; the run goes on."""
        self._hearers.leave(run, listening)

    async def wait(self, run: str, timeout_s: float) -> RunRecord:
        """The run once it is over or waits for a person, or as it stands when the time is over.

        Raises:
            NotFound: there is none.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + timeout_s
        while True:
            going = self._going.get(run)
            left_s = max(0.0, until_s - loop.time())
            if going is not None:
                await waited(going.over, left_s)
            found = (await self.get(run)).run
            if found.status != "running" or loop.time() >= until_s:
                return found
            if run not in self._going:
                await asyncio.sleep(min(_POLL_S, max(0.0, until_s - loop.time())))

    async def answer(self, wait: str, answer: WaitAnswer) -> Wait:
        """Answer a question; the first answer counts, and comes back. The run goes on here or elsewhere.

        Raises:
            NotFound: there is no such question.
        """
        answered = await self._ask(self.runs.answer, wait, answer)
        self._poked.set()
        return answered

    async def cancel(self, run: str, why: str = CALLED_OFF) -> RunRecord:
        """Call a run off wherever it is, and the runs below it; one that is over stays as it is.

        What it has begun and not ended is told as unknown.

        Raises:
            NotFound: there is none.
        """
        going = self._going.get(run)
        if going is not None:
            going.called_off = why
            going.end("cancel")
            await waited(going.over, _STOP_S)
        while not await self._taken_and_ended(run, why):
            log.info("The run %s was claimed by another worker while it was called off here.", run)
        await self._cancel_below(run, why)
        return (await self.get(run)).run

    async def _cancel_below(self, run: str, why: str) -> None:
        wanted = Wanted(parent=run, statuses=("running", "waiting"), replays=None, limit=_MOST_BELOW)
        while below := await self.list(wanted):
            for each in below:
                await self.cancel(each.id, why)

    async def _taken_and_ended(self, run: str, why: str) -> bool:
        """Whether a run is over, ended here if it was not: its claim is taken from whoever drives it. False: another took it meanwhile."""
        claims = await self._ask(self.runs.claim, self.worker, machine_us(), self._until_us(), [], 1, run)
        told = await self.get(run)
        if not claims:
            return True
        try:
            await self._ended(claims[0], told, called_off(why))
        except LostLease:
            return False
        return True

    async def _ended(self, claim: Claim, told: Told, ended: Ended, keeps: str = "") -> None:
        """End a run that nothing drives under this claim."""
        journal = RunJournal(claim.run, self._writer, claim, told.steps, told.waits, Heard(self._hearers, claim.run))
        await settle(Going(told.run, journal, keeps=keeps), self.parts, ended)
        self._hearers.end(claim.run)

    def _start(self, run: RunRecord, claim: Claim, told: Told | None = None) -> Going:
        steps, waits = ([], []) if told is None else (told.steps, told.waits)
        journal = RunJournal(run.id, self._writer, claim, steps, waits, Heard(self._hearers, run.id))
        going = Going(run, journal, self._going.get(run.parent) if run.parent else None, n_found=len(steps))
        self._going[run.id] = going
        going.task = asyncio.create_task(self._go(going))
        going.task.add_done_callback(partial(self._forget, going))
        return going

    def _forget(self, going: Going, task: asyncio.Task[None]) -> None:
        """Also of a task that was cancelled before it began."""
        if self._going.get(going.run.id) is going:
            del self._going[going.run.id]
        if not task.cancelled() and task.exception() is not None:
            log.error("Run %s: %s.", going.run.id, type(task.exception()).__name__)
        going.over.set()
        self._hearers.end(going.run.id)

    async def _go(self, going: Going) -> None:
        try:
            if going.run.parent:
                await self._gone(going)
            else:
                async with self._turns:
                    await self._gone(going)
        except asyncio.CancelledError:
            if going.stopping == "cancel":  # while it waited for its turn
                await contained_async(partial(self._called_off, going), _logged)
            elif not going.stopping:
                raise
        finally:
            await self._let_go(going)

    async def _gone(self, going: Going) -> None:
        await go(going, self.parts, streams=self._hearers.hears(going.run.id))
        if going.run.ended and (going.has_below or going.n_found):  # whoever waits below it is asked for no more
            await contained_async(partial(self._cancel_below, going.run.id, BELOW_AN_END), _logged)

    async def _called_off(self, going: Going) -> None:
        await settle(going, self.parts, called_off(going.called_off))

    async def _let_go(self, going: Going) -> None:
        """Its claim goes back, where it could not go on, for as long as nobody should try again."""
        claim = going.journal.claim
        if claim is not None and going.held_us:
            await contained_async(partial(self._ask, self.runs.let_go, [claim], going.held_us), _logged)

    async def _followed(self, run: RunRecord, above: Going) -> RunRecord:
        """A run below, once nothing of it goes on here. Where whoever asked for it is cancelled, it is called off too."""
        going = self._going.get(run.id)
        if going is not None:
            try:
                await going.over.wait()
            except asyncio.CancelledError:
                if not self._is_stopping and above.stopping != "lost":
                    self._soon(self.cancel(run.id, "The run above it asks for it no more."))
                raise
        return (await self.get(run.id)).run

    def _soon(self, work: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(contained_async(lambda: work, _logged))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _renew(self) -> None:
        """Hold the claims of what goes on here; end what another worker has now."""
        while True:
            await asyncio.sleep(self.terms.ttl_s / 3)
            await contained_async(self._renew_once, _logged)

    async def _renew_once(self) -> None:
        going = [each for each in self._going.values() if each.journal.claim is not None and not each.is_ending]
        claims = [each.journal.claim for each in going if each.journal.claim is not None]
        held = await self._ask(self.runs.renew, claims, self._until_us()) if claims else ()
        for each, is_held in zip(going, held, strict=True):
            if not is_held:
                each.end("lost")

    async def _resume(self) -> None:
        """Take over what can go on: answered, expired, its runs below over, or left by a process that died."""
        while not self._is_stopping:
            self._poked.clear()
            more = await contained_async(self._resume_once, _logged)
            if not more:
                await waited(self._poked, self.terms.poll_s)

    async def _resume_once(self) -> bool:
        """Whether there may be more at once."""
        free = min(_MOST_CLAIMED, self.terms.most_at_once - self.n_going)
        assets = list(self.served.assets())
        if free <= 0 or not assets:
            return False
        now_us = machine_us()
        claims = await self._ask(self.runs.claim, self.worker, now_us, self._until_us(), assets, free)
        for claim in claims:  # each for itself: one that cannot be read keeps no other from going on
            await contained_async(partial(self._take, claim), _logged)
        return len(claims) == free

    async def _take(self, claim: Claim) -> None:
        """Go on with a run, or end it where it took everybody down who drove it."""
        going = self._going.get(claim.run)
        if going is not None:  # it parked this instant, or this process was silent for too long
            going.end("lost")
            await self._ask(self.runs.let_go, [claim], self._soon_us())
            return
        told = await self.get(claim.run)
        if claim.deaths >= MOST_DEATHS:
            # Where not even its end could be written, its version is not made ready for it again.
            await self._ended(claim, told, poisoned(claim.deaths), "none" if claim.deaths > MOST_DEATHS else "")
            await self._cancel_below(claim.run, BELOW_AN_END)
        elif self._is_stopping or (claim.deaths >= SUSPECT and any(each.is_suspect for each in self._going.values())):
            await self._ask(self.runs.let_go, [claim], 0 if self._is_stopping else self._soon_us())
        else:
            self._start(told.run, claim, told)

    def _soon_us(self) -> int:
        """When it is looked for again."""
        return machine_us() + int(self.terms.poll_s * 1e6)

    async def _ask(self, asked: Callable[..., Answer], *given: Any) -> Answer:
        """Ask the store, on threads that no hung tool can hold; also after `stop`."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, asked, *given)

    def _until_us(self) -> int:
        return machine_us() + int(self.terms.ttl_s * 1e6)


async def _logged(error: Exception) -> None:
    if not isinstance(error, NotFound):
        log.warning("Runs: %s", error)
