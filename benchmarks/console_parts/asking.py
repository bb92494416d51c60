"""Asks every page over one connection that is kept, as a browser that is signed in: the server's own time, and bytes.

Which pages there are is what the console lists; what stands in braces is filled in from the big project.
"""

from __future__ import annotations

import gzip
import http.client
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_TIMING = re.compile(r"app;dur=([\d.]+)")
_CPU = re.compile(r"cpu;dur=([\d.]+)")
_LOADED = re.compile(r'(?:src|href)="(/static/[^"]+)"')
_BARE = ("/healthz", "/live")
OK = 200


@dataclass(slots=True)
class Asked:
    """One page, asked many times."""

    path: str
    server_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    """Of the process meanwhile: what others on the machine do not change."""
    kb: float = 0.0
    """Of the page itself, compressed."""
    statics: Sequence[str] = ()

    def ms(self, quantile: float, *, cpu: bool = False) -> float:
        """A quantile of the server's time, or of its CPU."""
        ordered = sorted(self.cpu_ms if cpu else self.server_ms)
        return ordered[min(int(quantile * len(ordered)), len(ordered) - 1)]


def addresses(known: Mapping[str, str]) -> list[str]:
    """Every page that can be asked with what is known of the big project, in the console's order."""
    from perdure.surface.console.areas import pages

    found = []
    for page in pages():
        path = page.path
        # Of a name, what it is of stands before it: the run of `/training/{run}`, the prompt of `/language/prompts/{name}`.
        for part in re.findall(r"\{(\w+)\}", path):
            given = known.get(f"{page.path}:{part}", known.get(part, ""))
            path = path.replace(f"{{{part}}}", given) if given else path
        found.append(path)
    return [path for path in dict.fromkeys(found) if "{" not in path and path not in _BARE]


class Client:
    """One connection to the console."""

    def __init__(self, url: str, cookie: str) -> None:
        split = urlsplit(url)
        self._connection = http.client.HTTPConnection(split.hostname or "", split.port or 0, timeout=60)
        self._headers = {"Cookie": cookie, "Accept-Encoding": "gzip", "Accept": "text/html"}

    def ask(self, path: str) -> tuple[int, tuple[float, float], bytes, bytes]:
        """Status, the server's milliseconds and its CPU's, what came over the wire, and what it says."""
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        timing = answer.getheader("server-timing") or ""
        server_ms, cpu_ms = (float(found[1]) if (found := each.search(timing)) else 0.0 for each in (_TIMING, _CPU))
        plain = gzip.decompress(body) if answer.getheader("content-encoding") == "gzip" else body
        return answer.status, (server_ms, cpu_ms), body, plain

    def many(self, path: str, n: int) -> Asked | None:
        """Ask a page `n` times; None where it is none for this project."""
        status, _, body, plain = self.ask(path)
        if status != OK:
            return None
        asked = Asked(path, kb=len(body) / 1000, statics=tuple(sorted(set(_LOADED.findall(plain.decode())))))
        for _ in range(n):
            _, (server_ms, cpu_ms), _, _ = self.ask(path)
            asked.server_ms.append(server_ms)
            asked.cpu_ms.append(cpu_ms)
        return asked

    def weigh(self, statics: Sequence[str]) -> float:
        """What a page loads beside itself, compressed, in kB."""
        return sum(len(self.ask(path)[2]) for path in statics) / 1000
