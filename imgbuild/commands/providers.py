"""`imgbuild providers`: the configured services, and which of them may have your key."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from imgbuild.commands.context import Context
from imgbuild.core.errors import UsageError
from imgbuild.core.events import DataEvent
from imgbuild.core.suggest import did_you_mean
from imgbuild.ui.spans import Line, Span, line

if TYPE_CHECKING:
    from imgbuild.core.manifest.model import ProviderConfig
    from imgbuild.core.manifest.project import Project
    from imgbuild.providers.base import ProviderType
    from imgbuild.run.workspace import Invocation

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\}")


@dataclass(frozen=True, slots=True)
class Listed:
    """One provider as it is configured here."""

    name: str
    type: str
    address: str | None
    """None where it has none, or where a variable in it is not set."""
    local: bool
    variables: Mapping[str, bool]
    """The variables that it names, and whether each has a value."""
    trusted: bool
    models: tuple[str, ...]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument(
        "--trust", metavar="NAME", help="let this provider's key go to the address that the manifest names"
    )


def run(args: argparse.Namespace, context: Context) -> int:
    """List, or trust; returns the exit code.

    Raises:
        ImgbuildError: the manifest is wrong, or there is no such provider.
    """
    invocation = context.invocation()
    from imgbuild.run.workspace import load

    loaded = load(invocation)
    listed = _listed(invocation, loaded.project, loaded.types)
    display = context.display
    if args.trust is not None:
        origin = _trust(args.trust, listed)
        words = line(f"the key of {args.trust} may now be sent to ", Span(origin, "bold"))
        display.show(DataEvent("trust", {"name": args.trust, "origin": origin}), [words])
        return 0
    for number, one in enumerate(listed.values()):
        value = {**asdict(one), "variables": dict(one.variables), "models": list(one.models)}
        display.show(DataEvent("provider", value), [()] * bool(number) + _lines(one))
    if not listed:
        display.note([line("no provider is configured: every image is a placeholder card")])
    return 0


def _listed(invocation: Invocation, project: Project, types: Mapping[str, ProviderType]) -> dict[str, Listed]:
    from imgbuild.run.connections import fill_in, read_variables
    from imgbuild.run.trust import is_trusted

    values = read_variables(invocation.root, invocation.environ)
    listed: dict[str, Listed] = {}
    for name, config in project.providers.items():
        kind = types[name]
        variables = _variables(config, values)
        address = kind.default_base_url
        if config.base_url is not None:
            known = all(_variables_of(config.base_url, values).values())
            address = fill_in(config.base_url, values, name) if known else None
        trusted = kind.local or (
            address is not None and is_trusted(name, address, kind.default_base_url, invocation.environ)
        )
        listed[name] = Listed(name, config.type, address, kind.local, variables, trusted, kind.known_models())
    return listed


def _trust(name: str, listed: Mapping[str, Listed]) -> str:
    from imgbuild.run.trust import trust

    one = listed.get(name)
    if one is None:
        near = did_you_mean(name, listed)
        raise UsageError(f'no provider is called "{name}"', remedy=near or "imgbuild providers lists them")
    if one.address is None:
        missing = [variable for variable, is_set in one.variables.items() if not is_set]
        remedy = f"set {', '.join(missing)}" if missing else "it runs on this machine"
        raise UsageError(f'provider "{name}" has no address to trust', remedy=remedy)
    return trust(name, one.address)


def _variables(config: ProviderConfig, values: Mapping[str, str]) -> dict[str, bool]:
    return {**_variables_of(config.base_url or "", values), **_variables_of(config.api_key or "", values)}


def _variables_of(text: str, values: Mapping[str, str]) -> dict[str, bool]:
    return {name: bool(default or values.get(name)) for name, default in _VARIABLE.findall(text)}


def _lines(one: Listed) -> list[Line]:
    facts: list[tuple[str, Span]] = [("type", Span(one.type))]
    if one.address:
        facts.append(("address", Span(one.address)))
    facts += [
        (variable, Span("set", "green") if is_set else Span("not set", "red"))
        for variable, is_set in one.variables.items()
    ]
    if not one.local and one.address:
        no = f"no: imgbuild providers --trust {one.name}"
        facts.append(("trusted", Span("yes", "green") if one.trusted else Span(no, "red")))
    if one.models:
        facts.append(("models", Span(", ".join(one.models))))
    width = max(len(name) for name, _ in facts) + 2
    return [
        line(Span(one.name, "bold")),
        *(line("  ", Span(name.ljust(width), "dim"), value) for name, value in facts),
    ]
