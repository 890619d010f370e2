"""A command whose system calls are held one by one: each may go on, fail, or be the last thing that it does.

What `strace -e inject=...:when=N` does, except that strace counts for each thread by itself, so that most of
what a program with threads does can never be its N. Here the kernel asks this process about every call of
every thread (seccomp's user notification), in one order, and before anything of it is done. "Killed after a
call" is therefore "killed before the next one".
"""

from __future__ import annotations

import fcntl
import os
import platform
import select
import socket
import struct
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import held
from project_folder import ProjectFolder, Run
from zygote import HELD, LIMIT, Zygote

_CALLS: Mapping[str, Mapping[int, tuple[str, str]]] = {
    "x86_64": {
        1: ("write", "d"),
        18: ("pwrite64", "d"),
        44: ("sendto", "d"),
        74: ("fsync", "d"),
        75: ("fdatasync", "d"),
        77: ("ftruncate", "d"),
        82: ("rename", "pp"),
        83: ("mkdir", "p"),
        84: ("rmdir", "p"),
        87: ("unlink", "p"),
        91: ("fchmod", "d"),
        257: ("openat", "fp"),
        258: ("mkdir", "fp"),
        263: ("unlink", "fp"),
        264: ("rename", "fpfp"),
        280: ("utimensat", "fp"),
        316: ("rename", "fpfp"),
        326: ("copy_file_range", "..d"),
    },
    "aarch64": {
        34: ("mkdir", "fp"),
        35: ("unlink", "fp"),
        38: ("rename", "fpfp"),
        46: ("ftruncate", "d"),
        52: ("fchmod", "d"),
        56: ("openat", "fp"),
        64: ("write", "d"),
        68: ("pwrite64", "d"),
        82: ("fsync", "d"),
        83: ("fdatasync", "d"),
        88: ("utimensat", "fp"),
        206: ("sendto", "d"),
        276: ("rename", "fpfp"),
        285: ("copy_file_range", "..d"),
    },
}
"""The calls that change something: their numbers (the kernel's unistd.h), names, and what the arguments are.

d: the descriptor that it is about; p: a path; f: the folder that the next path begins in.
"""
_HERE = 0xFFFFFF9C
"""In place of a folder's descriptor: the current folder (AT_FDCWD)."""

_NOTIFICATION = struct.Struct("=QII iIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_GO_ON = 1

KILL = object()
"""A verdict: the command is killed, and the call is not made."""
Verdict = object
"""None to go on, an errno to fail, or KILL."""


@dataclass(frozen=True)
class Call:
    """A system call that is about to be made."""

    name: str
    thread: int
    """The id of the thread that makes it."""
    arguments: tuple[int, ...]
    shape: str

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """What it is about: the paths that it names, or the file of its descriptor."""
        found = []
        folder = None
        for index, kind in enumerate(self.shape):
            if kind == "f":
                folder = index
            elif kind == "d":
                found.append(self.file(index))
            elif kind == "p":
                found.append(self._path(folder, index))
        return tuple(found)

    def file(self, index: int) -> str:
        """What the descriptor in an argument is open on."""
        return str(self._descriptor(index).readlink())

    def offset(self, index: int) -> int:
        """Where the descriptor in an argument stands, in bytes: at the end when it only appends."""
        text = (self._process / "fdinfo" / str(self.arguments[index])).read_text()
        fields = {name: value.strip() for name, _, value in (one.partition(":") for one in text.splitlines())}
        if int(fields["flags"], 8) & os.O_APPEND:
            return self._descriptor(index).stat().st_size
        return int(fields["pos"])

    def memory(self, address: int, length: int) -> bytes:
        """Bytes of the command's memory."""
        with (self._process / "mem").open("rb", buffering=0) as memory:
            return os.pread(memory.fileno(), length, address)

    @property
    def _process(self) -> Path:
        return Path("/proc", str(self.thread))

    def _descriptor(self, index: int) -> Path:
        return self._process / "fd" / str(self.arguments[index])

    def _path(self, folder: int | None, index: int) -> str:
        if folder is not None and not self.arguments[index]:
            return self.file(folder)
        if folder is None or self.arguments[folder] & 0xFFFFFFFF == _HERE:
            base = (self._process / "cwd").readlink()
        else:
            base = Path(self.file(folder))
        return os.path.normpath(base / self._text(self.arguments[index]))

    def _text(self, address: int) -> str:
        # A string may end just before memory that is not there, so no read crosses a page.
        data = b""
        while b"\0" not in data:
            data += self.memory(address + len(data), 4096 - (address + len(data)) % 4096)
        return os.fsdecode(data.partition(b"\0")[0])


def run_held(
    zygote: Zygote,
    project: ProjectFolder,
    *words: str,
    calls: Collection[str],
    decide: Callable[[Call], Verdict],
) -> Run:
    """Run a command; each of the named calls is made only after `decide` was asked about it."""
    machine = platform.machine()
    assert sys.platform == "linux", "holding system calls needs Linux"
    assert machine in held.MACHINES, f"holding system calls is not known for {machine}"
    known = {number: call for number, call in _CALLS[machine].items() if call[0] in calls}
    with socket.socket(socket.AF_UNIX) as server:
        # An empty name lets the kernel choose one, which is no file.
        server.bind("")
        server.listen()
        server.settimeout(LIMIT)
        word = held.order(server.getsockname(), list(known))
        child = zygote.start(project, *words, **{HELD: word})
        with server.accept()[0] as channel:
            said, listeners, _, _ = socket.recv_fds(channel, 256, 1)
    assert listeners, f"system calls cannot be held here, Linux 5.8 or later is needed: {said.decode()}"
    (listener,) = listeners
    try:
        for id, call in _held(listener, known):
            verdict = decide(call)
            if verdict is KILL:
                break
            _answer(listener, id, verdict)
    finally:
        # One that has ended by itself does not notice.
        child.kill()
        run = child.wait()
        os.close(listener)
    return run


def _held(listener: int, known: Mapping[int, tuple[str, str]]) -> Iterator[tuple[int, Call]]:
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while ready := poll.poll(LIMIT * 1000):
        if not ready[0][1] & select.POLLIN:
            return
        data = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(listener, _RECEIVE, data)
        except FileNotFoundError:
            # The thread was killed before its question was read.
            continue
        id, thread, _, number, _, _, *arguments = _NOTIFICATION.unpack(data)
        name, shape = known[number]
        yield id, Call(name, thread, tuple(arguments), shape)
    raise AssertionError(f"a command took more than {LIMIT:g} s")


def _answer(listener: int, id: int, verdict: Verdict) -> None:
    error, flags = (-verdict, 0) if isinstance(verdict, int) else (0, _GO_ON)
    with suppress(FileNotFoundError):
        fcntl.ioctl(listener, _SEND, _ANSWER.pack(id, 0, error, flags))
