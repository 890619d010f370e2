"""Nothing is left out of the reference: commands, options, fields, kinds of failure and faults are all there."""

from __future__ import annotations

from importlib import import_module

import pytest
from doc_pages import ROOT
from pydantic import BaseModel

from imgbuild.cli import COMMANDS
from imgbuild.commands.arguments import Parser, add_common
from imgbuild.core.errors import FailureKind
from imgbuild.core.manifest import model
from imgbuild.core.manifest.template_guard import _FILTERS
from imgbuild.emulator.faults import known_faults
from imgbuild.providers.registry import known_types
from imgbuild.providers.uniall_models import models

VERBS = [verb for group in COMMANDS.values() for verb in group]
MODELS = [
    value
    for value in vars(model).values()
    if isinstance(value, type) and issubclass(value, BaseModel) and value.__module__ == model.__name__
]


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("verb", VERBS)
def test_a_command_and_its_options_are_described(verb: str) -> None:
    parser = Parser(verb, "")
    import_module(f"imgbuild.commands.{verb}").configure(parser)
    add_common(parser)
    text = page("cli.md")
    assert f"`imgbuild {verb}" in text
    assert f"`{verb}`" in (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [word for word in parser._option_string_actions if f"`{word}" not in text]
    assert missing == []


@pytest.mark.parametrize("described", MODELS, ids=lambda described: described.__name__)
def test_a_field_of_the_manifest_is_described(described: type[BaseModel]) -> None:
    names = [field.alias or name for name, field in described.model_fields.items()]
    assert [name for name in names if f"`{name}`" not in page("manifest.md")] == []


def test_filters_are_listed() -> None:
    text = page("manifest.md")
    assert [name for name in _FILTERS if f"`{name}`" not in text] == []


def test_kinds_of_failure_and_models_are_listed() -> None:
    text = page("providers.md")
    assert [kind for kind in FailureKind if f"`{kind.value}`" not in text] == []
    assert [name for name in models() if f"`{name}`" not in text] == []


def test_types_of_provider_have_a_section_each() -> None:
    text = page("providers.md")
    assert [name for name in known_types() if f"\n## {name}\n" not in text] == []


def test_faults_are_listed() -> None:
    assert [name for name in known_faults() if f"`{name}`" not in page("emulator.md")] == []
