"""The `command` type: any program that takes a request as JSON on stdin and gives an image on stdout."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from imgbuild.core.errors import FailureKind, ProviderFailure, UsageError
from imgbuild.core.image import Json
from imgbuild.core.plan.capabilities import Capabilities, ReferenceLimits, UnknownModel
from imgbuild.core.redact import clean
from imgbuild.providers.base import FileResult, Finished, Provider, ProviderSettings, Request

if TYPE_CHECKING:
    from imgbuild.providers.described import DescribedModels

PROTOCOL = 1
"""The version of the request that a program reads. A member may be added without a new one."""

EXIT_KINDS: Mapping[int, FailureKind] = {
    2: FailureKind.INVALID,
    3: FailureKind.REFUSED,
    4: FailureKind.FAILED,
    5: FailureKind.AUTH,
    6: FailureKind.CREDIT,
    7: FailureKind.RATE_LIMITED,
    75: FailureKind.TRANSIENT,
}
"""What a program says by its exit code; 75 is EX_TEMPFAIL of sysexits.h. Any other is a crash."""

_ALWAYS_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)


def words_of_command(command: Json) -> tuple[str, ...]:
    """A command's words: a string is split as a shell splits it, and no shell ever sees it.

    Raises:
        ValueError: no words, or none that a program could be started with.
    """
    if isinstance(command, str):
        try:
            words: Sequence[Json] = [*shlex.split(command)]
        except ValueError as error:
            raise ValueError(f"command: {error}") from None
    else:
        words = command if isinstance(command, list) else []
    texts = tuple(word for word in words if isinstance(word, str))
    if not texts or not texts[0] or len(texts) < len(words):
        raise ValueError('command: needs a program and its arguments, e.g. ["python", "draw.py"]')
    if any("\0" in word for word in texts):
        raise ValueError("command: no argument can contain a NUL character")
    return texts


def request_of(request: Request, take: int) -> dict[str, Json]:
    """What the program reads, for one image. Members that the manifest does not set are left out."""
    optional: dict[str, Json] = {
        "negative_prompt": request.negative_prompt,
        "model": request.model,
        "size": [request.size.width, request.size.height] if request.size else None,
        "ratio": request.ratio,
        "resolution": request.resolution,
        "quality": request.quality,
        "background": request.background,
        "format": request.format,
        "seed": request.seed,
        "mask": str(request.mask.path.absolute()) if request.mask else None,
    }
    return {
        "version": PROTOCOL,
        "prompt": request.prompt,
        **{name: value for name, value in optional.items() if value is not None},
        "n": 1,
        "take": take,
        "params": dict(request.params),
        "references": [str(reference.path.absolute()) for reference in request.references],
    }


def failure_of(
    code: int | None, words: str, settings: ProviderSettings, secrets: Sequence[str]
) -> ProviderFailure:
    """What an end other than success means. `code` as in `subprocess`; None: the time was over.

    A program with a price that did not come to an end by itself may have paid: that is ambiguous.
    """
    crash = FailureKind.AMBIGUOUS if settings.priced else FailureKind.FAILED
    kind = crash if code is None else EXIT_KINDS.get(code, crash)
    said = clean(last_line(words), secrets)
    if code is None:
        how = f"was stopped after its time limit of {settings.timeout:g} s"
    elif code < 0:
        how = f"was ended by {_signal_name(-code)}"
    else:
        how = f"ended with exit code {code}"
    remedy = None
    if code is None:
        remedy = "raise the provider's timeout"
    elif kind is FailureKind.REFUSED:
        remedy = "change the prompt or the references"
    return ProviderFailure(
        kind, f"{settings.name}: the program {how}" + (f": {said}" if said else ""), remedy=remedy
    )


def last_line(words: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(words.splitlines()) if line.strip()), "")


class CommandType:
    """The provider type `command`: local, and free unless the manifest gives it a price."""

    name = "command"
    default_base_url: str | None = None
    needs_key = False
    local = True

    def __init__(
        self,
        argv: tuple[str, ...] = (),
        passed: tuple[str, ...] = (),
        described: DescribedModels | None = None,
    ) -> None:
        """`passed` are the variables that the program may see besides the harmless ones."""
        self.engine: str | None = _engine(argv)
        self.program = shlex.join(argv) + (f" env:[{','.join(passed)}]" if passed else "")
        self._argv = argv
        self._passed = passed
        self._described = described

    def configured(self, options: Mapping[str, Json]) -> CommandType:
        """The program of one provider's entry. Raises ValueError."""
        if "command" not in options:
            raise ValueError('type command needs `command`, e.g. ["python", "draw.py"]')
        for name in ("submit", "poll"):
            if name in options:
                raise ValueError(f"type command has no `{name}`")
        argv, passed = words_of_command(options["command"]), _passed(options.get("options"))
        if "capabilities" not in options:
            return CommandType(argv, passed)
        # Imported only where it is needed: it brings the validation of a whole grammar along.
        from imgbuild.providers.described import read_capabilities

        return CommandType(argv, passed, read_capabilities(options["capabilities"], _EVERYTHING))

    def capabilities(self, model: str | None) -> Capabilities | UnknownModel:
        """What the manifest describes; what it does not mention, and without a description all, is taken."""
        found = self._described.capabilities(model) if self._described else replace(_EVERYTHING, model=model)
        # One picture a run: what has arrived of the others would be lost with the one that fails.
        return replace(found, max_n=1) if isinstance(found, Capabilities) else found

    def known_models(self) -> tuple[str, ...]:
        """Those that the manifest describes."""
        return self._described.known() if self._described else ()

    def connect(self, settings: ProviderSettings) -> Provider:
        """Open it: the program is run for each picture. Raises UsageError for a key that nobody would get."""
        if settings.api_key is not None:
            raise UsageError(
                f"provider {settings.name}: type command has no api_key",
                remedy="name the variable under options, and the program sees it: {env: [NAME]}",
            )
        return _Command(settings, self._argv, self._passed)


