"""Events in words: pure functions from values to lines, the same for every terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from imgbuild.core.events import (
    ActionEvent,
    ActionKind,
    Cause,
    ImageEvent,
    JobEvent,
    JobState,
    Reason,
    Status,
    StoppingEvent,
    SummaryEvent,
    WarningEvent,
)
from imgbuild.ui.spans import Line, Span, Style, cells, line, pad
from imgbuild.ui.values import both_shown, duration, money, shown

SIGNS: Mapping[ActionKind, Span] = {
    ActionKind.NONE: Span("=", "dim"),
    ActionKind.GENERATE: Span("+", "green"),
    ActionKind.DERIVE: Span("~", "yellow"),
    ActionKind.RESTORE: Span(">", "cyan"),
    ActionKind.CONFLICT: Span("!", "bold red"),
    ActionKind.REMOVE: Span("-", "red"),
}
_DOES: Mapping[ActionKind, str] = {
    ActionKind.NONE: "nothing to do",
    ActionKind.GENERATE: "generate",
    ActionKind.DERIVE: "derive",
    ActionKind.RESTORE: "restore from the cache",
    ActionKind.CONFLICT: "left alone",
    ActionKind.REMOVE: "drop from the lock, files stay",
}
_DONE: Mapping[Status, Span] = {
    Status.GENERATED: Span("generated", "green"),
    Status.DERIVED: Span("derived", "yellow"),
    Status.RESTORED: Span("restored", "cyan"),
    Status.UNCHANGED: Span("unchanged", "dim"),
    Status.CONFLICT: Span("conflict", "bold red"),
    Status.FAILED: Span("failed", "bold red"),
}
STATES: Mapping[JobState, str] = {
    JobState.WAITING: "waiting",
    JobState.SUBMITTING: "sending",
    JobState.RUNNING: "generating",
    JobState.DOWNLOADING: "downloading",
    JobState.DERIVING: "deriving",
    JobState.RETRYING: "retrying",
}
_RETOUCHED = (
    "imgbuild adopt accepts your file, build --overwrite replaces it (your bytes go into the cache first)"
)
_ID_WIDTH = 40
_VALUE_WIDTH = 56
"""Columns; longer texts are shown where they differ."""


def images(count: int) -> str:
    """A number of images."""
    return "1 image" if count == 1 else f"{count} images"


def plan_lines(
    actions: Sequence[ActionEvent], warnings: Sequence[WarningEvent], summary: SummaryEvent
) -> list[Line]:
    """A whole plan: a block for each image with something to do, then warnings and the sum."""
    shown = [action for action in actions if action.action is not ActionKind.NONE]
    width = min(max((cells(action.id) for action in shown), default=0), _ID_WIDTH)
    lines = [text for action in shown for text in action_lines(action, width)]
    lines += [warning_line(warning) for warning in warnings]
    if lines:
        lines.append(())
    return [*lines, plan_sum(shown, summary)]


def action_lines(action: ActionEvent, width: int = 0, *, full: bool = False) -> list[Line]:
    """What is done for one image, then why, indented. `full` shortens no value."""
    notes = list(action.notes)
    if action.action is not ActionKind.GENERATE or not any(n.startswith("generate ") for n in notes):
        notes.insert(0, _DOES[action.action])
    # That an image is new is part of what is done; a line of its own for each would drown the rest.
    new = any(reason.cause is Cause.NEW for reason in action.reasons)
    reasons = [reason for reason in action.reasons if reason.cause is not Cause.NEW]
    head: list[str | Span] = [SIGNS[action.action], " ", Span(pad(action.id, width), "bold")]
    head += ["  ", *([Span("new, ", "green")] if new else []), Span(", ".join(notes), "dim")]
    price = _price(action)
    if price:
        head += ["  ", price]
    lines = [line(*head)]
    for reason in reasons:
        lines += _full_reason(reason) if full else [_reason(reason, action)]
    if action.action is ActionKind.CONFLICT:
        lines.append(line("    ", Span(_RETOUCHED, "dim")))
    return lines


def plan_sum(actions: Sequence[ActionEvent], summary: SummaryEvent) -> Line:
    """The last line of a plan: "3 to generate (about 0.12 USD), 1 to derive, 40 unchanged"."""
    kinds = [action.action for action in actions]
    removed = kinds.count(ActionKind.REMOVE)
    parts: list[Line] = []
    if summary.generated:
        costs = [action.cost for action in actions if action.action is ActionKind.GENERATE]
        unknown = sum(cost is None for cost in costs)
        parts.append(
            line(Span(f"{summary.generated} to generate", "green"), _estimate(summary, unknown, len(costs)))
        )
    counted: tuple[tuple[int, str, Style], ...] = (
        (summary.derived, "to derive", "yellow"),
        (summary.restored, "to restore", "cyan"),
        (removed, "to drop from the lock", "red"),
        (summary.conflicts, "in conflict", "bold red"),
    )
    parts += [line(Span(f"{count} {what}", style)) for count, what, style in counted if count]
    if not parts:
        return nothing_to_do(summary.unchanged)
    if summary.unchanged:
        parts.append(line(Span(f"{summary.unchanged} unchanged", "dim")))
    return _joined(parts)


def build_sum(summary: SummaryEvent) -> Line:
    """The last line of a build: "3 generated, 40 unchanged in 12.3 s, 0.12 USD"."""
    resumed = f" ({summary.resumed} resumed)" if summary.resumed else ""
    counted: tuple[tuple[int, str, Style], ...] = (
        (summary.generated, f"generated{resumed}", "green"),
        (summary.derived, "derived", "yellow"),
        (summary.restored, "restored", "cyan"),
        (summary.conflicts, "in conflict", "bold red"),
        (summary.failed, "failed", "bold red"),
    )
    parts = [line(Span(f"{count} {what}", style)) for count, what, style in counted if count]
    if not parts:
        return nothing_to_do(summary.unchanged)
    if summary.unchanged:
        parts.append(line(Span(f"{summary.unchanged} unchanged", "dim")))
    spent = f", {money(summary.cost, summary.unit)}" if summary.cost else ""
    return (*_joined(parts), Span(f" in {duration(summary.seconds)}{spent}"))


def build_start(actions: Sequence[ActionEvent]) -> Line:
    """What a build sets out to do, before it does it; empty when it is nothing."""
    kinds = [action.action for action in actions]
    if all(kind in (ActionKind.NONE, ActionKind.CONFLICT) for kind in kinds):
        return ()
    summary = SummaryEvent(
        generated=kinds.count(ActionKind.GENERATE),
        derived=kinds.count(ActionKind.DERIVE),
        restored=kinds.count(ActionKind.RESTORE),
        conflicts=kinds.count(ActionKind.CONFLICT),
        cost=sum(action.cost or 0.0 for action in actions),
        unit=next((action.unit for action in actions if action.cost and action.unit), "USD"),
    )
    return plan_sum(actions, summary)


def nothing_to_do(count: int) -> Line:
    """The only line of a build or plan that finds everything as it should be."""
    return line(f"{images(count) if count else 'no images'}, nothing to do")


def image_lines(event: ImageEvent, unit: str = "USD") -> list[Line]:
    """How an image came out; with a file that a person changed, what can be done about it."""
    done = _DONE[event.status]
    head: list[str | Span] = [Span(done.text.rjust(9), done.style), "  ", Span(event.id, "bold")]
    if event.status is Status.CONFLICT:
        why = f": {event.error.message}" if event.error else ""
        return [line(*head, why), line(" " * 11, Span(_RETOUCHED, "dim"))]
    if event.error:
        return [line(*head, f" ({event.error.kind}): {event.error.message}")]
    head += ["  ", Span(files(event.outputs), "dim")]
    if event.cost:
        head += ["  ", money(event.cost, unit)]
    return [line(*head)]


def job_line(event: JobEvent) -> Line:
    """A change of state, for those who want to see them all."""
    take = f" take {event.take}" if event.take > 1 else ""
    detail = f" ({event.detail})" if event.detail else ""
    done = f" {event.progress:.0%}" if event.progress is not None else ""
    what = f"{STATES[event.state]}{done}{detail}"
    return line(Span(f"           {event.id}{take}: {what}, {event.provider}", "dim"))


def stopping_line(event: StoppingEvent) -> Line:
    """What the end of a build waits for."""
    return line(
        Span("stopping", "yellow"),
        f": waiting for what is being paid for ({', '.join(event.waiting_for)}), at most "
        f"{event.seconds:g} s; Ctrl-C again leaves it",
    )


def warning_line(event: WarningEvent) -> Line:
    """A warning, with the image that it is about."""
    about = f"{event.id}: " if event.id else ""
    return line(Span("warning", "yellow"), f": {about}{event.message}")


def _price(action: ActionEvent) -> Span | None:
    if action.action is not ActionKind.GENERATE:
        return None
    if action.cost is None:
        return Span("price unknown", "yellow")
    return Span(f"about {money(action.cost, action.unit or 'USD')}") if action.cost else None


def _estimate(summary: SummaryEvent, unknown: int, count: int) -> str:
    if unknown and unknown == count:
        return " (price unknown)"
    if unknown:
        return f" (about {money(summary.cost, summary.unit)}, {unknown} of unknown price)"
    return f" (about {money(summary.cost, summary.unit)})" if summary.cost else ""


def _joined(parts: Iterable[Line]) -> Line:
    spans: list[Span] = []
    for part in parts:
        spans += [Span(", ")] * bool(spans) + list(part)
    return tuple(spans)


def _reason(reason: Reason, action: ActionEvent) -> Line:
    words = cause_words(reason, action.outputs)
    if words:
        return line("    ", words)
    old, new = both_shown(reason.old, reason.new, _VALUE_WIDTH)
    return line("    ", Span(reason.field, "cyan"), ": ", old, Span(" -> ", "dim"), new)


def _full_reason(reason: Reason) -> list[Line]:
    words = cause_words(reason, ())
    if words:
        return [line("    ", words)]
    return [
        line("    ", Span(reason.field, "cyan")),
        line("      ", Span(f"- {shown(reason.old)}", "red")),
        line("      ", Span(f"+ {shown(reason.new)}", "green")),
    ]


def files(paths: Sequence[str]) -> str:
    """An image's files: all of a few, else the first and how many more."""
    return ", ".join(paths) if len(paths) < 4 else f"{paths[0]} and {len(paths) - 1} more"


