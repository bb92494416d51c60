"""The story's desk: the project, its server, its callers' keys, its clock, and what it asks of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from docs_desk import HERE, OUT
from reading import best_line
from rich.markup import escape
from told import Teller

if TYPE_CHECKING:
    from perdure.surface.eval_told import EvalTold
    from perdure.surface.records import Change

HOUR = timedelta(hours=1)
LASTS = timedelta(hours=6, minutes=50)
"""Domain time that the story takes, and some minutes."""
_GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "ann", "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "ann", "GIT_COMMITTER_EMAIL": "ann@example.org",
}  # fmt: skip


@dataclass(frozen=True)
class Said:
    """What came of one question."""

    question: str
    found: str
    passage: str
    text: str
    took_ms: float
    call: str
    error: str = ""


class Desk:
    """The project, its server, its callers' keys, and the clock of the story."""

    def __init__(self) -> None:
        from perdure.core.clock import machine_now

        # It ends about now: commands and the console then find it as fresh as it is.
        self.now = machine_now() - LASTS
        self.project = _opened()
        self.told = Teller(self.now)
        self.url = ""
        self.keys: dict[str, str] = {}
        """Label → secret."""
        self._seen: set[str] = set()

    def reopen(self) -> None:
        """The project as its files are now."""
        self.project = _opened()

    def commit(self, why: str) -> None:
        """What changed in the pages, as a commit of this hour of the story."""
        when = {"GIT_AUTHOR_DATE": self.now.isoformat(), "GIT_COMMITTER_DATE": self.now.isoformat()}
        pages = OUT / "pages"
        first = () if (pages / ".git").exists() else (("init", "-q", "-b", "main"),)
        for command in (*first, ("add", "--all"), ("commit", "-q", "-m", why)):
            subprocess.run(["git", *command], cwd=pages, env={**os.environ, **_GIT, **when}, check=True)

    def request(self, path: str, body: object = None, key: str = "website") -> tuple[int, Any, Any]:
        """Status, headers and answer of one request."""
        headers = {"content-type": "application/json", "perdure-now": self.now.isoformat()}
        if key:
            headers["authorization"] = f"Bearer {self.keys[key]}"
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(
                urllib.request.Request(self.url + path, data, headers), timeout=120
            ) as response:
                return response.status, response.headers, json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, json.loads(error.read())

    def ask(self, question: str, key: str = "website", *, about: str = "") -> Said:
        """Search the index, take the line that says most of it, and let the model answer from that line.

        Args:
            question: what the model is asked.
            key: whose.
            about: what is searched for; by default the question.
        """
        _, _, found = self.request("/v1/indexes/docs/search", {"query": about or question, "k": 5, "expand": True}, key)
        sections = [each.get("section", each)["text"] for each in found["hits"]]
        passage = best_line(sections, about or question)
        places = zip(found["hits"], sections, strict=True)
        page = next((hit["document"] for hit, text in places if best_line([text], about or question) == passage), "")
        return self.answer(passage, question, key, page)

    def answer(self, passage: str, question: str, key: str = "website", page: str = "") -> Said:
        """What the model says to a question from a passage, by the prompt that answers now."""
        from perdure.core.clock import monotonic_s

        body = {"model": "prompt:answer", "variables": {"passage": passage, "question": question}}
        began_s = monotonic_s()
        status, headers, answer = self.request("/v1/chat/completions", body, key)
        took_ms = (monotonic_s() - began_s) * 1000
        text = answer["choices"][0]["message"]["content"].strip() if status == 200 else ""
        error = "" if status == 200 else answer["error"]["message"]
        return Said(question, page, passage, text, took_ms, headers.get("perdure-call-id", ""), error)

    def live(self, n_hours: int, asset: str) -> None:
        """Rounds of the loop, an hour apart; tells what is new of an asset."""
        for _ in range(n_hours):
            self.now += HOUR
            self.project.tick(at=self.now)
            self.await_served()
            self.tell_news(asset)

    def await_served(self) -> None:
        """Wait until the server has what the round made: who asks next gets the same at every run."""
        from perdure.core.clock import monotonic_s, sleep_s

        with self.project.place.stores.ledger.read() as session:
            wanted = session.pointers.generation()
        shown, deadline_s = self.project.show_index("docs"), monotonic_s() + 30
        while True:
            ready, index = self.request("/readyz")[2], self.request("/v1/indexes/docs")[2]
            arms = [(each["version"], each["generation"]) for each in index.get("served", ())]
            if ready.get("generation", -1) >= wanted and (shown.version, shown.generation.number) in arms:
                return
            if monotonic_s() > deadline_s:
                raise TimeoutError("The server does not have what the loop released.")
            sleep_s(0.02)

    def tell_news(self, asset: str) -> None:
        """Incidents of an asset that opened or closed, and pointers that moved, once each."""
        with self.project.place.stores.ledger.read() as session:
            known = [each for each in session.incidents.list() if each.asset == asset]
            news = [(f"incident {each.kind.replace('_', ' ')}: {each.summary}", "yellow") for each in known]
        news += self._generations()
        news += [(f"incident closed: {each.closing}", "green") for each in known if each.closed_at]
        for text, style in news:
            if text not in self._seen:
                self._seen.add(text)
                self.told.line(self.now, text, style)

    def _generations(self) -> list[tuple[str, str]]:
        """What the index was made, one transaction after the other."""
        return [
            (f"docs, generation {each.number}: {each.reason}; {each.n_documents} pages, {each.n_chunks:,} chunks", "")
            for each in self.project.index_history("docs")
            if not each.reason.startswith("touch")  # read again, and nothing of it changed
        ]

    def tell_answers(self, answers: Sequence[Said], right: Sequence[str]) -> None:
        """Questions with where their passage stands, what the model said, and whether it is right."""
        rows = []
        for each, word in zip(answers, right, strict=True):
            well = "[green]yes[/]" if word in each.text else "[red]no[/]"
            rows.append(
                (each.question, each.found or "–", escape(each.text or each.error), well, f"{each.took_ms:,.0f} ms")
            )
        self.told.table(("asked", "found in", "the model says", "right", ">took"), rows)

    def tell_guards(self, said: Said) -> None:
        """What the guards did with a call, what of it reached the model, and what came back."""
        story = self.project.call(said.call, at=self.now)
        rows = [
            (
                f"guard {each.guard}",
                f"{each.action}: {each.kind or each.check} in the {each.side}, {each.took_ms:.2f} ms",
            )
            for each in story.guards
            if each.action != "passed"
        ]
        reached = story.request[-1]["content"] if story.request and story.attempts else "nothing"
        rows += [("the model read", escape(str(reached))), ("the reader got", escape(said.text or said.error))]
        self.told.facts(rows)

    def tell_flips(self, n: int = 3) -> None:
        """Cases of the newest comparison that came out worse, side by side, and what an answer costs."""
        reports = (self.project.evals.report(row.run) for row in self.project.evals.runs(5))
        compared = next(each for each in reports if len(each.sides) == 2)
        worse = [each for each in compared.cases if each.flip == "worse"]
        rows = [
            (
                json.loads(each.question)["question"],
                each.expected,
                *(escape(answers[0].text) for answers in each.answers),
            )
            for each in worse[:: max(1, len(worse) // n)][:n]
        ]
        self.told.table(("asked", ">right is", "as it is", "as edited"), rows)
        now, edited = (f"${(side.cost_usd or 0.0) / side.n_answers:.6f}" for side in compared.sides)
        self.told.put(
            f"{len(worse)} of {len(compared.cases)} answers would have become wrong; an answer costs {now} as it is, "
            f"{edited} as edited."
        )

    def tell_spend(self) -> None:
        """Calls, tokens and money by key."""
        from perdure.core.clock import machine_now

        labels = {each.id: f"{each.label} (team {each.team})" for each in self.project.list_keys(at=self.now)}
        labels["evals"] = "the suite, asked by the project"
        # The suite was asked by the machine's clock: by that all of it is over.
        spend = self.project.spend(["key"], at=machine_now())
        rows = [(labels.get(str(each.of["key"]), str(each.of["key"])), each) for each in spend.rows]
        self.told.table(
            ("key", ">calls", ">tokens", ">cost", ">a call"),
            [
                (
                    name,
                    f"{row.calls:,}",
                    f"{row.tokens:,}",
                    f"${row.cost_usd or 0.0:.6f}",
                    f"${(row.cost_usd or 0.0) / row.calls:.6f}",
                )
                for name, row in [*rows, ("in all", spend.total)]
            ],
        )

    def score(self, run: EvalTold) -> str:
        """A run's score with its interval."""
        [side] = run.sides
        told = "" if side.score is None else f" (95% {side.score.low:.0%} to {side.score.high:.0%})"
        return f"{side.mean or 0.0:.0%}{told}"

    def measure(self) -> EvalTold:
        """What the wording in the file scores on its suite; the model answers each case once."""
        from perdure.surface.evaluating import Asking

        with self.told.working("the model answers the suite") as heard:
            watching = Asking(watching=lambda _, done: heard(done.n_done, done.n_total))
            [run] = self.project.evals.run("facts", prompt="answer", asking=watching, at=self.now)
        return run

    def apply(self) -> list[Change]:
        """`perdure apply`: what came of the prompt and the index."""
        changes = self.project.apply(at=self.now)
        return [each for each in changes if each.what not in ("declared", "changed", "unchanged")]


def _opened() -> Any:
    import perdure

    sys.modules.pop("docs_desk", None)
    return perdure.open_project(HERE)
