"""Answers pages and deeds over HTTP: who asks, whether they may, the view or what was done, drawn or as JSON.

`app` makes a route of each page and deed by these. Views and deeds run in the console's own threads, so that a slow store holds up
nobody's stream; an error of `core.errors` becomes a page that says what to do, anything else is written to the log and told in one line.
"""

from __future__ import annotations

import logging
from asyncio import get_running_loop, timeout
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from perdure.core.clock import machine_us
from perdure.core.errors import BadRequest, Conflict, PerdureError, TooLarge, Unauthorized, UnsupportedMedia
from perdure.serve.boundary import contained, contained_async
from perdure.surface.console.asking import address
from perdure.surface.console.auth.calling import Caller, address_of
from perdure.surface.console.auth.csrf import FIELD
from perdure.surface.console.auth.permitting import Admitted, check_deed, require
from perdure.surface.console.commanding import commanded
from perdure.surface.console.live import Live, LiveResponse
from perdure.surface.console.records import Asked, Deed, Done, Page, View
from perdure.surface.console.rendering import Frame, Renderer
from perdure.surface.console.twins import API, done_json, error_json, form_of, view_json

if TYPE_CHECKING:
    from perdure.surface.console.parts import ConsoleParts

_LOG = logging.getLogger("perdure.console")
MOST_BYTES = 256 * 1024
"""Of a request's body."""
_BODY_S = 30
"""Until a body is there: whoever sends one byte and waits would else hold a connection for good."""
_JSON = "application/json"
_WRITTEN = ("text", "value", "note", "reason")
"""Fields of forms that people write into."""
Admitting = Callable[["ConsoleParts", Caller, int], Admitted]


@dataclass(frozen=True, slots=True)
class Wrong:
    """What an error's page shows."""

    status: int
    code: str
    message: str
    hint: str
    back: str
    """Local address that the person came from; empty: unknown."""
    written: tuple[str, ...] = ()
    """What the person wrote into the form that was refused: it is kept nowhere else."""


