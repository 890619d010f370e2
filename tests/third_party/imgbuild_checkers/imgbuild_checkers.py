"""The type `checkers`: checkerboards of the asked size, in two colours that the prompt decides."""

import asyncio
import hashlib
from pathlib import Path

import pyvips

from imgbuild.core.errors import FailureKind, ProviderFailure
from imgbuild.core.image import Size
from imgbuild.core.plan.capabilities import Capabilities
from imgbuild.providers.base import FileResult, Finished, Provider, ProviderSettings, Request


class CheckersType:
    name = "checkers"
    default_base_url: str | None = None
    needs_key = False
    local = True
    engine: str | None = "checkers/1"

    def capabilities(self, model: str | None) -> Capabilities:
        return Capabilities(model=model, any_size=True, params=("squares",))

    def known_models(self) -> tuple[str, ...]:
        return ()

    def connect(self, settings: ProviderSettings) -> Provider:
        return _Checkers(settings)


class _Checkers:
    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings

    async def submit(self, request: Request) -> Finished:
        squares = request.params.get("squares", 8)
        if not isinstance(squares, int) or squares < 1:
            raise ProviderFailure(FailureKind.INVALID, "squares is the number of squares in a row")
        path = self._settings.scratch()
        await asyncio.to_thread(_draw, request.prompt, request.size or Size(256, 256), squares, path)
        return Finished((FileResult(path),))

    async def poll(self, task_id: str) -> Finished:
        raise ProviderFailure(FailureKind.INVALID, "checkers have no tasks")

    async def download(self, url: str, to: Path) -> None:
        await self.poll(url)

    async def aclose(self) -> None:
        pass


def _draw(prompt: str, size: Size, squares: int, to: Path) -> None:
    colours = hashlib.sha256(prompt.encode()).digest()
    edge = max(size.width // squares, 1)
    column, row = (pyvips.Image.xyz(size.width, size.height) / edge).floor().bandsplit()
    is_dark = (column + row) % 2 == 0
    board = is_dark.ifthenelse(list(colours[:3]), list(colours[3:6])).cast("uchar")
    board.copy(interpretation="srgb").pngsave(str(to))
