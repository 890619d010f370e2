"""The lock: what was accepted, as a model and as text. Sorted; no times, absolute paths or secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from imgbuild.core.errors import LockfileError

LOCK_VERSION = 1
_DIGEST = re.compile(r"[0-9a-f]{64}")
_OUTSIDE = re.compile(r"\A\Z|\A/|\A[A-Za-z]:|(?:\A|/)\.\.(?:/|\Z)|[\\\0]")
_MARKER = re.compile(r"^(<{7}|={7}|>{7}|\|{7})( |$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LockedOutput:
    """One file as it was written: SHA-256, length in bytes, size in pixels."""

    digest: str
    bytes: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class LockedSource:
    """The master that the outputs come from."""

    digest: str
    format: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class LockedImage:
    """One accepted image: the generation key, the picked take, and the files."""

    key: str
    take: int
    provider: str
    """The provider's type."""
    source: LockedSource
    model: str | None = None
    outputs: Mapping[str, LockedOutput] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lock:
    """Every accepted image by id."""

    images: Mapping[str, LockedImage] = field(default_factory=dict)
    version: int = LOCK_VERSION

    def output_digests(self) -> frozenset[str]:
        """The bytes of every accepted file: wherever they lie, they are imgbuild's own."""
        return frozenset(o.digest for image in self.images.values() for o in image.outputs.values())


def lock_name(profile: str | None) -> str:
    """The lock's file name: every profile but the default has its own."""
    return f"imgbuild.{profile}.lock" if profile else "imgbuild.lock"


def render_lock(lock: Lock) -> str:
    """The file's text: the same lock always gives the same bytes, each member on a line of its own."""
    images = {
        id: {
            "key": image.key,
            "model": image.model,
            "outputs": {
                path: {"bytes": o.bytes, "digest": o.digest, "height": o.height, "width": o.width}
                for path, o in image.outputs.items()
            },
            "provider": image.provider,
            "source": {
                "digest": image.source.digest,
                "format": image.source.format,
                "height": image.source.height,
                "width": image.source.width,
            },
            "take": image.take,
        }
        for id, image in lock.images.items()
    }
    members = {"images": images, "version": lock.version}
    return json.dumps(members, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def parse_lock(text: str, file: str) -> Lock:
    """Read a lock's text; `file` names it in errors.

    Raises:
        LockfileError: git's conflict markers, broken JSON, a newer version or a wrong shape.
    """
    try:
        data = json.loads(text, object_pairs_hook=_no_duplicates)
    except (_Wrong, RecursionError, ValueError) as error:
        # What git leaves in a conflict is no JSON: it is looked for only then, and told first.
        _refuse_markers(text, file)
        if isinstance(error, json.JSONDecodeError):
            raise LockfileError(
                f"{file}:{error.lineno}:{error.colno}: the lock is not valid JSON: {error.msg}",
                remedy="restore it from git; it is never taken for an empty one",
            ) from None
        # Python refuses to read whole numbers of thousands of digits.
        long = isinstance(error, ValueError)
        what = "a number in the lock is too long" if long else f"the lock cannot be read: {error}"
        raise LockfileError(f"{file}: {what}", remedy=_RESTORE) from None
    try:
        return _lock(data)
    except _Wrong as error:
        raise LockfileError(f"{file}: {error}", remedy=error.remedy) from None


def _refuse_markers(text: str, file: str) -> None:
    marker = _MARKER.search(text)
    if marker:
        line = text.count("\n", 0, marker.start()) + 1
        raise LockfileError(
            f"{file}:{line}:1: the lock has git conflict markers",
            remedy="take either side (git checkout --ours or --theirs) and build again: nothing is charged",
        )


_RESTORE = "restore it from git, or delete it to build it again from the cache"


class _Wrong(Exception):
    def __init__(self, message: str, remedy: str = _RESTORE) -> None:
        super().__init__(message)
        self.remedy = remedy


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        double = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _Wrong(f'"{double}" stands twice in one object')
    return members


def _lock(data: Any) -> Lock:
    top = _object(data, "the lock", {"images", "version"}, open_ended=True)
    version = top["version"]
    if type(version) is int and version > LOCK_VERSION:
        raise _Wrong(
            f"the lock has version {version}, this imgbuild reads version {LOCK_VERSION}",
            "upgrade imgbuild",
        )
    if version != LOCK_VERSION or type(version) is not int:
        raise _Wrong(f"version must be {LOCK_VERSION}, not {version!r}")
    if set(top) != {"images", "version"}:
        raise _Wrong(f"the lock has unknown members: {', '.join(sorted(set(top) - {'images', 'version'}))}")
    if not isinstance(top["images"], dict):
        raise _Wrong("images must be an object")
    return Lock({id: _image(entry, f'image "{id}"') for id, entry in top["images"].items()}, version)


def _image(data: Any, where: str) -> LockedImage:
    entry = _object(data, where, {"key", "model", "outputs", "provider", "source", "take"})
    source = _object(entry["source"], f"{where}, source", {"digest", "format", "height", "width"})
    if not isinstance(entry["outputs"], dict):
        raise _Wrong(f"{where}: outputs must be an object")
    outputs: dict[str, LockedOutput] = {}
    for path, value in entry["outputs"].items():
        if _OUTSIDE.search(path):
            raise _Wrong(f"{where}: the output {path!a} leads out of the project")
        place = f"{where}, output {path}"
        output = _object(value, place, {"bytes", "digest", "height", "width"})
        outputs[path] = LockedOutput(
            digest=_digest(output, "digest", place),
            bytes=_count(output, "bytes", place),
            width=_count(output, "width", place),
            height=_count(output, "height", place),
        )
    if entry["model"] is not None and not isinstance(entry["model"], str):
        raise _Wrong(f"{where}: model must be a text or null")
    return LockedImage(
        key=_digest(entry, "key", where),
        take=_count(entry, "take", where),
        provider=_text(entry, "provider", where),
        model=entry["model"],
        source=LockedSource(
            digest=_digest(source, "digest", where),
            format=_text(source, "format", where),
            width=_count(source, "width", where),
            height=_count(source, "height", where),
        ),
        outputs=outputs,
    )


def _object(data: Any, where: str, names: set[str], *, open_ended: bool = False) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise _Wrong(f"{where} must be an object")
    if data.keys() == names:
        return data
    missing = sorted(names - set(data))
    unknown = [] if open_ended else sorted(set(data) - names)
    if missing or unknown:
        parts = [f"lacks {', '.join(missing)}"] if missing else []
        parts += [f"has unknown members {', '.join(unknown)}"] if unknown else []
        raise _Wrong(f"{where} {' and '.join(parts)}")
    return data


def _digest(entry: Mapping[str, Any], name: str, where: str) -> str:
    value = entry[name]
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise _Wrong(f"{where}: {name} must be a SHA-256 in lower-case hexadecimal")
    return value


def _text(entry: Mapping[str, Any], name: str, where: str) -> str:
    value = entry[name]
    if not isinstance(value, str):
        raise _Wrong(f"{where}: {name} must be a text")
    return value


def _count(entry: Mapping[str, Any], name: str, where: str) -> int:
    value = entry[name]
    if type(value) is not int or value < 1:
        raise _Wrong(f"{where}: {name} must be a positive whole number")
    return value
