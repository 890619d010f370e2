"""Command lines taken apart: the verb, the options that all verbs share, and a verb's own."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from imgbuild.core.errors import UsageError
from imgbuild.core.suggest import did_you_mean

if TYPE_CHECKING:
    from imgbuild.core.image import Image

FORMATS = ("text", "json", "github")
_VALUED = {"-C": "directory", "-f": "file", "--profile": "profile", "--output-format": "format"}
_FLAGS = ("-q", "--quiet", "-v", "--verbose", "--no-color")
_CHOICE = re.compile(r"argument (\S+): invalid choice: '?(.*?)'? \(choose from (.*)\)")


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are `UsageError`s, on one line."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        choice = _CHOICE.fullmatch(message)
        if choice:
            allowed = choice[3].replace("'", "")
            raise UsageError(f'{choice[1]} cannot be "{choice[2]}"', remedy=f"allowed: {allowed}")
        raise UsageError(message.removeprefix("argument "), remedy=f"see {self.prog} --help")

    def read(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse options and targets in any order.

        Raises:
            UsageError: with the nearest option for one that does not exist.
        """
        args, unknown = self.parse_known_intermixed_args(argv)
        for word in unknown:
            if word.startswith("-") and word != "-":
                name = word.partition("=")[0]
                near = did_you_mean(name, self._option_string_actions)
                raise UsageError(f"unknown option {name}", remedy=near or f"see {self.prog} --help")
            raise UsageError(f'unexpected argument "{word}"', remedy=f"see {self.prog} --help")
        return args


@dataclass(frozen=True, slots=True)
class Glance:
    """What can be told of a command line before it is understood: enough to report its errors properly."""

    verb: str
    format: str
    verbosity: int
    colour: bool


def glance(argv: Sequence[str]) -> Glance:
    """Look at a command line without complaining about anything."""
    verb, format, previous = "", "text", ""
    for word in argv:
        name, separator, value = word.partition("=")
        if previous == "--output-format":
            format = word
        elif name == "--output-format" and separator:
            format = value
        elif not verb and not word.startswith("-") and previous not in _VALUED:
            verb = word
        previous = word
    verbosity = any(w in argv for w in ("-v", "--verbose")) - any(w in argv for w in ("-q", "--quiet"))
    return Glance(verb, format if format in FORMATS else "text", verbosity, "--no-color" not in argv)


def split(argv: Sequence[str], verbs: Collection[str]) -> tuple[str, list[str]]:
    """The verb, and everything else in its order.

    Raises:
        UsageError: an unknown verb or option, with the nearest one.
    """
    position = 0
    while position < len(argv):
        word = argv[position]
        if not word.startswith("-"):
            if word in verbs:
                return word, [*argv[:position], *argv[position + 1 :]]
            near = did_you_mean(word, verbs)
            raise UsageError(f'unknown command "{word}"', remedy=near or "imgbuild --help lists them")
        name = word.partition("=")[0]
        if name not in _VALUED and name not in _FLAGS and not word.startswith(("-C", "-f")):
            near = did_you_mean(name, (*_VALUED, *_FLAGS))
            raise UsageError(
                f"unknown option {name} before the command",
                remedy=near or "a command's own options follow it",
            )
        position += 2 if word in _VALUED else 1
    raise UsageError("a command is missing", remedy="imgbuild --help lists them")


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that every verb has."""
    common = parser.add_argument_group("common options")
    common.add_argument("-C", dest="directory", metavar="DIR", help="work in this folder")
    common.add_argument("-f", dest="file", metavar="FILE", help="the manifest (imgbuild.yaml)")
    common.add_argument("--profile", metavar="P", help="a profile of the manifest, with its own lock")
    common.add_argument("--output-format", choices=FORMATS, default="text", help="how to print (text)")
    common.add_argument("-q", "--quiet", action="store_true", help="say less")
    common.add_argument("-v", "--verbose", action="store_true", help="say more")
    common.add_argument("--no-color", action="store_true", help="no colours")


def add_targets(parser: argparse.ArgumentParser) -> None:
    """Add any number of targets."""
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        help="an id, a name, a glob over ids, tag:x, or an output's path",
    )


def one_image(target: str, images: Sequence[Image]) -> Image:
    """The only image that a target means.

    Raises:
        UsageError: it means several, or none.
    """
    from imgbuild.core.targets import select

    found = select([target], images)
    if len(found) > 1:
        several = ", ".join(image.id for image in found[:4])
        raise UsageError(f'"{target}" means {len(found)} images: {several} ...', remedy="name one")
    return found[0]


def positive(text: str) -> int:
    """A whole number of at least 1."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number of at least 1')
    return number


def port(text: str) -> int:
    """The number of a port; 0 stands for any free one."""
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f'"{text}" is not a port from 0 to 65535')
    return number


def fleet(text: str) -> str:
    """The address of a Dask scheduler; empty for none."""
    from imgbuild.core.fleet_address import fleet_address

    if text == "none":
        return ""
    try:
        return fleet_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'"{text}" {error}') from None


def amount(text: str) -> float:
    """An amount of money: a number that is not negative."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise argparse.ArgumentTypeError(f'"{text}" is not an amount such as 2.50')
    return number
