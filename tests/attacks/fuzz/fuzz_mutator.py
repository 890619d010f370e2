"""Inputs for parsers: valid ones that were flipped, cut, spliced, repeated or filled with what breaks parsers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

LONGEST = 1 << 16
"""Bytes of an input. Longer ones only find that long inputs take longer."""

NASTY = (
    b"\0",
    b"\xff",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x1b]52;c;eA==\x07",
    b"\r",
    b"\n",
    b"\n---\n",
    b"\t",
    b"\xe2\x80\xae",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"-1",
    b"0",
    b"1e309",
    b"-0",
    b"NaN",
    b"9223372036854775808",
    b"9" * 400,
    "٣".encode(),
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'""',
    b"[" * 200,
    b'{"a":' * 200,
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!python/object:os.system ",
    b"? ",
    b"| ",
    b"%YAML 1.1\n",
    b"{{",
    b"}}",
    b"{% include '../x' %}",
    b"{{ ''.__class__ }}",
    b"${HOME}",
    b"../",
    b"/etc/passwd",
    b"\\",
    b"con.png",
    b"<!DOCTYPE x [<!ENTITY a 'b'>]>",
    b"&#x10ffff;",
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"https://user@[::1]:99999/%00",
)


class Mutator:
    """Makes inputs out of seeds. The same number of a seed gives the same inputs on every machine."""

    def __init__(self, seeds: Sequence[bytes], number: int) -> None:
        self._random = random.Random(number)
        self._seeds = list(seeds)
        self._ways: Sequence[Callable[[bytearray], None]] = (
            self._flip,
            self._set,
            self._cut,
            self._keep,
            self._splice,
            self._repeat,
            self._insert,
            self._replace,
            self._swap,
        )

    def make(self) -> bytes:
        """The next input: a seed with a few changes, seldom nothing but noise."""
        chance = self._random.random()
        if chance < 0.02:
            return self._random.randbytes(self._random.randrange(200))
        data = bytearray(self._random.choice(self._seeds))
        for _ in range(1 + int(self._random.expovariate(0.5))):
            self._random.choice(self._ways)(data)
            del data[LONGEST:]
        return bytes(data)

    def _span(self, data: bytearray) -> tuple[int, int]:
        start = self._random.randrange(len(data) + 1)
        return start, min(len(data), start + 1 + int(self._random.expovariate(0.1)))

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)

    def _set(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] = self._random.randrange(256)

    def _cut(self, data: bytearray) -> None:
        start, end = self._span(data)
        del data[start:end]

    def _keep(self, data: bytearray) -> None:
        del data[self._random.randrange(len(data) + 1) :]

    def _splice(self, data: bytearray) -> None:
        other = self._random.choice(self._seeds)
        start = self._random.randrange(len(other) + 1)
        end = min(len(other), start + 1 + int(self._random.expovariate(0.02)))
        at, to = self._span(data)
        data[at : to if self._random.random() < 0.5 else at] = other[start:end]

    def _repeat(self, data: bytearray) -> None:
        start, end = self._span(data)
        data[end:end] = data[start:end] * self._random.choice((1, 2, 10, 200))

    def _insert(self, data: bytearray) -> None:
        at = self._random.randrange(len(data) + 1)
        data[at:at] = self._random.choice(NASTY)

    def _replace(self, data: bytearray) -> None:
        start, end = self._span(data)
        data[start:end] = self._random.choice(NASTY)

    def _swap(self, data: bytearray) -> None:
        lines = data.split(b"\n")
        if len(lines) > 1:
            one, two = self._random.randrange(len(lines)), self._random.randrange(len(lines))
            lines[one], lines[two] = lines[two], lines[one]
            data[:] = b"\n".join(lines)
