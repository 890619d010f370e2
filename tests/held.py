"""Asking the kernel to have system calls of this process held, from inside it, before it does anything else."""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import struct
from collections.abc import Sequence

MACHINES = {"x86_64": (0xC000003E, 317), "aarch64": (0xC00000B7, 277)}
"""The architecture as seccomp calls it, and the number of seccomp itself (the kernel's unistd.h)."""
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ASK, _ALLOW = 0x7FC00000, 0x7FFF0000
_NO_NEW_PRIVILEGES, _SET_FILTER, _NEW_LISTENER = 38, 1, 8


def order(address: bytes, numbers: Sequence[int]) -> str:
    """What `hold` has to be told, as one word: who is to be asked about which calls."""
    return f"{address.hex()}:{','.join(map(str, numbers))}"


def hold(word: str) -> None:
    """Have this thread's calls held, and those of every thread and process that it starts.

    The descriptor on which they are asked about is sent to the socket that the word names.
    """
    address, _, numbers = word.partition(":")
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(bytes.fromhex(address))
        listener = _listener([int(number) for number in numbers.split(",")])
        if listener < 0:
            channel.send(os.strerror(ctypes.get_errno()).encode())
        else:
            socket.send_fds(channel, [b"held"], [listener])
            os.close(listener)


def _listener(numbers: list[int]) -> int:
    """Ask for it (seccomp_unotify(2)); negative when the kernel does not know how."""
    architecture, seccomp = MACHINES[platform.machine()]
    last = len(numbers)
    steps = [(_LOAD, 0, 0, 4), (_EQUAL, 0, last + 1, architecture), (_LOAD, 0, 0, 0)]
    steps += [(_EQUAL, last - place, 0, number) for place, number in enumerate(numbers)]
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ASK)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    listener: int = libc.syscall(seccomp, _SET_FILTER, _NEW_LISTENER, program)
    return listener
