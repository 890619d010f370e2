"""Runs the action's own shell steps, in order, in the environment that a runner gives them.

Steps that use other actions are passed over; what they would put out is given by the test.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS: dict[str, dict[str, Any]] = {step["id"]: step for step in ACTION["runs"]["steps"]}

_EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")
_COMPARISON = re.compile(r"([\w.-]+)\s*(==|!=)\s*'([^']*)'")


@dataclass
class Ran:
    """How a step ended, and what stands in the log."""

    code: int
    log: str


@dataclass
class Runner:
    """A machine that a job runs on: a checkout, and the places that a runner names."""

    workspace: Path
    temp: Path
    event: str = "push"
    base: str = ""
    given: dict[str, dict[str, str]] = field(default_factory=dict)
    """What steps that use other actions put out, by step and name."""
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The page of the run."""
        path = self.temp / "summary.md"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def run(self, **inputs: str) -> dict[str, Ran]:
        """Run the action with these inputs (`_` for `-`); the steps that ran. A failure ends it."""
        self.outputs = {name: dict(values) for name, values in self.given.items()}
        wanted = {name: str(spec.get("default", "")) for name, spec in ACTION["inputs"].items()}
        wanted["base"] = self.base
        wanted |= {name.replace("_", "-"): value for name, value in inputs.items()}
        (self.temp / "summary.md").write_text("", encoding="utf-8")
        ran: dict[str, Ran] = {}
        for name, step in STEPS.items():
            if "run" in step and self._applies(step.get("if"), wanted):
                ran[name] = self._step(name, step, wanted)
                if ran[name].code:
                    break
        return ran

    def _value(self, name: str, inputs: Mapping[str, str]) -> str:
        match name.split("."):
            case ["inputs", input]:
                return inputs[input]
            case ["steps", step, "outputs", output]:
                assert step in STEPS, name
                return self.outputs.get(step, {}).get(output, "")
            case ["github", "event_name"]:
                return self.event
        raise AssertionError(f"a shell step needs {name}")

    def _applies(self, condition: str | None, inputs: Mapping[str, str]) -> bool:
        if condition is None:
            return True
        for part in condition.split("&&"):
            match = _COMPARISON.fullmatch(part.strip())
            assert match, condition
            if (self._value(match[1], inputs) == match[3]) != (match[2] == "=="):
                return False
        return True

    def _step(self, name: str, step: Mapping[str, Any], inputs: Mapping[str, str]) -> Ran:
        assert step["shell"] == "bash"
        output = self.temp / f"{name}.output"
        output.write_text("", encoding="utf-8")
        environ = {
            key: _EXPRESSION.sub(lambda match: self._value(match[1], inputs), str(value))
            for key, value in step.get("env", {}).items()
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.workspace,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.temp),
                "CI": "true",
                "GITHUB_ACTIONS": "true",
                "GITHUB_ACTION_PATH": str(ROOT),
                "GITHUB_EVENT_NAME": self.event,
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(self.temp / "summary.md"),
                "GITHUB_WORKSPACE": str(self.workspace),
                "RUNNER_TEMP": str(self.temp),
                **environ,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
        )
        lines = output.read_text(encoding="utf-8").splitlines()
        self.outputs[name] = dict(line.split("=", 1) for line in lines)
        return Ran(done.returncode, done.stdout)


def with_imgbuild(temp: Path) -> None:
    """Put this checkout's imgbuild where the action installs one; an installation would need the network."""
    folder = temp / "imgbuild" / "bin"
    folder.mkdir(parents=True)
    command = folder / "imgbuild"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m imgbuild "$@"\n', encoding="utf-8")
    command.chmod(0o755)
