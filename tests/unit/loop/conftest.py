"""A workplace on real embedded stores."""

from __future__ import annotations

import pytest

from perdure.assets.project import Project
from perdure.core.settings import ProjectSettings, Settings
from perdure.surface.sdk import Perdure

SETTINGS = Settings(project=ProjectSettings(name="toys", actor="test"))


@pytest.fixture
def place(tmp_path):
    return Perdure(tmp_path, SETTINGS, project=Project("toys")).place


@pytest.fixture
def lease(place):
    lease = place.stores.leases.acquire("loop", "me", 600.0)
    assert lease is not None
    return lease


@pytest.fixture
def reopen(tmp_path):
    """The same stores, as a process that starts anew opens them."""
    return lambda: Perdure(tmp_path, SETTINGS, project=Project("toys")).place
