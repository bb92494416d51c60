"""A project: all that its package declares, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from perdure.assets.agent import Agent
from perdure.assets.contract import Contract
from perdure.assets.feature_view import FeatureView
from perdure.assets.graph import Graph
from perdure.assets.guard import Guard, Learned
from perdure.assets.index import Index
from perdure.assets.judge import Judge
from perdure.assets.model import Model
from perdure.assets.prompt import Prompt
from perdure.assets.route import Route
from perdure.assets.source import Source
from perdure.assets.suite import Suite
from perdure.assets.team import Team
from perdure.assets.upstream import Upstream
from perdure.core.errors import BadProject, NotFound, not_found

Released = type[Model] | Route | Guard | Prompt | Judge | Index | Agent | Graph
"""What has versions and pointers."""
Declared = Released | Team | Source | Suite
"""What stands for itself in a project; the rest is reached through it."""


@dataclass(frozen=True, slots=True, eq=False)
class Project:
    """The assets of one project. Made by `surface.project` from a package, or by hand in a notebook.

    Raises:
        BadProject: two of models, routes, guards, prompts, judges, indexes, agents and graphs share a name, by which pointers go; or two upstreams do.
    """

    name: str
    contracts: Mapping[str, type[Contract]] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    views: Mapping[str, FeatureView] = field(default_factory=dict)
    models: Mapping[str, type[Model]] = field(default_factory=dict)
    routes: Mapping[str, Route] = field(default_factory=dict)
    guards: Mapping[str, Guard] = field(default_factory=dict)
    teams: Mapping[str, Team] = field(default_factory=dict)
    prompts: Mapping[str, Prompt] = field(default_factory=dict)
    judges: Mapping[str, Judge] = field(default_factory=dict)
    suites: Mapping[str, Suite] = field(default_factory=dict)
    indexes: Mapping[str, Index] = field(default_factory=dict)
    agents: Mapping[str, Agent] = field(default_factory=dict)
    graphs: Mapping[str, Graph] = field(default_factory=dict)
    upstreams: Mapping[str, Upstream] = field(init=False)
    """Those that the routes call."""

    def __post_init__(self) -> None:
        self._check_names()
        object.__setattr__(self, "upstreams", _upstreams(self.routes))

    def _check_names(self) -> None:
        taken: dict[str, str] = {}
        kinds: Mapping[str, Mapping[str, Released]] = {"model": self.models, **self._kinds}
        for kind, names in kinds.items():
            for name in names:
                other = taken.setdefault(name, kind)
                if other != kind:
                    raise BadProject(
                        f"{name!r} is the name of a {other} and of a {kind}: pointers could not tell them apart.",
                        hint="Rename one of them.",
                        name=name,
                    )

    @classmethod
    def of(cls, name: str, *declared: Declared) -> Self:
        """These with everything that they name: for a notebook, where there is no package to load."""
        models = [each for each in declared if isinstance(each, type)]
        routes = [each for each in declared if isinstance(each, Route)]
        guards = [each for each in declared if isinstance(each, Guard)]
        guards += [guard for route in routes for guard in route.guards]
        views = [view for model in models for view in model.features]
        sources = [each for each in declared if isinstance(each, Source)]
        sources += [source for model in models for source in (model.rows, model.label.source)]
        sources += [view.source for view in views if view.source is not None]
        sources += [source for guard in guards for source in examples_of(guard)]
        contracts = [*(model.contract for model in models), *(source.contract for source in sources)]
        return cls(
            name=name,
            contracts={contract.__name__: contract for contract in contracts},
            sources={source.name: source for source in sources},
            views={view.name: view for view in views},
            models={model.name: model for model in models},
            routes={route.name: route for route in routes},
            guards={guard.name: guard for guard in guards},
            teams={each.name: each for each in declared if isinstance(each, Team)},
            prompts={each.name: each for each in declared if isinstance(each, Prompt)},
            judges={each.name: each for each in declared if isinstance(each, Judge)},
            suites={each.name: each for each in declared if isinstance(each, Suite)},
            indexes={each.name: each for each in declared if isinstance(each, Index)},
            agents={each.name: each for each in declared if isinstance(each, Agent)},
            graphs={each.name: each for each in declared if isinstance(each, Graph)},
        )

    def model(self, name: str) -> type[Model]:
        """The model of that name.

        Raises:
            NotFound: there is none; the message names the nearest.
        """
        if name not in self.models:
            if name in self.pointed:
                raise NotFound(
                    f"There is no model {name!r}: it is a {self.kind_of(name)}.",
                    hint=f"Models: {', '.join(sorted(self.models)) or 'none'}. A {self.kind_of(name)} is released by perdure apply.",
                    what="model",
                    name=name,
                )
            raise not_found("model", name, self.models)
        return self.models[name]

    def source(self, name: str) -> Source:
        """The source of that name.

        Raises:
            NotFound: there is none; the message names the nearest.
        """
        if name not in self.sources:
            raise not_found("source", name, self.sources)
        return self.sources[name]

    def guard(self, name: str) -> Guard:
        """The guard of that name.

        Raises:
            NotFound: there is none; the message names the nearest.
        """
        if name not in self.guards:
            raise not_found("guard", name, self.guards)
        return self.guards[name]

    def prompt(self, name: str) -> Prompt:
        """The prompt of that name.

        Raises:
            NotFound: there is none; the message names the nearest.
        """
        if name not in self.prompts:
            raise not_found("prompt", name, self.prompts)
        return self.prompts[name]

    def judge(self, name: str) -> Judge:
        """The judge of that name.

        Raises:
            NotFound: there is none; the message names the nearest.
        """
        if name not in self.judges:
            raise not_found("judge", name, self.judges)
        return self.judges[name]

    def index(self, name: str) -> Index:
        """The index of that name.

        Raises:
            NotFound: there is none; the message names the nearest.
        """
        if name not in self.indexes:
            raise not_found("index", name, self.indexes)
        return self.indexes[name]

    def agent(self, name: str) -> Agent:
        """The agent of that name.

        Raises:
            NotFound: there is none; the message names the nearest.
        """
        if name not in self.agents:
            raise not_found("agent", name, self.agents)
        return self.agents[name]

    def graph(self, name: str) -> Graph:
        """The graph of that name.

        Raises:
            NotFound: there is none; the message names the nearest.
        """
        if name not in self.graphs:
            raise not_found("graph", name, self.graphs)
        return self.graphs[name]

    def suite(self, name: str) -> Suite:
        """The suite of that name.

        Raises:
            NotFound: there is none; the message names the nearest.
        """
        if name not in self.suites:
            raise not_found("suite", name, self.suites)
        return self.suites[name]

    def suites_of(self, prompt: str) -> list[Suite]:
        """The suites that test a prompt, by name."""
        return [suite for _, suite in sorted(self.suites.items()) if suite.prompt == prompt]

    def team(self, name: str) -> Team:
        """The team of that name.

        Raises:
            NotFound: there is none; the message names the nearest.
        """
        if name not in self.teams:
            raise not_found("team", name, self.teams)
        return self.teams[name]

    @property
    def pointed(self) -> dict[str, Released]:
        """Everything that has versions and pointers, by name: graphs, agents, indexes, judges, guards, prompts, routes, models."""
        return {
            **self.graphs,
            **self.agents,
            **self.indexes,
            **self.judges,
            **self.guards,
            **self.prompts,
            **self.routes,
            **self.models,
        }

    def released(self, name: str) -> Released:
        """The asset of that name that has versions and pointers.

        Raises:
            NotFound: there is none; the message names the nearest.
        """
        known = self.pointed
        if name not in known:
            what = "model, route, guard, prompt, judge, index, agent or graph" if any(self._kinds.values()) else "model"
            raise not_found(what, name, known)
        return known[name]

    def kind_of(self, name: str) -> str:
        """`model`, `route`, `guard`, `prompt`, `judge`, `index`, `agent` or `graph`: of an asset with versions and pointers.

        Raises:
            NotFound: there is none of that name; the message names the nearest.
        """
        self.released(name)
        return next((kind for kind, names in self._kinds.items() if name in names), "model")

    @property
    def _kinds(self) -> Mapping[str, Mapping[str, Released]]:
        """What has versions and pointers, but for models."""
        return {
            "route": self.routes,
            "guard": self.guards,
            "prompt": self.prompts,
            "judge": self.judges,
            "index": self.indexes,
            "agent": self.agents,
            "graph": self.graphs,
        }


def examples_of(guard: Guard) -> list[Source]:
    """The sources of a guard's learned checks."""
    learned = [check.examples for check in guard.checks if isinstance(check, Learned)]
    return [examples for examples in learned if isinstance(examples, Source)]


def _upstreams(routes: Mapping[str, Route]) -> dict[str, Upstream]:
    found: dict[str, Upstream] = {}
    for route in routes.values():
        for target in route.targets:
            known = found.setdefault(target.upstream.name, target.upstream)
            if known != target.upstream:
                raise BadProject(
                    f"Route {route.name!r} calls another upstream {known.name!r} than a route before it.",
                    hint="Declare each upstream once, or give one of them another name.",
                    name=known.name,
                )
    return found
