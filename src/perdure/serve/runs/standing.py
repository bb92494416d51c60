"""Where a call of a tool stands, read from its run's journal: not asked yet, waiting, begun and never ended, or over.

Pure: `doing` acts on it. Entries of one call follow each other: waiting, begun, unknown, and one end.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from perdure.core.canonical import bytes_hash
from perdure.core.runs import StepRecord, Wait
from perdure.engines.agents.looping import Made, digest_of
from perdure.serve.runs.protocols import Journal, ToolGave
from perdure.serve.runs.showing import value_of

ENDS = ("done", "failed", "refused")
ASKED = "asked"
"""Member of `facts`: digest of the arguments as the model gave them, where a person changed them."""
OPEN = "open"
"""Member of `facts`: it failed, and nobody knows whether it happened all the same."""
_TOOL = "tool:"


@dataclass(slots=True)
class Standing:
    """One call."""

    ended: StepRecord | None = None
    n_begun: int = 0
    """Times that it was begun: the last of them is open where it is not over."""
    begun: StepRecord | None = None
    """The last of them."""


@dataclass(slots=True)
class Standings:
    """All calls of tools in one journal; each entry is read once."""

    journal: Journal
    made: list[Made] = field(default_factory=list)
    """Calls that are over, in order."""
    n_calls: Counter[str] = field(default_factory=Counter)
    """Tool → calls that are over, but for those that were refused."""
    _by_call: dict[str, Standing] = field(default_factory=lambda: defaultdict(Standing))
    _open_keys: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    _held: dict[str, str] = field(default_factory=dict)
    """Key → the call that goes out under it, until that is over."""
    _n_read: int = 0

    def of(self, call: str) -> Standing:
        """Where a call stands now."""
        self.read()
        return self._by_call[call]

    def take_key(self, tool: str, arguments: str, call: str) -> str:
        """Key under which the same call went out before without anybody knowing what became of it; empty without one.

        It is this call's until that is over: of two such calls side by side one alone goes out under it.
        """
        for key in self._open_keys.get((tool, arguments), ()):
            if self._held.setdefault(key, call) == call:
                return key
        return ""

    def wait(self, call: str, question: str) -> Wait | None:
        """The newest question of this kind about a call."""
        found = [each for each in self.journal.waits if each.call == call and each.question == question]
        return found[-1] if found else None

    def read(self) -> None:
        """Take in what was written since."""
        steps = self.journal.steps
        for step in steps[self._n_read :]:
            if step.kind == "tool":
                self._take(step)
        self._n_read = len(steps)

    def _take(self, step: StepRecord) -> None:
        standing = self._by_call[step.call]
        if step.state == "begun":
            standing.n_begun += 1
            standing.begun = step
            if step.key:
                self._held[step.key] = step.call
        elif step.state in ENDS:
            standing.ended = step
            made = made_of(step)
            self.made.append(made)
            self.n_calls[made.tool] += step.state != "refused"
            self._give_back(step, self._open_keys[made.tool, made.arguments])

    def _give_back(self, step: StepRecord, open_keys: list[str]) -> None:
        """A call that is over holds no key any more. One that was refused did nothing: what was open stays so."""
        for key in [key for key, call in self._held.items() if call == step.call]:
            del self._held[key]
        if step.key in open_keys:
            open_keys.remove(step.key)
        if step.key and step.facts.get(OPEN):
            open_keys.append(step.key)


def made_of(step: StepRecord) -> Made:
    """A call that is over, as loops are looked for."""
    asked = step.facts.get(ASKED)
    arguments = str(asked) if asked else digest_of(value_of(step.input))
    return Made(step.node.removeprefix(_TOOL), arguments, bytes_hash(step.output + step.error.encode()))


def gave_of(step: StepRecord) -> ToolGave:
    """What a call gave, as its entry tells it."""
    return ToolGave(
        step.output,
        step.text or step.output.decode(errors="replace"),
        step.error,
        versions=step.versions,
        cost_pusd=step.cost_pusd or 0,
        facts=step.facts,
    )


def open_calls(steps: Sequence[StepRecord]) -> list[StepRecord]:
    """Effects that were begun and have no end: their last entries, in order."""
    last: dict[str, StepRecord] = {}
    for step in steps:
        if step.kind == "tool":
            last[step.call] = step
    return [step for step in last.values() if step.state == "begun"]
