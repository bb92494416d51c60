"""Scorers as data: how files name them, what of them makes a suite's version, and what is wrong with one.

`assets.suite` checks and describes scorers here; `assets.suite_file` reads them from files:

    scorers: [exact, {token_f1: {weight: 0.5}}, {judged: helpfulness}]
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

from perdure.assets.core_schema import code_digest
from perdure.assets.scorers import (
    SCORERS,
    Cheaper,
    CodePasses,
    Custom,
    Faster,
    FitsSchema,
    Grounded,
    Judged,
    Matches,
    Number,
    Scorer,
    SetF1,
    Similar,
    Together,
)
from perdure.core.canonical import plain
from perdure.core.errors import BadSuite, DeclarationError, nearest

_MAIN: Mapping[type[Scorer], str] = {
    Matches: "pattern", Judged: "judge", Faster: "ms", Cheaper: "usd", Together: "of", FitsSchema: "schema",
}  # fmt: skip
"""What a bare value in a file is: `{judged: helpfulness}`."""
_LEAST: Mapping[type[Scorer], Mapping[str, float]] = {
    Number: {"absolute": 0.0, "relative": 0.0},
    Similar: {"floor": 0.0},
    CodePasses: {"seconds": 0.1, "megabytes": 16.0},
    Faster: {"ms": 0.001},
    Cheaper: {"usd": 1e-12},
}


def scorer_name(kind: type[Scorer]) -> str:
    """What files and reports call a kind of scorer.

    >>> from perdure.assets.scorers import TokenF1
    >>> scorer_name(TokenF1)
    'token_f1'
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind.__name__).lower()


SCORER_NAMES: Mapping[str, type[Scorer]] = {scorer_name(kind): kind for kind in SCORERS}
"""Name in files → kind."""


def label_of(scorer: Scorer) -> str:
    """By what a scorer goes in reports: its label, else its kind's name.

    >>> label_of(Judged("helpfulness")), label_of(Judged("helpfulness", label="helps"))
    ('judged', 'helps')
    """
    return scorer.label or scorer_name(type(scorer))


def flattened(scorers: Sequence[Scorer]) -> Iterator[Scorer]:
    """Scorers and the parts of those that are several as one, at any depth."""
    for scorer in scorers:
        yield scorer
        if isinstance(scorer, Together):
            yield from flattened(scorer.of)


def scorer_definition(scorer: Scorer) -> dict[str, Any]:
    """A scorer as data: its kind and its settings; a function by its code.

    >>> scorer_definition(Number(absolute=0.5))["absolute"]
    0.5
    """
    found: dict[str, Any] = {"scorer": scorer_name(type(scorer))}
    hints = _settings_of(type(scorer))
    for field in fields(scorer):
        value = getattr(scorer, field.name)
        if isinstance(scorer, Custom) and field.name == "function":
            found["function"] = getattr(value, "__qualname__", type(value).__qualname__)
            found["code"] = code_digest(value)
        elif isinstance(scorer, Grounded) and not isinstance(scorer.entails, bool) and field.name == "entails":
            found["entails"] = {"model": type(value).__qualname__, "code": code_digest(type(value))}
        elif isinstance(scorer, Together) and field.name == "of":
            found["of"] = [scorer_definition(each) for each in value]
        else:
            found[field.name] = float(value) if hints[field.name] is float else plain(value)
    return found


def scorer_of(told: object) -> Scorer:
    """The scorer that a file names.

    Args:
        told: `exact`, or `{exact: {fold_case: true}}`, or `{judged: helpfulness}`.

    Raises:
        BadSuite: there is none such, or a setting of it means nothing.

    >>> scorer_of({"token_f1": {"weight": 0.5}}).weight
    0.5
    """
    name, settings = _named(told)
    kind = SCORER_NAMES.get(name)
    if kind is None:
        near = nearest(name, SCORER_NAMES)
        raise BadSuite(
            f"There is no scorer {name!r}.", hint=f"Did you mean {near!r}?" if near else f"{', '.join(SCORER_NAMES)}."
        )
    if kind is Grounded and isinstance(settings, Mapping) and settings.get("entails"):
        raise BadSuite("A file cannot hold a model of entailment.", hint="Declare the suite in code.")
    if kind is Custom:
        raise BadSuite("A file cannot hold the function of a custom scorer.", hint="Declare the suite in code.")
    if not isinstance(settings, Mapping) or (kind is FitsSchema and not settings.keys() <= _settings_of(kind).keys()):
        if kind not in _MAIN:
            raise BadSuite(f"The scorer {name!r} is given {settings!r}.", hint=f"Write {{{name}: {{weight: 0.5}}}}")
        settings = {_MAIN[kind]: settings}
    _check_settings(name, kind, settings)
    if kind is Together:
        settings = {**settings, "of": [scorer_of(each) for each in settings["of"]]}
    return kind(**settings)


def check_scorers(scorers: Sequence[Scorer], *, alone: bool = False) -> None:
    """What no suite can score by is refused where it is declared.

    Args:
        scorers: of a suite, or of one that is several.
        alone: they are not yet all that there are: neither labels nor weights are held against each other.

    Raises:
        BadSuite: something that is no scorer; a setting that means nothing; a pattern or a schema that is none; two of one
            label; no weight at all.
    """
    for scorer in scorers:
        _check(scorer)
    if alone:
        return
    labels = [label_of(each) for each in scorers]
    twice = [label for label in dict.fromkeys(labels) if labels.count(label) > 1]
    if twice:
        raise BadSuite(f"Two scorers go by {twice[0]!r}.", hint='Give one of them a label of its own: label="strict"')
    if scorers and not any(each.weight for each in scorers):
        raise BadSuite("No scorer has a weight: there would be no score.", hint="Leave one at weight=1.")


