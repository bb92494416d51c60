"""Suites: the unit tests of prompts and models, as cases with what is expected and scorers that compare.

    refunds = Suite(
        "refunds",
        "suites/refunds.yaml",
        [scorers.Exact(), scorers.Grounded(weight=0.5)],
        prompt="support_answer",
        role="primary",
    )

or whole in a file, read by `Suite.from_file` or `suites("suites/")`. A version of a suite is its scorers, its margins and the digest
of its cases: a comparison is of one version of it, whatever is edited meanwhile. `assets.suite_file` reads cases, `assets.suite_cases`
says what they are to each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from perdure.assets.scorer_specs import check_scorers, flattened, scorer_definition
from perdure.assets.scorers import Judged, Scorer
from perdure.assets.suite_cases import FrozenSuite, cases_digest, duplicates, freeze, leaks
from perdure.assets.suite_file import PlacedCases, read_cases, read_suite
from perdure.core.errors import BadSuite

if TYPE_CHECKING:
    from perdure.assets.prompt import Prompt
    from perdure.assets.prompt_examples import Example
    from perdure.assets.version import Version

Role = Literal["primary", "guarded"]
"""`primary`: a change must make it better (or leave all equal and be cheaper); `guarded`: a change must not make it worse."""
_NAME = re.compile(r"[a-z][a-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Case:
    """One case: what is asked, and what a good answer is.

    Args:
        id: unique in its suite; empty: from its content.
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
    file: Path | None = None
    """Where it was read from, whole."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise BadSuite(f"The suite name {self.name!r} is not legal.", hint="Use a-z, 0-9, _, - and . in it.")
        object.__setattr__(self, "scorers", tuple(self.scorers))
        if not self.scorers:
            raise BadSuite(f"Suite {self.name!r} has no scorer.", hint="Give it one, such as scorers.Exact().")
        try:
            check_scorers(self.scorers)
        except BadSuite as error:
            raise BadSuite(f"Suite {self.name!r}: {error.message}", hint=error.hint) from error
        if not (self.prompt or self.route):
            raise BadSuite(f"Suite {self.name!r} names neither prompt nor route.", hint="Say what it tests: prompt=…")
        self._check_settings()
        self._settle_cases()

    def _check_settings(self) -> None:
        if self.role not in get_args(Role):
            raise BadSuite(f"Suite {self.name!r} has the role {self.role!r}.", hint="Use primary or guarded.")
        if not 0.0 < self.margin < 1.0 or not 0.0 < self.smallest < 1.0:
            raise BadSuite(f"A margin of suite {self.name!r} is not between 0 and 1.", hint="Such as margin=0.02.")
        if type(self.n_samples) is not int or self.n_samples < 1 or not 0.0 <= self.improve_share < 1.0:
            raise BadSuite(
                f"Suite {self.name!r} asks for {self.n_samples} samples and shares {self.improve_share:g} of its clusters.",
                hint="At least one sample, and a share from 0 to below 1.",
            )

    def _settle_cases(self) -> None:
        from perdure.assets.prompt_file import located

        if isinstance(self.cases, str | Path):
            object.__setattr__(self, "cases", located(self.cases))
        else:
            object.__setattr__(self, "cases", tuple(self.cases))
            self.read()

    def read(self) -> PlacedCases:
        """Its cases, whole, each with where it stands; a file is read again each time.

        Raises:
            BadSuite: they cannot be read, one has a wrong type or another's id, or there is none.
        """
        cases: Any = self.cases
        return read_cases(cases)

    def definition(self) -> dict[str, Any]:
        """What its versions are: its scorers, what a difference must be, and its cases by content.

        Raises:
            BadSuite: its cases cannot be read.
        """
        return self._definition(self.read())

    def frozen(self, prompts: Iterable[Prompt] = (), versions: Iterable[Version] = ()) -> FrozenSuite:
        """The snapshot that a run keeps, so that its verdict is of these cases whatever is edited meanwhile.

        Args:
            prompts: those whose examples no case may stand in.
            versions: those that are tested; no case that gates judge by may stand in the examples of one that is a prompt's.

        Raises:
            BadSuite: its cases cannot be read, two are the same, or one stands in the examples of a prompt.

        Cost: some 150 µs a case.
        """
        read = self.read()
        for pair in duplicates(read):
            if pair.exact:
                raise BadSuite(
                    f"Suite {self.name!r}: the case at {pair.second} asks the same as the one at {pair.first}.",
                    hint="Take one of them out; what counts twice has weight: 2.",
                )
        for prompt in prompts:
            self._check_leaks(read, prompt.shown, f"prompt {prompt.name!r}")
        frozen = freeze(self.name, self._definition(read), read)
        judging = read.only({case.id for case in frozen.gate})
        for version in versions:
            if version.kind == "prompt":
                self._check_leaks(judging, _shown_by(version), version.id)
        return frozen

    def _check_leaks(self, read: PlacedCases, shown: Sequence[Example], whose: str) -> None:
        for pair in leaks(read, shown):
            raise BadSuite(
                f"Suite {self.name!r}: the case at {pair.first} stands in the examples of {whose} at {pair.second}"
                f"{'' if pair.exact else ', in nearly the same words'}.",
                hint="Take it out of one of them: a model that is shown the answer proves nothing.",
            )

    def _definition(self, read: PlacedCases) -> dict[str, Any]:
        return {
            "cases": cases_digest(read),
            "n_cases": len(read.cases),
            "scorers": [scorer_definition(each) for each in self.scorers],
            "prompt": self.prompt,
            "route": self.route,
            "role": self.role,
            "n_samples": self.n_samples,
            "margin": float(self.margin),
            "smallest": float(self.smallest),
            "improve_share": float(self.improve_share),
        }

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """The suite of a YAML file that has scorers and cases; its name is the file's unless it says another.

        Args:
            path: absolute, or relative to the module that calls or to a folder above it, up to the project's.

        Raises:
            BadSuite: it cannot be read; the message begins with file and line.
        """
        from perdure.assets.prompt_file import located

        file = located(path)
        try:
            return cls(**read_suite(file), file=file)
        except BadSuite as error:
            if error.message.startswith(f"{file.name}:"):
                raise
            raise BadSuite(f"{file.name}:1: {error.message}", hint=error.hint, **error.facts) from error


class Suites(dict[str, Suite]):
    """The suites of a folder, by name; a project collects each of them."""


def suites(folder: str | Path) -> Suites:
    """Every suite of a folder and the folders in it, in order of their names.

    Each `*.yaml` is one, but for those whose name, or whose folder's, begins with `_` or `.`.

    Args:
        folder: absolute, or relative to the module that calls or to a folder above it, up to the project's.

    Raises:
        BadSuite: there is no such folder, one of its files is no whole suite, or two suites share a name.
    """
    from perdure.assets.prompt_file import located

    home, found = located(folder), Suites()
    if not home.is_dir():
        raise BadSuite(f"There is no folder {str(home)!r} of suites.", hint="Make it, or name another.")
    for file in sorted(each for each in home.rglob("*") if each.suffix in (".yaml", ".yml")):
        if any(part[0] in "_." for part in file.relative_to(home).parts):
            continue
        suite = Suite.from_file(file)
        if suite.name in found:
            raise BadSuite(
                f"{file.name}: the suite {suite.name!r} is in {found[suite.name].file} too.",
                hint="Give one of them another name.",
            )
        found[suite.name] = suite
    return found


def _shown_by(version: Version) -> Sequence[Example]:
    from perdure.assets.prompt_examples import shown_by

    return shown_by(version.definition)


def judges_of(suite: Suite) -> list[str]:
    """The judges that a suite's scorers ask, each once, in their order."""
    return list(dict.fromkeys(each.judge for each in flattened(suite.scorers) if isinstance(each, Judged)))