class _Command:
    def __init__(self, settings: ProviderSettings, argv: tuple[str, ...], passed: tuple[str, ...]) -> None:
        self._settings = settings
        self._argv = argv
        known = settings.variables
        self._environ = {name: known[name] for name in (*_ALWAYS_PASSED, *passed) if name in known}
        self._secrets = [known[name] for name in passed if name in known and _SECRET.search(name)]

    async def submit(self, request: Request) -> Finished:
        """Run the program, once for each picture."""
        takes = range(request.first_take, request.first_take + request.n)
        return Finished(tuple([await self._run(request, take) for take in takes]))

    async def poll(self, task_id: str) -> Finished:
        """Never needed: a program is waited for."""
        raise ProviderFailure(FailureKind.INVALID, f"{self._settings.name}: programs have no tasks")

    async def download(self, url: str, to: object) -> None:
        """Never needed: a picture is already a file."""
        raise ProviderFailure(FailureKind.INVALID, f"{self._settings.name}: programs give no links")

    async def aclose(self) -> None:
        """Nothing stays open."""

    async def _run(self, request: Request, take: int) -> FileResult:
        from imgbuild.providers.program import OUTPUT_LIMIT, run_program

        path = self._settings.scratch()
        text = json.dumps(request_of(request, take)) + "\n"
        kept = False
        try:
            ended = await run_program(
                self._argv,
                text.encode(),
                path,
                folder=self._settings.root,
                environ=self._environ,
                seconds=self._settings.timeout,
            )
            if ended.too_large:
                message = f"the program wrote more than {OUTPUT_LIMIT // 2**20} MiB to stdout"
                raise self._failure(FailureKind.UNUSABLE, message)
            if ended.code != 0:
                raise failure_of(ended.code, ended.words, self._settings, self._secrets)
            if not ended.written:
                said = last_line(ended.words)
                message = "the program wrote no image to stdout" + (f": {said}" if said else "")
                raise self._failure(FailureKind.UNUSABLE, message)
            kept = True
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise self._failure(
                FailureKind.INVALID,
                f"cannot start {self._argv[0]}: {reason}",
                remedy="correct the provider's command; it is run in the manifest's folder, without a shell",
            ) from None
        finally:
            if not kept:
                path.unlink(missing_ok=True)
        return FileResult(path)

    def _failure(self, kind: FailureKind, message: str, *, remedy: str | None = None) -> ProviderFailure:
        return ProviderFailure(kind, f"{self._settings.name}: {clean(message, self._secrets)}", remedy=remedy)


_EVERYTHING = Capabilities(
    model=None,
    any_size=True,
    qualities=None,
    backgrounds=None,
    formats=None,
    seed=True,
    negative_prompt=True,
    mask=True,
    references=ReferenceLimits(max_count=1000),
)


def _engine(argv: tuple[str, ...]) -> str:
    """Part of every key: the words of the command line, however they were written down.

    Not the program's bytes: an update of the program must not throw away what it drew before.
    """
    digest = hashlib.sha256(json.dumps(argv).encode()).hexdigest()
    return f"command/{PROTOCOL} {digest[:32]}" if argv else f"command/{PROTOCOL}"


def _passed(options: Json) -> tuple[str, ...]:
    """The variables that `options: {env: [NAME, ...]}` lets through. Raises ValueError."""
    known = options if isinstance(options, dict) else {}
    for name in known:
        if name != "env":
            raise ValueError(f'options: type command has no option "{name}", only env')
    names = known.get("env", [])
    texts = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    if not isinstance(names, list) or len(texts) < len(names) or not all(map(_VARIABLE.fullmatch, texts)):
        raise ValueError("options: env is a list of variables' names, e.g. [HF_HOME]")
    return tuple(dict.fromkeys(texts))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


TYPE = CommandType()
