"""What people note on images, as text: `imgbuild.notes.json` beside the manifest, for git to show.

Nothing that is generated depends on it. It is no part of the manifest, which only people write, and none of
the lock, which only says what was accepted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from imgbuild.core.errors import UsageError

FILE = "imgbuild.notes.json"
MAX_NOTE = 2_000
"""Characters of one note."""
_VERSION = 1


def parse_notes(text: str | None) -> dict[str, str]:
    """The notes by image id; none where there is no file.

    Raises:
        UsageError: the file is something else.
    """
    if text is None:
        return {}
    remedy = "mend it, or restore it from git"
    try:
        data = json.loads(text)
    except (RecursionError, ValueError):
        raise UsageError(f"{FILE} is not valid JSON", remedy=remedy) from None
    notes = data.get("notes") if isinstance(data, dict) and data.get("version") == _VERSION else None
    if not isinstance(notes, dict) or not all(isinstance(note, str) for note in notes.values()):
        raise UsageError(f"{FILE} has not the members version (1) and notes (texts by id)", remedy=remedy)
    return notes


def render_notes(notes: Mapping[str, str]) -> str:
    """The file's text, in the lock's manner: sorted, each note on a line of its own."""
    members = {"notes": dict(notes), "version": _VERSION}
    return json.dumps(members, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def noted(text: str | None, id: str, note: str) -> str:
    """The file's text with another note on an image; an empty one takes it away.

    Raises:
        UsageError: the note is too long, or the file is something else.
    """
    if len(note) > MAX_NOTE:
        raise UsageError(f"a note has at most {MAX_NOTE} characters")
    notes = parse_notes(text)
    notes.pop(id, None)
    if note.strip():
        notes[id] = note.strip()
    return render_notes(notes)
