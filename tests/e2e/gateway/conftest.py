"""The world of the gateway's tests."""

from __future__ import annotations

import pytest
from gateway_world import World

from perdure import Route


@pytest.fixture
def world(tmp_path, upstreams) -> World:
    """A world with nothing declared yet."""
    return World(tmp_path, upstreams.url)


@pytest.fixture(scope="module")
def served(tmp_path_factory, every_upstream):
    """A gateway with a route for each dialect, named after it, shared by the tests of a module."""
    world = World(tmp_path_factory.mktemp("served"), every_upstream.url)
    dialects = ("openai", "anthropic", "gemini")
    world.declare(*(Route(name, [world.target("m-1", name)]) for name in dialects))
    with world.serving() as gateway:
        yield gateway


@pytest.fixture
def gateway(served, upstreams):
    """The shared gateway, its upstreams as usual."""
    return served
