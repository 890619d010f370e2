"""`imgbuild providers`: the configured services, which of them may have your key, which programs may run."""

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
    program: str | None
    """What a provider runs on this machine, as the user's word for it is bound."""
    local: bool
    variables: Mapping[str, bool]
    """The variables that it names, and whether each has a value."""
    trusted: bool
    models: Mapping[str, str]
    """What each documented model can be asked for, in words, with the built-in estimate."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument(
        "--trust",
        metavar="NAME",
        help="let this provider's key go to the address, or let the program run, that the manifest names",
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
        display.show(*_trust(args.trust, listed))
        return 0
    for number, one in enumerate(listed.values()):
        value = {**asdict(one), "variables": dict(one.variables), "models": dict(one.models)}
        display.show(DataEvent("provider", value), [()] * bool(number) + _lines(one))
    if not listed:
        display.note([line("no provider is configured: every image is a placeholder card")])
    return 0


def _listed(invocation: Invocation, project: Project, types: Mapping[str, ProviderType]) -> dict[str, Listed]:
    from imgbuild.providers.base import ProgramType
    from imgbuild.run.trust import is_program_trusted, is_trusted
    from imgbuild.run.variables import fill_in, read_variables

    values = read_variables(invocation.root, invocation.environ)
    listed: dict[str, Listed] = {}
    for name, config in project.providers.items():
        kind = types[name]
        variables = _variables(config, values)
        address = kind.default_base_url
        if config.base_url is not None:
            known = all(_variables_of(config.base_url, values).values())
            address = fill_in(config.base_url, values, name) if known else None
        program = kind.program if isinstance(kind, ProgramType) else None
        if program is not None:
            trusted = is_program_trusted(name, program, invocation.environ)
        else:
            trusted = kind.local or (
                address is not None and is_trusted(name, address, kind.default_base_url, invocation.environ)
            )
        listed[name] = Listed(
            name, config.type, address, program, kind.local, variables, trusted, _models(kind)
        )
    return listed


def _trust(name: str, listed: Mapping[str, Listed]) -> tuple[DataEvent, list[Line]]:
    """Remember the user's word, and say for what."""
    from imgbuild.run.trust import trust, trust_program

    one = listed.get(name)
    if one is None:
        near = did_you_mean(name, listed)
        raise UsageError(f'no provider is called "{name}"', remedy=near or "imgbuild providers lists them")
    if one.program is not None:
        trust_program(name, one.program)
        words = line(f"{name} may now run ", Span(one.program, "bold"))
        return DataEvent("trust", {"name": name, "program": one.program}), [words]
    if one.address is None:
        missing = [variable for variable, is_set in one.variables.items() if not is_set]
        remedy = f"set {', '.join(missing)}" if missing else "it runs on this machine"
        raise UsageError(f'provider "{name}" has no address to trust', remedy=remedy)
    origin = trust(name, one.address)
    words = line(f"the key of {name} may now be sent to ", Span(origin, "bold"))
    return DataEvent("trust", {"name": name, "origin": origin}), [words]


def _models(kind: ProviderType) -> dict[str, str]:
    """Every documented model and what it offers; for a type without models, what the type itself does."""
    from imgbuild.core.plan.capabilities import Capabilities
    from imgbuild.ui.capability_words import capability_words, price_words

    offered = {model or "any model": kind.capabilities(model) for model in kind.known_models() or (None,)}
    return {
        model: "; ".join(filter(None, (capability_words(known), price_words(known.prices))))
        for model, known in offered.items()
        if isinstance(known, Capabilities)
    }


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
    if one.program is not None:
        facts.append(("command", Span(one.program)))
    if one.program is not None or (not one.local and one.address):
        no = f"no: imgbuild providers --trust {one.name}"
        facts.append(("trusted", Span("yes", "green") if one.trusted else Span(no, "red")))
    facts += [(model, Span(words, "dim")) for model, words in one.models.items()]
    width = max(len(name) for name, _ in facts) + 2
    return [
        line(Span(one.name, "bold")),
        *(line("  ", Span(name.ljust(width), "dim"), value) for name, value in facts),
    ]
