"""`evolve serve`: pages of runs for a browser. They are read-only."""

import asyncio
import json
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from evolve.archive import ArchiveError, NotFound
from evolve.errors import EvolveError, PrerequisiteError
from evolve.models.listening import listen
from evolve.runs import compare
from evolve.view.web import pages
from evolve.view.web.guard import Guard, Rules, is_loopback
from evolve.view.web.library import CachedRun, RunCache
from evolve.view.web.links import ServedLinks
from evolve.view.web.listing import listing
from evolve.view.web.live import news_after, stream
from evolve.view.web.templates import STATIC, render

SCRIPTS = {
    "overview": ("vendor/uplot.min.js", "page.js", "charts.js"),
    "tree": ("vendor/d3-hierarchy.min.js", "page.js", "tree.js"),
    "map": ("page.js", "map.js"),
    "compare": ("vendor/uplot.min.js", "page.js", "compare.js"),
}
MOST_COMPARED = 24


# Pages of a run without further parameters -> the values of their templates.
PAGES: Mapping[str, Callable[[CachedRun], dict[str, Any]]] = {
    "overview": CachedRun.first_page,
    "tree": lambda shelf: {},
    "map": lambda shelf: {},
    "cases": lambda shelf: pages.case_matrix(shelf.run),
}


class Site:
    """The pages of a server.

    Args:
        library: the runs
    """

    def __init__(self, library: RunCache) -> None:
        self.library = library

    def warm(self) -> None:
        """Draw the first pages once, so that no person waits for imports."""
        for name in list(self.library.paths())[:1]:
            # Errors are shown when the page is requested.
            with suppress(ArchiveError, EvolveError), self.library.run(name) as shelf:
                self._drawn(shelf, "overview", shelf.first_page())
        self._runs({})

    def runs(self, request: Request) -> Response:
        """Return the list of runs.

        Args:
            request: with parameters `q` (words to find), `sort`, `up` and `page`
        """
        return self._runs(request.query_params)

    def _runs(self, asked: Mapping[str, str]) -> Response:
        return self._page(
            "runs",
            "runs",
            where=str(self.library.runs_dir),
            **listing(self.library.rows(), asked),
        )

    def _page(self, page: str, title: str, **values: Any) -> Response:
        return _page(page, title, ServedLinks(prefix=self.library.prefix), **values)

    def page(self, request: Request) -> Response:
        """Return one of the `PAGES` of a run.

        Args:
            request: its path has the run, and the page unless it is the overview
        """
        name = request.path_params.get("page", "overview")
        if name not in PAGES:
            raise NotFound("unknown page")
        return self._of_run(request, name, PAGES[name])

    def variant(self, request: Request) -> Response:
        """Return the page of a proposal."""
        which = request.path_params["id"]
        return self._of_run(
            request,
            "variant",
            lambda shelf: pages.variant(shelf.run, pages.find(shelf.run, which)),
            which[:8],
        )

    def file(self, request: Request) -> Response:
        """Return a file of a variant as plain text.

        Args:
            request: with the run and the variant in its path, and the parameter `path`

        Raises:
            NotFound: unknown run, variant or file
        """
        with self.library.run(request.path_params["run"]) as shelf:
            found = pages.find(shelf.run, request.path_params["id"])
            content = shelf.run.files(found).get(request.query_params.get("path", ""))
        if content is None:
            raise NotFound("unknown file", "look at the variant's own page")
        return PlainTextResponse(content.decode(errors="replace"))

    def diff(self, request: Request) -> Response:
        """Return the comparison of two proposals."""
        old, new = (request.query_params.get(side, "") for side in ("old", "new"))
        return self._of_run(
            request,
            "diff",
            lambda shelf: pages.difference(
                shelf.run, pages.find(shelf.run, old), pages.find(shelf.run, new)
            ),
            "diff",
        )

    def data(self, request: Request) -> Response:
        """Return columns for the scripts.

        Args:
            request: with the run and the name of the data in its path

        Returns:
            JSON.

        Raises:
            NotFound: unknown run or data
        """
        with self.library.run(request.path_params["run"]) as shelf:
            found = shelf.payload(request.path_params["name"])
        body = json.dumps(found, separators=(",", ":"), allow_nan=False)
        return Response(body, media_type="application/json")

    async def live(self, request: Request) -> Response:
        """Return the stream of a run's events.

        Args:
            request: with the last known event in a header or parameter

        Returns:
            Server-sent events.

        Raises:
            NotFound: unknown run, or an invalid event number
        """
        name, event = self._known_event(request)
        return StreamingResponse(
            stream(self.library, name, event), media_type="text/event-stream"
        )

    def news(self, request: Request) -> Response:
        """Return once what `live` streams; the page of an ended run asks now and then."""
        return JSONResponse(news_after(self.library, *self._known_event(request)))

    def _known_event(self, request: Request) -> tuple[str, int]:
        """Return the run of a request and the last event that its page knows."""
        said = request.headers.get("last-event-id") or request.query_params.get(
            "after", "0"
        )
        if not (said.isdigit() and len(said) < 16):
            raise NotFound("invalid event number")
        name = request.path_params["run"]
        if name not in self.library.paths():
            raise NotFound("unknown run")
        return name, int(said)

    def compare(self, request: Request) -> Response:
        """Return the comparison of runs.

        Args:
            request: with parameters `run` (several) and `by`

        Returns:
            The page; without names, of the two most recent runs.
        """
        wanted = list(dict.fromkeys(request.query_params.getlist("run")))[
            :MOST_COMPARED
        ]
        by = request.query_params.get("by", "variants")
        by = by if by in compare.BY else "variants"
        courses = []
        for name in wanted or list(self.library.paths())[:2]:
            with self.library.run(name) as shelf:
                courses.append(compare.course_of(shelf.run, by))
        rows, curves = compare.compare(courses)
        tasks = {course.label.partition(" · ")[0] for course in courses}
        return self._page(
            "compare",
            "compare",
            rows=rows,
            curves=json.dumps(curves),
            by=by,
            names=[course.run for course in courses],
            all=list(self.library.paths()),
            ways=compare.BY,
            tasks=len(tasks),
        )

    def _of_run(
        self,
        request: Request,
        page: str,
        fill: Callable[[CachedRun], dict[str, Any]],
        crumb: str = "",
    ) -> Response:
        with self.library.run(request.path_params["run"]) as shelf:
            return self._drawn(shelf, page, fill(shelf), crumb)

    def _drawn(
        self, shelf: CachedRun, page: str, values: dict[str, Any], crumb: str = ""
    ) -> Response:
        name, best = shelf.run.folder.name, shelf.run.leader
        return _page(
            page,
            name,
            ServedLinks(name, self.library.prefix),
            run_name=name,
            live={
                "event": shelf.event,
                "running": shelf.run.folder.worker() is not None,
            },
            crumb=crumb,
            best_id=best.id if best else None,
            **({"digits": pages.shown_digits(shelf.run)} | values),
        )


