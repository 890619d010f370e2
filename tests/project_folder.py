"""A project in a temporary folder, built by the real command in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from canary import CANARY

STUDIO = """\
version: 1
providers:
  studio:
    type: uniall
    base_url: {url}
    api_key: ${{STUDIO_KEY}}
    poll_interval: 50ms
    pricing: {{unit: USD, per_image: {{low: 0.01, medium: 0.04}}}}
defaults: {{provider: studio, model: gpt-image-2, quality: low}}
"""

CERTIFICATES = Path(__file__).parent / "providers" / "tls" / "cert.pem"
"""Whom a test's commands trust: reading all that the machine trusts takes a fifth of a small build."""


UNHEARD = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def start(folder: Any, *words: str, **how: Any) -> subprocess.Popen[str]:
    """Start Python in a project and its environment, and do not wait for it."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [sys.executable, *words], cwd=folder.root, env=folder.environ, text=True, **{**pipes, **how}
    )


@dataclass
class Run:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def summary(self) -> dict[str, Any]:
        return self.events[-1]

    def counts(self) -> dict[str, int]:
        names = ("generated", "derived", "restored", "unchanged", "conflicts", "failed", "submitted")
        return {name: self.summary[name] for name in names if self.summary[name]}

    def actions(self) -> dict[str, dict[str, Any]]:
        return {e["id"]: e for e in self.events if e["event"] == "action" and e["action"] != "none"}


@dataclass
class ProjectFolder:
    """A folder with a manifest, and the environment that commands run in."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)
    zygote: Any = None
    """Runs commands at a tenth of the price of new processes."""

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def manifest(self, text: str) -> None:
        self.write("imgbuild.yaml", text)

    def edit(self, old: str, new: str) -> None:
        text = (self.root / "imgbuild.yaml").read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
        self.manifest(text.replace(old, new))

    def run(self, *words: str, **environ: str) -> Run:
        # What Python decides when it starts was decided when the zygote started.
        if self.zygote is not None and not any(
            name.startswith(("PYTHON", "LC_", "LANG")) for name in environ
        ):
            run: Run = self.zygote.run(self, *words, **environ)
            return run
        done = subprocess.run(
            [sys.executable, "-m", "imgbuild", *words],
            cwd=self.root,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert CANARY.decode() not in done.stdout + done.stderr
        return Run(done.returncode, done.stdout, done.stderr)

    def json(self, *words: str, code: int = 0, **environ: str) -> Run:
        run = self.run(*words, "--output-format", "json", **environ)
        assert run.code == code, f"exit {run.code}\n{run.out}\n{run.err}"
        return run

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    @property
    def lock(self) -> dict[str, Any]:
        return json.loads((self.root / "imgbuild.lock").read_text())

    def stamps(self) -> dict[str, int]:
        """When each file of the project was last written, in nanoseconds."""
        return {
            str(p.relative_to(self.root)): p.stat().st_mtime_ns
            for p in self.root.rglob("*")
            if p.is_file() and ".imgbuild" not in p.parts
        }

    def files(self) -> dict[str, bytes]:
        return {
            str(p.relative_to(self.root)): p.read_bytes()
            for p in self.root.rglob("*")
            if p.is_file() and ".imgbuild" not in p.parts
        }
