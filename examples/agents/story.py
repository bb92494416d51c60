"""An agent serves, waits for a person through a crash, and decays: the loop finds which part of it is to blame and mends that part.

`python examples/agents/story.py` takes half a minute (extras `agents` and `similarity`, and the package `openai` for one request): a
stand-in provider, a real server, a day of domain time, and the loop.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from questions import QUESTIONS

HERE = Path(__file__).resolve().parent
START = datetime(2026, 3, 2, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
COMMAND = (sys.executable, "-m", "perdure.surface.cli")
HASTY = "Answer at once, in one short sentence, from what you know."


class Server:
    """`perdure serve --replay`, a process that can be killed and started again."""

    def __init__(self) -> None:
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        from perdure.core.clock import sleep_s

        command = [*COMMAND, "serve", "--replay", "--json"]
        self._process = subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.url = json.loads(self._process.stdout.readline())["url"]
        while not self._ready():
            sleep_s(0.05)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/readyz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def end(self, how: int = signal.SIGTERM) -> None:
        """Tell it to stop, or kill it."""
        self._process.send_signal(how)
        self._process.wait()
        self._process.stdout.close()


class Shop:
    """The project, its server, and the clock of the story."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now, self.server = folder, START, Server()
        self.seen: dict[str, str] = {}
        self.project = self.open()
        self.key = ""

    def open(self):
        """The project as its files are now."""
        import perdure

        sys.modules.pop("desk", None)
        return perdure.open_project(HERE)

    def apply(self) -> None:
        """`perdure apply`; prints what came of the prompt and the agent."""
        self.project = self.open()
        for change in self.project.apply(at=self.now):
            if change.asset in ("support", "support_agent") and change.what not in ("changed", "declared", "unchanged"):
                self.say(f"apply: {change.asset} {change.what}{f': {change.why}' if change.why else ''}")

    def ask(self, path: str, body: dict | None = None) -> bytes:
        """One request with the customers' key."""
        headers = {
            "content-type": "application/json",
            "authorization": f"Bearer {self.key}",
            "perdure-now": self.now.isoformat(),
        }
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(
            urllib.request.Request(self.server.url + path, data, headers), timeout=60
        ) as answer:
            return answer.read()

    def run(self, task: str, **members: object) -> dict:
        """A run of the agent, to its end or to where it waits."""
        body = {"task": task, "input": {"customer": "Ada"}, "user": "ada", **members}
        return json.loads(self.ask("/v1/agents/support/runs", body))

    def ended(self, run: str) -> dict:
        """A run once it is over."""
        from perdure.core.clock import sleep_s

        while not (found := json.loads(self.ask(f"/v1/runs/{run}"))).get("ended_at"):
            sleep_s(0.05)
        return found

    def tickets(self) -> int:
        """Tickets that were opened."""
        file = self.folder / "tickets.jsonl"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def perdure(self, *arguments: str) -> None:
        """A command, as it is typed."""
        print(f"  $ perdure {' '.join(arguments)}", flush=True)
        subprocess.run([*COMMAND, *arguments], cwd=HERE, check=True)

    def live(self, n_hours: int) -> None:
        """Customers ask, and the loop goes round, an hour at a time."""
        for _ in range(n_hours):
            self.now += HOUR / 2
            runs = [self.run(question, expected=right) for question, right in QUESTIONS.items()]
            well = sum(right in run["output"]["text"] for run, right in zip(runs, QUESTIONS.values(), strict=True))
            self.say(f"{well} of {len(runs)} answers are right")
            self.now += HOUR / 2
            self.project.tick(at=self.now)
            self.await_served()
            self.told()

    def await_served(self) -> None:
        """Wait until the server has what the round released: who asks next gets the same at every run."""
        from perdure.core.clock import sleep_s

        with self.project.place.stores.ledger.read() as session:
            version = next(each.version for each in session.pointers.list("support_agent") if each.name == "champion")
        while self.asked_version() != version:
            sleep_s(0.02)

    def asked_version(self) -> str:
        """The version of the prompt by which the server answers now."""
        headers = {
            "content-type": "application/json",
            "authorization": f"Bearer {self.key}",
            "perdure-now": self.now.isoformat(),
        }
        body = json.dumps({"model": "prompt:support_agent", "variables": {"customer": "Ada"}, "messages": []}).encode()
        request = urllib.request.Request(self.server.url + "/v1/chat/completions", body, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.headers["perdure-prompt"]

    def say(self, text: str) -> None:
        """A line of the story."""
        print(f"  {self.now:%a %H:%M}  {text}", flush=True)

    def told(self) -> None:
        """What is new of the agent and its prompt: incidents that opened or closed, pointers that moved."""
        news = {}
        with self.project.place.stores.ledger.read() as session:
            for name in ("support", "support_agent"):
                for each in session.incidents.list():
                    if each.asset == name:
                        news[each.id] = f"incident of {name}, {each.kind}: {each.summary}"
                        if each.closed_at:
                            news[f"closed {each.id}"] = f"closed {each.kind} of {name}: {each.closing}"
                for move in session.pointers.history(name):
                    news[f"{name} {move.at}"] = f"{name}: {move.name} → {move.version} ({move.reason})"
        for what in [each for each in news if each not in self.seen]:
            self.seen[what] = news[what]
            self.say(news[what])


@contextmanager
def provider() -> Iterator[str]:
    """The stand-in provider in a process of its own; gives its address."""
    process = subprocess.Popen([sys.executable, str(HERE / "provider.py")], stdout=subprocess.PIPE)
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def first_runs(shop: Shop) -> None:
    """The same agent by HTTP, by events, and by the SDK of OpenAI."""
    import openai

    [question, *_] = QUESTIONS
    found = shop.run(question)
    shop.say(f"“{question}?” → {found['output']['text']}")
    shop.say(
        f"  {found['status']} in {found['steps_taken']} steps, {found['tokens']} tokens, {found['cost_usd']:.6f} USD: {found['id']}"
    )
    body = {"task": "on which day is the store closed", "input": {"customer": "Ada"}, "stream": True}
    events = [
        line[7:]
        for line in shop.ask("/v1/agents/support/runs", body).decode().splitlines()
        if line.startswith("event: ")
    ]
    shop.say(f"  by events: {' '.join(events)}")
    headers = {"perdure-now": shop.now.isoformat()}
    with openai.OpenAI(base_url=shop.server.url + "/v1", api_key=shop.key, default_headers=headers) as client:
        said = client.chat.completions.create(
            model="agent:support", messages=[{"role": "user", "content": "what do students get off an order"}]
        )
    shop.say(f"  by OpenAI's SDK: {said.choices[0].message.content}")


def approved(shop: Shop) -> None:
    """A ticket waits for a yes while the server is killed, and is opened once."""
    shop.now += HOUR / 4
    run = shop.run("My toaster arrived broken")
    shop.say(f"“My toaster arrived broken” → {run['status']}: may {run['waits'][0]['tool']} be called?")
    shop.server.end(signal.SIGKILL)
    shop.say(f"kill -9 of the server; tickets open: {shop.tickets()}")
    shop.perdure("inbox")
    shop.perdure("approve", run["waits"][0]["id"], "--reason", "The photo shows it.", "--as", "ann")
    shop.server.start()
    found = shop.ended(run["id"])
    shop.say(f"started again → {found['output']['text']} Tickets open: {shop.tickets()}")


def decays(shop: Shop) -> None:
    """A wording that its suite has nothing against: what tools do, no suite of a wording sees."""
    shop.live(4)
    file = shop.folder / "prompts" / "support_agent.md"
    lines = file.read_text().splitlines()
    lines = [HASTY if line.startswith("Search the handbook") else line for line in lines]
    file.write_text("\n".join(lines) + "\n")
    shop.now += HOUR / 2
    shop.say(f"somebody edits the prompt: “{HASTY}”")
    shop.apply()
    shop.await_served()
    for _ in range(12):
        shop.live(1)
        if any(line.startswith("closed node_to_blame") for line in shop.seen.values()):
            break


def main() -> int:
    """Run the story in a folder of its own, and print how it went."""
    folder = Path(tempfile.mkdtemp(prefix="perdure-desk-"))
    os.environ |= {"PERDURE_STORES_ROOT": str(folder / ".perdure"), "SHOP": str(folder), "COLUMNS": "140"}
    for each in ("articles", "prompts"):
        shutil.copytree(HERE / each, folder / each)
    with provider() as url:
        os.environ["PROVIDER_URL"] = url
        shop = Shop(folder)
        shop.project.sync_index("handbook", at=shop.now)
        shop.apply()
        shop.told()
        shop.key = shop.project.create_key("customers").secret
        shop.server.start()
        try:
            first_runs(shop)
            approved(shop)
            decays(shop)
        finally:
            shop.server.end()
    print("stores of this run:", os.environ["PERDURE_STORES_ROOT"], "\n", flush=True)
    for name in ("support", "support_agent"):
        shop.perdure("explain", name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