def make_app(library: RunCache, rules: Rules) -> Starlette:
    """Return the web application.

    Args:
        library: the runs
        rules: access rules

    Returns:
        Routes with the guard as outermost middleware.
    """
    site = Site(library)

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        await asyncio.to_thread(site.warm)
        yield
        library.close()

    run = "/run/{run}"
    routes = [
        Route("/", site.runs),
        Route("/compare", site.compare),
        Route(run, site.page),
        Route(f"{run}/diff", site.diff),
        Route(f"{run}/variant/{{id}}", site.variant),
        Route(f"{run}/variant/{{id}}/file", site.file),
        Route(f"{run}/news.json", site.news),
        Route(f"{run}/live", site.live),
        Route(f"{run}/{{name}}.json", site.data),
        Route(f"{run}/{{page}}", site.page),
        Mount("/static", _Unchanging(directory=STATIC)),
    ]
    return Starlette(
        routes=routes,
        lifespan=life,
        exception_handlers={
            NotFound: _not_found,
            404: _not_found,
            ArchiveError: _failed,
            EvolveError: _failed,
        },
        middleware=[
            Middleware(Guard, rules=rules),
            Middleware(GZipMiddleware, minimum_size=1000),
        ],
    )


def open_port(host: str, port: int) -> socket.socket:
    """Listen on a port.

    Args:
        host: address to bind to
        port: 0 for a free port

    Returns:
        The socket.

    Raises:
        PrerequisiteError: the port is in use or not allowed
    """
    try:
        return listen(host, port)
    except OSError as error:
        raise PrerequisiteError(
            f"can't listen on {host}:{port}: {error.strerror}",
            "choose another: --port 0 selects a free one",
        ) from None


