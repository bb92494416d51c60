"""A place with a prompt, a route and models that are made up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from perdure.assets.prompt import Prompt
from perdure.assets.route import Route, Target, UnitPrices
from perdure.assets.scorers import Exact
from perdure.assets.suite import Case, Suite
from perdure.assets.upstream import Upstream
from perdure.assets.version import CHAMPION, Pointer, Version
from perdure.core.canonical import content_hash, plain
from perdure.core.ids import version_id
from perdure.core.ports import Answered, Asked
from perdure.core.settings import EvalSettings, Settings
from perdure.core.usage import Usage
from perdure.surface.compose import open_ledger, open_place

AT = datetime(2026, 1, 5, tzinfo=UTC)
PRICE = 1_000_000
"""Picodollars that each made-up answer costs."""


def version_of(asset: Any, kind: str) -> Version:
    told = plain(asset.definition())
    return Version(version_id(asset.name, content_hash(told)), asset.name, kind, told, {}, {}, {}, AT)


@dataclass
class Model:
    """Answers as it is told; counts what it was asked."""

    say: Callable[[Asked], str | Answered] = lambda asked: "yes"
    asked: list[Asked] = field(default_factory=list)
    most_at_once: int = 0
    closed: int = 0
    _now: int = 0

    async def ask(self, asked: Asked) -> Answered:
        self.asked.append(asked)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        await asyncio.sleep(0)
        self._now -= 1
        said = self.say(asked)
        if isinstance(said, Answered):
            return said
        return Answered(
            {"content": said}, "stop", Usage(n_input=10, n_output=2), PRICE, 1000, "up/m", f"c{len(self.asked)}"
        )

    async def close(self) -> None:
        self.closed += 1


@dataclass
class World:
    place: Any
    model: Model
    route: Route
    prompts: dict[str, Version]

    def settings(self, **changes: Any) -> None:
        """Other settings of evals."""
        settings = replace(self.place.settings, evals=replace(self.place.settings.evals, **changes))
        self.place = replace(self.place, settings=settings)

    def prompt(self, text: str) -> Version:
        """A registered version of the prompt that says this before its question."""
        made = version_of(Prompt("ask", [("user", text + " {{ q }}")], "main", {"q": str}), "prompt")
        self.register(made)
        return made

    def register(self, *versions: Version) -> None:
        with self.place.transaction(AT, "test") as session:
            for version in versions:
                session.registry.put_version(version)

    def point(self, version: Version) -> None:
        with self.place.transaction(AT, "test") as session:
            session.pointers.set([Pointer(version.asset, CHAMPION, version.id)])


@pytest.fixture
def world(tmp_path) -> World:
    settings = Settings(evals=EvalSettings(concurrency=4, batch_cases=5))
    place = open_place(tmp_path, settings, "test", open_ledger(tmp_path, settings))
    model = Model()
    prices = UnitPrices(input=1, output=1)
    route = Route("main", [Target(Upstream("up", "http://127.0.0.1:9/v1"), "m", prices=prices)], bodies="none")
    found = World(replace(place, open_answerer=lambda: model), model, route, {})
    released = version_of(route, "route")
    found.register(released)
    found.point(released)
    return found


def suite(n: int = 12, *, scorers: Any = None, **members: Any) -> Suite:
    """Questions of which each is a cluster of its own."""
    cases = [Case(f"c{i}", {"q": f"Number {i}?"}, "yes", cluster=f"g{i}") for i in range(n)]
    return Suite("facts", cases, scorers or [Exact()], **{"prompt": "ask", **members})
