"""What imgbuild stands on: the oldest versions that it says will do, and what is known against the newest."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
EXTRAS = ("emulate", "remote", "ui")
"""What a user installs: tools for development may be of any age."""
TOOLS = ("hypothesis", "jsonschema", "pytest", "pytest-timeout")
AREAS = ("tests/core", "tests/cli", "tests/build")
WORDED = "tests/cli/test_schemas.py::test_schema_prints_exactly_the_committed_file[manifest]"
"""The same schema is worded otherwise by every pydantic; the committed file is today's."""


def lower_bounds() -> list[str]:
    """Each dependency at exactly the version that pyproject.toml begins with, as pip's constraints."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = (line for name in EXTRAS for line in project["optional-dependencies"][name])
    found = {line.replace(">=", "==") for line in (*project["dependencies"], *extras)}
    loose = [line for line in found if line.count("==") != 1]
    if loose:
        raise ValueError(f"no lower bound can be read from {sorted(loose)}")
    return sorted(found)


def lowest() -> int:
    """Run the tests of the core, of the command line and of builds with those versions; 0 when all pass."""
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        constraints.write_text("\n".join(lower_bounds()) + "\n", encoding="utf-8")
        pip = _environment(Path(folder, "venv"))
        _run(pip, "install", "-q", "-c", str(constraints), f"{ROOT}[{','.join(EXTRAS)}]", *TOOLS)
        command = [pip.with_name("python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", *AREAS]
        command += ["--deselect", WORDED]
        return subprocess.run(command, cwd=ROOT).returncode


def audit() -> int:
    """Ask what is known against the versions that a user gets today; 0 when nothing is, or nobody can be asked."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            pip, tool = _environment(Path(folder, "venv")), _environment(Path(folder, "tool"))
            _run(pip, "install", "-q", f"{ROOT}[{','.join(EXTRAS)}]")
            _run(tool, "install", "-q", "pip-audit")
        except subprocess.CalledProcessError:
            print("audit: not done, since the packages cannot be installed from here")
            return 0
        frozen = _run(pip, "freeze", "--exclude", "imgbuild", "--exclude", "pip", "--exclude", "setuptools")
        pinned = Path(folder, "pinned.txt")
        pinned.write_text(frozen, encoding="utf-8")
        command = [tool.with_name("pip-audit"), "--no-deps", "--disable-pip", "-f", "json", "-r", str(pinned)]
        done = subprocess.run(command, capture_output=True, text=True)
    return told(done.stdout)


def told(answer: str) -> int:
    """Say what pip-audit found, from its JSON; 1 for a known weakness."""
    try:
        packages: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    except ValueError:
        packages = []
    known = [package for package in packages if "vulns" in package]
    for package in known:
        for one in package["vulns"]:
            print(
                f"audit: {package['name']} {package['version']}: {one['id']}, mended in {one['fix_versions']}"
            )
    if not known:
        print("audit: not done, since the list of known weaknesses cannot be reached from here")
        return 0
    if len(known) < len(packages):
        print(f"audit: nothing could be learned of {[p['name'] for p in packages if p not in known]}")
    weak = [package for package in known if package["vulns"]]
    print(f"audit: {len(known)} packages looked at, {len(weak)} with known weaknesses")
    return int(bool(weak))


def _environment(folder: Path) -> Path:
    """A new virtual environment's pip."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder / "bin" / "pip"


def _run(command: Path, *words: str) -> str:
    return subprocess.run([command, *words], check=True, stdout=subprocess.PIPE, text=True).stdout