def cause_words(reason: Reason, outputs: Sequence[str]) -> str | None:
    """A reason as a sentence; None for a field whose old and new value say it better."""
    new = reason.new if isinstance(reason.new, str) else ""
    old = reason.old if isinstance(reason.old, str) else ""
    file = outputs[0] if len(outputs) == 1 else "an output"
    match reason.cause:
        case Cause.CHANGED:
            changed = "what it was made from has changed (this cache has no record of it to compare with)"
            return changed if reason.field == "key" else None
        case Cause.NEW:
            return "new"
        case Cause.REFERENCE_PENDING:
            return f"{reason.field}: {new} comes first"
        case Cause.MORE_TAKES:
            return f"takes: {shown(reason.new)} wanted, {shown(reason.old)} there"
        case Cause.LOST:
            return "its result is no longer in the cache"
        case Cause.OUTPUT_MISSING:
            return f"{new or file} is missing"
        case Cause.OUTPUT_STALE:
            return f"{file} is from an earlier build"
        case Cause.OUTPUT_EDITED:
            return f"{file} was changed by hand"
        case Cause.OUTPUT_MOVED:
            return f"output: {old} -> {new}" if new else f"{old} is made no longer"
        case Cause.UNLOCKED:
            return "in the cache, but not in the lock yet"
        case Cause.DROPPED:
            return "no longer in the manifest"
