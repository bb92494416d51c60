"""Prompts: every one, one with its versions and texts, two versions beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.surface.console.asking import address, text, whole
from perdure.surface.console.language.cells import NONE, OVERVIEW, at, page_of, state
from perdure.surface.console.language.evals import evals_of
from perdure.surface.console.language.gated import Word, said_of, words_of
from perdure.surface.console.language.standing import Standing, standing
from perdure.surface.console.records import Asked, Cell, Table, View
from perdure.surface.prompting import DECLARED

_VERSIONS = 100
_PAGE = 200


@dataclass(frozen=True, slots=True)
class PromptList:
    """Every declared prompt."""

    prompts: Table


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a template."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class PromptPage:
    """One version of a prompt, with all that there are."""

    standing: Standing
    version: str
    is_declared: bool
    is_champion: bool
    pointers: tuple[str, ...]
    route: str
    variables: Table
    params: Table
    messages: tuple[Message, ...]
    n_examples: int
    variants: tuple[str, ...]
    """Models that have a text of their own."""
    output: str
    versions: Table
    choices: tuple[str, ...]
    """What may be compared."""
    compare: str
    evals: Table
    suites: tuple[tuple[str, str], ...]
    """Name and address of those that test it."""


@dataclass(frozen=True, slots=True)
class ComparePage:
    """Two versions."""

    name: str
    before: str
    after: str
    lines: tuple[str, ...]
    n_added: int
    n_removed: int
    choices: tuple[str, ...]
    evals: Table


def list_view(asked: Asked) -> View:
    """`/language/prompts`."""
    start = whole(asked.query, "after", 0, most=1_000_000)
    rows = sorted(asked.project.project.prompts.items())
    shown = rows[start : start + _PAGE]
    tiles = asked.board.by_name
    table = Table(
        headings=("Prompt", "Health", "Route", "Answers", "File"),
        rows=[
            (
                Cell(name, page_of("prompt", name)),
                state(tiles[name].state if name in tiles else "not measured"),
                Cell(prompt.route, page_of("route", prompt.route)),
                (tiles[name].champion if name in tiles else "") or "not released",
                prompt.file.name if prompt.file else NONE,
            )
            for name, prompt in shown
        ],
        caption="Prompts, a line each",
        more=address("/language/prompts", after=start + _PAGE) if len(rows) > start + _PAGE else "",
        empty='No prompt is declared: Prompt("answer", [("user", "{question}")], "main"), then perdure apply',
    )
    return View("Prompts", PromptList(table), (OVERVIEW,), "perdure prompt list", ("health",))


def view(asked: Asked) -> View:
    """`/language/prompts/{name}`."""
    name, wanted = asked.path["name"], text(asked.query, "version", most=200) or DECLARED
    shown = asked.project.show_prompt(name, wanted)
    declared = shown.version if wanted == DECLARED else asked.project.show_prompt(name).version
    with asked.project.place.stores.ledger.read() as session:
        known = session.registry.list_versions(name, limit=_VERSIONS)
        pointers = session.pointers.list(name)
        gates = words_of(session, name)
    champion = next((each.version for each in pointers if each.name == CHAMPION), "")
    told = shown.definition
    data = PromptPage(
        standing=standing(asked, "prompt", name),
        version=shown.version,
        is_declared=shown.version == declared,
        is_champion=shown.version == champion,
        pointers=tuple(f"{each.name} {each.share:.0%}" for each in shown.pointers),
        route=told["route"],
        variables=_variables(told),
        params=_params(told),
        messages=tuple(Message(each["role"], each["content"]) for each in told["messages"]),
        n_examples=len(told.get("examples", ())),
        variants=tuple(sorted(told.get("variants", {}))),
        output=_json(told["output"]),
        versions=_versions(name, known, pointers, declared, gates),
        choices=_choices(known, pointers),
        compare=address("/language/prompts", name) + "/compare",
        evals=evals_of(asked, name, 10),
        suites=tuple((each.name, page_of("suite", each.name)) for each in asked.project.project.suites_of(name)),
    )
    crumbs = (OVERVIEW, ("Prompts", "/language/prompts"))
    cli = f"perdure prompt show {name}" + (f" --version {wanted}" if wanted != DECLARED else "")
    return View(name, data, crumbs, cli, ("health", "releases"))


def compare_view(asked: Asked) -> View:
    """`/language/prompts/{name}/compare`."""
    name = asked.path["name"]
    with asked.project.place.stores.ledger.read() as session:
        known = session.registry.list_versions(name, limit=_VERSIONS)
        pointers = session.pointers.list(name)
    released = any(each.name == CHAMPION for each in pointers)
    before = text(asked.query, "before", most=200) or (CHAMPION if released else DECLARED)
    after = text(asked.query, "after", most=200) or DECLARED
    found = asked.project.diff_prompt(name, before, after)
    data = ComparePage(
        name=name,
        before=found.before,
        after=found.after,
        lines=tuple(found.lines),
        n_added=sum(each.startswith("+") for each in found.lines),
        n_removed=sum(each.startswith("-") for each in found.lines),
        choices=_choices(known, pointers),
        evals=evals_of(asked, name, 10, {found.before, found.after}),
    )
    crumbs = (OVERVIEW, ("Prompts", "/language/prompts"), (name, page_of("prompt", name)))
    return View("Two versions", data, crumbs, f"perdure prompt diff {name} {before} {after}")


def _choices(known: Sequence[Version], pointers: Sequence[Pointer]) -> tuple[str, ...]:
    return (DECLARED, *(each.name for each in pointers), *(each.id for each in reversed(known)))


def _versions(
    name: str, known: Sequence[Version], pointers: Sequence[Pointer], declared: str, gates: tuple[Word, ...]
) -> Table:
    page = page_of("prompt", name)
    named = {
        version: ", ".join(f"{each.name} {each.share:.0%}" for each in group)
        for version, group in groupby(sorted(pointers, key=lambda each: each.version), key=lambda each: each.version)
    }
    rows: list[tuple[Cell | str, ...]] = []
    newest = list(reversed(known))
    if declared not in {each.id for each in newest}:
        compare = (
            Cell("with what answers", page + "/compare") if any(each.name == CHAMPION for each in pointers) else ""
        )
        rows.append(
            (
                Cell(declared, address(page, version=declared)),
                "declared, not released",
                said_of(gates, declared),
                NONE,
                NONE,
                compare,
            )
        )
    for place, each in enumerate(newest):
        older = newest[place + 1].id if place + 1 < len(newest) else ""
        told = ", ".join(filter(None, (named.get(each.id, ""), "declared" if each.id == declared else "")))
        diff = Cell("with the one before", address(page + "/compare", before=older, after=each.id)) if older else ""
        rows.append(
            (
                Cell(each.id, address(page, version=each.id)),
                told or NONE,
                said_of(gates, each.id),
                at(each.created_at),
                each.actor,
                diff,
            )
        )
    return Table(
        headings=("Version", "Pointers", "Its gates said", "Made", "By", "Compare"),
        rows=rows,
        caption=f"Versions of {name}, newest first",
        more=address("/registry", name, "history") if len(known) == _VERSIONS else "",
        empty="Nothing was released yet: perdure apply",
    )


def _variables(told: Mapping[str, Any]) -> Table:
    needed = told["variables"].get("required", ())
    return Table(
        headings=("Variable", "Type", "Needed"),
        rows=[
            (name, _type(schema), "yes" if name in needed else "no")
            for name, schema in sorted(told["variables"]["properties"].items())
        ],
        caption="Variables",
        empty="It takes no variables.",
    )


def _type(schema: Mapping[str, Any]) -> str:
    """A variable's type in a word, where its schema says no more.

    >>> _type({"type": "string"}), _type({"type": "integer", "minimum": 1})
    ('string', '{"type":"integer","minimum":1}')
    """
    return str(schema["type"]) if set(schema) == {"type"} else _json(schema)


def _params(told: Mapping[str, Any]) -> Table:
    return Table(
        headings=("Parameter", "Value"),
        rows=[(name, _json(value)) for name, value in sorted(told["params"].items())],
        caption="Parameters",
        empty="The route's own parameters hold.",
    )


def _json(value: Any) -> str:
    import msgspec

    return "" if value is None else msgspec.json.encode(value).decode()
