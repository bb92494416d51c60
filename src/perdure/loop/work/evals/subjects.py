"""What a run asks: a version of a prompt or of a route, as a function from cases to questions, each with its key.

A question's key is all that makes its answer: messages, params, the version of the route that answers and of its guards, and which
sample it is. So repeats are draws of their own, and a version that only renames something asks nothing anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256 as _sha256
from typing import Any

import msgspec

from perdure.assets.suite import Suite
from perdure.assets.version import CHAMPION, Version
from perdure.core.errors import BadSuite
from perdure.core.ports import Asked
from perdure.engines.prompts import compiled_prompt, for_model, response_format
from perdure.loop.work.evals.frozen import FrozenCase
from perdure.stores.ledger.protocols import Ledger

_encode = msgspec.json.Encoder(order="sorted").encode
_MESSAGES = "messages"
Messages = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Answering:
    """Who answers for a route now."""

    identity: str
    """By content: its version, and those of its guards. A part of every key."""
    model: str = ""
    """Its first target, `upstream/model`: whose variant of a prompt is asked. Empty where it is not known."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A version that is asked."""

    id: str
    route: str
    """As it is asked: by name, or by version where a version of a route is the subject."""
    render: Callable[[Mapping[str, Any]], Messages]
    params: Mapping[str, Any] = field(default_factory=dict)
    suite: str = ""
    """Whose cases they are, as records of calls tell."""
    _params: bytes = b""

    def ask(self, frozen: FrozenCase, samples: int) -> tuple[Asked, list[str]]:
        """What it asks of one case, and the key of each sample. Cost: some 7 µs for a small prompt.

        Raises:
            BadPrompt: the case's inputs are not the prompt's variables.
            BadSuite: the case has no messages, where a route is asked without a prompt.
        """
        messages = self.render(frozen.case.inputs)
        asked = Asked(
            self.route, messages, self.params, {"suite": self.suite, "case": frozen.case.id, "subject": self.id}
        )
        told = _encode(messages) + self._params + b"\0"
        if samples == 1:
            return asked, [_sha256(told + b"0").hexdigest()]
        return asked, [_sha256(b"%b%d" % (told, sample)).hexdigest() for sample in range(samples)]


def subject_of(version: Version, suite: Suite, answering: Answering) -> Subject:
    """A version as it is asked by a suite.

    Args:
        version: of a prompt, or of a route.
        suite: whose cases are asked; its `route`, where it names one, answers a prompt in place of the prompt's own.
        answering: who answers for its route, from `answering_of`.

    Raises:
        BadPrompt: its definition cannot be rendered.
        BadSuite: it is neither a prompt's nor a route's.
    """
    if version.kind == "route":
        return _made((version.id, version.id, suite.name), answering, _own_messages, {})
    if version.kind != "prompt":
        raise BadSuite(
            f"{version.id} is of a {version.kind}, which suites cannot ask.", hint="Name a prompt or a route."
        )
    told = for_model(version.definition, answering.model)
    compiled = compiled_prompt(version.asset, told)
    form = response_format(version.asset, told["output"])
    params = {**told["params"], **({"response_format": form} if form else {})}
    return _made((version.id, route_of(version, suite), suite.name), answering, compiled.render, params)


def route_of(version: Version, suite: Suite) -> str:
    """The route that answers a subject: by its version's id where that is the subject."""
    if version.kind == "route":
        return version.id
    return suite.route or str(version.definition["route"])


def answering_of(ledger: Ledger, route: str, declared: Mapping[str, Version], run: str) -> Answering:
    """Who answers for a route now: the version that is pointed to, else the declared one.

    Args:
        ledger: where pointers are.
        route: by name, or by a version's id.
        declared: versions of routes and guards by name, that stand for what is not released yet.
        run: of a route that is not known at all answers are known to this run alone.
    """
    with ledger.read() as session:
        pointed = {each.asset: each.version for each in session.pointers.list() if each.name == CHAMPION}
        name = route.partition("@")[0]
        version = route if "@" in route else pointed.get(name)
        found = declared.get(name) if version is None or version == _id(declared.get(name)) else None
        if found is None and version is not None:
            found = session.registry.get_version(version)
    if found is None:
        return Answering(f"{route}/{run}")
    guards = [pointed.get(guard) or _id(declared.get(guard)) or guard for guard in found.definition.get("guards", ())]
    first = found.definition["targets"][0]
    return Answering("/".join([found.id, *guards]), f"{first['upstream']}/{first['model']}")


def _id(version: Version | None) -> str | None:
    return None if version is None else version.id


def _made(
    names: tuple[str, str, str],
    answering: Answering,
    render: Callable[[Mapping[str, Any]], Any],
    params: Mapping[str, Any],
) -> Subject:
    version, route, suite = names
    return Subject(version, route, render, params, suite, _encode([params, answering.identity]))


def _own_messages(inputs: Mapping[str, Any]) -> Messages:
    found = inputs.get(_MESSAGES)
    if not isinstance(found, list) or not found:
        raise BadSuite(
            "A case has no messages, and its suite asks a route without a prompt.",
            hint='Give it inputs: {"messages": [{"role": "user", "content": "…"}]}, or name the prompt.',
        )
    return found
