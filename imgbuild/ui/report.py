"""What a command did, as Markdown: for the summary of a CI run, or a comment on a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from imgbuild.core.difference import Difference, OutputDifference
from imgbuild.core.errors import ImgbuildError
from imgbuild.core.events import (
    ActionEvent,
    ActionKind,
    ErrorEvent,
    Event,
    ImageEvent,
    Status,
    SummaryEvent,
    WarningEvent,
)
from imgbuild.core.lock import Lock, LockedOutput
from imgbuild.ui.diagnostics import placed_events
from imgbuild.ui.difference_words import difference_sum
from imgbuild.ui.markdown import code, plain, table
from imgbuild.ui.spans import Line, render
from imgbuild.ui.values import both_shown, money, size_in_bytes
from imgbuild.ui.words import build_sum, cause_words, files, plan_sum

_ROWS = 100
"""Rows of a table: a page that nobody reads to its end is no summary, and a comment has a limit."""
_ORDER = (
    Status.FAILED,
    Status.CONFLICT,
    Status.GENERATED,
    Status.DERIVED,
    Status.RESTORED,
    Status.UNCHANGED,
)
_ID = 80
_VALUE = 60


class BuildReport:
    """Collects what a build tells."""

    def __init__(self) -> None:
        self._images: list[ImageEvent] = []
        self._warnings: list[WarningEvent] = []
        self._summary: SummaryEvent | None = None
        self._errors: tuple[ErrorEvent, ...] = ()

    def handle(self, event: Event) -> None:
        """Note an event."""
        if isinstance(event, ImageEvent):
            self._images.append(event)
        elif isinstance(event, WarningEvent):
            self._warnings.append(event)
        elif isinstance(event, SummaryEvent):
            self._summary = event

    def fail(self, error: ImgbuildError) -> None:
        """Note what stopped the build."""
        self._errors = placed_events(error)

    def text(self, lock: Lock) -> str:
        """The report; `lock` knows how large the files are."""
        unit = self._summary.unit if self._summary else "USD"
        listed = sorted(self._images, key=lambda image: (_ORDER.index(image.status), image.id))
        rows = [_image_row(image, lock, unit) for image in listed[:_ROWS]]
        head = _words(build_sum(self._summary)) if self._summary else "stopped"
        return _page(
            head,
            _errors(self._errors),
            table(("image", "state", "files", "size", "cost"), rows),
            _rest(len(listed)),
            _warnings(self._warnings),
        )


def plan_report(
    actions: Sequence[ActionEvent], warnings: Sequence[WarningEvent], summary: SummaryEvent
) -> str:
    """What a build would do, and what it would cost."""
    todo = [action for action in actions if action.action is not ActionKind.NONE]
    rows = [_action_row(action) for action in todo[:_ROWS]]
    return _page(
        _words(plan_sum(todo, summary)),
        table(("image", "to do", "why", "cost"), rows),
        _rest(len(todo)),
        _warnings(warnings),
    )


def difference_report(differences: Sequence[Difference], revision: str) -> str:
    """What a branch changes."""
    rows = [_difference_row(one) for one in differences[:_ROWS]]
    return _page(
        _words(difference_sum(differences, revision)),
        table(("image", "change", "why", "files"), rows),
        _rest(len(differences)),
    )


def failure_report(error: ImgbuildError) -> str:
    """What stopped a command."""
    return _page("stopped", _errors(placed_events(error)))


def _page(head: str, *parts: str) -> str:
    return "\n".join([f"### imgbuild: {head}\n", *(part for part in parts if part)]) + "\n"


def _words(line: Line) -> str:
    return plain(render(line, colour=False))


def _image_row(image: ImageEvent, lock: Lock, unit: str) -> Sequence[str]:
    entry = lock.images.get(image.id)
    known: Mapping[str, LockedOutput] = entry.outputs if entry else {}
    sizes = [known[path] for path in image.outputs if path in known]
    state = f"**{image.status}**" if image.status in (Status.FAILED, Status.CONFLICT) else str(image.status)
    if image.error:
        state += f": {code(f'{image.error.message} ({image.error.kind})')}"
    cost = plain(money(image.cost, unit)) if image.cost else ""
    return (
        code(image.id, _ID),
        state,
        code(files(image.outputs)) if image.outputs else "",
        _sizes(sizes),
        cost,
    )


def _sizes(outputs: Sequence[LockedOutput]) -> str:
    """The first file's, and the bytes of all."""
    if not outputs:
        return ""
    total = size_in_bytes(sum(output.bytes for output in outputs))
    return plain(f"{outputs[0].width}x{outputs[0].height}, {total}")


def _action_row(action: ActionEvent) -> Sequence[str]:
    why = [cause_words(one, action.outputs) or one.field for one in action.reasons]
    cost = ""
    if action.action is ActionKind.GENERATE:
        price = plain(money(action.cost, action.unit or "USD")) if action.cost else ""
        cost = "unknown" if action.cost is None else price
    return code(action.id, _ID), str(action.action), code(", ".join(dict.fromkeys(why))) if why else "", cost


def _difference_row(difference: Difference) -> Sequence[str]:
    why = []
    for reason in difference.reasons:
        old, new = both_shown(reason.old, reason.new, _VALUE)
        why.append(f"{plain(reason.field)}: {code(old.text)} → {code(new.text)}")
    changed = [_file(output) for output in difference.outputs[:4]]
    more = len(difference.outputs) - len(changed)
    changed += [f"and {more} more"] if more else []
    return code(difference.id, _ID), difference.change, "<br>".join(why), "<br>".join(changed)


def _file(output: OutputDifference) -> str:
    both = [plain(_size(one)) for one in (output.old, output.new) if one]
    return f"{code(output.path)} {' → '.join(both)}"


def _size(output: LockedOutput) -> str:
    return f"{output.width}x{output.height}, {size_in_bytes(output.bytes)}"


def _errors(errors: Iterable[ErrorEvent]) -> str:
    lines = []
    for error in errors:
        place = f"{code(f'{error.file}:{error.line}')} " if error.file and error.line else ""
        hint = f" ({plain(error.hint)})" if error.hint else ""
        lines.append(f"- {place}{code(error.message)}{hint}\n")
    return "".join(lines[:_ROWS]) + _rest(len(lines))


def _warnings(warnings: Iterable[WarningEvent]) -> str:
    said = (f"{one.id}: {one.message}" if one.id else one.message for one in warnings)
    lines = [f"- warning: {code(words)}\n" for words in said]
    return "".join(lines[:_ROWS]) + _rest(len(lines))


def _rest(count: int) -> str:
    return f"\n… and {count - _ROWS} more\n" if count > _ROWS else ""