def serve(library: RunCache, listening: socket.socket, rules: Rules) -> None:
    """Serve until interrupted.

    Args:
        library: the runs
        listening: the socket
        rules: access rules
    """
    config = uvicorn.Config(
        make_app(library, rules),
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=30,
    )
    uvicorn.Server(config).run(sockets=[listening])


def rules_for(
    host: str,
    port: int,
    names: tuple[str, ...] = (),
    open_to_users: bool = False,
    prefix: str = "",
) -> Rules:
    """Return the access rules of an address.

    Args:
        host: address of the server
        port: its port
        names: further host names
        open_to_users: on loopback, let all users of this machine in
        prefix: path below which a reverse proxy shows the server

    Returns:
        Rules with a new token, unless all users of this machine may connect.
    """
    free = open_to_users and is_loopback(host)
    token = None if free else secrets.token_urlsafe(24)
    return Rules(host, port, token, names, prefix)


class _Unchanging(StaticFiles):
    """Shipped files, cached forever: their addresses contain a content hash."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        answer = super().file_response(*args, **kwargs)
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return answer


def _page(
    page: str,
    title: str,
    link: ServedLinks | None = None,
    status_code: int = 200,
    **values: Any,
) -> Response:
    known = {"run_name": None, "crumb": "", "best_id": None} | values
    return HTMLResponse(
        render(
            f"{page}.html",
            page=page,
            title=title,
            link=link or ServedLinks(),
            scripts=SCRIPTS.get(page, ("page.js",)),
            **known,
        ),
        status_code,
    )


async def _not_found(request: Request, error: Exception) -> Response:
    message = getattr(error, "message", "unknown page")
    return _error(request, 404, message, getattr(error, "hint", ""))


async def _failed(request: Request, error: Exception) -> Response:
    return _error(
        request, 500, getattr(error, "message", "it failed"), getattr(error, "hint", "")
    )


def _error(request: Request, code: int, message: str, hint: str) -> Response:
    if request.url.path.endswith((".json", "/live")):
        return JSONResponse({"error": message, "hint": hint}, code)
    return _page("error", "error", None, code, message=message, hint=hint)


def serve_folder(
    library: RunCache,
    host: str,
    port: int,
    names: tuple[str, ...],
    say: Callable[[str], None],
    open_to_users: bool = False,
) -> None:
    """Open a port, report the address and serve until interrupted.

    Args:
        library: the runs
        host: address to bind to
        port: 0 for a free port
        names: further host names of this server
        say: called with the address
        open_to_users: on loopback, let all users of this machine in

    Raises:
        PrerequisiteError: the port is in use or not allowed
    """
    prefix, only = library.prefix, library.only
    with open_port(host, port) as listening:
        bound = listening.getsockname()[1]
        rules = rules_for(host, bound, names, open_to_users, prefix)
        shown = f"[{host}]" if ":" in host else host
        page = f"run/{quote(only, safe='')}" if only else ""
        token = f"?token={rules.token}" if rules.token else ""
        say(f"http://{shown}:{rules.port}{prefix}/{page}{token}")
        serve(library, listening, rules)
