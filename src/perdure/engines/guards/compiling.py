"""From a guard's version to a guard at work: definition, artifacts and functions in, `CompiledGuard` out.

Done once, when serve loads a version or the loop measures one. Everything that can be wrong with a declaration is wrong here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perdure.core.errors import BadGuard, nearest
from perdure.engines.guards.canary import CanaryCheck
from perdure.engines.guards.checks import (
    LITERAL,
    AnswerCheck,
    Bound,
    PointingCheck,
    ScoringCheck,
    TextCheck,
    clean_of,
)
from perdure.engines.guards.guarding import CompiledGuard

Json = dict[str, Any]
AnyCheck = TextCheck | AnswerCheck | Bound
_OF_ANSWERS = ("fits_schema", "grounded", "tool_calls", "canary_leak")
_UNMASKABLE = ("fits_schema", "grounded", "tool_calls")


@dataclass(frozen=True, slots=True)
class Making:
    """What a check is made of beside its settings."""

    index: int
    """Of the check among those of its guard."""
    hold_back: int
    artifacts: Mapping[str, bytes]
    functions: Mapping[str, Callable[[str], Any]]


def compile_guard(
    name: str,
    version: str,
    definition: Mapping[str, Any],
    artifacts: Mapping[str, bytes],
    functions: Mapping[str, Callable[[str], Any]] | None = None,
) -> CompiledGuard:
    """A guard ready to judge.

    Args:
        name: of the guard.
        version: of its version.
        definition: as `Guard.definition` made it.
        artifacts: what learned checks have learned: `learned` where there is one, `learned_0` … by the place of the check
            among the guard's checks otherwise.
        functions: what custom checks ask, by the name that their definition gives.

    Raises:
        BadGuard: a check that is not known, cannot do what the mode asks, or lacks its artifact or function.
        MissingExtra: a check needs a library that is not installed.
        UntrustedArtifact: a detector's files are not the ones that are known.

    >>> from perdure.assets.guard import Guard, Pii
    >>> guard = compile_guard("personal_data", "v1", Guard("personal_data", [Pii("email")]).definition(), {})
    >>> guard.judge([{"role": "user", "content": "I am ann@example.org"}], {}).kind
    'email'
    """
    settings = list(definition["checks"])
    _possible(name, definition["mode"], definition["on"], [str(each["check"]) for each in settings])
    hold_back = int(definition.get("hold_back", 200))
    if hold_back < 1:
        raise BadGuard(f"Guard {name!r} holds back {hold_back} characters.", hint="Use at least 1; 200 is usual.")
    checks = []
    for index, each in enumerate(settings):
        made = _MAKERS[str(each["check"])](each, Making(index, hold_back, artifacts, functions or {}))
        checks.append(made)
    return CompiledGuard(
        name=name,
        version=version,
        mode=str(definition["mode"]),
        fails=str(definition.get("fails", "closed")),
        wait_ms=float(definition.get("wait_ms", 2_000.0)),
        on=tuple(definition["on"]),
        hold_back=hold_back,
        checks=tuple(checks),
    )


def _possible(name: str, mode: str, on: Sequence[str], checks: Sequence[str]) -> None:
    for check in checks:
        if check not in _MAKERS:
            near = nearest(check, _MAKERS)
            hint = f"Did you mean {near!r}?" if near else f"Use {', '.join(_MAKERS)}."
            raise BadGuard(f"Guard {name!r} names a check {check!r}, which is not known.", hint=hint)
        if check in _OF_ANSWERS and "output" not in on:
            raise BadGuard(f"Guard {name!r}: {check!r} judges answers.", hint='Use on=("output",) or both sides.')
        if check in _UNMASKABLE and mode == "redact":
            raise BadGuard(
                f"Guard {name!r}: {check!r} finds nothing that could be masked.", hint="Use mode block or warn for it."
            )


def _pii(settings: Mapping[str, Any], making: Making) -> AnyCheck:  # noqa: ARG001 - one shape for all makers
    from perdure.engines.guards.pii import may_hold, patterns

    found = patterns(tuple(settings.get("kinds", ())))
    restores = bool(settings.get("restore", True))
    return PointingCheck("pii", found, may_hold, restores=restores, clean=clean_of(found), reach=LITERAL)


def _presidio(settings: Mapping[str, Any], making: Making) -> AnyCheck:
    from perdure.engines.guards.presidio import presidio

    return presidio(
        tuple(settings.get("entities", ())), str(settings.get("language", "en")), float(settings.get("min_score", 0.5)),
        restore=bool(settings.get("restore", True)), longest=making.hold_back,
    )  # fmt: skip


def _secrets(settings: Mapping[str, Any], making: Making) -> AnyCheck:  # noqa: ARG001
    from perdure.engines.guards.secrets import PATTERNS, may_hold

    return PointingCheck("secrets", PATTERNS, may_hold, clean=clean_of(PATTERNS), reach=LITERAL)


def _injection_rules(settings: Mapping[str, Any], making: Making) -> AnyCheck:  # noqa: ARG001
    from perdure.engines.guards.injection import NONE, least_weight, signs

    threshold = float(settings.get("threshold", 0.5))
    least = least_weight(threshold)

    def score(text: str) -> tuple[float, str]:
        found = signs(text, least)
        return (0.0, "") if found is NONE else (found.score, found.family)

    return ScoringCheck("injection_rules", score, threshold)


def _defender(settings: Mapping[str, Any], making: Making) -> AnyCheck:  # noqa: ARG001
    from perdure.engines.guards.defender import installed

    detector = installed()
    return ScoringCheck(
        "defender", lambda text: (detector.score(text), ""), float(settings.get("threshold", 0.5)), slow=True
    )


def _learned(settings: Mapping[str, Any], making: Making) -> AnyCheck:
    from perdure.engines.guards.learned import load_learned

    artifact = making.artifacts.get(f"learned_{making.index}", making.artifacts.get("learned"))
    if artifact is None:
        raise BadGuard("A learned check has not learned yet.", hint="Train it: the loop does where its policy allows.")
    scorer = load_learned(settings, artifact)

    def score(text: str) -> tuple[float, str]:
        found = scorer.score(text)
        return found, scorer.family(text) if found >= scorer.threshold else ""

    # Half a millisecond a text is too much for the event loop of a gateway.
    return ScoringCheck("learned", score, scorer.threshold, slow=True)


def _topics(settings: Mapping[str, Any], making: Making) -> AnyCheck:  # noqa: ARG001
    from perdure.engines.guards.words import topics

    return topics(settings["denied"])


def _names(settings: Mapping[str, Any], making: Making) -> AnyCheck:  # noqa: ARG001
    from perdure.engines.guards.words import names

    return names(settings["denied"])


def _toxicity(settings: Mapping[str, Any], making: Making) -> AnyCheck:  # noqa: ARG001
    from perdure.engines.guards.toxicity import toxicity

    return toxicity(float(settings.get("threshold", 1.0)))


def _fits_schema(settings: Mapping[str, Any], making: Making) -> AnyCheck:  # noqa: ARG001
    from perdure.engines.guards.schema import SchemaCheck

    return SchemaCheck(settings["schema"])


def _grounded(settings: Mapping[str, Any], making: Making) -> AnyCheck:  # noqa: ARG001
    from perdure.engines.guards.grounding import GroundedCheck

    return GroundedCheck(float(settings.get("least", 0.7)), str(settings.get("tagged", "context")))


def _canary_leak(settings: Mapping[str, Any], making: Making) -> AnyCheck:  # noqa: ARG001
    return CanaryCheck(int(settings.get("n_words", 12)))


def _tool_calls(settings: Mapping[str, Any], making: Making) -> AnyCheck:  # noqa: ARG001
    from perdure.engines.guards.tools import ToolCallsCheck

    return ToolCallsCheck(settings["allowed"])


def _custom(settings: Mapping[str, Any], making: Making) -> AnyCheck:
    from perdure.engines.guards.custom import custom

    name = str(settings["function"])
    function = making.functions.get(name)
    if function is None:
        raise BadGuard(
            f"There is no function {name!r} for a custom check.", hint="Import the project that declares it."
        )
    return custom(name, function, making.hold_back)


_MAKERS: Mapping[str, Callable[[Mapping[str, Any], Making], AnyCheck]] = {
    "pii": _pii, "presidio": _presidio, "secrets": _secrets, "injection_rules": _injection_rules,
    "defender": _defender, "learned": _learned, "topics": _topics, "names": _names, "toxicity": _toxicity,
    "fits_schema": _fits_schema, "grounded": _grounded, "canary_leak": _canary_leak, "tool_calls": _tool_calls,
    "custom": _custom,
}  # fmt: skip
