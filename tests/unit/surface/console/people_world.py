"""The toy world with people in it, behind the real door: each signs in by a session of their own, or comes with a key.

What is cheap here and nowhere else: a hasher that takes a millisecond, and a clock that is set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from console_world import Console

from perdure.core.clock import machine_us
from perdure.core.settings import ConsoleSettings
from perdure.surface.console.app import make_app
from perdure.surface.console.auth.calling import Caller
from perdure.surface.console.auth.csrf import masked
from perdure.surface.console.auth.passwords import Passwords
from perdure.surface.console.auth.permitting import admit
from perdure.surface.console.auth.routes import mount_sign_in
from perdure.surface.console.auth.sessions import begin
from perdure.surface.console.boards import ProjectBoards
from perdure.surface.console.parts import ConsoleParts
from perdure.surface.sdk import open_project

HOST = "127.0.0.1:8500"
OURS = {"sec-fetch-site": "same-origin"}
PASSWORD = "seven green lamps"
PEOPLE: Mapping[str, tuple[str, ...]] = {
    "ann": ("viewer",),
    "sue": ("scientist",),
    "eve": ("engineer",),
    "rex": ("reviewer",),
    "roy": ("reviewer",),
    "adm": ("admin",),
}
AS = {"viewer": "ann", "scientist": "sue", "engineer": "eve", "reviewer": "rex", "admin": "adm"}
_AT = "2025-03-01T00:00:00Z"
EVERY_ROLE = ("admin", "engineer", "reviewer", "scientist", "viewer")


class CheapHasher(PasswordHasher):
    """Argon2 with next to no work, that counts how often it worked."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.n_verified = 0

    def verify(self, *given: Any) -> Any:
        self.n_verified += 1
        return super().verify(*given)


@dataclass(slots=True)
class Door:
    """The console over a world, asked as a browser would: with cookies that are kept, by whoever has signed in."""

    console: Console
    parts: ConsoleParts
    hasher: CheapHasher
    clock: list[int] = field(default_factory=lambda: [machine_us()])
    cookies: dict[str, str] = field(default_factory=dict)

    def as_(self, name: str) -> Door:
        """Another browser, in which this person is signed in; nobody for an empty name."""
        other = Door(self.console, self.parts, self.hasher, self.clock)
        if name:
            other.cookies["perdure"] = begin(self.parts, Caller(address="127.0.0.1"), name, machine_us()).token
        return other

    def get(self, path: str, **headers: str) -> Any:
        return self._kept(self.console.ask("GET", path, headers=self._headers(headers)))

    def post(
        self, path: str, form: Mapping[str, str] | None = None, *, token: str | None = None, **headers: str
    ) -> Any:
        """Send a form from a page of ours with the session's token; `token=""` sends none."""
        given = token if token is not None else self.token()
        sent = {**(form or {}), **({"csrf": given} if given else {})}
        return self.send(path, sent, **{**OURS, **{name.replace("_", "-"): text for name, text in headers.items()}})

    def send(self, path: str, form: Mapping[str, str], **headers: str) -> Any:
        """Send exactly this."""
        from urllib.parse import urlencode

        kind = {"content-type": "application/x-www-form-urlencoded"}
        answer = self.console.ask(
            "POST", path, headers={**kind, **self._headers(headers)}, body=urlencode(form).encode()
        )
        return self._kept(answer)

    def token(self) -> str:
        """A token of this browser's session; empty for nobody."""
        said = self.cookies.get("perdure", "")
        session = admit(self.parts, Caller(cookies={"perdure": said}), machine_us()).session if said else None
        return masked(session.csrf) if session else ""

    def sign_in(self, name: str, password: str = PASSWORD, **form: str) -> Any:
        """Through the page, as a person does."""
        page = self.get("/sign-in")
        return self.post("/sign-in", {"name": name, "password": password, **form}, token=token_of(page.text))

    def entries(self) -> list[Any]:
        return self.parts.project.audit(limit=10_000)

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        cookie = (
            {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        )
        return {**cookie, **headers}

    def _kept(self, answer: Any) -> Any:
        for name, value in re.findall(r"([\w-]+)=([^;,\s]*); Path=/", answer.headers.get("set-cookie", "")):
            if value:
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
        return answer


def token_of(page: str) -> str:
    """The token of a page's first form."""
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def let_in(folder: Path) -> Path:
    """Put `PEOPLE` into a world, and the program `bot`; returns the folder."""
    project = open_project(folder, actor="adm")
    for name, roles in {**PEOPLE, "all": EVERY_ROLE}.items():
        project.add_person(name, roles=roles, at=_AT)
    project.add_person("bot", roles=EVERY_ROLE, service=True, at=_AT)
    project._ledger.close()
    return folder


def open_door(folder: Path, settings: ConsoleSettings | None = None) -> Door:
    """The real door over a world with people."""
    project = open_project(folder, actor="adm")
    boards = ProjectBoards(project)
    boards.refresh()
    file, hasher = project.people_file, CheapHasher()
    parts = ConsoleParts(project, boards, file.secrets, file.sessions, file.tries, settings or ConsoleSettings())
    clock = [machine_us()]
    signing = lambda app, shell: mount_sign_in(app, shell, Passwords(hasher), lambda: clock[0])  # noqa: E731
    return Door(Console(make_app(parts, signing=signing), project, boards), parts, hasher, clock)
