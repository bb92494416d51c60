"""The console on four days of real flights, as people use it: a real server, a real browser, and a sign-in through the page.

A journey takes `console` (its own copy of the world, which the test may change) and `signed_in`: `page = signed_in("eve", "/inbox")`.
What a page complains of, asks of other hosts, or is kept from by its policy fails the test that opened it.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from perdure.core.clock import parse_at
from perdure.core.settings import ConsoleSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from perdure.surface.deployments import Deployment
    from perdure.surface.sdk import Perdure

SHOTS = Path(__file__).resolve().parents[3] / "build" / "console"
PASSWORD = "seven green lamps"
_TELL_POLICY = "addEventListener('securitypolicyviolation', each => console.error(`policy: ${each.violatedDirective} ${each.blockedURI}`))"
T = TypeVar("T")


def _beside(name: str = "flights_world") -> Any:
    """A module beside this file, which tests import by its name."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@dataclass(slots=True)
class RunningConsole:
    """A console that serves, and the project behind it."""

    url: str
    deployment: Deployment
    project: Perdure
    """Acts as `adm`; a journey that does something beside the browser says who: `console.done(lambda p: p.pause(…), "eve")`."""
    _thread: ThreadPoolExecutor = field(repr=False)

    def done(self, work: Callable[[Perdure], T], actor: str = "loop") -> T:
        """Call verbs of the project as `actor`, in another thread: the browser's own loop runs in the test's."""
        return self._thread.submit(lambda: work(self.project.acting(actor))).result()

    @property
    def now(self) -> datetime:
        """Domain time of the pages: the newest round of the loop."""
        with self.project.place.stores.ledger.read() as session:
            return parse_at(session.cursors.get("round"))

    def entries(self, action: str, actor: str = "") -> list[Any]:
        """Of the ledger's chain, oldest first: those of one action, where named of one person."""
        found = self.project.audit(limit=1_000_000)
        return [each for each in found if each.action == action and actor in ("", each.actor)]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world of this run of tests. Look at it only; `CONSOLE_WORLD` names a folder that keeps it between runs."""
    return _beside().made_once(_shared(tmp_path_factory))


@pytest.fixture(scope="session")
def desk_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents' desk after its story: prompts, evals, calls, money. Look at it only."""
    return _beside("desk_world").made_once(_shared(tmp_path_factory))


def _shared(made: pytest.TempPathFactory) -> Path:
    kept, base = os.environ.get("CONSOLE_WORLD"), made.getbasetemp()
    return Path(kept) if kept else base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture
def console(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningConsole]:
    """The console on a copy of the world, with everybody of `flights_world.PEOPLE` let in by one password."""
    made = _beside()
    at = datetime(2013, 3, 1, 5, tzinfo=UTC) + timedelta(days=made.N_DAYS)
    with _running(made.copied(world, tmp_path / "world"), made.PEOPLE, lambda _: at, monkeypatch) as found:
        yield found


@pytest.fixture
def desk(desk_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningConsole]:
    """The console on a copy of what the documents' desk left, with everybody of `desk_world.PEOPLE` let in."""
    made = _beside("desk_world")
    for name in made.MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    with _running(made.copied(desk_world, tmp_path / "desk"), made.PEOPLE, made.ended_at, monkeypatch) as found:
        yield found
    for name in made.MODULES:
        sys.modules.pop(name, None)


@contextmanager
def _running(
    deployment: Deployment, people: dict[str, Any], at: Callable[[Perdure], datetime], monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningConsole]:
    from argon2 import profiles

    from perdure.surface.compose_console import console_running
    from perdure.surface.deployments import close_stores

    monkeypatch.setattr(profiles, "RFC_9106_LOW_MEMORY", profiles.CHEAPEST)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name, value in deployment.settings.items():
        monkeypatch.setenv(name, value)
    with ThreadPoolExecutor(1) as thread:
        project = thread.submit(_let_in, deployment, people, at).result()
        with console_running(project, ConsoleSettings(port=0)) as opening:
            yield RunningConsole(opening.url, deployment, project, thread)
        close_stores(project)


def _let_in(deployment: Deployment, people: dict[str, Any], at: Callable[[Perdure], datetime]) -> Perdure:
    from perdure.stores.sessions.protocols import Secret
    from perdure.surface.console.auth.passwords import Passwords

    project = deployment.open().acting("adm")
    passwords, now = Passwords(), at(project)
    for name, (roles, duties) in people.items():
        project.add_person(name, roles=roles, duties=duties, at=now)
        project.people_file.secrets.put(Secret(f"password_{name}", name, "password", passwords.digest(PASSWORD), 0))
    return project


@dataclass(slots=True)
class Visits:
    """Opens pages as somebody, and keeps what they complain of."""

    browser: Browser
    console: RunningConsole
    problems: list[str] = field(default_factory=list)
    _contexts: list[BrowserContext] = field(default_factory=list)

    def __call__(
        self, name: str, to: str = "/", *, width: int = 1280, scripts: bool = True, dark: bool = False
    ) -> Page:
        """Sign in through the page that asks for it when `to` is opened, and be led there.

        Args:
            name: of `flights_world.PEOPLE`.
            to: address of the page that is wanted.
            width: of the window, in pixels; 390 is a phone.
            scripts: off: the browser runs no JavaScript.
            dark: the theme that the person's machine asks for.
        """
        page = self.nobody(width=width, scripts=scripts, dark=dark)
        page.goto(self.console.url + to)
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(self.console.url + to)
        return page

    def nobody(self, *, width: int = 1280, scripts: bool = True, dark: bool = False) -> Page:
        """A page in a browser of its own, in which nobody has signed in."""
        context = self.browser.new_context(
            viewport={"width": width, "height": 844 if width < 768 else 900},
            timezone_id="Europe/Berlin",
            locale="en-GB",
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            java_script_enabled=scripts,
        )
        self._contexts.append(context)
        context.set_default_timeout(30_000)
        if scripts:
            context.add_init_script(_TELL_POLICY)
        context.on("console", lambda told: self._told(told.text) if told.type in ("error", "warning") else None)
        context.on("weberror", lambda error: self._told(str(error.error)))
        context.on("dialog", lambda shown: self._told(f"dialog: {shown.message}"))
        context.on("request", lambda asked: None if asked.url.startswith((self.console.url, "data:", "blob:")) else self._told(asked.url))  # fmt: skip
        return context.new_page()

    def end(self) -> None:
        """Close every browser, and fail where one complained."""
        for each in self._contexts:
            each.close()
        assert self.problems == []

    def _told(self, what: str) -> None:
        self.problems.append(what)


@pytest.fixture
def signed_in(browser: Browser, console: RunningConsole) -> Iterator[Visits]:
    """Opens pages of the console as one of its people."""
    visits = Visits(browser, console)
    yield visits
    visits.end()


@pytest.fixture
def at_desk(browser: Browser, desk: RunningConsole) -> Iterator[Visits]:
    """Opens pages of the desk's console as one of its people."""
    visits = Visits(browser, desk)
    yield visits
    visits.end()


@pytest.fixture
def shot(request: pytest.FixtureRequest) -> Callable[[Page, str], None]:
    """Keeps a picture of the whole page in build/console, for people to look at."""
    SHOTS.mkdir(parents=True, exist_ok=True)

    def keep(page: Page, name: str) -> None:
        page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    return keep
