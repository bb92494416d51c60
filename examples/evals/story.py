"""A worse wording is blocked, a better one promoted, a swapped model found: a prompt in the loop, over real HTTP.

`python examples/evals/story.py` takes half a minute: a stand-in provider, a real gateway, two days of domain time, and the loop.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
START = datetime(2026, 3, 2, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)


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


def post(url: str, body: dict, headers: dict | None = None) -> tuple[dict, dict]:
    """Headers and answer of one request."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return dict(response.headers), json.loads(response.read())


def declare(words: str):
    """The project as it is after an edit of the prompt."""
    import perdure

    os.environ["WORDS"] = words
    sys.modules.pop("atlas", None)
    importlib.invalidate_caches()
    return perdure.open_project(HERE)


def say(words: str, at: datetime):
    """Edit the prompt and apply it; prints what came of it."""
    project = declare(words)
    for change in project.apply(at=at):
        if change.asset == "seat_of" and change.what not in ("changed", "declared", "unchanged"):
            print(f"  {at:%a %H:%M}  {words!r}: {change.what}\n             {change.why}")
    return project


def live(project, at: datetime, n_hours: int) -> datetime:
    """Rounds of the loop, an hour apart; prints what moved."""
    for _ in range(n_hours):
        at += HOUR
        project.tick(at=at)
        with project.place.stores.ledger.read() as session:
            moves = session.pointers.history("seat_of")
            news = [f"{move.name} → {move.version or 'nothing'} ({move.reason})" for move in moves]
            known = [each for each in session.incidents.list() if each.asset == "seat_of"]
        news += [f"incident: {each.kind}" for each in known] + [
            f"closed: {each.closing}" for each in known if each.closed_at
        ]
        for line in news:
            if line not in _seen:
                _seen.add(line)
                print(f"  {at:%a %H:%M}  {line}")
    return at


_seen: set[str] = set()


def nightly(project, at: datetime) -> None:
    """What a schedule does: the suite is asked anew of what answers."""
    from perdure.surface.evaluating import Asking

    [told] = project.evals.run("cities", prompt="seat_of@champion", asking=Asking(fresh=True), at=at)
    print(f"  {at:%a %H:%M}  nightly run {told.run}")


def main() -> int:
    """Run the story in a folder of its own, and print how it went."""
    os.environ["PERDURE_STORES_ROOT"] = str(Path(tempfile.mkdtemp(prefix="perdure-atlas-")) / ".perdure")
    with provider() as url:
        os.environ["PROVIDER_URL"] = url
        from perdure.surface.serving import server_process

        project, now = say("Answer briefly.", START), START
        key = project.create_key("readers").secret
        with server_process(project, replay=True) as gateway:
            now = live(project, now, 1)
            project = say("Answer as a pirate.", now + HOUR / 2)
            now = live(project, now, 1)
            project = say("Answer with the city only.", now + HOUR / 2)
            now = live(project, now, 8)
            headers, answer = post(
                f"{gateway}/v1/chat/completions",
                {"model": "prompt:seat_of", "variables": {"question": "Which city is the seat of district 007?"}},
                {"authorization": f"Bearer {key}", "perdure-now": now.isoformat()},
            )
            print(f"             a client gets {answer['choices'][0]['message']['content']!r}", end=" ")
            print(f"from {headers.get('perdure-prompt', '')}")
            nightly(project, now)
            now = live(project, now, 4)
            post(f"{url}/swap", {"skills": {"briefly": 0.8, "city only": 0.2}})
            print(f"  {now:%a %H:%M}  another model answers under the same name")
            nightly(project, now + HOUR / 2)
            live(project, now, 24)
        print("stores of this run:", os.environ["PERDURE_STORES_ROOT"])
    sys.stdout.flush()
    subprocess.run([sys.executable, "-m", "perdure.surface.cli", "explain", "seat_of"], cwd=HERE, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
