"""Bazel's ActionResult, as far as a record needs one: protobuf by hand, the blobs that it names and its text.

Servers such as bazel-remote refuse an entry of the action cache that is no ActionResult, or whose output
files are not in their store; so the blobs that a record names are its output files, and the record itself is
what the action printed. Field numbers: build/bazel/remote/execution/v2/remote_execution.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_OUTPUT_FILES, _STDOUT = 2, 5
_PATH, _DIGEST = 1, 2
_HASH, _SIZE = 1, 2
_VARINT, _BYTES = 0, 2


def encode_action_result(stdout: bytes, blobs: Mapping[str, int]) -> bytes:
    """An action that printed `stdout` and wrote `blobs` (SHA-256 to number of bytes)."""
    files = b""
    for digest, size in sorted(blobs.items()):
        named = _field(_HASH, digest.encode()) + bytes([_SIZE << 3 | _VARINT]) + _varint(size)
        files += _field(_OUTPUT_FILES, _field(_PATH, digest.encode()) + _field(_DIGEST, named))
    return files + _field(_STDOUT, stdout)


def decode_action_result(data: bytes) -> bytes | None:
    """What the action printed; None for what is no ActionResult. Unknown fields are passed over."""
    try:
        return next((value for number, value in _fields(data) if number == _STDOUT), None)
    except (IndexError, ValueError):
        return None


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields that hold bytes. All of the message is looked at, or ValueError or IndexError raised."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        match tag & 7:
            case 0:
                _, at = _read_varint(data, at)
            case 1:
                at += 8
            case 2:
                size, at = _read_varint(data, at)
                found.append((tag >> 3, data[at : at + size]))
                at += size
            case 5:
                at += 4
            case other:
                raise ValueError(f"wire type {other}")
    if at != len(data):
        raise ValueError("cut short")
    return iter(found)


def _field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | _BYTES]) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return number, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
