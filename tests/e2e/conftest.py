"""The system's Chromium, for the pages that tests look at as a person does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless; of a module and not of the session, for while it runs no test of its thread can run a loop of its own."""
    if not CHROMIUM and not os.environ.get("CI"):
        pytest.skip("no Chromium is installed; tools/browser.sh says how to get it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()
