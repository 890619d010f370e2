"""Lines at the foot of a terminal that are rewritten in place, while others scroll by above them."""

from __future__ import annotations

import time
from collections.abc import Iterable

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from imgbuild.core.redact import escape
from imgbuild.ui.progress import Progress, frame
from imgbuild.ui.spans import Line
from imgbuild.ui.streams import Output


class Foot:
    """The live display of one build, from the first running image to the last."""

    def __init__(self, output: Output, progress: Progress) -> None:
        self.progress = progress
        """Replaced by the owner with every event; drawn by a thread several times a second."""
        self._colour = output.colour
        self._console = Console(
            file=output.stream,
            force_terminal=True,
            no_color=not output.colour,
            highlight=False,
            markup=False,
            emoji=False,
        )
        self._live = Live(
            console=self._console,
            get_renderable=self._draw,
            refresh_per_second=8,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def lines(self, lines: Iterable[Line]) -> None:
        """Print lines above the foot."""
        for spans in lines:
            self._console.print(self._text(spans), soft_wrap=True)

    def stop(self) -> None:
        """Wipe the foot away."""
        self._live.stop()

    def _draw(self) -> Group:
        width, height = self._console.size
        lines = frame(self.progress, time.monotonic(), width, min(height - 2, 24))
        return Group(*(self._text(spans) for spans in lines))

    def _text(self, spans: Line) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        for piece in spans:
            text.append(escape(piece.text), piece.style if self._colour else "")
        return text
