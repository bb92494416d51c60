"""Wires the gateway of a project: its routes, guards and teams, and the stores of limits and cached answers.

Called by `surface.compose` for servers, and by the verbs that read how full limits are.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from perdure.assets.project import Project
from perdure.core.settings import Settings

if TYPE_CHECKING:
    from perdure.serve.gateway.wiring import GatewayDeclared
    from perdure.stores.cache.protocols import AnswerCache
    from perdure.stores.counters.protocols import Counters


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
    )


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
