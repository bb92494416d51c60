"""The console's application: every page and deed of every area, as HTML and as JSON, behind one door.

Made by `compose_console`, and by tests with an `admitting` of their own, which says who asks. Nothing is served that has no permit
but the addresses of `auth.permitting.OPEN_PATHS`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from perdure.core.errors import NotFound, PerdureError, WrongMethod
from perdure.surface.console import areas
from perdure.surface.console.auth.permitting import admit, require
from perdure.surface.console.auth.routes import mount_sign_in
from perdure.surface.console.headers import Guarded
from perdure.surface.console.live import Live
from perdure.surface.console.records import Deed, Page
from perdure.surface.console.rendering import Renderer
from perdure.surface.console.serving_pages import Admitting, Shell
from perdure.surface.console.static_files import StaticFiles
from perdure.surface.console.twins import API, api_path, deed_schema, page_schema

if TYPE_CHECKING:
    from perdure.surface.console.parts import ConsoleParts

_THREADS = 4
"""Views read memory for the most part; more threads than that only wait for each other."""
_GZIP_LEAST = 512
Signing = Callable[[FastAPI, Shell], object]


def make_app(parts: ConsoleParts, admitting: Admitting = admit, signing: Signing = mount_sign_in) -> FastAPI:
    """The application over these stores.

    Args:
        parts: the project, its board, people's secrets and sessions.
        admitting: who asks; tests act as anybody by one of their own.
        signing: adds the addresses of signing in; tests give them a clock that they can set.
    """
    static = StaticFiles()
    pages, deeds = areas.pages(), areas.deeds()
    pool = ThreadPoolExecutor(_THREADS, "perdure-console")
    shell = Shell(parts, Renderer(pages, static.address), pool, admitting)
    app = FastAPI(
        title="perdure console",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False},
        exception_handlers={HTTPException: _as_page(shell)},
    )
    app.state.shell, app.state.live = shell, Live(parts.boards)
    app.add_middleware(GZipMiddleware, minimum_size=_GZIP_LEAST)
    app.add_middleware(Guarded, settings=parts.settings)
    _add_around(app, shell, static)
    signing(app, shell)
    for page in sorted(pages, key=lambda each: by_words(each.path)):
        _add_page(app, shell, page)
    for deed in sorted(deeds, key=lambda each: by_words(each.path)):
        _add_deed(app, shell, deed)
    return app


def _add_page(app: FastAPI, shell: Shell, page: Page) -> None:
    async def shown(request: Request) -> Response:
        return await shell.show(request, page)

    _add(app, page.path, shown, "GET", page.name)
    _add(app, api_path(page.path), shown, "GET", page.name, page_schema(page))


def _add_deed(app: FastAPI, shell: Shell, deed: Deed) -> None:
    async def done(request: Request) -> Response:
        return await shell.do(request, deed)

    _add(app, deed.path, done, "POST", deed.name)
    _add(app, api_path(deed.path), done, "POST", deed.name, deed_schema(deed))


def _add(
    app: FastAPI,
    path: str,
    answer: Callable[[Request], Awaitable[Response]],
    method: str,
    name: str,
    schema: dict[str, Any] | None = None,
) -> None:
    """One route; without a schema it does not stand in OpenAPI."""
    app.add_api_route(
        path,
        answer,
        methods=[method],
        name=name,
        response_model=None,
        include_in_schema=schema is not None,
        openapi_extra=schema,
    )


def _add_around(app: FastAPI, shell: Shell, static: StaticFiles) -> None:
    async def held(request: Request) -> Response:
        path = request.path_params
        gzip = "gzip" in request.headers.get("accept-encoding", "")
        try:
            body, headers = static.answer(path["digest"], path["name"], gzip=gzip)
        except NotFound as error:
            return await shell.refuse(request, error)
        return Response(body, headers=headers)

    async def healthy(request: Request) -> Response:  # noqa: ARG001 - every route is asked with its request
        return JSONResponse({"ok": True})

    async def followed(request: Request) -> Response:
        return await shell.follow(request, app.state.live)

    async def described(request: Request) -> Response:
        def told() -> Response:
            require(shell.admit(request).person, "look")
            return JSONResponse(app.openapi())

        return await shell.in_thread(request, told)

    _add(app, "/static/{digest}/{name:path}", held, "GET", "static")
    _add(app, "/healthz", healthy, "GET", "healthz")
    _add(app, "/live", followed, "GET", "live")
    _add(app, f"{API}/openapi.json", described, "GET", "openapi")


def _as_page(shell: Shell) -> Callable[[Request, Any], Coroutine[Any, Any, Response]]:
    """What no route answers, as a page."""

    async def told(request: Request, error: HTTPException) -> Response:
        refused: PerdureError
        if error.status_code == 405:
            refused = WrongMethod("This address does not answer that method.", hint="Pages are asked by GET.")
        else:
            refused = NotFound("There is no page at this address.", hint="Go to the start, and look from there.")
        return await shell.refuse(request, refused)

    return told


def by_words(path: str) -> list[tuple[bool, str]]:
    """What routes are sorted by: fixed words before parameters, so that `/training/compare` is not the run `compare`."""
    return [(each.startswith("{"), each) for each in path.split("/")]


def end(app: FastAPI) -> None:
    """Let go of every stream, and start no more work: before its server stops."""
    app.state.live.end()
    app.state.shell.pool.shutdown(wait=False)
