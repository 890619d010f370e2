"""Running a program: a request on its stdin, its stdout into a file, the end of its stderr, and its end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from imgbuild.core.errors import StorageError
from imgbuild.providers.result_file import ResultFile

OUTPUT_LIMIT = 256 * 2**20
"""Bytes that a program may write to its stdout."""
_WORDS_KEPT = 64 * 2**10
"""Bytes of stderr that are remembered: the last ones."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended."""

    code: int | None
    """The exit code, negative for the signal that ended it; None: it was stopped here, out of time."""
    written: int
    """Bytes that came on stdout."""
    too_large: bool
    """It was stopped here because it wrote more than the limit."""
    words: str
    """The end of what it wrote to stderr."""


async def run_program(
    argv: Sequence[str],
    request: bytes,
    to: Path,
    *,
    folder: Path,
    environ: Mapping[str, str],
    seconds: float,
    limit: int = OUTPUT_LIMIT,
) -> Ended:
    """Run a program without a shell, in a process group of its own, until it ends or is stopped.

    When the time is over, too much was written, or the caller is cancelled, the whole group is killed.

    Raises:
        OSError: the program could not be started.
        ValueError: no system can be given these arguments.
        StorageError: the disk refused what the program wrote.
    """
    with ResultFile(to) as file:
        loop = asyncio.get_running_loop()
        transport, watch = await loop.subprocess_exec(
            lambda: _Watch(file, limit, loop),
            *argv,
            cwd=folder,
            env=dict(environ),
            start_new_session=True,
        )
        stdin = cast(asyncio.WriteTransport, transport.get_pipe_transport(0))
        code: int | None = None
        try:
            stdin.write(request)
            stdin.close()
            async with asyncio.timeout(seconds):
                await asyncio.wait((watch.ended, watch.stopped), return_when=asyncio.FIRST_COMPLETED)
            code = transport.get_returncode()
        except TimeoutError:
            pass
        finally:
            if not watch.ended.done():
                # Also where only the program itself is gone: whatever it started still holds its pipes.
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(transport.get_pid(), signal.SIGKILL)
                if stdin.get_write_buffer_size():
                    stdin.abort()
            transport.close()
            await watch.ended
    if watch.refused is not None:
        raise watch.refused
    words = bytes(watch.words).decode(errors="replace")
    return Ended(code, watch.written, watch.written > limit, words)


class _Watch(asyncio.SubprocessProtocol):
    """Takes what a program writes, as it comes, and tells of its end."""

    def __init__(self, file: ResultFile, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        self.ended: asyncio.Future[None] = loop.create_future()
        """The program and all its pipes are gone."""
        self.stopped: asyncio.Future[None] = loop.create_future()
        """It has to be stopped."""
        self.written = 0
        self.words = bytearray()
        self.refused: StorageError | None = None
        self._file = file
        self._limit = limit

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        """Keep the output, and the end of the words. Called by asyncio, always with bytes."""
        chunk = cast(bytes, data)
        if fd == 2:
            self.words += chunk
            del self.words[:-_WORDS_KEPT]
            return
        self.written += len(chunk)
        if self.stopped.done():
            return
        try:
            if self.written > self._limit:
                self.stopped.set_result(None)
            else:
                self._file.write(chunk)
        except StorageError as error:
            self.refused = error
            self.stopped.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end. Called by asyncio."""
        if not self.ended.done():
            self.ended.set_result(None)
