"""Guards: what requests and answers must pass, declared like any asset, measured and repaired like a model.

    personal_data = Guard("personal_data", [Pii("email", "phone", "iban")], on=("input", "output"), mode="redact")
    injection = Guard(
        "injection",
        [InjectionRules(), Learned(examples=attacks)],
        mode="block",
        healthy=[miss_ratio(over=days(7)) <= 0.1, false_block_ratio(over=days(7)) <= 0.02],
        policy=Policy.act(retrains=per_month(8)),
    )

A guard's version pins its checks with their settings and, for a learned check, the trained artifact. A check finds; the
guard's mode says what is done with what was found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from perdure.assets.core_schema import code_digest
from perdure.assets.objective import Objective
from perdure.assets.policy import Policy
from perdure.core.canonical import plain
from perdure.core.errors import BadGuard

if TYPE_CHECKING:
    from perdure.assets.source import Source

Mode = Literal["block", "redact", "warn", "shadow"]
"""`block`: the call is refused; `redact`: what was found is masked, and personal data may be put back into the answer;
`warn`: the call passes with a header that says so; `shadow`: only recorded."""
MODES: tuple[Mode, ...] = ("block", "redact", "warn", "shadow")
Side = Literal["input", "output"]
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True, init=False)
class Pii:
    """Personal data by patterns with checksums, such as `Pii("email", "iban")`; without names: all of them.

    Args:
        kinds: names of `engines.guards.pii.KINDS`.
        restore: masks in the answer are replaced by what they stood for in the request.
    """

    kinds: tuple[str, ...]
    restore: bool

    def __init__(self, *kinds: str, restore: bool = True) -> None:
        object.__setattr__(self, "kinds", kinds)
        object.__setattr__(self, "restore", restore)


@dataclass(frozen=True, slots=True)
class PresidioPii:
    """Personal data by Presidio (extra `presidio`): names and places too. 24 ms a text.

    Args:
        entities: Presidio's names, such as `PERSON`; without any, those that point at a person.
        language: of the texts; its spaCy model must be installed.
        min_score: what Presidio is less sure of is left alone.
        restore: masks in the answer are replaced by what they stood for in the request.
    """

    entities: tuple[str, ...] = ()
    language: str = "en"
    min_score: float = 0.5
    restore: bool = True


@dataclass(frozen=True, slots=True)
class Secrets:
    """Keys and tokens of well-known services, private keys, and long random strings behind a word such as `password`."""


@dataclass(frozen=True, slots=True)
class InjectionRules:
    """Prompt injection and jailbreaks by rules: cheap, precise, and nearly blind beside a learned check.

    Args:
        threshold: score from which on a text is caught; 0.5 is one full sign, 0.3 half of one.
    """

    threshold: float = 0.5


@dataclass(frozen=True, slots=True)
class DefenderInjection:
    """Prompt injection by the ONNX detector of the package `stackone-defender` (extra `defender`). 3 ms a short text."""

    threshold: float = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """A classifier that perdure trains on labelled texts, and trains again when it decays.

    Args:
        examples: a source whose rows have the fields `text` (str), `label` (bool: to be caught) and, optionally,
            `family` (str); or a function that returns such a frame. People's overrides of verdicts join it.
        max_false_block: the threshold is set so that at most this share of harmless texts is caught.
    """

    examples: Source | Callable[[], Any]
    max_false_block: float = 0.02


@dataclass(frozen=True, slots=True)
class Topics:
    """Topics that are not talked about, each by its words: `Topics({"medicine": ("diagnose", "dosage")})`.

    Whole words, whatever their case; `*` at the end of one stands for any ending.
    """

    denied: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Names:
    """Names that are not to be said, such as competitors'."""

    denied: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Toxicity:
    """Insults, threats and slurs by a weighted list of words."""

    threshold: float = 1.0


@dataclass(frozen=True, slots=True)
class FitsSchema:
    """The answer is JSON that fits a JSON schema."""

    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Grounded:
    """What the answer claims stands in the texts that were retrieved: numbers, names, words.

    Args:
        least: share of the claims that must be supported.
        tagged: the retrieved texts stand in the conversation between `<tagged>` and `</tagged>`, or are the results
            of tools.
    """

    least: float = 0.7
    tagged: str = "context"


@dataclass(frozen=True, slots=True)
class CanaryLeak:
    """The system prompt does not come out: a canary that is put into it, or a long stretch of its own words.

    Args:
        n_words: so many words in a row of the system prompt are a leak.
    """

    n_words: int = 12


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """The model calls no other tools than these, with arguments that are JSON."""

    allowed: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Custom:
    """A function of one's own: text → True where it is to be caught, or a list of (start, end) to be masked."""

    function: Callable[[str], bool | Sequence[tuple[int, int]]]


