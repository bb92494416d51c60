"""The few addresses that give and take cookies: signing in and out, invites, another password. Mounted by `app` beside pages and deeds.

They are no `Deed`s, for nobody is admitted yet, or the answer sets a cookie. Each is checked as strictly: a page of ours, and a token,
which before signing in belongs to a cookie of its own (login CSRF: Barth, Jackson and Mitchell, 2008).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from secrets import token_urlsafe

from fastapi import FastAPI
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from perdure.core.clock import machine_us
from perdure.core.errors import BadRequest, LimitReached, NotReady, PerdureError, Refused, Unauthorized
from perdure.surface.console.asking import address
from perdure.surface.console.auth import csrf
from perdure.surface.console.auth.calling import cookie_name, cookie_text
from perdure.surface.console.auth.passwords import LEAST, MOST, Passwords
from perdure.surface.console.auth.permitting import check_deed
from perdure.surface.console.auth.returning import returning_to
from perdure.surface.console.auth.sessions import Begun
from perdure.surface.console.auth.signing_in import SigningIn
from perdure.surface.console.records import View
from perdure.surface.console.serving_pages import Shell, caller_of, form_sent

AT_A_TIME = 2
"""Passwords checked at a time, each in 64 MiB."""
_WAIT_S = 2.0
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
Clock = Callable[[], int]


@dataclass(frozen=True, slots=True)
class SignInPage:
    """What the page of sign-in shows."""

    to: str
    """Where its form is sent."""
    next: str
    name: str
    """As it was typed; of an invite whom it is for."""
    shown: str
    wrong: str
    """Why it did not work; empty the first time."""
    hint: str
    least: int = LEAST
    most: int = MOST


class SignInRoutes:
    """The addresses, over one shell.

    Args:
        shell: draws pages, and knows the stores.
        passwords: how they are kept.
        clock: the machine's, in microseconds.
    """

    def __init__(self, shell: Shell, passwords: Passwords | None = None, clock: Clock = machine_us) -> None:
        self._shell = shell
        self._settings = shell.parts.settings
        self._clock = clock
        self._signing = SigningIn(shell.parts, passwords)
        self._turns = asyncio.Semaphore(AT_A_TIME)
        self._apart = replace(shell, pool=ThreadPoolExecutor(AT_A_TIME, "perdure-passwords"))

    async def ask(self, request: Request) -> Response:
        """GET /sign-in."""
        return await self._shell.in_thread(request, partial(self._sign_in_page, request, _query(request)))

    async def sign_in(self, request: Request) -> Response:
        """POST /sign-in."""

        def work(form: Mapping[str, str]) -> Response:
            caller, given = caller_of(request), (form.get("name", ""), form.get("password", ""))
            begun = self._signing.sign_in(caller, *given, self._clock())
            return self._signed_in(begun, returning_to(form.get("next", "")))

        return await self._before(request, work, self._sign_in_page)

    async def ask_invited(self, request: Request) -> Response:
        """GET /sign-in/INVITE."""
        return await self._shell.in_thread(request, partial(self._invite_page, request, {}))

    async def accept(self, request: Request) -> Response:
        """POST /sign-in/INVITE."""

        def work(form: Mapping[str, str]) -> Response:
            chosen = _chosen(form)
            begun = self._signing.accept(caller_of(request), request.path_params["invite"], chosen, self._clock())
            return self._signed_in(begun, "/")

        return await self._before(request, work, self._invite_page)

    async def sign_out(self, request: Request) -> Response:
        """POST /sign-out."""

        def work(form: Mapping[str, str]) -> Response:
            admitted = self._shell.admit(request)
            check_deed(self._shell.parts, caller_of(request), admitted, form)
            self._signing.sign_out(admitted)
            answer = RedirectResponse("/sign-in", 303)
            answer.headers.append("set-cookie", cookie_text("session", "", self._settings))
            return answer

        return await self._with_form(request, work)

    async def change(self, request: Request) -> Response:
        """POST /me/password."""

        def work(form: Mapping[str, str]) -> Response:
            admitted, caller = self._shell.admit(request), caller_of(request)
            check_deed(self._shell.parts, caller, admitted, form)
            if admitted.session is None:
                raise Refused("A program has no password.", hint="An administrator makes it another key.")
            begun = self._signing.change(caller, admitted, form.get("old", ""), _chosen(form), self._clock())
            self._shell.parts.sessions.note(
                begun.session.digest, "Your password is changed, and your other sessions have ended."
            )
            return self._signed_in(begun, "/me")

        return await self._with_form(request, work, takes_turn=True)

    async def _before(
        self,
        request: Request,
        work: Callable[[Mapping[str, str]], Response],
        again: Callable[..., Response],
    ) -> Response:
        """A form of who is not signed in; what is wrong with it is told on the same page."""

        def checked(form: Mapping[str, str]) -> Response:
            caller = caller_of(request)
            csrf.check_page_is_ours(caller, self._settings)
            token = caller.cookies.get(cookie_name("before", self._settings), "")
            try:
                csrf.check_token(form.get(csrf.FIELD, "") if token else "", csrf.secret_before(token))
            except Refused as error:
                return again(request, form, error)
            try:
                return work(form)
            except (Unauthorized, LimitReached, BadRequest) as error:
                return again(request, form, error)

        return await self._with_form(request, checked, takes_turn=True)

    async def _with_form(
        self, request: Request, work: Callable[[Mapping[str, str]], Response], *, takes_turn: bool = False
    ) -> Response:
        try:
            form = await form_sent(request)
            if not takes_turn:
                return await self._shell.in_thread(request, partial(work, form))
            async with self._turn():
                answer = await self._apart.in_thread(request, partial(work, form))
        except PerdureError as error:
            return await self._shell.refuse(request, error)
        answer.background = BackgroundTask(self._signing.tell)
        return answer

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One of two: a password costs a processor's whole attention.

        Raises:
            NotReady: too many others wait.
        """
        try:
            await asyncio.wait_for(self._turns.acquire(), _WAIT_S)
        except TimeoutError:
            raise NotReady("Too many people sign in at this moment.", hint="Try again in a few seconds.") from None
        try:
            yield
        finally:
            self._turns.release()

    def _sign_in_page(self, request: Request, form: Mapping[str, str], error: PerdureError | None = None) -> Response:
        wanted = returning_to(form.get("next", ""))
        data = SignInPage("/sign-in", "" if wanted == "/" else wanted, form.get("name", "")[:64], "", *_wrong(error))
        return self._page(request, "people/sign_in.html", View("Sign in", data), error)

    def _invite_page(self, request: Request, form: Mapping[str, str], error: PerdureError | None = None) -> Response:  # noqa: ARG002 - a password is never sent back
        token = request.path_params["invite"]
        person = self._signing.invited(token, self._clock())
        data = SignInPage(address("/sign-in", token), "", person.name, person.shown or person.name, *_wrong(error))
        return self._page(request, "people/invite.html", View("Choose a password", data), error)

    def _page(self, request: Request, template: str, view: View, error: PerdureError | None) -> Response:
        kept = caller_of(request).cookies.get(cookie_name("before", self._settings), "")
        token = kept if _TOKEN.fullmatch(kept) else token_urlsafe(32)
        frame = self._shell.frame(request, csrf=partial(csrf.masked, csrf.secret_before(token)))
        answer = self._shell.drawn(template, view, frame, 200 if error is None else error.status)
        answer.headers.append("set-cookie", cookie_text("before", token, self._settings))
        if isinstance(error, LimitReached):
            answer.headers["retry-after"] = str(max(1, round(error.delay_s)))
        return answer

    def _signed_in(self, begun: Begun, to: str) -> Response:
        answer = RedirectResponse(to, 303)
        answer.headers.append("set-cookie", cookie_text("session", begun.token, self._settings))
        answer.headers.append("set-cookie", cookie_text("before", "", self._settings))
        return answer


def mount_sign_in(
    app: FastAPI, shell: Shell, passwords: Passwords | None = None, clock: Clock = machine_us
) -> SignInRoutes:
    """Add the addresses to the application."""
    routes = SignInRoutes(shell, passwords, clock)
    for path, answer, method in (
        ("/sign-in", routes.ask, "GET"),
        ("/sign-in", routes.sign_in, "POST"),
        ("/sign-in/{invite}", routes.ask_invited, "GET"),
        ("/sign-in/{invite}", routes.accept, "POST"),
        ("/sign-out", routes.sign_out, "POST"),
        ("/me/password", routes.change, "POST"),
    ):
        app.add_api_route(path, answer, methods=[method], response_model=None, include_in_schema=False)
    return routes


def _query(request: Request) -> dict[str, str]:
    return {"next": request.query_params.get("next", "")}


def _chosen(form: Mapping[str, str]) -> str:
    """The new password, typed twice.

    Raises:
        BadRequest: the two differ.
    """
    chosen = form.get("password", "")
    if chosen != form.get("again", ""):
        raise BadRequest("The two passwords differ.", hint="Type the same twice.")
    return chosen


def _wrong(error: PerdureError | None) -> tuple[str, str]:
    return ("", "") if error is None else (error.message, error.hint)
