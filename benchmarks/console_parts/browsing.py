"""Opens pages in Chromium with nothing cached: when something is seen first, and which hosts are asked."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from urllib.parse import urlsplit

_PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
_CAME = "() => performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation')).reduce((n, e) => n + e.transferSize, 0)"


@dataclass(slots=True)
class Seen:
    """One page, opened some times."""

    path: str
    painted_ms: list[float] = field(default_factory=list)
    kb: float = 0.0
    """Everything that came, compressed."""
    others: set[str] = field(default_factory=set)
    """Hosts that are not the console."""
    errors: list[str] = field(default_factory=list)

    @property
    def middle_ms(self) -> float:
        """The median of when something was seen first."""
        return median(self.painted_ms)


def browse(url: str, cookie: str, paths: Sequence[str], n: int) -> list[Seen] | None:
    """Open each page `n` times in a new context; None where there is no browser."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if program is None:
        return None
    name, _, value = cookie.partition("=")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        found = []
        for path in paths:
            seen = Seen(path)
            for _ in range(n):
                context = browser.new_context()
                context.add_cookies([{"name": name, "value": value, "url": url}])
                page = context.new_page()
                page.on("request", lambda request, seen=seen: seen.others.add(urlsplit(request.url).netloc))
                page.on(
                    "console", lambda said, seen=seen: seen.errors.append(said.text) if said.type == "error" else None
                )
                page.goto(url + path, wait_until="load")
                page.wait_for_timeout(150)
                seen.painted_ms.append(page.evaluate(_PAINTED))
                seen.kb = page.evaluate(_CAME) / 1000
                context.close()
            seen.others -= {urlsplit(url).netloc, ""}
            found.append(seen)
        browser.close()
    return found
