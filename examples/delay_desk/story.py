"""A delay desk works for two days on real flights; on the second somebody releases a smaller model, and the loop finds and mends that.

`python examples/delay_desk/story.py` (extras `agents` and `demo`) takes a minute: it trains on two weeks of flights, starts a real
server and a stand-in model behind the gateway, and lets an agent predict, explain, look at the weather and draft notices that a dispatcher
has to say yes to. When a flight has landed, dispatch says whether what the desk told held.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
HOUR = timedelta(hours=1)
COMMAND = (sys.executable, "-m", "perdure.surface.cli")
A_STEP = 4
"""Flights that the desk is asked about, each hour."""
HELD_MIN = 25.0
"""What was told held if the flight was in the air so many minutes more or less."""
ABSURD_MIN = 45.0
"""No wind makes a flight so much longer: the dispatcher says no."""


@contextmanager
def stand_in() -> Iterator[str]:
    """The model that plays the desk, in a process of its own; gives its address."""
    process = subprocess.Popen([sys.executable, str(HERE / "provider.py")], stdout=subprocess.PIPE)
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


class Desk:
    """The project, its server, its flights, and the clock of the story."""

    def __init__(self) -> None:
        import perdure

        self.project = perdure.open_project(HERE)
        self.ann = perdure.open_project(HERE, actor="ann")
        assert self.project.check()  # loads what is declared
        from flights import data

        self.now = self.start = data.TRAINED_AT
        self.url = self.key = ""
        self._asked: dict[str, dict[str, Any]] = {}
        """Run → its flight, until the flight has landed."""
        self._seen: set[str] = set()
        self.flights, self.planned, self.landings = _flights()

    def request(self, path: str, body: Any = None) -> Any:
        """One request of the desk's team."""
        headers = {
            "content-type": "application/json", "authorization": f"Bearer {self.key}", "perdure-now": self.now.isoformat()
        }  # fmt: skip
        asked = urllib.request.Request(self.url + path, None if body is None else json.dumps(body).encode(), headers)
        with urllib.request.urlopen(asked, timeout=60) as response:
            return json.loads(response.read())

    def ask_desk(self, flight: dict[str, Any]) -> dict[str, Any]:
        """A run of the agent about one flight, of which dispatch says something once it has landed."""
        run = self.ask(flight, "agents/delay_desk")
        self._asked[run["id"]] = flight
        return run

    def ask(self, flight: dict[str, Any], what: str) -> dict[str, Any]:
        """A run about one flight; it is over, or waits for the dispatcher."""
        row = {**flight, "scheduled_at": flight["scheduled_at"].isoformat()}
        planned = self.planned[flight["origin"], flight["dest"]]
        asked = {"input": {"flight": row, "planned_min": planned}, "expected": planned}
        return self.request(f"/v1/{what}/runs", asked)

    def flights_of(self, hour: datetime) -> list[dict[str, Any]]:
        """Flights that are planned in an hour, on routes that the plan knows."""
        return [each for each in self.flights.get(hour, ()) if (each["origin"], each["dest"]) in self.planned]

    def live(self, n_hours: int) -> None:
        """Hours of the desk, with a round of the loop after each."""
        for _ in range(n_hours):
            mine = self.flights_of(self.now)
            if mine:
                self._dispatch(mine)
                for flight in mine[:: max(1, len(mine) // A_STEP)][:A_STEP]:
                    self.ask_desk(flight)
            self.now += HOUR
            self.answer()
            self._land()
            self.round()

    def _dispatch(self, flights: list[dict[str, Any]]) -> None:
        """Dispatch asks the model itself about every flight."""
        rows = [{**each, "scheduled_at": each["scheduled_at"].isoformat()} for each in flights]
        self.request("/v1/models/air_time/predict", {"rows": rows})

    def answer(self) -> None:
        """The dispatcher answers what waits: no to what cannot be."""
        for question in self.ann.inbox().runs:
            text = json.loads(question.wait.arguments)["text"]
            if float(re.search(r"(\d+) more", text)[1]) < ABSURD_MIN:
                self.ann.approve(question.wait.id, reason="Tell them.", at=self.now)
            else:
                self.ann.reject(question.wait.id, reason="No wind does that.", at=self.now)
        self.await_over()

    def await_over(self) -> None:
        """Wait until the runs that were answered are over."""
        from perdure.core.clock import monotonic_s, sleep_s

        until = monotonic_s() + 30
        while self.request("/v1/runs?status=running,waiting")["runs"]:
            if monotonic_s() > until:
                raise TimeoutError("A run does not end.")
            sleep_s(0.02)

    def _land(self) -> None:
        """Labels of the flights that landed, and what dispatch says of the desk's runs about them."""
        landed = {key: each for key, each in self.landings.items() if each["landed_at"] < self.now}
        for key in landed:
            del self.landings[key]
        if landed:
            labels = [
                {"key": key, "value": each["air_time_min"], "known_at": each["landed_at"].isoformat()}
                for key, each in landed.items()
            ]
            self.request("/v1/labels", {"model": "air_time", "labels": labels})
        said = []
        for run, flight in list(self._asked.items()):
            if flight["flight_id"] not in landed:
                continue
            del self._asked[run]
            told = self.request(f"/v1/runs/{run}")["output"]["minutes"]
            held = abs(told - landed[flight["flight_id"]]["air_time_min"]) <= HELD_MIN
            said.append({"run": run, "name": "success", "value": held})
        if said:
            self.request("/v1/feedback", said)

    def round(self) -> None:
        """One round of the loop, and what is new of it."""
        self.project.tick(at=self.now)
        self._await_served()
        with self.project.place.stores.ledger.read() as session:
            known = [each for each in session.incidents.list() if each.asset in ("delay_desk", "air_time")]
            news = [f"{each.asset}: incident {each.kind}: {each.summary}" for each in known]
            news += [
                f"{each.asset}: {each.name} → {each.version or 'nothing'} ({each.reason})"
                for name in ("delay_desk", "air_time")
                for each in session.pointers.history(name)
            ]
            news += [f"{each.asset}: closed: {each.closing}" for each in known if each.closed_at]
        for line in news:
            if line not in self._seen:
                self._seen.add(line)
                self.say(line)

    def _await_served(self) -> None:
        """Wait until the server has what the round released: who asks next gets the same at every run."""
        from perdure.core.clock import sleep_s

        with self.project.place.stores.ledger.read() as session:
            wanted = session.pointers.generation()
        while self.request("/readyz")["generation"] < wanted:
            sleep_s(0.02)

    def say(self, text: str) -> None:
        """A line of the story."""
        print(f"  {self.now:%a %H:%M}  {text}", flush=True)


def _flights() -> tuple[dict[datetime, list[dict[str, Any]]], dict[tuple[str, str], float], dict[str, dict[str, Any]]]:
    """Flights by the hour of their plan, usual minutes by origin and destination, landings by flight: from the training on."""
    import polars as pl
    from delay_desk import flown
    from flights import data

    from perdure.core.units import days

    before = flown.read_plans().join(flown.read_landings(), on="flight_id")
    usual = before.group_by("origin", "dest").agg(pl.median("air_time_min"), n=pl.len()).filter(pl.col("n") >= 10)
    planned = {(origin, dest): float(minutes) for origin, dest, minutes, _ in usual.iter_rows()}
    span = pl.col("planned_at").is_between(data.TRAINED_AT, data.TRAINED_AT + days(4), closed="left")
    asked = data.all_flights().filter(span)
    by_hour: dict[datetime, list[dict[str, Any]]] = {}
    for row in asked.select(*data.PLAN, "planned_at").iter_rows(named=True):
        by_hour.setdefault(row.pop("planned_at"), []).append(row)
    landed = data.landings().join(asked.select("flight_id"), on="flight_id", how="semi")
    return by_hour, planned, {row["flight_id"]: row for row in landed.iter_rows(named=True)}


def perdure(*words: str) -> None:
    """A command of perdure's, shown with what it prints."""
    print(f"\n$ perdure {' '.join(words)}", flush=True)
    subprocess.run([*COMMAND, *words], cwd=HERE, check=True)


def one_flight(desk: Desk) -> None:
    """A flight above its plan: the desk drafts a notice, the dispatcher says yes, it goes out once; the graph says the same."""
    checked = [(flight, desk.ask(flight, "graphs/delay_check")) for flight in desk.flights_of(desk.now)]
    verdicts = Counter(run["output"]["verdict"] for _, run in checked)
    desk.say(
        "the graph checks the flights of the hour: "
        + ", ".join(f"{n} × {each}" for each, n in sorted(verdicts.items()))
    )
    late, by_graph = next(each for each in checked if each[1]["output"]["verdict"] == "tell")
    print(json.dumps(by_graph["output"], indent=2))
    perdure("graph", "draw", "delay_check", "--run", by_graph["id"])
    run = desk.ask_desk(late)
    desk.say(f"the desk is asked about {late['flight_id']}: {run['status']}")
    perdure("inbox")
    perdure("approve", run["waits"][0]["id"], "--reason", "Tell them.", "--as", "ann")
    desk.await_over()
    perdure("agent", "trace", run["id"])
    sent = [json.loads(line) for line in Path(os.environ["DELAY_DESK_OUTBOX"]).read_text().splitlines()]
    print(f"\nsent for {late['flight_id']}: {[each['text'] for each in sent if each['flight'] == late['flight_id']]}\n")


def worse(desk: Desk) -> str:
    """Somebody wants a smaller model, and releases it by hand; gives the version of before."""
    [before] = desk.project.versions("air_time")
    small = desk.project.train(
        "air_time", at=desk.now, params={"n_estimators": 4, "num_leaves": 7, "learning_rate": 0.1}
    )
    desk.say("somebody trains four trees in place of a hundred, and releases them by hand: they answer faster")
    desk.project.apply(at=desk.now, release={"air_time": small.version.id}, reason="four trees answer faster")
    desk.round()
    return before.id


def main() -> int:
    """Run the story in a folder of its own, and print how it went."""
    folder = Path(tempfile.mkdtemp(prefix="perdure-delays-"))
    with stand_in() as writer:
        os.environ |= {
            "PERDURE_STORES_ROOT": str(folder / ".perdure"), "WRITER_URL": writer, "DELAY_DESK_OUTBOX": str(folder / "outbox.jsonl")
        }  # fmt: skip
        desk = Desk()
        from perdure.surface.serving import server_process

        desk.project.train("air_time", at=desk.now)
        desk.project.apply(at=desk.now)
        desk.project.tick(at=desk.now)
        desk.key = desk.project.create_key("desk").secret
        with server_process(desk.project, replay=True) as desk.url:
            desk.live(8)
            one_flight(desk)
            desk.live(23)
            before = worse(desk)
            desk.live(4)
            perdure(
                "agent", "replay", "delay_desk", "--since", "4h", "--at", desk.now.isoformat(), "--limit", "8",
                "--swap", f"model:air_time={before}",
            )  # fmt: skip
            print()
            desk.live(18)
        notices = [json.loads(line) for line in Path(os.environ["DELAY_DESK_OUTBOX"]).read_text().splitlines()]
        print(f"\n{len(notices)} notices went out, {len({each['key'] for each in notices})} keys")
        print("stores of this run:", os.environ["PERDURE_STORES_ROOT"])
        perdure("explain", "delay_desk")
        perdure("explain", "air_time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
