"""What `perdure check` says of routes, guards and teams: names that nothing has, secrets that are not there.

Called by `checks`. A route that cannot mean anything fails when it is made; here it is held against the rest of the
project and the environment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from perdure.core.clock import machine_now
from perdure.core.errors import BadGuard, MissingExtra, UntrustedArtifact, nearest

if TYPE_CHECKING:
    from perdure.assets.guard import Guard
    from perdure.assets.project import Project
    from perdure.assets.route import Cache, Route
    from perdure.assets.team import Team
    from perdure.surface.check_policies import Said

_PROMPT = "prompt:"
_SETTINGS = "PERDURE_"
_LEARNED = "learned"
"""Name of the check that is made by training."""
_SLICES: Mapping[str, Mapping[str, str]] = {
    "route": dict.fromkeys(
        ("error_ratio", "first_token_ms", "latency_ms", "tokens_per_s", "refusal_ratio", "answer_shift"), "target"
    ),
    "guard": {"miss_ratio": "family"},
    "team": {"burn_ratio": "budget"},
}
"""Kind → signal → what its readings can be told apart by."""


def _nothing(_: str) -> bool:
    """Stands for a custom check's function, which is not called here."""
    return False


def route_notes(route: Route, project: Project) -> Said:
    """A route against the guards, sources and models that it names, its objectives and policy."""
    for guard in route.guards:
        if project.guards.get(guard.name) is not guard:
            yield "error", f"passes the guard {guard.name!r}, which is not the project's.", "Name a declared guard."
    known = {**project.sources, **project.indexes}
    if route.source and route.source not in known:
        hint = _hint(route.source, known, "Sources and indexes")
        yield "error", f"rests on the source {route.source!r}, which is not declared.", hint
    if route.cache is not None and route.cache.semantic is not None:
        yield from _semantic(route.cache, project)
    yield from _judged(route, "error_ratio(over=hours(1)) <= 0.02")


def guard_notes(guard: Guard, _: Project) -> Said:
    """A guard made ready but for what it has not learned yet; its objectives and policy."""
    yield from cannot_judge(guard)
    yield from _judged(guard, "false_block_ratio(over=days(7)) <= 0.02")


def cannot_judge(guard: Guard) -> Said:
    """Why a guard cannot be made ready: errors where it never can, a warning where this machine lacks a library."""
    from perdure.engines.guards.compiling import compile_guard

    definition = guard.definition()
    told = [each for each in definition["checks"] if each["check"] != _LEARNED]
    functions = {each["function"]: _nothing for each in told if "function" in each}
    try:
        compile_guard(guard.name, "", {**definition, "checks": told}, {}, functions)
    except MissingExtra as error:
        yield "warning", f"cannot judge here. {error.message}", error.hint
    except (BadGuard, UntrustedArtifact) as error:
        yield "error", f"cannot judge: {error.message}", error.hint


