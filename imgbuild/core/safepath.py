"""A manifest's path text: a normalised POSIX path inside the project, or the reason why not."""

from __future__ import annotations

import re
import unicodedata

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ue000-\ue03f<>:"|?*]')
_DRIVE = re.compile(r"[A-Za-z]:")
# Windows gives these names to devices, with any extension.
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)
_LOCK = re.compile(r"imgbuild(\..*)?\.lock", re.IGNORECASE)
# Where programs keep keys.
_SECRETS = frozenset(
    {
        ".env",
        ".envrc",
        ".netrc",
        "_netrc",
        ".npmrc",
        ".pypirc",
        ".git-credentials",
        ".ssh",
        ".aws",
        ".gnupg",
        ".kube",
        ".docker",
    }
)
_MAX_PART = 255
_MAX_PATH = 1024


class UnsafePath(ValueError):
    """The text is no path that may be used; the message is the reason, to stand after the path."""


def collision_key(path: str) -> str:
    """Equal for two paths that a case- or Unicode-insensitive file system takes for one."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def join_path(folder: str, text: str) -> str:
    """`text` relative to `folder`, normalised, without leaving the project. Raises UnsafePath."""
    parts = [p for p in folder.split("/") if p]
    for part in text.split("/"):
        if part == "..":
            if not parts:
                raise UnsafePath("leads out of the project")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def safe_path(text: str, folder: str = "") -> str:
    """The project-relative POSIX path that `text`, written in a file in `folder`, names.

    Raises UnsafePath for anything that leaves the project, that not every operating system can store
    as written, or that belongs to Git, to imgbuild or to the environment (`.env` holds keys, and
    inputs are uploaded).
    """
    if not text.strip():
        raise UnsafePath("is empty")
    if text.startswith("/"):
        raise UnsafePath("is absolute; paths are relative to the manifest")
    if "\\" in text:
        raise UnsafePath("has a backslash; write /")
    if _DRIVE.match(text):
        raise UnsafePath("has a drive letter; paths are relative to the manifest")
    bad = _FORBIDDEN.search(text)
    if bad:
        raise UnsafePath(f"has the character {bad[0]!a}, which not every system can store")
    if text.endswith("/") or text.rsplit("/", 1)[-1] in (".", ".."):
        raise UnsafePath("is a folder, not a file")
    path = join_path(folder, text)
    if len(path) > _MAX_PATH:
        raise UnsafePath(f"is longer than {_MAX_PATH} characters")
    for part in path.split("/"):
        _check_part(part)
    return path


def _check_part(part: str) -> None:
    if part.endswith((".", " ")) or part.startswith(" "):
        raise UnsafePath("has a name that begins with a space or ends with a dot or a space")
    if len(part) * 4 > _MAX_PART and len(part.encode()) > _MAX_PART:
        raise UnsafePath(f"has a name longer than {_MAX_PART} bytes")
    if _RESERVED.fullmatch(part):
        raise UnsafePath(f'has the name "{part}", which Windows reserves')
    reason = _private(part)
    if reason:
        raise UnsafePath(reason)


def private_reason(path: str) -> str | None:
    """Why a path that exists may not be used, wherever a link to it lies: whose it is. None: it may."""
    return next(filter(None, map(_private, path.split("/"))), None)


def _private(part: str) -> str | None:
    key = collision_key(part) if part.isascii() else _visible(part)
    if key == ".git" or re.fullmatch(r"git~[0-9]+", key):
        return "is inside .git"
    if key == ".imgbuild":
        return "is inside .imgbuild, which can be thrown away at any time"
    # What GitHub's Google login leaves in the checkout.
    if key in _SECRETS or key.startswith((".env.", "gha-creds-")):
        return "is a file of secrets"
    return None


def _visible(part: str) -> str:
    """Folded, without the characters that HFS+ ignores in names: `.g\u200cit` is `.git` there."""
    shown = "".join(c for c in part if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFKC", shown).casefold()


def output_reason(path: str, manifest_paths: frozenset[str]) -> str | None:
    """Why the normalised `path` may not be written, or None.

    `manifest_paths` are the collision keys of the manifest and of the files that it includes.
    """
    if collision_key(path) in manifest_paths:
        return "would overwrite the manifest"
    if _LOCK.fullmatch(path.rsplit("/", 1)[-1]):
        return "would overwrite a lock file"
    return None
