"""The first and last bytes of a file as one address space with a hole in the middle."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """What is known of a file: its start, its end and its length in bytes."""

    head: bytes
    tail: bytes
    length: int

    def read(self, at: int, count: int) -> bytes | None:
        """`count` bytes from offset `at`; None where they lie beyond the end or in the unknown middle."""
        if at < 0 or at + count > self.length:
            return None
        if at + count <= len(self.head):
            return self.head[at : at + count]
        start = at - (self.length - len(self.tail))
        if start >= 0 and start + count <= len(self.tail):
            return self.tail[start : start + count]
        return None
