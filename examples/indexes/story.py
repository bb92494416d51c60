"""An index decays twice: its source runs ahead while hands damage its rows, and the model behind its embedder is swapped.

`python examples/indexes/story.py` takes a quarter of a minute: a folder of papers, a real server, a day of domain time, and the loop, which
finds both, says why, mends them and counts again. Searches go on, and what the record does not vouch for is never given.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from papers import PAPERS

HERE = Path(__file__).resolve().parent
STEP = timedelta(minutes=30)


class Shop:
    """The project, its server, and the clock of the story."""

    def __init__(self, folder: Path) -> None:
        import perdure
        from perdure.core.clock import machine_now

        self.folder = folder
        # A file says when it changed by the machine's clock: the story lives up to it, changes files, and goes on.
        self.now = self.start = machine_now() - timedelta(hours=4)
        self.project = perdure.open_project(HERE)
        self.url = ""
        self._seen: set[str] = set()

    def write(self, name: str, text: str, at: datetime | None = None) -> None:
        """A paper, new or changed."""
        path = self.folder / "papers" / f"{name}.md"
        path.write_text(f"# {name.capitalize()}\n\n{text}\n")
        if at is not None:
            os.utime(path, (at.timestamp(), at.timestamp()))

    def ask(self, path: str, body: dict | None = None) -> dict:
        """One request."""
        headers = {"content-type": "application/json", "perdure-now": self.now.isoformat()}
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers), timeout=30) as response:
            return json.loads(response.read())

    def search(self, query: str, **members: object) -> dict:
        """What the server finds."""
        return self.ask("/v1/indexes/handbook/search", {"query": query, "k": 3, **members})

    def answered(self, query: str, as_of: datetime | None = None) -> None:
        """Print what is found first."""
        found = self.search(query) if as_of is None else self.search(query, as_of=as_of.isoformat())
        first, then = found["hits"][0], "" if as_of is None else f", as of {self.hour(as_of)}"
        print(f"         “{query}”{then} → {first['document']}: {first['text'].splitlines()[-1]}")

    def kept_back(self, query: str) -> None:
        """Print what is found and not given: each hit is held against the store before anybody reads it."""
        for each in self.search(query, k=23)["dropped"]:
            print(f"         not given: {each['document'] or 'a chunk'}, {each['reason']}")

    def follow(self) -> None:
        """What a worker of `perdure up` does when a file changes."""
        self.project.sync_index("handbook", at=self.now)

    def live(self, n_hours: float, *, asks: bool = True) -> None:
        """Rounds of the loop, half an hour apart, and questions between them."""
        until = self.now + timedelta(hours=n_hours)
        while self.now < until:
            self.now += STEP
            self.project.tick(at=self.now)
            self.await_served()
            self.told()
            for _, question in list(PAPERS.values())[:: 3 if asks else len(PAPERS)]:
                self.search(question)

    def await_served(self) -> None:
        """Wait until the server has what the round made: who asks next gets the same at every run."""
        from perdure.core.clock import monotonic_s, sleep_s

        shown, deadline_s = self.project.show_index("handbook"), monotonic_s() + 30
        while True:
            told = self.ask("/v1/indexes/handbook")
            if any(
                (each["version"], each["generation"]) == (shown.version, shown.generation.number)
                for each in told["served"]
            ):
                return
            if monotonic_s() > deadline_s:
                raise TimeoutError(f"The server does not have {shown.version}.")
            sleep_s(0.02)

    def say(self, text: str) -> None:
        """A line of the story."""
        print(f"  {self.hour(self.now)}  {text}")

    def hour(self, at: datetime) -> str:
        """An instant as hours and minutes of the story."""
        minutes = round((at - self.start) / timedelta(minutes=1))
        return f"{minutes // 60:02d}:{minutes % 60:02d}"

    def told(self) -> None:
        """What is new: incidents that opened or closed, resyncs, pointers that moved."""
        with self.project.place.stores.ledger.read() as session:
            known = [each for each in session.incidents.list() if each.asset == "handbook"]
            news = [f"incident {each.kind}: {each.summary}" for each in known]
            news += [
                f"{move.name} → {move.version or 'nothing'} ({move.reason})"
                for move in session.pointers.history("handbook")
            ]
            news += [f"closed {each.kind}: {each.closing}" for each in known if each.closed_at]
        for line in news:
            if line not in self._seen:
                self._seen.add(line)
                self.say(line)


def first_day(shop: Shop) -> None:
    """The index is filled and followed; a paper is withdrawn, and found no more."""
    shop.live(1)
    (shop.folder / "papers" / "vouchers.md").unlink()
    shop.follow()
    shop.await_served()
    shop.say("vouchers.md is withdrawn, and the index follows")
    shop.live(3)


def stale(shop: Shop) -> None:
    """Nobody follows the folder any more, and somebody writes to the index's file."""
    from perdure.testing.careless import careless

    before = shop.now
    shop.say("nothing follows the folder any more: returns.md changes, loans.md comes, parking.md goes")
    shop.write("returns", "Unwanted goods may be sent back within 14 days of delivery.")
    shop.write("loans", "Drills and ladders are lent for a weekend.")
    (shop.folder / "papers" / "parking.md").unlink()
    shop.say(
        "a hand deletes a row of the index, empties a vector, strikes gifts.md off the record, brings the voucher back"
    )
    with closing(careless(sqlite3.connect(shop.project.show_index("handbook").file, isolation_level=None))) as hand:
        hand.execute("DELETE FROM chunks WHERE document = 'warranty.md'")
        hand.execute(
            "UPDATE chunks SET packed = changed(packed, 'vector', zeroblob(length(told(packed, 'vector')))) WHERE document = 'invoices.md'"
        )
        hand.execute("DELETE FROM documents WHERE id = 'gifts.md'")
        hand.execute("UPDATE chunks SET died = 0 WHERE document = 'vouchers.md'")
    shop.kept_back(PAPERS["invoices"][1])
    for name in ("gifts", "warranty", "invoices", "vouchers"):
        shop.answered(PAPERS[name][1])
    shop.live(4)
    for name in ("gifts", "warranty", "invoices", "vouchers", "returns"):
        shop.answered(PAPERS[name][1])
    shop.answered(PAPERS["returns"][1], before)


