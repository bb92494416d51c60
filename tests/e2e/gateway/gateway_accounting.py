"""Accounting under chaos: many calls through a gateway in a process of its own, and its records held against the upstream's count.

Also a program: `python gateway_accounting.py ROOT UPSTREAM_URL` serves the world's gateway, and prints its URL.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

from gateway_chaos_upstream import ChaosUpstream, Noted
from gateway_world import PRICES, World

from perdure import Budget, Limits, Route, Team, seconds
from perdure.core.clock import machine_us, monotonic_s
from perdure.core.settings import LimitSettings
from perdure.serve.gateway.allowance_levels import levels_of
from perdure.serve.server import Server
from perdure.stores.capture.events import Attempt, Call
from perdure.stores.counters.sqlite import SqliteCounters

ROUTES = {"main": "openai", "claude": "anthropic", "gemini": "gemini"}
SMALL_USD = 0.05
RESERVED_PUSD = int((100 * PRICES.input + 2_000 * PRICES.output) * 10**6)
"""What is kept aside for the dearest call of these clients."""


def declared(root: Path, url: str) -> World:
    """The world of these tests: the same for whoever serves it."""
    team = Team("team", budgets=[Budget(1_000_000, per="total")], limits=Limits(concurrency=1000))
    small = Team("small", budgets=[Budget(SMALL_USD, per="total")])
    world = World(root, url, teams={"team": team, "small": small}, limits=LimitSettings(hold_ttl_s=5.0))
    for name, dialect in ROUTES.items():
        targets = [world.target("a-1", dialect), world.target("b-1", dialect)]
        world.routes[name] = Route(
            name, targets, attempts=2, retry_budget=1.0, breaker=1_000_000, attempt=seconds(1), idle=seconds(1),
            total=seconds(4), bodies="none",
        )  # fmt: skip
    return world


@dataclass
class Outcome:
    """What one client saw of its call."""

    number: int
    team: str
    status: int = 0
    call_id: str = ""
    whole: bool = False
    """The answer came to its good end: a client may rely on it."""
    left: bool = False
    """The client hung up itself."""
    broken: bool = False
    """The connection to the gateway broke."""
    ended_s: float = 0.0
    """When it was over for the client."""


class Process:
    """The gateway in a process of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._process: asyncio.subprocess.Process | None = None
        self.address = ("", 0)
        self.up = asyncio.Event()
        self.cpu_s = 0.0

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, __file__, str(self._world.root), self._world.url, stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        parts = urlsplit((await self._process.stdout.readline()).decode().strip())
        self.address = (parts.hostname or "", parts.port or 0)
        while self._running() and not await self._ready():  # noqa: ASYNC110 - of another process nothing can be awaited
            await asyncio.sleep(0.02)
        self.up.set()

    def _running(self) -> bool:
        if self._process is None or self._process.returncode is not None or not self.address[1]:
            raise RuntimeError("The gateway ended while it started.")
        return True

    async def _ready(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection(*self.address)
            writer.write(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            told = await reader.read()
            writer.close()
        except OSError:
            return False
        return b" 200 " in told.split(b"\r\n", 1)[0]

    async def end(self, how: signal.Signals) -> None:
        """End it: SIGKILL at once, SIGTERM after its last answer."""
        assert self._process is not None
        self.up.clear()
        self.cpu_s += _cpu_s(self._process.pid)
        self._process.send_signal(how)
        await asyncio.wait_for(self._process.wait(), 60)


def _cpu_s(pid: int) -> float:
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Chaos:
    """One trial.

    Args:
        root: of the gateway's stores.
        n_calls: how many calls.
        n_kills: how often the gateway is killed on the way.
        seed: of every choice.
        n_clients: calls at a time.
    """

    root: Path
    n_calls: int
    n_kills: int = 0
    seed: int = 1
    n_clients: int = 32
    outcomes: list[Outcome] = field(default_factory=list)
    noted: list[Noted] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    levels: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Team → used and held picodollars in the shared counters at the end."""
    cpu_s: float = 0.0
    took_s: float = 0.0
    killed_s: list[float] = field(default_factory=list)
    """When the gateway was killed."""
    _reached: dict[int, asyncio.Event] = field(default_factory=dict)

    def run(self) -> None:
        """Run the trial, and read what it left behind."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        began_s = monotonic_s()
        upstream = ChaosUpstream(self.seed)
        world = declared(self.root, await upstream.start())
        world.declare(*world.routes.values())
        secrets = {"team": world.key("team"), "small": world.key("small")}
        process = Process(world)
        await process.start()
        numbers = iter(range(self.n_calls))
        clients = [self._client(process, secrets, numbers, Random(self.seed * 1000 + i)) for i in range(self.n_clients)]
        kills = [self.n_calls * kill // (self.n_kills + 1) for kill in range(1, self.n_kills + 1)]
        self._reached = {number: asyncio.Event() for number in kills}
        running = asyncio.gather(*clients)
        for number in kills:
            await self._reached[number].wait()
            await process.end(signal.SIGKILL)
            self.killed_s.append(monotonic_s())
            await process.start()
        await running
        if self.n_kills:
            await asyncio.sleep(6.5)  # what the dead kept aside expires after 5 s of silence, at the next sync
        await process.end(signal.SIGTERM)
        await upstream.close()
        self.noted, self.calls, self.cpu_s = upstream.noted, world.calls(), process.cpu_s
        counters = SqliteCounters(self.root / "counters.db")
        for name, team in world.teams.items():
            found = next(each for each in levels_of(counters, team, machine_us()) if each.limit.kind == "usd")
            self.levels[name] = (found.used, found.held)
        counters.close()
        self.took_s = monotonic_s() - began_s

    async def _client(self, process: Process, secrets: dict[str, str], numbers: Any, rng: Random) -> None:
        wire: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        for number in numbers:
            await process.up.wait()
            if number in self._reached:
                self._reached[number].set()
            outcome = Outcome(number, "small" if rng.random() < 0.1 else "team")
            self.outcomes.append(outcome)
            try:
                if wire is None:
                    wire = await asyncio.open_connection(*process.address)
                kept = await _call(wire, outcome, secrets[outcome.team], rng)
            except (OSError, asyncio.IncompleteReadError):
                outcome.broken = not outcome.left
                kept = False
            outcome.ended_s = monotonic_s()
            if not kept and wire is not None:
                wire[1].close()
                wire = None
        if wire is not None:
            wire[1].close()


async def _call(
    wire: tuple[asyncio.StreamReader, asyncio.StreamWriter], outcome: Outcome, secret: str, rng: Random
) -> bool:
    """One call; whether its connection may be used again."""
    reader, writer = wire
    stream, messages = rng.random() < 0.5, rng.random() < 0.4
    leaves = rng.random() < 0.06
    content = f"call n{outcome.number} " + "x" * rng.randint(0, 200)
    body: dict[str, Any] = {
        "model": rng.choice(list(ROUTES)),
        "stream": stream,
        "max_tokens": 2_000,
        "messages": [{"role": "user", "content": content}],
        **({"metadata": {"user_id": f"n{outcome.number}"}} if messages else {"user": f"n{outcome.number}"}),
    }
    data = json.dumps(body).encode()
    path = "/v1/messages" if messages else "/v1/chat/completions"
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {secret}\r\ncontent-length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)
    if leaves and rng.random() < 0.5:
        await asyncio.sleep(rng.random() * 0.15)
        outcome.left = True
        return False
    answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    outcome.status = int(answer.split(" ", 2)[1])
    named = dict(line.split(": ", 1) for line in answer.split("\r\n")[1:] if ": " in line)
    outcome.call_id = named.get("perdure-call-id", "")
    if leaves:
        outcome.left = True
        return False
    if "content-length" in named:
        await reader.readexactly(int(named["content-length"]))
        outcome.whole = outcome.status == 200
        return True
    return await _events(reader, outcome, b"event: message_stop" if messages else b"data: [DONE]")


async def _events(reader: asyncio.StreamReader, outcome: Outcome, end: bytes) -> bool:
    last = b""
    while True:
        size = int((await reader.readuntil(b"\r\n")).strip(), 16)
        piece = (await reader.readexactly(size + 2))[:-2]
        if not size:
            outcome.whole = end in last
            return True
        last = (last + piece)[-300:]


# What must hold of a trial


def failures(trial: Chaos) -> list[str]:
    """Everything about a trial's records that is not as promised; empty where all is well."""
    by_number: dict[int, list[Call]] = defaultdict(list)
    for call in trial.calls:
        by_number[int(call.affinity[1:] or -1) if call.affinity.startswith("n") else -1].append(call)
    asked: dict[int, list[Noted]] = defaultdict(list)
    for noted in trial.noted:
        asked[noted.number].append(noted)
    found = []
    for outcome in trial.outcomes:
        mine = by_number.get(outcome.number, [])
        # Who hung up was not acknowledged: the gateway may have been killed before it noticed.
        at_kill = outcome.left and any(abs(killed_s - outcome.ended_s) < 2.0 for killed_s in trial.killed_s)
        if mine or not at_kill:
            found += [f"n{outcome.number}: {told}" for told in _of_call(outcome, mine, asked[outcome.number])]
    ids = Counter(call.id for call in trial.calls)
    if not trial.n_kills:
        found += [f"n{each.number}: its connection broke" for each in trial.outcomes if each.broken]
    found += [f"{call_id} is on record {n} times" for call_id, n in ids.items() if n > 1]
    return found + _of_budgets(trial)


def _of_call(outcome: Outcome, calls: list[Call], asked: list[Noted]) -> list[str]:
    if not calls:
        excused = outcome.broken or (outcome.left and not asked)
        return [] if excused else [f"not on record: {outcome}"]
    if len(calls) > 1:
        return ["on record more than once"]
    call = calls[0]
    told = []
    if outcome.call_id and outcome.call_id != call.id:
        told.append(f"another call is on record: {call.id}, not {outcome.call_id}")
    if outcome.whole and call.outcome != "answered":
        told.append(f"its client has the whole answer, the record says {call.outcome}")
    if call.outcome == "answered" and not (outcome.whole or outcome.left or outcome.broken):
        told.append("the record says answered, its client has no whole answer")
    return told + _of_attempts(call, asked)


def _of_attempts(call: Call, asked: list[Noted]) -> list[str]:
    """Each try against what its target noted; each target is tried once, and after a reset, at most, sent the same again."""
    told = []
    at = {noted.model: noted for noted in asked}
    missing = set(at) - {attempt.target.rpartition("/")[2] for attempt in call.attempts}
    if missing:
        told.append(f"no try of {missing} is on record: {call.attempts} {asked}")
    for attempt in call.attempts:
        counted = at.get(attempt.target.rpartition("/")[2])
        if counted is not None:
            told += _of_attempt(call, attempt, counted)
        elif attempt.usage is not None and not attempt.usage.estimated:
            told.append(f"counted by nobody: {attempt}")
    total = sum(each.cost_pusd or 0 for each in call.attempts)
    if call.cost_pusd != total:
        told.append(f"the tries cost {total}, the call {call.cost_pusd}")
    return told


def _of_attempt(call: Call, attempt: Attempt, counted: Noted) -> list[str]:
    usage = attempt.usage
    # Who was left before it answered may have refused, or told its count, when nobody listened any more.
    left = attempt.error in ("cancelled", "upstream.timed_out")
    if counted.fate in ("429", "500", "400") and not left:
        return [] if usage is None else [f"billed though it was refused: {attempt}"]
    if usage is None:
        return [f"not billed: {attempt} {counted}"]
    cost = int((usage.n_input * PRICES.input + usage.n_output * PRICES.output) * 10**6)
    if attempt.cost_pusd != cost:
        return [f"priced at {attempt.cost_pusd}, not {cost}"]
    if usage.estimated:
        # Who must read what is garbage stops there: nothing behind it reaches anybody.
        unread = counted.fate == "garbage" and attempt.error == "upstream.bad"
        missed = counted.told and not left and not unread
        return [f"estimated though it was told: {attempt} {counted}"] if missed else []
    if (usage.n_input, usage.n_output) != (counted.n_input, counted.n_output):
        return [
            f"counted {usage.n_input}+{usage.n_output}, the upstream {counted.n_input}+{counted.n_output}: {counted}"
        ]
    return []


def _of_budgets(trial: Chaos) -> list[str]:
    told = []
    spent: Counter[str] = Counter()
    for call in trial.calls:
        spent[call.team] += call.cost_pusd or 0
    for team, (used, held) in trial.levels.items():
        if held:
            told.append(f"{team}: {held} picodollars are still kept aside")
        if used < spent[team] or (used != spent[team] and not trial.n_kills):
            told.append(f"{team}: {used} picodollars are counted, {spent[team]} on record")
    ceiling = int(SMALL_USD * 10**12)
    if spent["small"] > ceiling + RESERVED_PUSD:
        told.append(f"small: {spent['small']} picodollars were spent of {ceiling}")
    return told


def summary(trial: Chaos) -> dict[str, Any]:
    """The trial in figures."""
    attempts = [each for call in trial.calls for each in call.attempts if each.usage is not None]
    exact = [each for each in attempts if each.usage is not None and not each.usage.estimated]
    return {
        "calls": len(trial.outcomes),
        "recorded": len(trial.calls),
        "outcomes": dict(Counter(call.outcome for call in trial.calls)),
        "tries_billed": len(attempts),
        "of_them_exact": len(exact),
        "tokens_exact": sum(each.usage.n_total for each in exact if each.usage is not None),
        "fates": dict(Counter(each.fate for each in trial.noted)),
        "kills": trial.n_kills,
        "lost_to_kills": sum(outcome.broken for outcome in trial.outcomes),
        "charged_usd": {team: used / 1e12 for team, (used, _) in trial.levels.items()},
        "recorded_usd": {
            team: sum(call.cost_pusd or 0 for call in trial.calls if call.team == team) / 1e12 for team in trial.levels
        },
        "gateway_cpu_s": round(trial.cpu_s, 1),
        "took_s": round(trial.took_s, 1),
    }


def main() -> None:
    server = Server(declared(Path(sys.argv[1]), sys.argv[2]).parts())
    sys.stdout.write(server.bind() + "\n")
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        server.run()


if __name__ == "__main__":
    main()
