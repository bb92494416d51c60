"""A provider falls ill; the loop finds out, changes the route, proves it, releases it, and tells the story.

`python examples/gateway/story.py` takes half a minute: two stand-in providers, a real gateway, two days of a help desk's calls in
domain time, and the loop between them. From the twentieth hour on half of what is sent to `north` fails.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
START = datetime(2026, 3, 2, 6, tzinfo=UTC)
STEP = timedelta(minutes=10)
ILL_AT = START + timedelta(hours=20)
END = START + timedelta(hours=30)
CALLS_A_STEP = 12
QUESTIONS = (
    "Where is my parcel with the blue lamp?", "How do I return shoes that do not fit?", "Is the shop open on Sunday?",
    "Can I pay by invoice as a new customer?", "My voucher is refused, what can I do?", "Do you deliver to Norway?",
)  # fmt: skip


@contextmanager
def provider() -> Iterator[str]:
    """A stand-in provider in a process of its own; gives its address."""
    process = subprocess.Popen([sys.executable, str(HERE / "provider.py")], stdout=subprocess.PIPE)
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def post(url: str, body: dict, headers: dict | None = None) -> tuple[int, dict]:
    """Status and answer of one request."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def replay(perdure, url: str, key: str, north: str) -> dict[str, int]:
    """Two days of calls, with a round of the loop after each step; returns how many calls ended how."""
    ended: dict[str, int] = {}
    now, n = START, 0
    while now < END:
        if now == ILL_AT:
            post(f"{north}/ill", {"fails": 0.5})
            print(f"  {now:%a %H:%M}  half of what is sent to north fails from now on")
        for _ in range(CALLS_A_STEP):
            body = {
                "model": "support", "user": f"customer-{n % 40}",
                "messages": [{"role": "user", "content": f"{QUESTIONS[n % len(QUESTIONS)]} My order is {1000 + n}."}],
            }  # fmt: skip
            status, _ = post(
                f"{url}/v1/chat/completions", body, {"authorization": f"Bearer {key}", "perdure-now": now.isoformat()}
            )
            ended[str(status)] = ended.get(str(status), 0) + 1
            n += 1
        now += STEP
        perdure.tick(at=now)
        await_pointers(perdure, url)
        told(perdure, now)
    return ended


def await_pointers(perdure, url: str) -> None:
    """Wait until the server has what the round released: who answers the next call is then the same at every run."""
    from perdure.core.clock import monotonic_s, sleep_s

    with perdure.place.stores.ledger.read() as session:
        wanted = session.pointers.generation()
    deadline_s = monotonic_s() + 30
    while True:
        with urllib.request.urlopen(f"{url}/readyz", timeout=30) as response:
            if json.loads(response.read())["generation"] >= wanted:
                return
        if monotonic_s() > deadline_s:
            raise TimeoutError(f"The server did not load generation {wanted}.")
        sleep_s(0.02)


_seen: set[str] = set()


def told(perdure, now: datetime) -> None:
    """Print what is new: incidents that opened or closed, pointers that moved."""
    with perdure.place.stores.ledger.read() as session:
        news = [f"incident: {each.summary}" for each in session.incidents.list() if each.asset == "support"]
        news += [f"closed: {each.closing}" for each in session.incidents.list() if each.closed_at]
        news += [
            f"{move.name} → {move.version or 'nothing'} ({move.reason})" for move in session.pointers.history("support")
        ]
    for line in news:
        if line not in _seen:
            _seen.add(line)
            print(f"  {now:%a %H:%M}  {line}")


def main() -> int:
    """Run the story in a folder of its own, and print how it went."""
    os.environ["PERDURE_STORES_ROOT"] = str(Path(tempfile.mkdtemp(prefix="perdure-desk-")) / ".perdure")
    with provider() as north, provider() as south:
        os.environ |= {"NORTH_URL": north, "SOUTH_URL": south}
        import perdure as library
        from perdure.surface.serving import server_process

        project = library.open_project(HERE)
        project.apply(at=START)
        key = project.create_key("desk").secret
        with server_process(project, replay=True) as url:
            ended = replay(project, url, key, north)
        print(f"\n{sum(ended.values())} calls: " + ", ".join(f"{n} × {status}" for status, n in sorted(ended.items())))
        print("stores of this run:", os.environ["PERDURE_STORES_ROOT"])
    sys.stdout.flush()
    subprocess.run([sys.executable, "-m", "perdure.surface.cli", "explain"], cwd=HERE, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
