"""What every test has: repeatable examples, closed sockets, and the repository's folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
_LOOPBACK = ["127.0.0.1", "::1"]

# No deadlines: two busy cores make a slow example, not a wrong one. In CI every run draws the same examples.
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("local", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in tests/e2e and tests/scenario; open the loopback for end-to-end tests."""
    for item in items:
        for level in ("e2e", "scenario"):
            if ROOT / "tests" / level in item.path.parents:
                item.add_marker(level)
        if item.get_closest_marker("e2e") is not None:
            item.add_marker(pytest.mark.allow_hosts(_LOOPBACK))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's folder."""
    return ROOT
