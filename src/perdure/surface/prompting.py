"""Verbs of prompts: list them, show and compare their versions, render one without a server.

A version is named by its id or the beginning of it, by a pointer such as `champion`, or as `declared`: what the files say now.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.assets.version import CHAMPION
from perdure.core.canonical import content_hash, plain
from perdure.core.errors import NotFound, not_found
from perdure.core.ids import version_id
from perdure.surface.governance.entries import by_beginning
from perdure.surface.opened import Opened

if TYPE_CHECKING:
    from perdure.assets.version import Pointer

DECLARED = "declared"
"""The version that the declaration is now, released or not."""


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One prompt, as `prompt list` tells it."""

    name: str
    route: str
    variables: Sequence[str]
    declared: str
    """The version that it is declared to be."""
    champion: str
    """The version that answers; empty before the first release."""
    n_versions: int
    """In the ledger."""
    file: str


@dataclass(frozen=True, slots=True)
class PromptShown:
    """One version of a prompt."""

    name: str
    version: str
    pointers: Sequence[Pointer]
    """Those that point at this version."""
    definition: Mapping[str, Any]

    def text(self) -> str:
        """The definition to be read: what it is set to, then its messages."""
        return "\n".join(_lines(self.definition))


@dataclass(frozen=True, slots=True)
class PromptDiff:
    """What differs between two versions of a prompt."""

    name: str
    before: str
    after: str
    lines: Sequence[str]
    """A unified diff of their texts, without the two lines of its head; empty where they are the same."""


class Prompting(Opened):
    """Prompts of a project."""

    def list_prompts(self) -> list[PromptRow]:
        """Every declared prompt, with the version that answers and the one that is declared."""
        rows = []
        with self._ledger.read() as session:
            champions = {each.asset: each.version for each in session.pointers.list() if each.name == CHAMPION}
            for name, prompt in self.project.prompts.items():
                definition = prompt.definition()
                rows.append(
                    PromptRow(
                        name=name,
                        route=prompt.route,
                        variables=list(definition["variables"]["properties"]),
                        declared=_id(name, definition),
                        champion=champions.get(name, ""),
                        n_versions=len(session.registry.list_versions(name)),
                        file=prompt.file.name if prompt.file else "",
                    )
                )
        return rows

    def show_prompt(self, name: str, version: str = DECLARED) -> PromptShown:
        """One version of a prompt.

        Raises:
            NotFound: no such prompt or version; the message names the nearest.
        """
        definition = plain(self.project.prompt(name).definition())
        declared = _id(name, definition)
        with self._ledger.read() as session:
            pointers = session.pointers.list(name)
            known: dict[str, Mapping[str, Any]] = {
                each.id: each.definition for each in session.registry.list_versions(name)
            }
        known[declared] = definition
        named = {each.name: each.version for each in pointers} | {DECLARED: declared}
        found = named.get(version) or _begun(name, version, known)
        if found is None and version == CHAMPION:
            raise NotFound(f"No version of prompt {name!r} answers yet.", hint="Release it: perdure apply")
        if found is None:
            raise not_found("version", version, [*named, *known])
        return PromptShown(name, found, [each for each in pointers if each.version == found], known[found])

    def diff_prompt(self, name: str, before: str = CHAMPION, after: str = DECLARED) -> PromptDiff:
        """What differs between two versions, by default between the one that answers and what is declared now.

        Raises:
            NotFound: no such prompt or version; the message names the nearest.
        """
        old, new = self.show_prompt(name, before), self.show_prompt(name, after)
        lines = list(difflib.unified_diff(list(_lines(old.definition)), list(_lines(new.definition)), lineterm=""))
        return PromptDiff(name, old.version, new.version, lines[2:])

    def render_prompt(
        self, name: str, variables: Mapping[str, Any] | None = None, version: str = DECLARED
    ) -> list[dict[str, str]]:
        """The messages of a version with these variables, as a server would send them on.

        Raises:
            NotFound: no such prompt or version; the message names the nearest.
            BadPrompt: a variable is missing, unknown or of another type, or the template cannot be rendered.
        """
        from perdure.engines.prompts import compile_prompt

        return compile_prompt(name, self.show_prompt(name, version).definition).render(variables or {})


def _id(name: str, definition: Mapping[str, Any]) -> str:
    return version_id(name, content_hash(definition))


def _begun(name: str, version: str, known: Mapping[str, Any]) -> str | None:
    """The one version whose id, or whose hash, begins so.

    Raises:
        BadRequest: several do.
    """
    whole = version if "@" in version else f"{name}@{version}"
    return by_beginning("version", whole, known) if any(each.startswith(whole) for each in known) else None


def _lines(definition: Mapping[str, Any]) -> Iterator[str]:
    yield f"route: {definition['route']}"
    for name, value in sorted(definition["params"].items()):
        yield f"params.{name}: {_json(value)}"
    for name, schema in sorted(definition["variables"]["properties"].items()):
        needed = "" if name not in definition["variables"].get("required", ()) else "  (required)"
        yield f"variables.{name}: {_json(schema)}{needed}"
    for name, schema in sorted(definition["variables"].get("$defs", {}).items()):
        yield f"variables.$defs.{name}: {_json(schema)}"
    if definition["output"] is not None:
        yield from f"output: {msgspec.json.format(definition['output'], indent=2)}".split("\n")
    yield from _messages(definition["messages"], "#")
    for example in definition.get("examples", ()):
        asked = [f"{name}: {_json(value)}" for name, value in sorted(example["inputs"].items())]
        yield from ("", f"# example {example['id']}", *asked, "## assistant", *example["answer"].split("\n"))
    for model, variant in sorted(definition.get("variants", {}).items()):
        yield from ("", f"# for {model}")
        yield from (f"params.{name}: {_json(value)}" for name, value in sorted(variant["params"].items()))
        yield from _messages(variant["messages"], "##")


def _messages(messages: Sequence[Mapping[str, str]], heading: str) -> Iterator[str]:
    for message in messages:
        yield from ("", f"{heading} {message['role']}", *message["content"].split("\n"))


def _json(value: Any) -> str:
    return msgspec.json.format(_ordered(value), indent=0).decode()


_ordered = msgspec.json.Encoder(order="deterministic").encode
"""What a ledger keeps has its members in another order than what is declared: told, both have the same."""