Check = (
    Pii | PresidioPii | Secrets | InjectionRules | DefenderInjection | Learned | Topics | Names | Toxicity
    | FitsSchema | Grounded | CanaryLeak | ToolCalls | Custom
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Guard:
    """What requests, answers or both must pass.

    Args:
        name: lower case with underscores.
        checks: what is looked for; one that finds is enough.
        on: `input`, `output` or both.
        mode: what is done with what was found.
        fails: `open` or `closed`: whether a call passes where a check cannot be done (a custom function that raises, a
            classifier that is not loaded).
        wait_ms: longest that an answer waits for a slow input check, which runs beside the upstream call; then `fails`.
        hold_back: characters of a streamed answer that are held until they are judged; what was sent cannot be taken back.
        healthy: objectives, such as `miss_ratio(over=days(7)) <= 0.1`.
        policy: how far the loop may go alone.
    """

    name: str
    checks: Sequence[Check]
    on: Sequence[Side] = ("input",)
    mode: Mode = "block"
    fails: Literal["open", "closed"] = "closed"
    wait_ms: float = 2_000.0
    hold_back: int = 200
    healthy: Sequence[Objective] = ()
    policy: Policy = field(default_factory=Policy.observe)

    def __post_init__(self) -> None:
        object.__setattr__(self, "checks", tuple(self.checks))
        object.__setattr__(self, "on", tuple(self.on))
        object.__setattr__(self, "healthy", tuple(self.healthy))
        if not _NAME.fullmatch(self.name):
            raise BadGuard(f"The guard name {self.name!r} is not legal.", hint="Use a-z, 0-9 and _, a letter first.")
        if not self.checks:
            raise BadGuard(f"Guard {self.name!r} checks nothing.", hint="Name at least one check, such as Pii().")
        if not self.on or set(self.on) - {"input", "output"}:
            raise BadGuard(f"Guard {self.name!r} is on {self.on!r}.", hint='Use on=("input",), ("output",) or both.')
        if self.mode not in MODES:
            raise BadGuard(f"Guard {self.name!r} has the mode {self.mode!r}.", hint=f"Use {', '.join(MODES)}.")
        self._check_settings()

    def _check_settings(self) -> None:
        wrong = [check for check in self.checks if type(check) not in _NAMES]
        if wrong:
            raise BadGuard(
                f"Guard {self.name!r} has {wrong[0]!r} for a check.",
                hint=f"Use those such as Pii() and Secrets(), or Custom(function): "
                f"{', '.join(sorted(each.__name__ for each in _NAMES))}.",
            )
        if self.fails not in ("open", "closed"):
            raise BadGuard(f"Guard {self.name!r} fails {self.fails!r}.", hint='Use fails="open" or "closed".')
        if not self.wait_ms > 0.0:
            raise BadGuard(
                f"Guard {self.name!r} waits {self.wait_ms!r} ms.", hint="Use wait_ms above 0; 2000 is usual."
            )
        for check in self.checks:
            _check_share(self.name, check)

    def definition(self) -> dict[str, Any]:
        """What a version of it is, but for what a learned check has learned: JSON-compatible."""
        return {
            "checks": [check_definition(check) for check in self.checks],
            "on": list(self.on),
            "mode": self.mode,
            "fails": self.fails,
            "wait_ms": self.wait_ms,
            "hold_back": self.hold_back,
        }


def _check_share(guard: str, check: Check) -> None:
    """A threshold that no score reaches would let everything pass unseen.

    Raises:
        BadGuard: it is not above 0, or above 1.
    """
    settings: Mapping[type, str] = {
        InjectionRules: "threshold", DefenderInjection: "threshold", PresidioPii: "min_score", Grounded: "least",
        Learned: "max_false_block",
    }  # fmt: skip
    name = settings.get(type(check), "")
    if name and not 0.0 < getattr(check, name) <= 1.0:
        raise BadGuard(
            f"Guard {guard!r} has {type(check).__name__}({name}={getattr(check, name)!r}).",
            hint="Use a number above 0, and at most 1.",
        )


_NAMES: Mapping[type, str] = {
    Pii: "pii", PresidioPii: "presidio", Secrets: "secrets", InjectionRules: "injection_rules",
    DefenderInjection: "defender", Learned: "learned", Topics: "topics", Names: "names", Toxicity: "toxicity",
    FitsSchema: "fits_schema", Grounded: "grounded", CanaryLeak: "canary_leak", ToolCalls: "tool_calls",
    Custom: "custom",
}  # fmt: skip


def check_definition(check: Check) -> dict[str, Any]:
    """A check as data: its name and its settings.

    >>> check_definition(Pii("email"))
    {'check': 'pii', 'kinds': ['email'], 'restore': True}
    """
    name = _NAMES[type(check)]
    if isinstance(check, Custom):
        function = check.function
        return {"check": name, "function": getattr(function, "__qualname__", type(function).__qualname__),
                "code": code_digest(function)}  # fmt: skip
    if isinstance(check, Learned):
        return {"check": name, "max_false_block": check.max_false_block}
    return {"check": name, **{each.name: plain(getattr(check, each.name)) for each in fields(check)}}
