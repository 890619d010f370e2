"""A full disk, no descriptors or memory left: the system's refusals, told from bugs wherever they come up."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from imgbuild.core.errors import ImgbuildError, StorageError
from imgbuild.store.fsio import REMEDIES, shown


def refusal(error: BaseException) -> ImgbuildError | None:
    """What to tell the user about an exception that no bug has caused; None for any other.

    Our own code says itself what it could not do. This is for what libraries raise: anywhere in them a file,
    a socket or a module may be opened.
    """
    match error:
        case ImgbuildError():
            return error
        case BaseExceptionGroup():
            found = [refusal(one) for one in error.exceptions]
            return found[0] if all(found) else None
        case MemoryError():
            return StorageError("there is no memory left", remedy=REMEDIES[errno.ENOMEM])
        case OSError() | ImportError():
            number = _number(error)
            if number is not None:
                return StorageError(f"cannot {_what(error)}: {os.strerror(number)}", remedy=REMEDIES[number])
    return None


def _number(error: OSError | ImportError) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        # The numbers of other tables, such as TLS's, come without the system's words.
        is_systems = error.errno in REMEDIES and error.strerror == os.strerror(error.errno)
        return error.errno if is_systems else None
    # The loader of libraries has nothing but words.
    return next((number for number in REMEDIES if os.strerror(number) in str(error)), None)


def _what(error: OSError | ImportError) -> str:
    if isinstance(error, ImportError):
        return f"load {error.name}" if error.name else "load a module"
    name = error.filename
    return f"use {shown(Path(os.fsdecode(name)))}" if isinstance(name, str | bytes) else "go on"