def _named(told: object) -> tuple[str, Any]:
    if isinstance(told, str):
        return told, {}
    if isinstance(told, Mapping) and len(told) == 1:
        [(name, settings)] = told.items()
        return str(name), {} if settings is None else settings
    raise BadSuite(f"{told!r} stands for a scorer.", hint="Write exact, or {token_f1: {weight: 0.5}}.")


def _settings_of(kind: type[Scorer]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _check_settings(name: str, kind: type[Scorer], given: Mapping[str, Any]) -> None:
    known = _settings_of(kind)
    for setting in given:
        if setting not in known:
            near = nearest(str(setting), known)
            raise BadSuite(
                f"The scorer {name!r} has no setting {setting!r}.",
                hint=f"Did you mean {near!r}?" if near else f"It has {', '.join(known)}.",
            )
    needed = [each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING]
    missing = [each for each in needed if each not in given]
    if missing:
        raise BadSuite(f"The scorer {name!r} lacks {missing[0]!r}.", hint=f"Write {{{name}: {{{missing[0]}: …}}}}")


def _check(scorer: object) -> None:
    if type(scorer) not in SCORERS:
        known = type(scorer).__name__ in {kind.__name__ for kind in SCORERS}
        raise BadSuite(
            f"{scorer!r} is no scorer." if not known else f"{type(scorer).__name__} is a guard's check, and no scorer.",
            hint=f"Write scorers.{type(scorer).__name__}(…)." if known else "Use those of perdure.scorers.",
        )
    assert isinstance(scorer, Scorer)
    name = scorer_name(type(scorer))
    for setting, hint in _settings_of(type(scorer)).items():
        value = getattr(scorer, setting)
        if not _fits(value, hint):
            _wrong(name, setting, value, _wanted(hint))
    least: Mapping[str, float] = {"weight": 0.0, **_LEAST.get(type(scorer), {})}
    for setting, bound in least.items():
        value = getattr(scorer, setting)
        if not bound <= value < math.inf:
            _wrong(name, setting, value, f"at least {bound:g}")
    own = _OWN_CHECKS.get(type(scorer))
    if own is not None:
        own(scorer)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a setting's type; whole numbers are numbers, true and false are none."""
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    kinds: Mapping[Any, tuple[type, ...]] = {float: (float, int), int: (int,), bool: (bool,), str: (str,)}
    if hint in kinds:
        return isinstance(value, kinds[hint]) and (hint is bool or not isinstance(value, bool))
    return True


def _wanted(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    return {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}[hint]


def _wrong(name: str, setting: str, value: object, wanted: str) -> NoReturn:
    raise BadSuite(f"The scorer {name!r} has {setting}={value!r}.", hint=f"It must be {wanted}.")


def _check_pattern(scorer: Matches) -> None:
    told = f"The pattern {scorer.pattern!r} is none that takes linear time"
    _judged_by({"pattern": scorer.pattern}, told, "Look-arounds and back-references do not.")


def _check_schema(scorer: FitsSchema) -> None:
    if scorer.schema is None:
        return
    if not isinstance(scorer.schema, Mapping):
        _wrong("fits_schema", "schema", scorer.schema, "a JSON schema")
    try:
        schema = plain(scorer.schema)
    except DeclarationError as error:
        raise BadSuite(f"The schema of a scorer is none: {error.message}", hint="Use what JSON has.") from error
    _judged_by(schema, "The schema of a scorer is none that stands on its own", "Write what it refers to inside of it.")


def _judged_by(schema: Any, what: str, hint: str) -> None:
    import jsonschema_rs

    try:
        jsonschema_rs.validator_for(schema, retriever=_nowhere, pattern_options=jsonschema_rs.RegexOptions())
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        raise BadSuite(f"{what}: {str(error).splitlines()[0]}", hint=hint) from error


def _nowhere(address: str) -> NoReturn:
    raise ValueError(f"it refers to {address!r}")


def _check_together(scorer: Together) -> None:
    parts: Any = scorer.of
    if not isinstance(parts, list | tuple) or not parts:
        _wrong("together", "of", parts, "a list of scorers")
    if not 0.0 < scorer.at_least <= 1.0:
        _wrong("together", "at_least", scorer.at_least, "above 0, and at most 1")
    check_scorers(scorer.of)


def _check_named(scorer: Judged) -> None:
    if not scorer.judge:
        _wrong("judged", "judge", scorer.judge, "the name of a judge")


def _check_function(scorer: Custom) -> None:
    if not callable(scorer.function):
        _wrong("custom", "function", scorer.function, "a function of case and answer")


def _check_entails(scorer: Grounded) -> None:
    if not isinstance(scorer.entails, bool) and not callable(getattr(scorer.entails, "entails", None)):
        _wrong("grounded", "entails", scorer.entails, "an object with the method `entails(pairs)`")


def _check_floor(scorer: Similar) -> None:
    if scorer.floor >= 1.0:
        _wrong("similar", "floor", scorer.floor, "below 1")


def _check_separator(scorer: SetF1) -> None:
    if not scorer.separator:
        _wrong("set_f1", "separator", scorer.separator, "a text")


_OWN_CHECKS: Mapping[type[Scorer], Callable[[Any], None]] = {
    Matches: _check_pattern, FitsSchema: _check_schema, Together: _check_together, Judged: _check_named,
    Custom: _check_function, Grounded: _check_entails, Similar: _check_floor, SetF1: _check_separator,
}  # fmt: skip
