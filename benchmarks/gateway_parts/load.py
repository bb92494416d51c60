"""Clients of a gateway: kept connections that each wait for their answer, and what they and /proc saw."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httptools
import uvloop

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LOOKED_AT = 64
"""Answers of a run that are read and compared; of the others the status only."""
_SYSTEM = "You are a helpful assistant of a shop. Answer briefly and politely."
_N_NAMED = 40
_QUESTION = "what is the return policy for shoes that do not fit, and how long does a refund take to arrive? " * 2


@dataclass(frozen=True)
class Where:
    """Who is asked, and how."""

    url: str
    path: str = "/v1/chat/completions"
    model: str = "bench"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Load:
    """What is asked: `n` requests over `n_connections`, no two alike."""

    n: int
    n_connections: int
    stream: bool = False
    padding: str = ""


@dataclass(frozen=True)
class Measured:
    """One run: CPU of the whole process tree a request, and times as the client saw them."""

    cpu_us: float
    p50_ms: float
    p99_ms: float
    first_p50_ms: float
    took_s: float
    answers: frozenset[str]
    drift: float
    """p50 of the last tenth of the requests over that of the first."""


class Refused(Exception):
    """An answer other than 200."""


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            try:
                fields = (each / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(each.name))
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found


def cpu_s(pids: list[int]) -> float:
    """User and system CPU seconds, all threads, to 10 ms (proc(5), fields 14 and 15)."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total * _TICK_S


def rss_mb(pids: list[int]) -> float:
    """Resident memory of the processes together, 1e6 bytes."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * _PAGE / 1e6


def requests(where: Where, load: Load) -> Iterator[bytes]:
    """Whole requests without end, no two alike in any run: each has a name and a short number in its question."""
    address = urlsplit(where.url)
    lines = {"host": address.netloc, "content-type": "application/json", **where.headers}
    head = f"POST {where.path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": f"@@ {_QUESTION}{load.padding}"}]
    body: dict[str, Any] = {"model": where.model, "stream": True} if load.stream else {"model": where.model}
    before, _, after = json.dumps({**body, "max_tokens": 50, "messages": messages}).partition("@@")
    start = f"{head}content-length: {len(before) + len(after) + _N_NAMED}\r\n\r\n{before}".encode()
    end = after.encode()
    n = 0
    while True:
        n += 1
        if n % 10_000 == 1:
            name = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(8))
        yield b"%s%-*b%s" % (start, _N_NAMED, f"This is {name}, order {n % 10_000}:".encode(), end)


class _Line(asyncio.Protocol):
    """A kept connection."""

    def __init__(self) -> None:
        self.first_at = 0.0
        self.pieces: list[bytes] = []
        self.over: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def ask(self, request: bytes) -> asyncio.Future[None]:
        self.first_at, self.pieces = 0.0, []
        self._parser = httptools.HttpResponseParser(self)
        self.over = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.over

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        if not self.first_at:
            self.first_at = time.perf_counter()  # noqa: TID251 - a benchmark times
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(ConnectionError("closed before its answer was whole"))

    def _end(self, error: Exception | None) -> None:
        over = self.over
        if over is None or over.done():
            return
        if error is None and self._parser.get_status_code() != 200:
            error = Refused(f"{self._parser.get_status_code()}: {b''.join(self.pieces)[:300].decode()}")
        if error is None:
            over.set_result(None)
        else:
            over.set_exception(error)


@dataclass
class _Run:
    asked: Iterator[bytes]
    left: int
    answers: set[bytes] = field(default_factory=set)
    took_s: array[float] = field(default_factory=lambda: array("d"))
    first_s: array[float] = field(default_factory=lambda: array("d"))

    async def one(self, url: str) -> None:
        address = urlsplit(url)
        _, line = await asyncio.get_running_loop().create_connection(_Line, address.hostname, address.port)
        while self.left > 0:
            self.left -= 1
            looks = self.left % max(1, self.left // _LOOKED_AT) == 0
            began = time.perf_counter()  # noqa: TID251
            await line.ask(next(self.asked))
            self.took_s.append(time.perf_counter() - began)  # noqa: TID251
            self.first_s.append(line.first_at - began)
            if looks:
                self.answers.add(b"".join(line.pieces))
        line.transport.close()


async def _all(where: Where, load: Load) -> _Run:
    run = _Run(requests(where, load), load.n)
    await asyncio.gather(*(run.one(where.url) for _ in range(load.n_connections)))
    return run


def measure(where: Where, load: Load, pids: list[int]) -> Measured:
    """Put a load on a server whose processes are `pids`."""
    before_s, began = cpu_s(pids), time.perf_counter()  # noqa: TID251
    run = uvloop.run(_all(where, load))
    used_s, took_s = cpu_s(pids) - before_s, time.perf_counter() - began  # noqa: TID251
    tenth = max(1, load.n // 10)
    drift = _p50(run.took_s[-tenth:]) / _p50(run.took_s[:tenth])
    ordered = sorted(run.took_s)
    return Measured(
        used_s / load.n * 1e6,
        ordered[load.n // 2] * 1e3,
        ordered[int(load.n * 0.99)] * 1e3,
        _p50(run.first_s) * 1e3,
        took_s,
        frozenset(said(each) for each in run.answers),
        drift,
    )


def _p50(values: array[float]) -> float:
    return sorted(values)[len(values) // 2]


def said(answer: bytes) -> str:
    """What an answer says, whole or streamed: its text and why it ended."""
    if not answer.startswith(b"data:"):
        choice = json.loads(answer)["choices"][0]
        return f"{choice['message']['content']}|{choice['finish_reason']}"
    text, finish = "", ""
    for line in answer.split(b"\n"):
        if line.startswith(b"data: {"):
            for choice in json.loads(line[6:])["choices"]:
                text += choice["delta"].get("content") or ""
                finish = choice.get("finish_reason") or finish
    return f"{text}|{finish}"
