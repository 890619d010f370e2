"""A build that is interrupted while it derives files: those that are begun are finished, and no others begun."""

from __future__ import annotations

import os
import signal
import time

from project_folder import ProjectFolder
from zygote import Zygote

COUNT = 4 * (os.cpu_count() or 2) + 4
"""Several times as many as are derived at once."""
HERO = "version: 1\nimages:\n  hero: {prompt: a lighthouse, size: 320x320, output: out/hero.png"


def test_once_interrupted_no_derivation_is_begun_any_more(project: ProjectFolder, zygote: Zygote):
    project.manifest(HERO + "}\n")
    project.json("build")
    sizes = range(300 - COUNT, 300)
    files = ", ".join(f"{{widths: [{size}], formats: [avif], output: out/{size}.avif}}" for size in sizes)
    project.manifest(HERO + f", derive: [{files}]}}\n")
    build = zygote.start(project, "build", "--output-format", "json")
    while '"deriving"' not in build.out:
        assert build.running, (build.out, build.err)
        time.sleep(0.005)
    build.kill(signal.SIGINT)
    run = build.wait()
    assert run.code == 130, run
    begun = run.out.count('"deriving"')
    assert begun < COUNT
    assert len(list((project.root / "out").glob("*.avif"))) == begun, "what was begun was finished"
    assert project.json("build").counts() == {"derived": 1}
    assert len(list((project.root / "out").glob("*.avif"))) == COUNT
