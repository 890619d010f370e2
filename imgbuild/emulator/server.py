"""The emulator as a program: its routes, and serving them in the foreground or beside a test.

Importing this module needs no optional dependency; its functions say how to install what they lack.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from imgbuild.core.errors import UsageError
from imgbuild.emulator.options import EmulatorOptions
from imgbuild.run.listening import listen

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

DEFAULT_PORT = 8188
_EXTRA = ("starlette", "uvicorn", "python_multipart")
_GRACE = 1
"""Seconds that a request in progress gets to finish when the server is stopped."""


def create_app(options: EmulatorOptions) -> Starlette:
    """The emulator as an ASGI application; faults of the connection need this module's own server.

    Raises UsageError for an unknown fault, or when the extra is not installed.
    """
    _require_extra()
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    from imgbuild.emulator import gemini, jimmyai, jimmyai_sync, kyy, openai, uniall
    from imgbuild.emulator.service import Service

    service = Service(options)

    async def ledger(request: Request) -> Response:
        return JSONResponse(service.report())

    async def reset(request: Request) -> Response:
        service.reset()
        return JSONResponse({"reset": True})

    async def no_route(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        service.ledger.count(f"{request.method} elsewhere")
        message = f"{request.method} {request.url.path}: {error.detail}"
        return JSONResponse({"code": "no_such_route", "message": message, "data": None}, error.status_code)

    async def gone(request: Request, error: Exception) -> Response:
        # Whoever left in the middle of a request reads no answer, and is no bug of the server.
        return Response(status_code=400)

    routes = [
        *gemini.routes(service),
        *jimmyai.routes(service),
        *jimmyai_sync.routes(service),
        *kyy.routes(service),
        *openai.routes(service),
        *uniall.routes(service),
        Route("/files/{task_id}/{name}", service.result, methods=["GET"], name="result"),
        Route("/_emulate/ledger", ledger, methods=["GET"]),
        Route("/_emulate/reset", reset, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: no_route, ClientDisconnect: gone})


def serve(
    options: EmulatorOptions,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, which then take their usual effect (KeyboardInterrupt, an end).

    Port 0 picks a free one. `on_ready` gets the address once connections to it succeed, before the first
    request is served. Raises UsageError for an unknown fault, a port that cannot be had, or when the
    extra is not installed.
    """
    server = _server(options)
    listener = listen(host, port)
    with listener:
        if on_ready is not None:
            on_ready(_url(listener))
        server.run(sockets=[listener])


@contextmanager
def running(options: EmulatorOptions, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve from a thread while the block runs; gives the address. Raises as `serve` does."""
    server = _server(options)
    with listen(host, port) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="emulator")
        thread.start()
        try:
            yield _url(listener)
        finally:
            server.should_exit = True
            thread.join()


def _server(options: EmulatorOptions) -> uvicorn.Server:
    app = create_app(options)
    import uvicorn

    from imgbuild.emulator.wire import HangUpProtocol

    config = uvicorn.Config(
        app,
        http=HangUpProtocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        timeout_graceful_shutdown=_GRACE,
    )
    return uvicorn.Server(config)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _require_extra() -> None:
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the emulator needs {', '.join(missing)}, not installed here",
            remedy='pip install "imgbuild[emulate]"',
        )
