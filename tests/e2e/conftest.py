"""The system's Chromium, for the pages that tests look at as a person does, and the upstreams of tests that ask a gateway."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent / "gateway"))

if TYPE_CHECKING:
    from gateway_upstream import Upstreams
    from playwright.sync_api import Browser

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless; of a module and not of the session, for while it runs no test of its thread can run a loop of its own."""
    if not CHROMIUM and not os.environ.get("CI"):
        pytest.skip("no Chromium is installed; tools/browser.sh says how to get it")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)  # a busy machine is slow, not wrong
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def every_upstream() -> Iterator[Upstreams]:
    """One server for all tests."""
    from gateway_upstream import Upstreams

    server = Upstreams()
    yield server
    server.close()


@pytest.fixture
def upstreams(every_upstream: Upstreams) -> Upstreams:
    """The upstreams, with nothing told and nothing seen."""
    every_upstream.reset()
    return every_upstream