@dataclass(frozen=True, slots=True, eq=False)
class Shell:
    """What answering needs: the stores, templates, threads, and who tells people apart."""

    parts: ConsoleParts
    renderer: Renderer
    pool: ThreadPoolExecutor
    admitting: Admitting

    def admit(self, request: Request) -> Admitted:
        """Who asks.

        Raises:
            Unauthorized: nobody who is known.
        """
        return self.admitting(self.parts, caller_of(request), machine_us())

    async def show(self, request: Request, page: Page) -> Response:
        """A page, or its twin under `/api`."""
        return await self._contained(request, partial(self._work, partial(self._shown, request, page)))

    async def do(self, request: Request, deed: Deed) -> Response:
        """A deed: its page goes on to `Done.to` with the notice, its twin answers what came of it."""

        async def done() -> Response:
            form = request.state.form = await form_sent(request)
            return await self._work(partial(self._done, request, deed, form))

        return await self._contained(request, done)

    async def in_thread(self, request: Request, work: Callable[[], Response]) -> Response:
        """Answer by work that reads stores, with errors as pages: for what is neither page nor deed."""
        return await self._contained(request, partial(self._work, work))

    async def follow(self, request: Request, live: Live) -> Response:
        """The stream of what is new, for whoever may look."""

        def begun() -> Response:
            person = self.admit(request).person
            require(person, "look")
            live.check(person.name)
            return LiveResponse(live, person.name, _last_event(request), still)

        def still() -> bool:
            return contained(lambda: self.admit(request).person.may("look"), lambda _: False)

        return await self.in_thread(request, begun)

    async def refuse(self, request: Request, error: PerdureError) -> Response:
        """An error that came before any work."""
        return await self._work(partial(self.told, request, error))

    def frame(
        self,
        request: Request,
        admitted: Admitted | None = None,
        *,
        place: str = "",
        csrf: Callable[[], str] | None = None,
    ) -> Frame:
        """What is around a view; without `admitted` there is no navigation. Takes the notice that waits."""
        return Frame(
            here=here(request),
            place=place,
            person=None if admitted is None else admitted.person,
            board=None if admitted is None else self.parts.boards.now(),
            theme=_theme(request),
            notice="" if admitted is None or _is_part(request) else self._notice(admitted),
            csrf=csrf or (str if admitted is None else admitted.csrf),
        )

    def drawn(self, template: str, view: View, frame: Frame, status: int = 200) -> Response:
        """A view as HTML."""
        return HTMLResponse(self.renderer.page(template, view, frame), status)

    def told(self, request: Request, error: PerdureError) -> Response:
        """An error as a page, as JSON under `/api`; who is not signed in goes to sign in, and comes back."""
        wait = getattr(error, "delay_s", None)
        headers = {} if wait is None or error.status < 429 else {"retry-after": str(max(1, int(wait)))}
        if _is_twin(request):
            return Response(error_json(error), error.status, headers, _JSON)
        if isinstance(error, Unauthorized) and request.method != "POST":
            return _to_sign_in(request)
        admitted = contained(lambda: self.admit(request), lambda _: None)
        wrong = Wrong(error.status, error.code, error.message, error.hint, _back(request), _written(request))
        view = View(title=_title(error), data=wrong)
        answer = self.drawn("error.html", view, self.frame(request, admitted), error.status)
        answer.headers.update(headers)
        return answer

    async def _contained(self, request: Request, work: Callable[[], Awaitable[Response]]) -> Response:
        async def failed(error: Exception) -> Response:
            told = error if isinstance(error, PerdureError) else _unexpected(request, error)
            return await self._work(partial(self.told, request, told))

        return await contained_async(work, failed)

    async def _work(self, work: Callable[[], Response]) -> Response:
        return await get_running_loop().run_in_executor(self.pool, work)

    def _shown(self, request: Request, page: Page) -> Response:
        admitted = self.admit(request)
        require(admitted.person, page.permit)
        asked = self._asked(request, admitted, {})
        view = commanded(page.view(asked), asked.now, _page_of(request))
        if _is_twin(request):
            return Response(view_json(view, asked.now), media_type=_JSON)
        return self.drawn(page.template, view, self.frame(request, admitted, place=page.place))

    def _done(self, request: Request, deed: Deed, form: Mapping[str, str]) -> Response:
        admitted = self.admit(request)
        check_deed(self.parts, caller_of(request), admitted, form)
        require(admitted.person, deed.permit)
        if deed.asks_reason and not form.get("reason", "").strip():
            raise BadRequest("A reason is asked.", hint="Say in a few words why; it is kept with your name.")
        done = deed.do(self._asked(request, admitted, {name: text for name, text in form.items() if name != FIELD}))
        self.parts.boards.refresh()  # so that the next page shows what was done, and not what the person has just ended
        if _is_twin(request):
            return Response(done_json(done), media_type=_JSON)
        return self.gone_on(admitted, done)

    def gone_on(self, admitted: Admitted, done: Done) -> Response:
        """To the next page, which shows what was done."""
        if admitted.session is not None:
            self.parts.sessions.note(admitted.digest, done.text)
        return RedirectResponse(done.to if is_local(done.to) else "/", 303)

    def _asked(self, request: Request, admitted: Admitted, form: Mapping[str, str]) -> Asked:
        board = self.parts.boards.now()
        return Asked(
            project=self.parts.project.acting(admitted.person.name),
            board=board,
            person=admitted.person,
            now=board.at,
            path=dict(request.path_params),
            query=dict(request.query_params),
            form=form,
            parts=self.parts,
            session=admitted.digest,
        )

    def _notice(self, admitted: Admitted) -> str:
        """What the last deed left, shown once."""
        left = admitted.session is not None and admitted.session.notice
        return self.parts.sessions.noted(admitted.digest) if left else ""


def caller_of(request: Request) -> Caller:
    """The request as signing in reads it."""
    settings = request.app.state.shell.parts.settings
    headers, peer = dict(request.headers), request.client.host if request.client else ""
    if forwarded := request.headers.getlist("x-forwarded-for"):
        headers["x-forwarded-for"] = ", ".join(forwarded)  # some proxies add a line of their own behind the browser's
    return Caller(headers, request.cookies, address_of(headers, peer, settings))


