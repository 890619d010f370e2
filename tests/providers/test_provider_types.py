"""Provider types are found by name, cost nothing to look at, and may come from other packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from imgbuild.core.errors import UsageError
from imgbuild.providers.registry import known_types, provider_type


@pytest.mark.parametrize("name", known_types())
def test_every_known_type_describes_itself(name: str) -> None:
    found = provider_type(name)
    assert found is not None
    assert found.name == name
    assert (found.engine is not None) == found.local


def test_an_unknown_type_is_none() -> None:
    assert provider_type("no-such-type") is None


def test_looking_at_types_imports_no_http_client() -> None:
    program = (
        "import sys; from imgbuild.providers.registry import known_types, provider_type\n"
        "for name in known_types(): t = provider_type(name); t.capabilities(None); t.known_models()\n"
        "assert not {'httpx', 'httpcore', 'ssl', 'pyvips'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def install(folder: Path, module: str, entry: str) -> None:
    (folder / "third_party.py").write_text(module)
    info = folder / "third_party-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[imgbuild.providers]\n{entry}\n")


def test_another_package_adds_a_type_but_replaces_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(
        tmp_path,
        "class Mine:\n    name = 'mine'\nbroken = 1 / 0 if False else None\n",
        "mine = third_party:Mine\nuniall = third_party:Mine\nbad = third_party:Missing",
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert {"mine", "uniall", "placeholder", "bad"} <= set(known_types())
    mine = provider_type("mine")
    assert mine is not None
    assert mine.name == "mine"
    assert not isinstance(mine, type)
    uniall = provider_type("uniall")
    assert uniall is not None
    assert uniall.name == "uniall"
    with pytest.raises(UsageError, match="Missing"):
        provider_type("bad")
