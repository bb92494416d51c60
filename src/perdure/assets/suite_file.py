"""Cases and whole suites from files: YAML, or JSONL with a case a line; and cases made in code, held against the same rules.

    prompt: support_answer
    scorers: [exact, {token_f1: {weight: 0.5}}, {judged: helpfulness}]
    cases:
      - inputs: {question: "How long may I send it back?"}
        expected: 30 days
        tags: [returns]

A file may also be nothing but cases, for a suite that is declared in code. `assets.suite` calls this; what cases are to each other
(duplicates, clusters, what stands in a prompt's examples) is said by `assets.suite_cases`. What surprised us: JSON takes the last of two
equal members and knows NaN, and texts may hold half of a surrogate pair; all three would make two machines see two suites.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from perdure.assets.scorer_specs import check_scorers, scorer_of
from perdure.assets.yaml_text import NotYaml, load_lined
from perdure.core.canonical import content_hash
from perdure.core.errors import BadSuite, DeclarationError, nearest

if TYPE_CHECKING:
    from perdure.assets.suite import Case

Lines = Mapping[tuple[str | int, ...], int]

SUFFIXES = (".yaml", ".yml", ".jsonl")
_MOST_BYTES = 200_000_000
_MOST_CASES = 100_000
_ID_DIGITS = 12
_OF_CASE = ("id", "inputs", "expected", "contexts", "cluster", "tags", "weight", "provenance")
_OF_CONTEXT = ("id", "text", "relevant")
_OF_MESSAGE = ("role", "content")


@dataclass(frozen=True, slots=True, eq=False)
class PlacedCases:
    """Cases in their order, each with where it stands and what it is by content."""

    cases: tuple[Case, ...]
    places: tuple[str, ...]
    """`refunds.yaml:12`, or `case 3` of those made in code."""
    digests: tuple[str, ...]
    """As `case_digest` gives them: some 4 µs a case, so it is done once."""

    def only(self, ids: Collection[str]) -> PlacedCases:
        """Those of these ids."""
        whole = zip(self.cases, self.places, self.digests, strict=True)
        return _of_parts([each for each in whole if each[0].id in ids])

    def place(self, id: str) -> str:  # noqa: A002 - cases call it so
        """Where the case of that id stands."""
        return next(place for case, place in zip(self.cases, self.places, strict=True) if case.id == id)


def _of_parts(found: Collection[tuple[Case, str, str]]) -> PlacedCases:
    return PlacedCases(*(tuple(column) for column in zip(*found, strict=True))) if found else PlacedCases((), (), ())


def case_digest(case: Case) -> str:
    """What a case is, by content: what is asked, what is expected and what was retrieved; not its name, tags or weight.

    >>> from perdure.assets.suite import Case
    >>> case_digest(Case("a", {"q": 1})) == case_digest(Case("b", {"q": 1}, tags=("x",)))
    True
    """
    return content_hash({"inputs": case.inputs, "expected": case.expected, "contexts": list(case.contexts)})


def read_cases(cases: Path | Sequence[Case]) -> PlacedCases:
    """The cases of a file, or those made in code, whole: with ids, each of the right types, none twice under one id.

    Raises:
        BadSuite: the file cannot be read; a case has a wrong type, an unknown member or another's id; there is none. The
            message begins with where.

    Cost: some 40 µs a case of YAML, 15 µs of JSONL.
    """
    if isinstance(cases, Path):
        read = _of_file(cases)
    else:
        told = [(_as_told(each, f"case {place}"), f"case {place}") for place, each in enumerate(cases, 1)]
        read = _placed(told, None)
    if not read.cases:
        where = cases.name if isinstance(cases, Path) else "The suite"
        raise BadSuite(f"{where} has no case.", hint="Write one: - inputs: {question: …}")
    return read


def read_suite(file: Path) -> dict[str, Any]:
    """A suite's declaration: what `Suite` takes, by name. Its cases are read again whenever they are needed.

    Raises:
        BadSuite: the file is no whole suite; the message begins with file and line.
    """
    from perdure.assets.suite import Suite

    told, lines = _yaml(file)
    if not isinstance(told, Mapping) or "scorers" not in told:
        raise BadSuite(
            f"{file.name}:1: there are no scorers, so this is no whole suite.",
            hint="Write scorers: [exact] and cases: …; or name the file in code: Suite(NAME, FILE, [scorers.Exact()])",
        )
    settings = [each.name for each in fields(Suite) if each.name != "file"]
    _check_members(told, settings, "a suite", file.name, lines, ())
    found = {"name": file.stem, **told, "cases": file}
    for name in ("name", "prompt", "route", "role"):
        if name in found and not isinstance(found[name], str):
            raise BadSuite(f"{_at(file, lines, (name,))}: `{name}` is no text.", hint=f"Write {name}: …")
    for name in ("margin", "smallest", "improve_share", "n_samples"):
        if name in found and (isinstance(found[name], bool) or not isinstance(found[name], int | float)):
            raise BadSuite(f"{_at(file, lines, (name,))}: `{name}` is no number.", hint=f"Write {name}: …")
    found["scorers"] = list(_scorers(told["scorers"], file, lines))
    return found


def _scorers(told: Any, file: Path, lines: Lines) -> Iterator[Any]:
    if not isinstance(told, list):
        raise BadSuite(f"{_at(file, lines, ('scorers',))}: `scorers` is no list.", hint="Write scorers: [exact]")
    for place, each in enumerate(told):
        try:
            scorer = scorer_of(each)
            check_scorers([scorer], alone=True)
            yield scorer
        except BadSuite as error:
            raise BadSuite(f"{_at(file, lines, ('scorers', place))}: {error.message}", hint=error.hint) from error


def cases_file(file: Path) -> Path:
    """The file that holds the cases: itself, or the one that a suite of YAML names by `cases: refunds.jsonl`.

    Raises:
        BadSuite: it cannot be read.
    """
    if file.suffix == ".jsonl":
        return file
    told, _ = _yaml(file)
    named = told.get("cases") if isinstance(told, Mapping) else None
    return file.parent / named if isinstance(named, str) else file


def _of_file(file: Path, *, follow: bool = True) -> PlacedCases:
    if file.suffix == ".jsonl":
        return _placed(list(_jsonl(file)), None)
    told, lines = _yaml(file)
    path: tuple[str | int, ...] = ()
    if isinstance(told, Mapping):
        path = ("cases",)
        if "cases" not in told:
            raise BadSuite(f"{file.name}:1: there are no cases.", hint="Write cases: and below it - inputs: {…}")
        told = told["cases"]
        if isinstance(told, str) and follow:
            return _of_file(file.parent / told, follow=False)
    if not isinstance(told or [], list):
        raise BadSuite(f"{_at(file, lines, path)}: the cases are no list.", hint="Write - inputs: {…} for each.")
    listed = [(each, _at(file, lines, (*path, place))) for place, each in enumerate(told or [])]
    return _placed(listed, lambda place, name: _at(file, lines, (*path, place, name)))


def _yaml(file: Path) -> tuple[Any, Lines]:
    if file.suffix not in SUFFIXES:
        raise BadSuite(f"{file.name} is no file of cases.", hint=f"Use {', '.join(SUFFIXES)}.")
    try:
        return load_lined(_text(file), as_written=True)
    except NotYaml as error:
        raise BadSuite(f"{file.name}:{error.line}: {error.problem}.", hint="Cases are YAML or JSONL.") from error


def _text(file: Path) -> str:
    try:
        data = file.read_bytes()
    except OSError as error:
        near = nearest(file.name, [each.name for each in file.parent.glob("*") if each.suffix in SUFFIXES])
        hint = f"Did you mean {near!r}?" if near else "Paths are meant from the module, or from a folder above it."
        raise BadSuite(f"{file} cannot be read: {error.strerror}.", hint=hint) from error
    if len(data) > _MOST_BYTES:
        raise BadSuite(f"{file.name} has more than {_MOST_BYTES:,} bytes.", hint="Make several suites of it.")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise BadSuite(f"{file.name} is no UTF-8.", hint="Save it as UTF-8.") from error


def _jsonl(file: Path) -> Iterator[tuple[Any, str]]:
    for number, line in enumerate(_text(file).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{file.name}:{number}"
        try:
            yield json.loads(line, object_pairs_hook=_once, parse_constant=_no_constant), where
        except json.JSONDecodeError as error:
            raise BadSuite(
                f"{where}: {error.msg} (column {error.colno}).", hint="Write a JSON object a line."
            ) from error
        except (ValueError, RecursionError) as error:
            told = str(error) if isinstance(error, ValueError) else "it is too deep"
            raise BadSuite(f"{where}: {told}.", hint="Write a JSON object a line.") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _placed(told: Sequence[tuple[Any, str]], part: Callable[[int, Any], str] | None) -> PlacedCases:
    """Cases of what was read, each with its place; `part` says where a member of a case stands, where that is known."""
    if len(told) > _MOST_CASES:
        raise BadSuite(f"There are more than {_MOST_CASES:,} cases.", hint="Make several suites of them.")
    found: dict[str, tuple[Case, str, str]] = {}
    for place, (each, where) in enumerate(told):
        case, digest = _case(each, where, partial(part, place) if part is not None else None)
        if case.id in found:
            raise BadSuite(
                f"{where}: the id {case.id!r} is taken by the case at {found[case.id][1]}.",
                hint="Give one of them another id, or take one out if both are the same.",
            )
        found[case.id] = case, where, digest
    return _of_parts(found.values())


def _as_told(case: object, where: str) -> Mapping[str, Any]:
    """A case made in code, as a file would tell it."""
    from perdure.assets.suite import Case

    if not isinstance(case, Case):
        raise BadSuite(f"{where} is a {type(case).__name__}.", hint='Write Case("late", {"question": "…"}, "…").')
    return {name: getattr(case, name) for name in _OF_CASE}


def _case(told: Any, where: str, part: Callable[[Any], str] | None) -> tuple[Case, str]:
    """The case with its digest."""
    from perdure.assets.suite import Case

    if not isinstance(told, Mapping):
        raise BadSuite(f"{where}: a case is an object, but this is {_kind(told)}.", hint="Write inputs: {…}")
    for name in told:
        if name not in _OF_CASE:
            near = nearest(str(name), _OF_CASE)
            raise BadSuite(
                f"{part(name) if part else where}: a case has no {name!r}.",
                hint=f"Did you mean {near!r}?" if near else f"Use {', '.join(_OF_CASE)}.",
            )
    if "inputs" not in told:
        raise BadSuite(f"{where}: the case has no inputs.", hint="Write inputs: {question: …}")
    given = {name: _CHECKED[name](value, _Where(where, name, part)) for name, value in told.items()}
    case = Case(**{"id": "", **given})
    try:
        digest = case_digest(case)
    except DeclarationError as error:
        raise BadSuite(f"{where}: {error.message}", hint="Use what JSON has.") from error
    except (UnicodeEncodeError, RecursionError) as error:
        raise BadSuite(f"{where}: the case holds what UTF-8 or JSON cannot.", hint="Use what JSON has.") from error
    return case if case.id else replace(case, id=digest[:_ID_DIGITS]), digest


@dataclass(frozen=True, slots=True)
class _Where:
    """A member of a case, and where it stands."""

    case: str
    name: str
    part: Callable[[Any], str] | None

    @property
    def place(self) -> str:
        """Its own line, where that is known."""
        return self.part(self.name) if self.part is not None else self.case

    def wrong(self, value: Any, wanted: str) -> NoReturn:
        """Say what it should be."""
        raise BadSuite(
            f"{self.place}: `{self.name}` must be {wanted}, but it is {_kind(value)}.", hint="See the page on suites."
        )


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else f"a {type(value).__name__}")


def _text_of(value: Any, where: _Where) -> str:
    if not isinstance(value, str):
        where.wrong(value, "a text")
    return value


def _id(value: Any, where: _Where) -> str:
    """An id; a whole number is one, too."""
    told = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(told, str) or told != told.strip() or "\n" in told:
        where.wrong(value, "a text of one line")
    return told


def _inputs(value: Any, where: _Where) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        where.wrong(value, "an object")
    if "messages" in value and len(value) == 1:
        _check_messages(value["messages"], where)
    return dict(value)


def _check_messages(messages: Any, where: _Where) -> None:
    if not isinstance(messages, list | tuple) or not messages:
        where.wrong(messages, "a list of messages under `messages`")
    for each in messages:
        if (
            not isinstance(each, Mapping)
            or not isinstance(each.get("role"), str)
            or not each.keys() >= set(_OF_MESSAGE)
        ):
            where.wrong(each, "a list of {role, content} under `messages`")


def _contexts(value: Any, where: _Where) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        where.wrong(value, "a list of texts")
    for each in value:
        if isinstance(each, str):
            continue
        if not isinstance(each, Mapping) or not isinstance(each.get("text"), str):
            where.wrong(each, "a list of texts, or of {id, text, relevant}")
        _check_members(each, _OF_CONTEXT, "a context", where.place, {}, ())
        if not isinstance(each.get("id", ""), str) or not isinstance(each.get("relevant", True), bool):
            where.wrong(each, "a list of {id: text, text: text, relevant: true or false}")
    return tuple(value)


def _tags(value: Any, where: _Where) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) and each for each in value):
        where.wrong(value, "a list of texts")
    return tuple(dict.fromkeys(value))


def _weight(value: Any, where: _Where) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < math.inf:
        where.wrong(value, "a number, 0 or more")
    return float(value)


def _provenance(value: Any, where: _Where) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        where.wrong(value, "an object")
    return dict(value)


def _any(value: Any, _: _Where) -> Any:
    return value


_CHECKED = {
    "id": _id, "inputs": _inputs, "expected": _any, "contexts": _contexts, "cluster": _text_of, "tags": _tags,
    "weight": _weight, "provenance": _provenance,
}  # fmt: skip


def _check_members(
    told: Mapping[Any, Any], known: Sequence[str], what: str, file: str, lines: Lines, path: tuple[str | int, ...]
) -> None:
    for name in told:
        if name not in known:
            near = nearest(str(name), known)
            line = lines.get((*path, name))
            raise BadSuite(
                f"{file}{f':{line}' if line else ''}: {what} has no {name!r}.",
                hint=f"Did you mean {near!r}?" if near else f"Use {', '.join(known)}.",
            )


def _at(file: Path, lines: Lines, path: tuple[str | int, ...]) -> str:
    """File and line of a part, or of the nearest around it."""
    while path and path not in lines:
        path = path[:-1]
    return f"{file.name}:{lines.get(path, 1)}"
