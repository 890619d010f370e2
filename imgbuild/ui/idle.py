"""What a build with nothing to do prints, as texts that can be kept."""

from __future__ import annotations

import io
from collections.abc import Iterable

from imgbuild.core.events import Event
from imgbuild.ui.open import open_display
from imgbuild.ui.streams import Output


def printed(events: Iterable[Event], format: str) -> str:
    """What a display of this format writes to standard output, without colours."""
    out = io.StringIO()
    display = open_display(format, Output(out), Output(io.StringIO()), verbosity=0)
    for event in events:
        display.handle(event)
    display.close()
    return out.getvalue()