def team_notes(team: Team, project: Project) -> Said:
    """A team against the routes and prompts that there are, its time zone, its objectives against its budgets."""
    named = {"prompt": project.prompts, "index": project.indexes, "agent": project.agents, "graph": project.graphs}
    known = [*project.routes, *(f"{kind}:{name}" for kind, names in named.items() for name in names)]
    budgeted = [budget.route for budget in team.budgets if budget.route]
    for names, there in ((team.routes, known), (budgeted, list(project.routes))):
        for name in names:
            if not _is_there(name, there):
                yield "warning", f"names the route {name!r}, which is not declared.", _hint(name, there, "Routes")
    for budget in team.budgets:
        if budget.route and not _reaches(team, budget.route, project):
            yield (
                "warning",
                f"has a budget for the route {budget.route!r}, which it may not call.",
                "Add it to `routes`.",
            )
    yield from _unpriced(team, project)
    try:
        ZoneInfo(team.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        yield "error", f"is in the time zone {team.timezone!r}, which is not known.", "Write one such as Europe/Berlin."
    if team.policy.trigger == "evidence" and not team.healthy:
        yield "error", "asks on evidence, but says nothing of what healthy is.", "Declare objectives, or observe."
    if any(objective.spec.signal == "burn_ratio" for objective in team.healthy) and not team.budgets:
        yield (
            "warning",
            "is held to its burn ratio, and has no budget: only budgets of single keys would be measured.",
            'Write: budgets=[Budget(200, per="month")]',
        )


def gateway_notes(project: Project, environment: Mapping[str, str] | None) -> Said:
    """What concerns the gateway as a whole: the secrets of its upstreams, and whether anybody may call."""
    for upstream in project.upstreams.values():
        name = upstream.key_env
        if name.startswith(_SETTINGS):
            yield (
                "error",
                f"Upstream {upstream.name!r} has its secret in {name}, but names that begin with PERDURE_ are settings.",
                "Choose another name.",
            )
        elif name and environment is not None and not environment.get(name):
            yield (
                "warning",
                f"Upstream {upstream.name!r} has its secret in {name}, which is not in the environment: calls will fail.",
                f"Set {name} where the gateway runs.",
            )
    if project.routes and not project.teams:
        yield "warning", "The project declares routes, but no team: nobody can get a key.", 'Write: Team("support")'
    if project.teams and not project.routes:
        yield (
            "warning",
            "The project declares teams, but no route: there is nothing that their keys may call.",
            'Write: Route("support", [Target(Upstream("openai", "https://api.openai.com/v1"), "gpt-5-mini")])',
        )


def _semantic(cache: Cache, project: Project) -> Said:
    upstream, slash, model = cache.embedder.partition("/")
    if cache.embedder in project.routes or (slash and model and upstream in project.upstreams):
        return
    if not cache.embedder:
        yield "error", "caches what means the same, without an embedder.", 'Write: Cache(…, embedder="upstream/model")'
        return
    known = [*project.routes, *(f"{name}/…" for name in project.upstreams)]
    yield (
        "error",
        f"embeds by {cache.embedder!r}, which is no route and no upstream.",
        _hint(cache.embedder, known, "Known"),
    )


def _judged(asset: Route | Guard, example: str) -> Said:
    if not asset.healthy:
        yield "warning", "has no objectives: it can decay unseen.", f"Write: healthy=[{example}]"
        if asset.policy.trigger == "evidence":
            yield "error", "acts on evidence, but says nothing of what healthy is.", "Declare objectives, or observe."


def sliced_notes(asset: Any, kind: str) -> Said:
    """Objectives of the gateway's assets on slices that their signals do not have: they would be judged as a whole, unseen."""
    if kind not in _SLICES:
        return
    for objective in asset.healthy:
        spec, known = objective.spec, _SLICES[kind].get(objective.spec.signal, "")
        if spec.by and spec.by != known:
            hint = f'Write: by="{known}"' if known else "Leave `by` out."
            yield "error", f"is held to {spec.signal!r} by {spec.by!r}, which nothing measures.", hint


def _unpriced(team: Team, project: Project) -> Said:
    """Where one target of a route has no known price, every call to the route is refused under a budget."""
    from perdure.engines.prices import find_price

    if team.unpriced == "allow":
        return
    now = machine_now()
    for route in project.routes.values():
        budgeted = any(budget.route in ("", route.name) for budget in team.budgets)
        if not budgeted or not _reaches(team, route.name, project):
            continue
        for target in route.targets:
            provider = target.upstream.provider or target.upstream.name
            if find_price(target.prices, provider, target.model, now) is None:
                yield (
                    "warning",
                    f"has a budget, and the price of {target.id} is not known: its calls to {route.name!r} are refused.",
                    'Write: Target(…, prices=UnitPrices(input=0.25, output=2.0)), or Team(…, unpriced="allow")',
                )


def _reaches(team: Team, route: str, project: Project) -> bool:
    """Whether its calls come to a route, by its name or by a prompt's."""
    by_name = (prompt for prompt in project.prompts.values() if prompt.route == route)
    return team.may_call(route) or any(team.may_call(_PROMPT + prompt.name) for prompt in by_name)


def _is_there(name: str, routes: Collection[str]) -> bool:
    """A route or prompt of that name, or any that the pattern stands for; of all prompts there may be none yet."""
    if name in ("*", f"{_PROMPT}*"):
        return True
    if name.endswith("*"):
        return any(route.startswith(name[:-1]) for route in routes)
    return name in routes


def _hint(name: str, known: Iterable[str], what: str) -> str:
    names = sorted(known)
    near = nearest(name, names)
    return f"Did you mean {near!r}?" if near else f"{what}: {', '.join(names) or 'none'}."
