"""What a document leaves open: every other reading of the services' documents, in every dialect.

Each reading has an emulator of its own, and one build talks to all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from dialects import DIALECTS, Dialect
from workbench_project import Folder, service

from imgbuild.emulator.options import EmulatorOptions

FAULTS = {
    "fail": "failed",
    "refuse": "refused",
    "refuse-400": "refused",
    "401": "auth",
    "402": "credit",
    "error-200": "invalid",
}
NO_READING = frozenset({"require_key", "refund_failed"})


def readings(spoken: str) -> Iterator[dict[str, Any]]:
    """Each option that is a choice and no other dialect's own, with each value but the usual one."""
    hints = get_type_hints(EmulatorOptions)
    for field in fields(EmulatorOptions):
        if field.name in NO_READING or owner_of(field.name) not in (None, spoken):
            continue
        kind = hints[field.name]
        values = get_args(kind) if get_origin(kind) is Literal else (True, False) if kind is bool else ()
        yield from ({field.name: value} for value in values if value != field.default)


def owner_of(option: str) -> str | None:
    """The dialect whose name an option begins with: jimmyai_sync_code is jimmyai-sync's."""
    names = {dialect.spoken or dialect.type for dialect in DIALECTS}
    owners = [name for name in names if option.startswith(name.replace("-", "_") + "_")]
    return max(owners, key=len, default=None)


def test_other_readings_have_the_same_meaning(dialect: Dialect, folder: Folder) -> None:
    providers: dict[str, Any] = {}
    images: dict[str, dict[str, Any]] = {}
    expected: dict[str, str | None] = {}
    with ExitStack() as servers:
        for number, reading in enumerate(readings(dialect.spoken or dialect.type)):
            ((option, value),) = reading.items()
            said = f"{option}={value}"
            if said in dialect.unread:
                continue
            running = servers.enter_context(service(**reading))
            for fault, usual in {"": None, **FAULTS}.items():
                kind = dialect.kinds.get(fault, usual)
                if fault and kind is None:
                    continue
                # A provider of its own for each fault: some faults stop all that goes to theirs.
                name = f"p{number}-{fault or 'fine'}"
                providers[name] = dialect.entry(running.url)
                expected[f"{name} {said}"] = kind
                images[name] = {
                    "provider": name,
                    "model": dialect.model,
                    "prompt": f"{name} [fault:{fault}]" if fault else name,
                    "size": "1024x1024",
                    "output": f"out/{name}.png",
                }
        folder.manifest(providers, images)
        run = folder.json("build", code=1)
    failures = run.failures()
    found = {
        title: failures[title.split()[0]].partition(":")[0] if title.split()[0] in failures else None
        for title in expected
    }
    assert found == expected, "\n".join(failures.values())
