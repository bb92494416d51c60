"""Suites: the unit tests of prompts and models, as cases with what is expected and scorers that compare.

    refunds = Suite(
        "refunds",
        "suites/refunds.yaml",
        [scorers.Exact(), scorers.Grounded(weight=0.5)],
        prompt="support_answer",
        role="primary",
    )

A version of a suite is its scorers, its margins and the digest of its cases: a comparison is of one version of it, whatever
is edited meanwhile. `assets.suite_file` reads cases; what is checked of them (duplicates, leaks into few-shots) is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from perdure.assets.scorer_specs import flattened, scorer_definition
from perdure.assets.scorers import Judged, Scorer
from perdure.core.canonical import bytes_hash, content_hash
from perdure.core.errors import BadSuite

Role = Literal["primary", "guarded"]
"""`primary`: a change must make it better (or leave all equal and be cheaper); `guarded`: a change must not make it worse."""
_NAME = re.compile(r"[a-z][a-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Case:
    """One case: what is asked, and what a good answer is.

    Args:
        id: unique in its suite; by default from its content.
        inputs: the prompt's variables; or `{"messages": [...]}` where a suite asks a route without a prompt.
        expected: what scorers compare with: a text, a number, a list, an object; None where none of them needs it.
        contexts: what was retrieved for it, texts or `{"id", "text", "relevant"}`.
        cluster: cases that belong together (of one document, one conversation); empty: found by near-duplicates.
        tags: for slices in reports.
        weight: in the suite's score.
        provenance: where it came from: `written`, `production`, `feedback`, `incident`, `synthetic`, with ids.
    """

    id: str
    inputs: Mapping[str, Any]
    expected: Any = None
    contexts: tuple[str | Mapping[str, Any], ...] = ()
    cluster: str = ""
    tags: tuple[str, ...] = ()
    weight: float = 1.0
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Suite:
    """Cases and scorers, and what a difference must be to count.

    Args:
        name: of the suite.
        cases: a file (YAML, JSONL), or cases made in code.
        scorers: how an answer is judged.
        prompt: name of the prompt whose versions it tests; empty: it asks `route` with each case's own messages.
        route: who answers; by default the prompt's own route.
        role: what a change of the prompt owes it.
        n_samples: answers asked for each case: repeats tell the model's own dice from the cases'.
        margin: differences within it are equivalent, in the suite's score (0 to 1).
        smallest: the difference that the plan of a comparison must be able to see, with 80 % power.
        improve_share: share of clusters that automatic improvement may learn from; gates judge by the others only.
    """

    name: str
    cases: str | Path | Sequence[Case]
    scorers: Sequence[Scorer]
    prompt: str = ""
    route: str = ""
    role: Role = "guarded"
    n_samples: int = 1
    margin: float = 0.02
    smallest: float = 0.05
    improve_share: float = 0.3

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise BadSuite(f"The suite name {self.name!r} is not legal.", hint="Use a-z, 0-9, _, - and . in it.")
        object.__setattr__(self, "scorers", tuple(self.scorers))
        if not self.scorers:
            raise BadSuite(f"Suite {self.name!r} has no scorer.", hint="Give it one, such as scorers.Exact().")
        if not (self.prompt or self.route):
            raise BadSuite(f"Suite {self.name!r} names neither prompt nor route.", hint="Say what it tests: prompt=…")
        if not 0.0 < self.margin < 1.0 or not 0.0 < self.smallest < 1.0:
            raise BadSuite(f"A margin of suite {self.name!r} is not between 0 and 1.", hint="Such as margin=0.02.")
        if self.n_samples < 1 or not 0.0 <= self.improve_share < 1.0:
            raise BadSuite(
                f"Suite {self.name!r} asks for {self.n_samples} samples and shares {self.improve_share:g} of its clusters.",
                hint="At least one sample, and a share from 0 to below 1.",
            )

    def definition(self) -> dict[str, Any]:
        """What its versions are: its scorers, what a difference must be, and its cases by content."""
        cases = self.cases
        digest = bytes_hash(Path(cases).read_bytes()) if isinstance(cases, str | Path) else content_hash(list(cases))
        return {
            "cases": digest,
            "scorers": [scorer_definition(each) for each in self.scorers],
            "prompt": self.prompt,
            "route": self.route,
            "role": self.role,
            "n_samples": self.n_samples,
            "margin": self.margin,
            "smallest": self.smallest,
            "improve_share": self.improve_share,
        }


def judges_of(suite: Suite) -> list[str]:
    """The judges that a suite's scorers ask, each once, in their order."""
    return list(dict.fromkeys(each.judge for each in flattened(suite.scorers) if isinstance(each, Judged)))
