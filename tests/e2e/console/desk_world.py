"""The story of the documents' desk, played once with a stand-in for its small model: an index that was repaired, a wording that evals
stopped, guards, and what each key spent. Questions of its newest eval wait for a label.

Made once for all workers of a test run (10 s of CPU). A test gets its own copy of the stores; pages, wording and cases are looked at only.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from perdure.core.clock import parse_at
from perdure.surface.deployments import Deployment, close_stores
from perdure.surface.sdk import Perdure

DESK = Path(__file__).resolve().parents[3] / "examples" / "documents_desk"
MODULES = ("docs_desk", "reading")
"""Of the example: they read their folder's name when they are imported."""
PEOPLE = {
    "pat": (("scientist",), ("prompt_author",)),
    "ona": (("viewer", "scientist"), ("owner", "analyst")),
    "eve": (("engineer",), ("ml_engineer",)),
    "adm": (("admin",), ()),
}
"""Who may come in: name → roles and duties."""
_LONGEST = 500


class _ReadsASentence(BaseHTTPRequestHandler):
    """Says the last sentence of what it is given to read, where that is not cut short."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))["messages"][-1]["content"]
        passage = re.search(r"Context: (.*)\nQuestion:", asked, re.DOTALL)[1]
        readable = len(passage) < _LONGEST and not passage.endswith("...")
        said = re.split(r"(?<=\.) ", passage)[-1] if readable else "I do not know."
        usage = {"prompt_tokens": len(asked) // 4, "completion_tokens": 12, "total_tokens": len(asked) // 4 + 12}
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        told = {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def _stand_in() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _ReadsASentence)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def made_once(shared: Path) -> Path:
    """The world's folder under `shared`, made by whoever comes first."""
    with _alone(shared / "desk_world.lock"):
        made, told = shared / "desk_world", shared / "desk_world.told"
        if not told.exists():
            shutil.rmtree(made, ignore_errors=True)
            told.write_text(_play(made), "utf-8")
        return made


def _play(folder: Path) -> str:
    story = str(DESK / "story.py")
    with _stand_in() as model:
        environment = {**os.environ, "DOCS_DESK_OUT": str(folder), "DOCS_DESK_MODEL": model}
        done = subprocess.run(
            [sys.executable, story], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def copied(world: Path, folder: Path) -> Deployment:
    """The project on a copy of the story's stores; its pages and wording stay where they are."""
    shutil.copytree(world / ".perdure", folder, ignore=shutil.ignore_patterns("serve"))
    settings = {"DOCS_DESK_OUT": str(world), "DOCS_DESK_MODEL": "http://127.0.0.1:9/v1"}
    return Deployment("desk", DESK, folder, settings)


def ended_at(project: Perdure) -> datetime:
    """When the newest round of the story was."""
    with project.place.stores.ledger.read() as session:
        return parse_at(session.cursors.get("round"))


__all__ = ["MODULES", "PEOPLE", "close_stores", "copied", "ended_at", "made_once"]