async def form_sent(request: Request) -> dict[str, str]:
    """The fields of a form, or under `/api` of a JSON object too; of several values of one name the last.

    Raises:
        TooLarge: over `MOST_BYTES`.
        UnsupportedMedia: neither form nor JSON.
        BadRequest: it cannot be read, or takes too long to come.
    """
    body = await _body(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == _JSON and _is_twin(request):
        return _json_of(body)
    if body and kind != "application/x-www-form-urlencoded":
        raise UnsupportedMedia(
            "A form is sent as application/x-www-form-urlencoded.", hint="Under /api JSON is read too."
        )
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=1000))
    except ValueError as error:
        raise BadRequest("The form cannot be read.", hint="Send UTF-8, and 1,000 fields at most.") from error


async def _body(request: Request) -> bytes:
    body = b""
    try:
        async with timeout(_BODY_S):
            async for part in request.stream():
                body += part
                if len(body) > MOST_BYTES:
                    raise TooLarge(f"A form has {MOST_BYTES:,} bytes at most.", hint="Send less.")
    except TimeoutError:
        raise BadRequest(f"The form was not here within {_BODY_S} s.", hint="Send it again.") from None
    return body


def is_local(to: str) -> bool:
    r"""Whether an address stays within the console.

    >>> [is_local(each) for each in ("/", "/incidents/inc_1?tab=2", "//evil.example", "https://evil.example", "/\\evil")]
    [True, True, False, False, False]
    """
    plain = to.isprintable() and "\\" not in to
    return plain and to.startswith("/") and not to.startswith("//")


def here(request: Request) -> str:
    """The page's own address, the twin's where a twin was asked, with its query."""
    path = request.scope["raw_path"].decode("ascii") if request.scope.get("raw_path") else request.url.path
    path = path.partition("?")[0]
    return f"{path}?{request.url.query}" if request.url.query else path


def _page_of(request: Request) -> str:
    """The address of the page, where its twin is asked too."""
    address = here(request)
    if not _is_twin(request):
        return address
    address = address.removeprefix(API)
    return address if address.startswith("/") else f"/{address}"


def _json_of(body: bytes) -> dict[str, str]:
    try:
        read = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("The body is no JSON.", hint='Send an object such as {"reason": "why"}.') from error
    if not isinstance(read, dict):
        raise BadRequest("The body is no JSON object.", hint='Send an object such as {"reason": "why"}.')
    return form_of(read)


def _is_twin(request: Request) -> bool:
    path: str = request.scope["path"]
    return path == API or path.startswith(f"{API}/")


def _is_part(request: Request) -> bool:
    """Asked by a script for a panel of a page."""
    return "hx-request" in request.headers


def _last_event(request: Request) -> int:
    """What the browser was told last, else what its page was drawn from; -1: neither is known."""
    said = request.headers.get("last-event-id", "") or request.query_params.get("after", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 19 else -1


def _theme(request: Request) -> str:
    chosen = request.cookies.get("perdure_theme", "")
    return chosen if chosen in ("light", "dark") else ""


def _to_sign_in(request: Request) -> Response:
    to = address("/sign-in", next=here(request))
    if _is_part(request):
        return Response(status_code=401, headers={"hx-redirect": to})
    return RedirectResponse(to, 303)


def _back(request: Request) -> str:
    """Where the person came from, when that was a page of ours."""
    try:
        came = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return ""
    local = f"{came.path}?{came.query}" if came.query else came.path
    return local if came.netloc == request.headers.get("host") and is_local(local) else ""


def _written(request: Request) -> tuple[str, ...]:
    """What the form said, where the browser says that it was a page of ours: another site must not make us show its words."""
    if request.headers.get("sec-fetch-site") != "same-origin":
        return ()
    form: Mapping[str, str] = getattr(request.state, "form", {})
    return tuple(form[name] for name in _WRITTEN if form.get(name, "").strip())


def _title(error: PerdureError) -> str:
    status = error.status
    if isinstance(error, Conflict):
        return "Somebody was faster"
    titles = {404: "Not found", 403: "Not allowed", 401: "Sign in first", 503: "Not now", 429: "Too much at once"}
    return titles.get(status, "This cannot be done" if status < 500 else "Something failed")


def _unexpected(request: Request, error: Exception) -> PerdureError:
    route = request.scope.get("route")  # not the address: it may be an invite, or write lines of its own into the log
    _LOG.error("%s %s failed", request.method, getattr(route, "path", "an address"), exc_info=error)
    return PerdureError(
        "Something failed here that should not.", hint="The console's log says what; load the page again."
    )
