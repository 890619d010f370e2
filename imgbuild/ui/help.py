"""The page that `imgbuild --help` prints."""

from __future__ import annotations

from collections.abc import Mapping

_HEAD = """\
imgbuild {version}: a build tool for generated images

Declare images in imgbuild.yaml; build generates what is missing, and never pays twice.

Usage: imgbuild COMMAND [OPTION...] [TARGET...]
"""
_TAIL = """
Options, before or after the command:
  -C DIR                 work in this folder
  -f FILE                the manifest (imgbuild.yaml)
  --profile P            a profile of the manifest, with its own lock
  --output-format F      text, json (one event a line) or github (annotations)
  -q, -v                 say less, say more
  --no-color             as NO_COLOR=1
  -V, --version          print the version

A TARGET is an id, a name, a glob over ids ("icon*"), tag:x, or an output's path.
imgbuild COMMAND --help tells more about a command.
"""


def overview(version: str, groups: Mapping[str, Mapping[str, str]]) -> str:
    """Every command with its one line, by group."""
    width = max(len(name) for commands in groups.values() for name in commands) + 2
    blocks = [_HEAD.format(version=version)]
    for title, commands in groups.items():
        rows = "".join(f"  {name.ljust(width)}{help}\n" for name, help in commands.items())
        blocks.append(f"\n{title}:\n{rows}")
    return "".join([*blocks, _TAIL])
