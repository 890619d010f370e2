"""`${NAME}` in a manifest: what variables there are, and texts with them filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from dotenv import dotenv_values

from imgbuild.core.errors import UsageError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_SECRET = re.compile(r"(?i)key|token|secret|passw|credential|auth")
_LEAST = 6
"""Characters of a secret: what is shorter stands in any text."""


def read_variables(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """What `${NAME}` may mean: the `.env` beside the manifest, and the process's environment over it.

    Raises:
        UsageError: the file is no text.
    """
    path = root / ".env"
    try:
        known = dotenv_values(path, interpolate=False) if path.is_file() and not path.is_symlink() else {}
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start})", remedy="save it so") from None
    return {**{name: value for name, value in known.items() if value is not None}, **environ}


def known_secrets(manifest: Path, environ: Mapping[str, str]) -> list[str]:
    """Values that may be keys: those of `.env`, and those called so or named by the manifest.

    It raises nothing: it is asked when something has gone wrong already.
    """
    kept: Mapping[str, str] = {}
    text = ""
    with suppress(UsageError, OSError):
        kept = read_variables(manifest.parent, {})
    with suppress(OSError):
        text = manifest.read_text(encoding="utf-8", errors="replace")
    named = {match.group(1) for match in _VARIABLE.finditer(text)}
    found = [value for name, value in environ.items() if name in named or _SECRET.search(name)]
    return [value for value in (*kept.values(), *found) if len(value) >= _LEAST]


def fill_in(text: str, variables: Mapping[str, str], where: str) -> str:
    """A provider's text with `${NAME}` and `${NAME:-default}` replaced.

    Raises:
        UsageError: a variable is not set and has no default.
    """

    def value(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        found = variables.get(name) or default
        if found is None:
            raise UsageError(
                f"{where} needs the variable {name}, which is not set",
                remedy=f"export {name}=..., or put {name}=... into .env beside the manifest",
            )
        return found

    return _VARIABLE.sub(value, text)
