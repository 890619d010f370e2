"""A bug in imgbuild: the traceback goes into a log file, and people are told where it lies."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import platformdirs

from imgbuild import __version__
from imgbuild.core.errors import ImgbuildError
from imgbuild.core.redact import without_secrets


class Bug(ImgbuildError):
    """Something that imgbuild did not expect."""

    exit_code = 5


def record(error: BaseException, secrets: Iterable[str]) -> Bug:
    """Write the traceback, without local variables or any of the secrets, to a new log file."""
    trace = "".join(traceback.format_exception(error))
    text = without_secrets(f"imgbuild {__version__}\n{trace}", secrets)
    name = type(error).__name__
    for find in (partial(platformdirs.user_log_path, "imgbuild"), tempfile.gettempdir):
        try:
            folder = Path(find())
            folder.mkdir(parents=True, exist_ok=True)
            handle, path = tempfile.mkstemp(".log", "crash-", folder, text=True)
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError:
            continue
        return Bug(f"a bug in imgbuild ({name})", remedy=f"report it with the traceback in {path}")
    return Bug(f"a bug in imgbuild ({name}), and its traceback could not be written anywhere")
