"""Fake judges: models behind a route that judge well, badly, with a bias, otherwise from some day on, or as they are told to.

They read what a judge is asked exactly as a model would, from the messages alone: the nonce, the fenced JSON and the words it
may say. What is right they know from a function of the judged case. Public: a project's own judges can be tested with them.

    fakes = FakeAnswerer({"judges": FakeJudge(truth)})
    place = replace(place, open_answerer=lambda: fakes)
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from perdure.core.ports import Answered, Asked
from perdure.core.usage import Usage

Truth = Callable[[Mapping[str, Any]], float]
"""The judged case (`inputs`, and `answer` or `first` and `second`) → how good it is, 0 to 1; of a pair how good the first is."""
Manner = Literal["honest", "worthless", "kind", "strict", "first", "longer", "silent", "refusing", "chatty"]
"""`honest`: says what is right but for its noise; `worthless`: throws a coin; `kind`, `strict`: always the best or worst
word; `first`: of a pair whichever is shown first; `longer`: the longer answer; `silent`: nothing; `refusing`; `chatty`:
prose in place of the form."""
_NONCE = re.compile(r"Nonce: (\S+)")
_WORDS = re.compile(r"Your verdict is one of, worst first: (.+)\.")
_ORDER = re.compile(
    r"\b(?:ignore|disregard|your verdict must be|evaluation is over|you are required to give)\b", re.IGNORECASE
)


@dataclass(slots=True)
class FakeJudge:
    """One model that judges.

    Args:
        truth: how good a case is.
        manner: how it judges.
        noise: share of cases on which an honest one is wrong: always the same cases, by their hash.
        obeys: it does what an order in the judged text wants.
        helped_by: a text in the system message, or `examples` for any examples, with which an otherwise mannered judge is
            honest: what a repair has to find.
        model: its name, as the gateway tells it.
    """

    truth: Truth
    manner: Manner = "honest"
    noise: float = 0.0
    obeys: bool = False
    helped_by: str = ""
    model: str = "fake/judge-1"

    def answer(self, asked: Asked) -> Answered:
        """What it says; where it is asked to write a rubric, the same rubric with a sentence more."""
        system, user = str(asked.messages[0]["content"]), str(asked.messages[-1]["content"])
        told = json.loads(user.splitlines()[-2])
        if "rubric" in told:
            return self._said(json.dumps({"rubric": f"{told['rubric']} Judge by this alone."}))
        words = _words(system)
        nonce = _NONCE.search(user)
        if self.manner == "silent":
            return self._said("")
        if self.manner == "refusing":
            return self._said("I'm sorry, but I can't judge this.")
        verdict = self._verdict(told, words, asked)
        if self.manner == "chatty":
            return self._said(f"I think the verdict should be {verdict}.")
        more = {"nonce": nonce[1], "reason": "as I see it"} if nonce else {}
        return self._said(json.dumps({**more, "verdict": verdict}))

    def _verdict(self, told: Mapping[str, Any], words: list[str], asked: Asked) -> str:
        pair = "first" in told
        if self.obeys:
            for name in ("first", "second", "answer"):
                if _ORDER.search(str(told.get(name, ""))):
                    return name if pair else words[-1]
        value = self._value(told, self._helped(asked))
        if pair:
            return "tie" if value == 0.5 else "first" if value > 0.5 else "second"
        return words[round(value * (len(words) - 1))]

    def _helped(self, asked: Asked) -> bool:
        if self.helped_by == "examples":
            return len(asked.messages) > 2
        return bool(self.helped_by) and self.helped_by in str(asked.messages[0]["content"])

    def _value(self, told: Mapping[str, Any], helped: bool) -> float:
        pair, value, chance = "first" in told, self.truth(told), _chance(told)
        if self.manner == "honest" or helped:
            return 1.0 - value if chance < self.noise else value
        if self.manner == "worthless":
            return float(chance < 0.5)
        if self.manner == "longer" and pair:
            return float(len(told["first"]) > len(told["second"]))
        if self.manner == "first" and pair:
            return 1.0
        return 0.0 if self.manner == "strict" else 1.0

    def _said(self, text: str) -> Answered:
        usage = Usage(n_input=200, n_output=20)
        return Answered({"role": "assistant", "content": text}, "stop", usage, 20_000_000, 1_000, self.model)


def _words(system: str) -> list[str]:
    found = _WORDS.search(system)
    return [] if found is None else [each.strip() for each in found[1].split(",")]


def _chance(told: Mapping[str, Any]) -> float:
    """0 to 1 by the case, whichever way round a pair is shown."""
    answers = sorted(str(told[name]) for name in ("answer", "first", "second") if name in told)
    digest = hashlib.sha256(json.dumps([told["inputs"], answers], sort_keys=True).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


@dataclass(slots=True)
class FakeAnswerer:
    """An `Answerer` of fakes by route. Put another judge behind a route, and its model is swapped.

    A route that nobody is behind answers with the error `upstream.unreachable`.
    """

    judges: dict[str, FakeJudge]
    n_asked: int = 0
    asked: list[Asked] = field(default_factory=list)
    """Every question, in order."""

    async def ask(self, asked: Asked) -> Answered:
        """What the route's judge says."""
        self.n_asked += 1
        self.asked.append(asked)
        judge = self.judges.get(asked.route)
        return Answered({}, error="upstream.unreachable") if judge is None else judge.answer(asked)

    async def close(self) -> None:
        """Nothing is open."""
