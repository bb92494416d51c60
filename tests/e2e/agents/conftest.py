"""The world of the tests of agents over HTTP, and its modules made importable."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from agents_world import OTHER, SENT, AgentsWorld, Desk
from gateway_world import TEAM


def standard_world(root: Path, url: str) -> AgentsWorld:
    """Agents `desk`, `plain` and `short` and the graph `track`, released."""
    made = AgentsWorld(root, url, teams={"team": TEAM, "other": OTHER})
    made.standard()
    return made


@pytest.fixture
def world(tmp_path, upstreams) -> AgentsWorld:
    """A world of its own, nothing done by tools yet."""
    SENT.clear()
    return standard_world(tmp_path, upstreams.url)


@pytest.fixture(scope="module")
def served(tmp_path_factory, every_upstream) -> Iterator[tuple[Desk, Desk]]:
    """A server shared by the tests of a module, asked by a team's key and by an administrator's."""
    world = standard_world(tmp_path_factory.mktemp("agents"), every_upstream.url)
    secret = world.make_admin(world.key())
    with world.serving() as gateway:
        yield Desk(gateway), Desk(gateway, secret)


@pytest.fixture
def desk(served, upstreams) -> Desk:
    """The shared server, its upstreams as usual, nothing done by tools yet."""
    SENT.clear()
    return served[0]


@pytest.fixture
def admin(served, desk) -> Desk:
    """The same, asked by an administrator's key."""
    return served[1]
