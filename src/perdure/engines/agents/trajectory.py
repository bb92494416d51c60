"""Which steps of a run it could have done without: repeated ones, results that nothing afterwards used, tools that were not the right ones.

`needless` is careful: a step counts only where the journal shows it. A repeated call counts where it gave the same again; a result counts as
unused only where it holds words of its own and none of them comes up afterwards, neither in an argument nor in an answer, while words of
another result do. Pure; the health of agents asks it.

What surprised us: an empty result is used by not being used, since that there is nothing is an answer too; so it never counts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from perdure.core.runs import StepRecord
from perdure.engines.agents.looping import digest_of
from perdure.engines.agents.nodes import is_empty, value_of

_WORD = re.compile(r"[^\W_]{4,}|\d+(?:[.,]\d+)*")
_UNSPACED = "\u2e80"
"""From here on are scripts that put no spaces between words: there two letters are one."""
_LEAST_OWN = 3
"""So many words of its own a result must have, or nobody could tell whether it was used."""
_MEMBERS = frozenset({"hits", "text", "document", "score", "generation", "seen_at", "prediction", "value", "content", "role", "assistant", "null", "true", "false", "status"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trajectory:
    """Numbers of steps of one run, each counted once: a repeated step is not unused too."""

    n_steps: int
    """Answers of models, calls of tools and nodes that came to an end."""
    repeated: tuple[int, ...] = ()
    unused: tuple[int, ...] = ()
    wrong: tuple[int, ...] = ()
    """Calls of tools that were not to be called."""

    @property
    def needless(self) -> int:
        """How many it could have done without."""
        return len(self.repeated) + len(self.unused) + len(self.wrong)

    @property
    def ratio(self) -> float:
        """Their share of all steps, 0 to 1; 0 of a run without steps."""
        return self.needless / self.n_steps if self.n_steps else 0.0


def trajectory_of(
    steps: Sequence[StepRecord], asked: bytes, gave: bytes, expected_tools: Collection[str] | None = None
) -> Trajectory:
    """The needless steps of a run.

    Args:
        steps: its journal.
        asked: JSON of what it was asked: words of it are nobody's own.
        gave: JSON of what it gave.
        expected_tools: names of those that it should call; None: nobody said.

    Cost: O(length of the journal).
    """
    over = [step for step in steps if step.state in ("done", "failed")]
    repeated = _repeated(over)
    wrong = [
        step.n
        for step in over
        if expected_tools is not None and step.kind == "tool" and step.node.removeprefix("tool:") not in expected_tools
    ]
    others = {*repeated, *wrong}
    unused = [step.n for step in _unused(over, asked, gave, _effects(steps)) if step.n not in others]
    return Trajectory(
        _n_steps(over), tuple(each for each in repeated if each not in wrong), tuple(unused), tuple(wrong)
    )


def _n_steps(over: Sequence[StepRecord]) -> int:
    """A call of an agent, or a node that asks something, stands in two entries and is one step; asked again it is another."""
    asked = {step.call for step in over if step.kind != "node"}
    return sum(step.kind != "child" for step in over) - sum(step.kind == "node" and step.call in asked for step in over)


def _repeated(over: Sequence[StepRecord]) -> list[int]:
    known: set[tuple[str, str, str]] = set()
    found = []
    for step in over:
        if step.kind != "tool":
            continue
        call = (step.node, digest_of(value_of(step.input)), digest_of(value_of(step.output)))
        if call in known and not step.error:
            found.append(step.n)
        known.add(call)
    return found


def _effects(steps: Sequence[StepRecord]) -> set[str]:
    """Calls that changed something: what they gave need not be used."""
    return {step.call for step in steps if step.key or step.state == "begun"}


def _unused(over: Sequence[StepRecord], asked: bytes, gave: bytes, effects: Collection[str]) -> list[StepRecord]:
    after: set[str] = _words(gave)
    found, n_used = [], 0
    for step in reversed(over):
        if step.kind == "tool" and step.state == "done" and not step.error and step.call not in effects:
            own = _words(step.output) - _words(step.input) - _words(asked) - _MEMBERS
            if own & after:
                n_used += 1
            elif len(own) >= _LEAST_OWN and not is_empty(value_of(step.output)):
                found.append(step)
        after |= _words(step.input) if step.kind == "tool" else _words(step.output)
    # Where nothing that is kept says what came of the run, nothing says what was used; nor where no result at all comes up again:
    # "Yes, we have it", or an answer in another language, rests on one of them all the same.
    return found if _words(gave) and n_used else []


def _words(body: bytes) -> set[str]:
    """Words of four letters and more, and numbers with their roundings."""
    found: set[str] = set()
    for word in _WORD.findall(body.decode(errors="replace").casefold()):
        found.add(word)
        if word[-1] >= _UNSPACED:
            found |= {word[at : at + 2] for at in range(len(word) - 1)}
        if word[0].isdigit() and "." in word:
            found |= _rounded(word)
    return found


def _rounded(word: str) -> set[str]:
    try:
        number = float(word)
    except ValueError:
        return set()
    return {f"{number:.{digits}f}" for digits in range(4)}
