"""The page's routes: each reads a request, calls one function, and writes its answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from imgbuild.core.errors import ImgbuildError, UsageError
from imgbuild.live.actions import Actions, Done
from imgbuild.live.audience import PageAudience
from imgbuild.live.board import Board
from imgbuild.live.guard import ENTRANCE, EXCHANGE, Guard
from imgbuild.live.state import problems_of
from imgbuild.live.view import Picture, View
from imgbuild.run.adopt import MAX_BYTES
from imgbuild.ui.gallery.page import page_policy, render_page

_MAX_WORDS = 64 << 10
"""Bytes of a request that is no upload."""
_LONGEST_NAME = 200


class _TooLargeError(UsageError):
    """A body that is larger than it may be."""


def create_app(
    project: str, board: Board, view: View, audience: PageAudience, actions: Actions, host: str
) -> Guard:
    """The server as an ASGI application. `host`: the address and port that it answers to."""

    async def page(request: Request) -> Response:
        return _page(
            render_page(
                "live",
                f"{project}: gallery",
                {"project": project, "images": [], "thumbs": {}, "awaited": True},
            )
        )

    async def entrance(request: Request) -> Response:
        return _page(render_page("entrance", "imgbuild", {}))

    async def exchange(request: Request) -> Response:
        cookie = guard.exchange((await _body(request)).decode("latin-1"))
        if cookie is None:
            return Response("a wrong token\n", 403)
        return Response(status_code=204, headers={"set-cookie": cookie})

    async def events(request: Request) -> Response:
        return StreamingResponse(board.follow(), media_type="text/event-stream")

    async def thumb(request: Request) -> Response:
        return _picture(view.thumbnail(request.path_params["digest"]))

    async def output(request: Request) -> Response:
        return _picture(await asyncio.to_thread(view.output, request.path_params["path"]))

    async def blob(request: Request) -> Response:
        return _picture(await asyncio.to_thread(view.blob, request.path_params["digest"]))

    async def about(request: Request) -> Response:
        id = request.query_params.get("id", "")
        return JSONResponse(await asyncio.to_thread(view.about, id))

    async def pick(request: Request) -> Done:
        asked = await _words(request, id=str, take=(int, str))
        return await actions.pick(asked["id"], asked["take"])

    async def reroll(request: Request) -> Done:
        asked = await _words(request, id=str, count=int, agreed=(int, float, type(None)))
        return await actions.reroll(asked["id"], asked["count"], asked["agreed"])

    async def keep(request: Request) -> Done:
        return await actions.keep((await _words(request, id=str))["id"])

    async def note(request: Request) -> Done:
        asked = await _words(request, id=str, text=str)
        return await actions.note(asked["id"], asked["text"])

    async def open_file(request: Request) -> Done:
        asked = await _words(request, id=str, path=(str, type(None)))
        return await actions.open(asked["id"], asked["path"])

    async def answer(request: Request) -> Done:
        asked = await _words(request, number=int, yes=bool)
        audience.answer(asked["number"], asked["yes"])
        return {"ok": True}

    async def adopt(request: Request) -> Done:
        asked = request.query_params
        name = Path(asked.get("name", "")).name[:_LONGEST_NAME] or "the file"
        with TemporaryDirectory(prefix="imgbuild-") as folder:
            file = Path(folder) / "upload"
            await _save(request, file, name)
            return await actions.adopt(asked.get("id", ""), file, name, overwrite="overwrite" in asked)

    guard = Guard(
        Starlette(
            routes=[
                Route("/", page, methods=["GET"]),
                Route(ENTRANCE, entrance, methods=["GET"]),
                Route(EXCHANGE, exchange, methods=["POST"]),
                Route("/events", events, methods=["GET"]),
                Route("/thumb/{digest}", thumb, methods=["GET"]),
                Route("/output/{path:path}", output, methods=["GET"]),
                Route("/blob/{digest}", blob, methods=["GET"]),
                Route("/image", about, methods=["GET"]),
                Route("/actions/pick", _done(pick), methods=["POST"]),
                Route("/actions/reroll", _done(reroll), methods=["POST"]),
                Route("/actions/keep", _done(keep), methods=["POST"]),
                Route("/actions/note", _done(note), methods=["POST"]),
                Route("/actions/open", _done(open_file), methods=["POST"]),
                Route("/actions/answer", _done(answer), methods=["POST"]),
                Route("/actions/adopt", _done(adopt), methods=["POST"]),
            ],
            exception_handlers={ImgbuildError: _refused, ClientDisconnect: _gone},
        ),
        host,
    )
    return guard


def _page(text: str) -> Response:
    return HTMLResponse(
        text, headers={"content-security-policy": f"{page_policy(text)}; frame-ancestors 'none'"}
    )


def _picture(picture: Picture | None) -> Response:
    if picture is None:
        return Response("no such picture\n", 404, media_type="text/plain")
    return Response(picture.data, media_type=f"image/{picture.format}")


def _done(act: Callable[[Request], Awaitable[Done]]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return JSONResponse(await act(request))

    return answer


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ImgbuildError)
    status = 413 if isinstance(error, _TooLargeError) else 422
    # What is left of a body is not read.
    return JSONResponse({"problems": problems_of(error)}, status, {"connection": "close"})


async def _gone(request: Request, error: Exception) -> Response:
    # Whoever left in the middle of a request reads no answer.
    return Response(status_code=400)


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_WORDS:
            raise _TooLargeError("this is too long")
    return body


async def _words(request: Request, **kinds: Any) -> dict[str, Any]:
    """The members of a JSON object, each of the kind that it should have; what may be null may be absent."""
    if request.headers.get("content-type") != "application/json":
        raise UsageError("actions are JSON")
    try:
        data = json.loads(await _body(request))
    except (RecursionError, ValueError):
        raise UsageError("actions are JSON") from None
    found = {name: data.get(name) if isinstance(data, dict) else None for name in kinds}
    for name, kind in kinds.items():
        value = found[name]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise UsageError(f"{name} is missing, or of another kind")
    return found


async def _save(request: Request, file: Path, name: str) -> None:
    """Write an upload to a file, as far as it is not too large."""
    too_large = _TooLargeError(f"{name} cannot be adopted: it is larger than {MAX_BYTES >> 20} MiB")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > MAX_BYTES:
        raise too_large
    size = 0
    with file.open("wb") as out:
        async for part in request.stream():
            size += len(part)
            if size > MAX_BYTES:
                raise too_large
            out.write(part)
