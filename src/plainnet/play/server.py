"""The server of the playground: local, one page, a binary frame for each request."""

import secrets
import socket
import threading
import time
from collections.abc import Callable
from importlib.resources import files
from typing import Any, final
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from plainnet.data.table import Table
from plainnet.errors import PlainnetError
from plainnet.play import actions
from plainnet.play.session import Session
from plainnet.storage.json_reader import shortened

HOST = "127.0.0.1"
MOST_BODY = 500_000  # bytes of a request
MOST_TABLE = 5_000_000  # bytes of an own table
MOST_SESSIONS = 50
IDLE = 1800.0  # seconds after which a session ends
TOKEN, SESSION, NAME = "plainnet-token", "plainnet-session", "plainnet-name"
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@final
class RefusedError(Exception):
    """A request that is answered with a status and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@final
class Playground:
    """The sessions, and the web application that serves them."""

    def __init__(self, port: int, tables: dict[str, Table] | None = None) -> None:
        self.token, self.port = secrets.token_urlsafe(24), port
        self.tables = tables or {}
        self.sessions: dict[str, Session] = {}
        self._lock = threading.Lock()  # of the sessions
        routes = [
            Route("/", self._static, methods=["GET"]),
            Route("/{file}", self._static, methods=["GET"]),
            Route("/api/{action}", self._api, methods=["POST"]),
        ]
        self.app = Starlette(routes=routes, exception_handlers={Exception: _failed})

    @property
    def address(self) -> str:
        """The address to open; the token is in the fragment, which browsers do not send."""
        return f"http://{HOST}:{self.port}/#token={self.token}"

    def _check_source(self, request: Request) -> None:
        """Refuse other hosts and origins, so that no other page can use this server."""
        hosts = request.headers.getlist("host")
        if hosts not in ([f"{HOST}:{self.port}"], [f"localhost:{self.port}"]):
            raise RefusedError(421, "this server answers only to its own address")
        origin = request.headers.get("origin")
        if origin is not None and origin != f"http://{hosts[0]}":
            raise RefusedError(403, "requests from other pages are refused")

    async def _static(self, request: Request) -> Response:
        try:
            self._check_source(request)
            name = request.path_params.get("file", "index.html")
            known = {
                path.name: path for path in files("plainnet.play").joinpath("static").iterdir()
            }
            kind = TYPES.get(name.rpartition(".")[2])
            if name not in known or kind is None:
                raise RefusedError(404, "there is no such file")
        except RefusedError as error:
            return _refusal(error)
        return Response(known[name].read_bytes(), media_type=kind, headers=HEADERS)

    async def _api(self, request: Request) -> Response:
        try:
            self._check_source(request)
            token = request.headers.get(TOKEN, "")
            if not secrets.compare_digest(token.encode(), self.token.encode()):
                raise RefusedError(
                    401,
                    "open the address that plainnet play printed, or "
                    "run plainnet play --link with this one",
                )
            action = request.path_params["action"]
            body = await _body(request, MOST_TABLE if action == "upload" else MOST_BODY)
            name = unquote(request.headers.get(NAME, ""))
            answer = await run_in_threadpool(
                self._act, request.headers.get(SESSION, ""), action, body, name
            )
        except RefusedError as error:
            return _refusal(error)
        except PlainnetError as error:
            return _refusal(RefusedError(400, str(error)))
        if isinstance(answer, bytes):
            kind = "application/octet-stream"
            return Response(answer, media_type=kind, headers=HEADERS)
        return JSONResponse(answer, headers=HEADERS)

    def _act(self, key: str, action: str, body: bytes, name: str) -> Any:
        """Perform an action on a session; "open" makes one."""
        if action == "open":
            return self._open(body)
        session = self.sessions.get(key)
        if session is None:
            raise RefusedError(404, "this session has ended: reload the page")
        with session.lock:
            session.used = time.monotonic()
            return actions.perform(session, action, body, name)

    def _open(self, body: bytes) -> dict[str, Any]:
        session, key = actions.open_session(body, self.tables), secrets.token_urlsafe(12)
        now = time.monotonic()
        with self._lock:
            by_use = sorted(self.sessions, key=lambda each: self.sessions[each].used)
            excess = len(by_use) - MOST_SESSIONS + 1
            for i, old in enumerate(by_use):
                if i < excess or now - self.sessions[old].used > IDLE:
                    del self.sessions[old]
            self.sessions[key] = session
        return {"session": key, **actions.described(session)}


async def _body(request: Request, most: int) -> bytes:
    """Read a body of limited size, whatever length it declares."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise RefusedError(413, f"a request here holds at most {most:,} bytes")
        parts.append(part)
    return b"".join(parts)


def _refusal(error: RefusedError) -> Response:
    return JSONResponse({"error": str(error)}, error.status, headers=HEADERS)


async def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the server failed: this is a mistake in plainnet"}, 500, HEADERS)


def listening(port: int) -> socket.socket:
    """Return a socket on this machine alone; port 0 takes a free one."""
    # the protocol, not 0: asyncio sets TCP_NODELAY only then, and answers 40 ms sooner
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((HOST, port))
    except (OSError, OverflowError) as error:
        server.close()
        raise PlainnetError(
            f"port {shortened(port)} cannot be used ({error}): leave --port out, or give another"
        ) from None
    server.listen(64)
    return server


def serve(playground: Playground, server: socket.socket, ready: Callable[[], Any]) -> None:
    """Answer requests until Ctrl-C."""
    import uvicorn

    from plainnet.engine.blas_threads import limited_threads

    config = uvicorn.Config(
        playground.app, log_level="critical", access_log=False, server_header=False, lifespan="off"
    )
    ready()
    with limited_threads(1):
        uvicorn.Server(config).run(sockets=[server])
