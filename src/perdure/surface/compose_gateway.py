"""Wires the gateway of a project: its routes, guards and teams, and the stores of limits and cached answers.

Called by `surface.compose` for servers, and by the verbs that read how full limits are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from perdure.assets.project import Project
from perdure.assets.upstream import Upstream
from perdure.core.clock import from_us, to_us
from perdure.core.errors import BadSettings, NotReady
from perdure.core.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from perdure.assets.team import Period
    from perdure.assets.version import Version
    from perdure.core.ports import Answerer
    from perdure.loop.outdated import Outdated
    from perdure.loop.protocols import Workplace
    from perdure.loop.telemetry import Telemetry
    from perdure.loop.telemetry_evals import EvaluationTelemetry
    from perdure.loop.work.spans import Peer
    from perdure.serve.gateway.wiring import GatewayDeclared
    from perdure.stores.cache.protocols import AnswerCache
    from perdure.stores.counters.protocols import Counters
    from perdure.stores.ledger.protocols import Ledger
    from perdure.surface.embedding import HttpEmbed

_PROVIDERS = {"anthropic": "anthropic", "gemini": "gcp.gemini"}
"""Dialect → the provider's name in OpenTelemetry's conventions; many speak OpenAI's, and go by their own names."""
_PORTS = {"http": 80, "https": 443}
_ANSWERS: Mapping[str, Any] = {
    "on": ["output"], "mode": "redact", "fails": "closed", "wait_ms": 1000.0, "hold_back": 200,
}  # fmt: skip


def gateway_declared(root: Path, settings: Settings, project: Project) -> GatewayDeclared | None:
    """What the gateway of a project serves; None where it declares no route.

    Args:
        root: of the embedded stores.
        settings: of the project.
        project: what it declares.
    """
    if not project.routes:
        return None
    from perdure.serve.gateway.wiring import GatewayDeclared
    from perdure.surface.compose import worker_name

    return GatewayDeclared(
        routes=project.routes,
        guards=project.guards,
        teams=project.teams,
        prompts=project.prompts,
        upstreams=project.upstreams,
        secrets=os.environ,
        open_counters=partial(open_counters, root, settings),
        open_answers=partial(open_answers, root, settings),
        settings=settings.gateway,
        limits=settings.limits,
        owner=worker_name(),
        embed=_embedder(project),
    )


def _embedder(project: Project) -> HttpEmbed | None:
    """What makes vectors of questions; None where no route finds answers by meaning."""
    if all(route.cache is None or route.cache.semantic is None for route in project.routes.values()):
        return None
    from perdure.surface.embedding import HttpEmbed

    return HttpEmbed(project.routes, project.upstreams, os.environ)


def make_answerer(root: Path, settings: Settings, project: Project, ledger: Ledger, actor: str) -> Answerer:
    """Who asks models for evals and judges: the gateway at `[evals] url`, else the project's own within this process.

    Raises:
        NotReady: the project declares no route.
        BadSettings: the environment has no key for the gateway that is named.
    """
    if not project.routes:
        raise NotReady("No route is declared, so nobody can be asked.", hint="Declare a Route; see docs/gateway.")
    if settings.evals.url:
        from perdure.surface.asking import AnswersByHttp

        name = settings.evals.key_env
        secret = os.environ.get(name, "")
        if not secret:
            raise BadSettings(
                f"The environment has no variable {name!r} with a key of the gateway.",
                hint="Make one for the team evals, `perdure key create --team evals`, and put it there.",
                key="evals.key_env",
            )
        return AnswersByHttp(settings.evals.url, secret, project.routes, answer_s=settings.evals.answer_seconds)
    from perdure.stores.blobs.files import FileBlobs
    from perdure.stores.capture.segments import SegmentWriter
    from perdure.surface.asking_here import AnswersHere, HereParts, versions_of

    declared = gateway_declared(root, settings, project)
    assert declared is not None
    parts = HereParts(
        declared=declared,
        open_writer=partial(SegmentWriter, root / "capture", settings.capture),
        blobs=FileBlobs(root / "blobs"),
        versions=versions_of(project, ledger, actor),
    )
    return AnswersHere(parts)


def make_outdated(root: Path, settings: Settings, project: Project) -> Outdated | None:
    """What drops answers whose source changed; None where no route names a source or an index.

    Raises: as `open_answers`.
    """
    named = {route.source for route in project.routes.values()}
    sources, indexes = (
        sorted(named & project.sources.keys()),
        sorted(named & project.indexes.keys() - project.sources.keys()),
    )
    if not sources and not indexes:
        return None
    from perdure.loop.outdated import Outdated

    shared = settings.gateway.cache != "memory"
    return Outdated(sources, open_answers(root, settings) if shared else None, indexes)


