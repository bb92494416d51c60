"""A raw asyncio HTTP client that keeps a fixed number of connections busy, and what it measured."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measured:
    """One run of the load: the server's CPU a request, and latencies as the client saw them."""

    cpu_us: float
    p50_ms: float
    p99_ms: float
    answers: list[bytes]


def cpu_s(pid: int) -> float:
    """User and system CPU seconds of a process, all its threads, to 10 ms (proc(5), fields 14 and 15)."""
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()  # noqa: SIM115, PTH123
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def request_bytes(url: str, path: str, body: Any) -> bytes:
    """A whole POST request."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {urlsplit(url).netloc}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    at = head.lower().index(b"content-length:") + 15
    body = await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"{head.decode()}{body.decode()}")
    return body


async def _one(url: str, requests: Sequence[bytes], turns: range, into: dict[int, tuple[float, bytes]]) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    for turn in turns:
        began = time.perf_counter()  # noqa: TID251 - a benchmark times
        body = await _exchange(reader, writer, requests[turn % len(requests)])
        into[turn] = (time.perf_counter() - began, body)  # noqa: TID251
    writer.close()
    await writer.wait_closed()


async def _all(url: str, requests: Sequence[bytes], n: int, n_connections: int) -> list[tuple[float, bytes]]:
    into: dict[int, tuple[float, bytes]] = {}
    await asyncio.gather(*(_one(url, requests, range(at, n, n_connections), into) for at in range(n_connections)))
    return [into[turn] for turn in range(n)]


def measure(url: str, pid: int, requests: Sequence[bytes], n: int, n_connections: int) -> Measured:
    """Send `n` requests over `n_connections` that each wait for their answer before the next."""
    before_s = cpu_s(pid)
    results = asyncio.run(_all(url, requests, n, n_connections))
    used_s = cpu_s(pid) - before_s
    ordered = sorted(seconds * 1e3 for seconds, _ in results)
    answers = [body for _, body in results[: len(requests)]]
    return Measured(used_s / n * 1e6, ordered[n // 2], ordered[int(n * 0.99)], answers)