def swapped(shop: Shop) -> None:
    """The provider puts another model behind the name."""
    shop.live(2, asks=False)
    (shop.folder / "model.txt").write_text("words-2026")
    shop.say("another model answers behind the embedder's name, and nobody is told")
    shop.live(8)
    shop.answered(PAPERS["pets"][1])


def main() -> int:
    """Run the story in a folder of its own, and print how it went."""
    folder = Path(tempfile.mkdtemp(prefix="perdure-shop-"))
    os.environ |= {"PERDURE_STORES_ROOT": str(folder / ".perdure"), "SHOP": str(folder)}
    (folder / "papers").mkdir()
    (folder / "model.txt").write_text("words")
    golden = [
        {"query": question, "relevant": [f"{name}.md"]}
        for name, (_, question) in PAPERS.items()
        if name not in ("vouchers", "parking")
    ]
    (folder / "golden.jsonl").write_text("\n".join(map(json.dumps, golden)))
    shop = Shop(folder)
    from perdure.surface.serving import server_process

    for name, (text, _) in PAPERS.items():
        shop.write(name, text, shop.start - timedelta(days=30))
    shop.project.apply(at=shop.start)
    shop.follow()
    with server_process(shop.project, replay=True) as shop.url:
        first_day(shop)
        stale(shop)
        swapped(shop)
    print("stores of this run:", os.environ["PERDURE_STORES_ROOT"], "\n")
    sys.stdout.flush()
    with shop.project.place.stores.ledger.read() as session:
        incidents = [each.id for each in session.incidents.list() if each.asset == "handbook"]
    for each in incidents:
        subprocess.run([sys.executable, "-m", "perdure.surface.cli", "explain", each], cwd=HERE, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
