"""libvips, set up for untrusted files and for bytes that do not depend on the machine.

Every module of this package takes `pyvips` from here, so nothing runs before these settings.
"""

from __future__ import annotations

import ctypes
import logging
import os
from contextlib import suppress

from imgbuild.core.errors import ImgbuildError

try:
    import pyvips
except OSError as error:
    # It tries again in another way, so that the first reason is lost: often the limit of open files.
    raise ImgbuildError(
        f"cannot load libvips: {str(error).partition('.  ')[0]}",
        remedy="check the limit of open files (ulimit -n), and that pyvips-binary is installed",
    ) from error

_LOADERS = (
    "VipsForeignLoadPng",
    "VipsForeignLoadJpeg",
    "VipsForeignLoadWebp",
    "VipsForeignLoadHeif",
    "VipsForeignLoadNsgif",
    "VipsForeignLoadSvgBuffer",
)
"""What may be read. SVG only from memory: our own drawings, never somebody's file."""

_M_ARENA_MAX = -8
"""From glibc's <malloc.h>: how many heaps threads may have among them."""


def _configure() -> None:
    pyvips.operation_block_set("VipsForeignLoad", True)
    for loader in _LOADERS:
        pyvips.operation_block_set(loader, False)
    # The AVIF encoder cuts a picture into as many tiles as there are threads, so the count decides the bytes.
    # One thread a picture is also the fastest way to make many: callers run pictures side by side.
    pyvips.concurrency_set(1)
    # The operation cache goes by file name, and would give the old pixels for a file that was replaced.
    pyvips.cache_set_max(0)
    # glibc allows eight heaps a core, and each keeps what the largest picture of its threads took. Other
    # libraries know nothing of it.
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, os.cpu_count() or 1)
    # Without a handler, Python prints the decoders' warnings on stderr.
    logging.getLogger("pyvips").addHandler(logging.NullHandler())


_configure()


def version() -> str:
    """The version of libvips, e.g. "8.18.7"."""
    return ".".join(str(pyvips.version(part)) for part in range(3))


def explain(error: pyvips.Error) -> str:
    """The first line of what libvips says, without control characters: it may quote the file."""
    lines = [line for line in error.detail.splitlines() if line.strip()]
    text = lines[0] if lines else error.message
    return "".join(char if char.isprintable() else "?" for char in text)[:200]


def system_error(error: pyvips.Error) -> str | None:
    """What the system refused, in its own words, when libvips failed for that (its vips_error_system)."""
    found = (line.partition("system error: ") for line in error.detail.splitlines())
    return next((words for before, sign, words in found if sign and not before), None)


__all__ = ["explain", "pyvips", "system_error", "version"]
