"""The loop of every script here: lines of JSON in, CPU and memory of runs out. Imports nothing of anybody's.

`{"do": "runs", "n": 50}` has runs one after the other, `{"do": "at_once", "n": 200}` all at once.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import process_time  # noqa: TID251 - the peers' environments have no perdure

One = Callable[[], Awaitable[None]]
_WARM = 10


def _rss_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


async def _asked(one: One, asked: dict[str, object]) -> dict[str, float]:
    n = int(str(asked["n"]))
    gc.collect()
    began_s = process_time()
    if asked["do"] == "runs":
        for _ in range(n):
            await one()
    else:
        await asyncio.gather(*(one() for _ in range(n)))
    return {"ms": (process_time() - began_s) / n * 1e3, "rss_mb": _rss_mb()}


async def answer(one: One) -> None:
    """Answer until nobody asks any more.

    Args:
        one: does one run and sees that it went as it should.
    """
    for _ in range(_WARM):
        await one()
    gc.collect()
    gc.freeze()  # as our server does; good for the peers too
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await _asked(one, json.loads(line))), flush=True)


def run(main: Callable[[], Awaitable[None]]) -> None:
    """On uvloop, as all here."""
    import uvloop

    async def whole() -> None:
        await main()

    uvloop.run(whole())