def open_counters(root: Path, settings: Settings) -> Counters:
    """Where limits and budgets are counted.

    Raises:
        MissingExtra: a Redis is named, and its client is not installed.
        StoreError: it cannot be opened.
    """
    if settings.limits.url:
        from perdure.stores.counters.redis import RedisCounters

        return RedisCounters(settings.limits.url, namespace=f"{{perdure:{settings.project.name}}}")
    from perdure.stores.counters.sqlite import SqliteCounters

    root.mkdir(parents=True, exist_ok=True)
    return SqliteCounters(root / "counters.db")


def open_answers(root: Path, settings: Settings) -> AnswerCache:
    """Where answers are kept that are given again.

    Raises:
        MissingExtra: a Redis is named, and its client is not installed.
        StoreError: it cannot be opened.
    """
    where = settings.gateway.cache
    if where == "memory":
        from perdure.stores.cache.memory import MemoryCache

        return MemoryCache()
    if where == "sqlite":
        from perdure.stores.cache.sqlite import SqliteCache

        root.mkdir(parents=True, exist_ok=True)
        return SqliteCache(root / "answers.db")
    from perdure.stores.cache.redis import RedisCache

    return RedisCache(where, project=settings.project.name)


def budget_window(per: Period, timezone: str, at: datetime) -> tuple[datetime, datetime]:
    """The calendar window of a budget that an instant falls in, as the gateway counts it; not for `total`.

    Raises:
        BadTeam: there is no such time zone here.
    """
    from perdure.serve.gateway.windows import calendar_window

    window = calendar_window(per, timezone, to_us(at))
    return from_us(window.starts_us), from_us(window.ends_us)


def make_telemetry(settings: Settings, project: Project) -> Telemetry | None:
    """What sends spans of calls; None where no collector is set.

    Raises:
        MissingExtra: one is set, and OpenTelemetry's libraries are not installed.
    """
    if not settings.telemetry.otlp_url:
        return None
    from perdure.loop.telemetry import Telemetry
    from perdure.surface.otlp import OtlpSender

    sender = OtlpSender(settings.telemetry, os.environ, settings.project.name)
    peers = {name: peer_of(upstream) for name, upstream in project.upstreams.items()}
    return Telemetry(sender, peers, timeout_s=settings.telemetry.timeout_s)


def make_evaluations(settings: Settings, project: Project) -> EvaluationTelemetry | None:
    """What tells evaluations of suites; None where no collector is set, or nothing is evaluated.

    Raises:
        MissingExtra: one is set, and OpenTelemetry's libraries are not installed.
    """
    if not settings.telemetry.otlp_url or not project.suites:
        return None
    from perdure.loop.telemetry_evals import EvaluationTelemetry
    from perdure.surface.eval_made import JudgeFigures
    from perdure.surface.otlp import OtlpSender

    def declared(place: Workplace, now: datetime) -> dict[str, Version]:
        from perdure.surface.declaring import declared_versions

        with place.stores.ledger.read() as session:
            found = declared_versions(project, session, place.actor, now)
        return {each.version.asset: each.version for each in found}

    sender = OtlpSender(settings.telemetry, os.environ, settings.project.name)
    figures = JudgeFigures(project.judges, declared) if project.judges else None
    return EvaluationTelemetry(sender, mask=texts_mask(), figures=figures, timeout_s=settings.telemetry.timeout_s)


def texts_mask() -> Callable[[str], str]:
    """What texts go through that leave: without personal data and secrets, as records keep them."""
    from perdure.engines.guards.compiling import compile_guard

    told = {"checks": [{"check": "pii", "kinds": [], "restore": False}, {"check": "secrets"}], **_ANSWERS}
    guard = compile_guard("evaluations", "evaluations", told, {})

    def mask(text: str) -> str:
        found: str = guard.mask([{"role": "user", "content": text}]).value[0]["content"]
        return found

    return mask


def peer_of(upstream: Upstream) -> Peer:
    """An upstream as spans name it.

    >>> peer_of(Upstream("mine", "https://api.openai.com/v1"))
    Peer(provider='openai', address='api.openai.com', port=443)
    >>> peer_of(Upstream("claude", "http://10.0.0.7:8080", dialect="anthropic"))
    Peer(provider='anthropic', address='10.0.0.7', port=8080)
    """
    from perdure.loop.work.spans import Peer

    if upstream.dialect == "any":
        return Peer(upstream.url)
    parts = urlsplit(upstream.url)
    host = parts.hostname or "" if parts.scheme in _PORTS else ""
    told = _PROVIDERS.get(upstream.dialect, "openai" if host == "api.openai.com" else upstream.name)
    return Peer(upstream.provider or told, host, (parts.port or _PORTS[parts.scheme]) if host else 0)
