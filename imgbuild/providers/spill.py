"""JSON with pictures inside: long base64 strings go to files while they arrive, the rest is parsed."""

from __future__ import annotations

import binascii
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from imgbuild.core.image import Json
from imgbuild.providers.answers import parse_json
from imgbuild.providers.base import FileResult, Result, UrlResult
from imgbuild.providers.result_file import ResultFile

LONG = 64 * 2**10
"""Bytes of a JSON string from which on it goes to a file."""
SKELETON_LIMIT = 4 * 2**20
"""Bytes of JSON that may be left when the long strings are taken out: all that is ever in memory."""

# The quantifiers are possessive: a string of many megabytes leaves no trail to go back on.
_INSIDE = re.compile(rb'[^"\\]*+(?:\\(?:u[0-9a-fA-F]{4}|[^u])[^"\\]*+)*+', re.DOTALL)
_LONGEST_ESCAPE = 6
_DATA_URL = re.compile(rb"\s*data:[^,]{0,200};base64,", re.IGNORECASE)
_DIGIT = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_DIGITS = re.compile(rb"[A-Za-z0-9+/]*+")
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_SPACE = b" \t\r\n"
# What serializers write for the characters of base64: PHP escapes "/", .NET "+", Gson "=".
_ESCAPES = (
    (rb"\/", b"/"),
    (rb"\u002B", b"+"),
    (rb"\u002b", b"+"),
    (rb"\u002F", b"/"),
    (rb"\u002f", b"/"),
    (rb"\u003D", b"="),
    (rb"\u003d", b"="),
    (rb"\n", b""),
    (rb"\r", b""),
    (rb"\t", b""),
)


class TooLargeError(ValueError):
    """More bytes than an answer may have."""


@dataclass(frozen=True, slots=True)
class Spilled:
    """An answer without its long strings: in their places stand tokens, which name files."""

    json: Json
    files: Mapping[str, Path] = field(default_factory=dict)
    """The decoded bytes by token. They belong to the reader of the answer now."""


async def read_spilled(chunks: AsyncIterator[bytes], scratch: Callable[[], Path], *, limit: int) -> Spilled:
    """Read JSON from `chunks`, with every long base64 string in a file of its own from `scratch`.

    Both alphabets, white space, JSON escapes and a `data:` prefix are understood. Base64 that breaks off or
    breaks its rules gives a file of what came before: a cut picture, which is kept as evidence and never
    accepted. A long string that is no base64 is a text, and is cut.

    Raises:
        TooLargeError: more than `limit` bytes, or too much that is no picture.
        ValueError: not JSON, or its end is missing.
        StorageError: the disk refuses. The files are removed in all of these cases.
    """
    reader = _Reader(scratch)
    try:
        size = 0
        async for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            reader.feed(chunk)
        return Spilled(parse_json(reader.skeleton()), reader.files)
    except BaseException:
        reader.abandon()
        raise


def image_of(value: str, spilled: Spilled, scratch: Callable[[], Path]) -> FileResult:
    """The file of a base64 member of `spilled.json`, whether it was long enough for a file or not.

    Nothing is judged here: what is no picture is found out, and kept, where pictures are inspected.
    Raises StorageError.
    """
    path = spilled.files.get(value)
    if path is None:
        path = scratch()
        with _Base64File(path) as file:
            file.write(_without_prefix(value.encode(errors="replace")))
    return FileResult(path)


def discard(spilled: Spilled, kept: frozenset[Path] = frozenset()) -> None:
    """Remove the files that nobody is going to look at."""
    for path in spilled.files.values():
        if path not in kept:
            with suppress(OSError):
                path.unlink(missing_ok=True)


def take_files(results: Iterable[Result], spilled: Spilled) -> tuple[Result, ...]:
    """The results, with those that were long texts as the files that they went to; other files go."""
    taken = tuple(
        FileResult(spilled.files[result.url])
        if isinstance(result, UrlResult) and result.url in spilled.files
        else result
        for result in results
    )
    discard(spilled, frozenset(result.path for result in taken if isinstance(result, FileResult)))
    return taken


class _Base64File:
    """A file of the bytes that base64 text stands for, up to the first character that is none of it."""

    def __init__(self, path: Path) -> None:
        self._file = ResultFile(path)
        self._digits = b""
        self._ended = False

    def __enter__(self) -> _Base64File:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, text: bytes) -> None:
        """Decode one piece, cut anywhere."""
        if self._ended:
            return
        text = self._digits + text.translate(_FROM_URL_SAFE, _SPACE)
        valid = _digits(text)
        self._ended = valid < len(text)
        whole = valid - valid % 4
        self._digits = text[whole:valid]
        self._file.write(binascii.a2b_base64(text[:whole]))

    def close(self) -> None:
        """Write the last, incomplete group, and close the file."""
        digits, self._digits = self._digits, b""
        with self._file:
            # One digit alone is not even a byte.
            if len(digits) > 1:
                self._file.write(binascii.a2b_base64(digits + b"=="))


