"""Wires the console: the board, the file of people's secrets, the application and its server.

Used by `perdure console`, by `perdure up` beside the loop and the data plane, and for one page by `perdure look`.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from perdure.serve.boundary import contained
from perdure.serve.hosting import Hosted
from perdure.surface.console.app import end, make_app
from perdure.surface.console.boards import ProjectBoards
from perdure.surface.console.parts import ConsoleParts

if TYPE_CHECKING:
    from datetime import datetime

    from perdure.core.settings import ConsoleSettings
    from perdure.surface.console.board import Boards
    from perdure.surface.console.records import View
    from perdure.surface.console.rendering import Renderer
    from perdure.surface.sdk import Perdure

_JOIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Opening:
    """Where the console is."""

    url: str
    invite: str
    """The address that signs in whoever opens it first, within 15 minutes; empty where nobody needs one."""


def make_console(opened: Perdure, settings: ConsoleSettings) -> tuple[Hosted, Boards]:
    """The console of a project and its board: `run` that in a thread, then `start` the server.

    Raises:
        Refused: it would be reached from outside without TLS, or before an administrator has a password.
    """
    hosted, parts, _ = _made(opened, settings)
    return hosted, parts.boards


@contextmanager
def console_running(opened: Perdure, settings: ConsoleSettings, *, open_as: str = "") -> Iterator[Opening]:
    """Serve the console until the block ends.

    Args:
        opened: the project; its stores are shared with every page.
        settings: where it is served.
        open_as: whom a new invite is for; empty: the project's actor, where nobody can sign in yet.

    Raises:
        NotReady: the address is taken.
        NotFound: nobody has the name `open_as`.
        Refused: it would be reached from outside without TLS, or before an administrator has a password.
    """
    hosted, parts, renderer = _made(opened, settings)
    over = threading.Event()
    keeping = threading.Thread(target=parts.boards.run, args=(over.is_set,), name="perdure-console-board", daemon=True)
    settling = threading.Thread(
        target=_settle, args=(parts.boards, renderer), name="perdure-console-settle", daemon=True
    )
    try:
        url = hosted.start()
        keeping.start()
        settling.start()
        yield Opening(url, _invite(parts, open_as, url))
    finally:
        over.set()
        hosted.stop()
        if keeping.ident is not None:
            keeping.join(_JOIN_S)


def look_at(opened: Perdure, address: str) -> tuple[View, datetime]:
    """What a page of the console shows, without a server, and the instant that it is as of.

    Raises:
        NotFound: no page has the address, or nothing is there.
    """
    from perdure.surface.console.looking import look

    return look(_parts(opened, opened.settings.console), address)


def _parts(opened: Perdure, settings: ConsoleSettings) -> ConsoleParts:
    acting = opened.acting(opened.actor)  # so that every store stands open before two pages ask for it at once
    held = acting.people_file
    return ConsoleParts(acting, ProjectBoards(acting, settings), held.secrets, held.sessions, held.tries, settings)


def _made(opened: Perdure, settings: ConsoleSettings) -> tuple[Hosted, ConsoleParts, Renderer]:
    opened.check_outside(settings.host)
    parts = _parts(opened, settings)
    app = make_app(parts)
    hosted = Hosted(app, host=settings.host, port=settings.port, name="console", ending=partial(end, app))
    return hosted, parts, app.state.shell.renderer


def _settle(boards: Boards, renderer: Renderer) -> None:
    """What the first to look would wait for, and what every full collection would walk: of 10,000 assets 0.2 s each time."""
    renderer.prepare()
    contained(boards.now, lambda _: None)
    gc.collect()
    gc.freeze()


def _invite(parts: ConsoleParts, open_as: str, url: str) -> str:
    """A new one for a name; else one for the project's actor where nobody can sign in yet."""
    now = parts.boards.now().at
    invited = parts.project.invite_person(open_as, at=now) if open_as else parts.project.invite_first(at=now)
    return "" if invited is None else url + invited.path
