"""The project's signer: its key is read when something has to be signed, and not before."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from imgbuild.core.credentials import Signing
from imgbuild.core.derivation import Recipe
from imgbuild.core.errors import ImgbuildError, UsageError
from imgbuild.core.events import ActionKind
from imgbuild.core.plan.action import Action
from imgbuild.core.plan.outputs import to_be_signed
from imgbuild.run.variables import fill_in, read_variables
from imgbuild.run.workspace import Workspace

if TYPE_CHECKING:
    from imgbuild.images.sign import Signatory

_MAX_KEY = 1 << 16
_WHERE = "c2pa.key"
_KINDS = (ActionKind.GENERATE, ActionKind.DERIVE, ActionKind.RESTORE)


class Signer:
    """Signs the derived files of a project whose recipes want it."""

    def __init__(self, workspace: Workspace) -> None:
        self._signing = workspace.project.signing
        self._root = workspace.invocation.root
        self._environ = workspace.invocation.environ
        self._opening = threading.Lock()
        self._signatory: Signatory | None = None

    def expect(self, actions: Iterable[Action]) -> None:
        """See that everything these actions have to sign can be signed, before any of it is paid for.

        Raises:
            UsageError: the extra is not installed, or key and certificate cannot sign.
        """
        for action in actions:
            if action.kind not in _KINDS or action.blocked or action.resolved is None:
                continue
            if any(to_be_signed(action.resolved, output) for output in action.outputs):
                self._ready()
                return

    def sign(self, file: Path, recipe: Recipe) -> None:
        """Sign a file that was just derived, in its place, if its recipe wants it.

        Raises:
            ImgbuildError: it cannot be signed.
        """
        if recipe.signed is None:
            return
        from imgbuild.images.sign import sign

        sign(file, recipe.format, self._ready(), recipe.embedded)

    def _ready(self) -> Signatory:
        with self._opening:
            if self._signatory is None:
                self._signatory = self._open(self._signing)
            return self._signatory

    def _open(self, signing: Signing | None) -> Signatory:
        if signing is None:
            raise ImgbuildError("the manifest says nothing of signing any more", remedy="build again")
        from imgbuild.images.sign import signatory

        key = _read_key(signing.key, self._root, self._environ)
        try:
            return signatory(signing.certificate, key)
        except UsageError as error:
            raise UsageError(f"c2pa ({signing.path}): {error.message}", remedy=error.remedy) from None


def _read_key(variable: str, root: Path, environ: Mapping[str, str]) -> bytes:
    """The private key's PEM: what the variable holds, or the file outside the project that it names.

    What the variable holds is in no message: it may be a key that somebody has cut short.
    """
    value = fill_in(variable, read_variables(root, environ), _WHERE).strip()
    if "-----BEGIN" in value:
        return value.encode()
    path = root / Path(value).expanduser()
    try:
        if path.resolve().is_relative_to(root.resolve()):
            raise UsageError(
                f"{_WHERE}: {variable} names a file inside the project, where keys get shared by accident",
                remedy="keep the key in a folder of its own",
            )
        with path.open("rb") as file:
            return file.read(_MAX_KEY)
    except (OSError, ValueError, RuntimeError):
        raise UsageError(
            f"{_WHERE}: {variable} holds neither a PEM text nor the path of a file that can be read",
            remedy="put the private key into the variable, or the path of its file",
        ) from None