class _Reader:
    """Takes a JSON text apart, piece by piece: what is in memory never grows with its long strings."""

    def __init__(self, scratch: Callable[[], Path]) -> None:
        self.files: dict[str, Path] = {}
        self._scratch = scratch
        self._skeleton = bytearray()
        self._held = b""
        """The beginning of an escape whose end has not come yet."""
        self._string: bytearray | None = None
        """What is known of the string that is being read; None between strings."""
        self._picture: _Base64File | None = None
        """Where the rest of the string goes, once it is long."""
        self._is_cut = False
        self._token = f"spilled:{secrets.token_hex(8)}:"

    def feed(self, chunk: bytes) -> None:
        """Take one piece, cut anywhere."""
        chunk, at = self._held + chunk, 0
        self._held = b""
        while at < len(chunk):
            end = chunk.find(b'"', at)
            end = len(chunk) if end < 0 else end
            # Searching is a hundred times as fast as matching, and few pictures need the latter.
            if self._string is not None and chunk.find(b"\\", at, end) >= 0:
                end = _end(_INSIDE, chunk, at)
            self._take(chunk[at:end])
            if end == len(chunk):
                return
            if chunk[end : end + 1] == b"\\":
                if len(chunk) - end >= _LONGEST_ESCAPE:
                    raise ValueError("a broken escape in a string")
                self._held = chunk[end:]
                return
            self._quote()
            at = end + 1

    def skeleton(self) -> bytearray:
        """The JSON text with tokens for the long strings. Raises ValueError where the end is missing."""
        if self._string is not None:
            raise ValueError("the text ends within a string")
        return self._skeleton

    def abandon(self) -> None:
        """Close and remove every file."""
        if self._picture is not None:
            self._picture.close()
        discard(Spilled(None, self.files))

    def _take(self, text: bytes) -> None:
        """Text within a string or between two; escapes in it are whole."""
        if self._string is None:
            self._skeleton += text
            if len(self._skeleton) > SKELETON_LIMIT:
                raise _too_large(SKELETON_LIMIT)
        elif self._picture is not None:
            self._picture.write(_unescaped(text))
        elif not self._is_cut:
            self._string += text
            if len(self._string) > LONG:
                self._spill(bytes(self._string))

    def _spill(self, head: bytes) -> None:
        """The string has become long: a picture, by its beginning, or a text that nobody needs whole."""
        beginning = _without_prefix(_unescaped(head))
        digits = beginning.translate(_FROM_URL_SAFE, _SPACE).rstrip(b"=")
        if _digits(digits) < len(digits):
            self._is_cut = True
            # A piece may end within a character.
            self._string = bytearray(head.decode(errors="ignore").encode())
            return
        token = f"{self._token}{len(self.files)}"
        self.files[token] = path = self._scratch()
        self._string = bytearray(token.encode())
        self._picture = _Base64File(path)
        self._picture.write(beginning)

    def _quote(self) -> None:
        """A string begins or ends."""
        if self._string is None:
            self._string = bytearray()
            return
        if self._picture is not None:
            self._picture.close()
            self._picture = None
        text, self._string, self._is_cut = self._string, None, False
        self._take(b'"' + text + b'"')


def _digits(text: bytes) -> int:
    """How many of the first characters are base64."""
    return _end(_DIGITS, text) if text.translate(None, _DIGIT) else len(text)


def _end(pattern: re.Pattern[bytes], text: bytes, at: int = 0) -> int:
    """Where a match ends that begins at `at`, and may be empty."""
    match = pattern.match(text, at)
    return match.end() if match else at


def _unescaped(text: bytes) -> bytes:
    """A JSON string's bytes with the escapes that base64 may have undone; others stay, and are no base64."""
    if b"\\\\" in text:
        return text
    for escape, meaning in _ESCAPES:
        if b"\\" not in text:
            break
        text = text.replace(escape, meaning)
    return text


def _without_prefix(text: bytes) -> bytes:
    prefix = _DATA_URL.match(text)
    return text[prefix.end() :] if prefix else text


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"the limit is {limit / 2**20:g} MiB")
