"""A build that is killed again and again, and begun again each time, ends complete and paid for once."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable

import pytest
from invariants import Snapshot, check_invariants
from project_folder import STUDIO, ProjectFolder
from zygote import Child, Zygote

IMAGES = 20


def live(build: Child, chance: random.Random) -> None:
    """Let a build live for a random while: some by the clock, some to a random step of its work."""
    longest = time.monotonic() + chance.uniform(0.02, 0.4)
    steps = chance.choice((1000, chance.randint(1, 12)))
    while time.monotonic() < longest and build.running:
        done = sum('"event": "action"' not in line for line in build.out.splitlines())
        if done > steps:
            time.sleep(chance.uniform(0.0, 0.03))
            return
        time.sleep(0.002)


@pytest.mark.timeout(600)
def test_twenty_images_survive_kill_after_kill(
    project: ProjectFolder,
    start_emulator: Callable,
    zygote: Zygote,
    full: bool,
    count: Callable[..., None],
    outside: Snapshot,
):
    # One image at a time, and each takes longer than a build lives on the average: so every kill hits.
    emulator = start_emulator(latency=1.0, jitter=0.1)
    studio = STUDIO.format(url=emulator.url).replace("poll_", "concurrency: 1\n    poll_")
    images = (f"  i{n}: {{prompt: picture {n}, size: 64x64, output: out/{n}.png}}\n" for n in range(IMAGES))
    project.manifest(studio + "images:\n" + "".join(images))
    chance = random.Random("kill after kill")
    for _ in range(100 if full else 40):
        build = zygote.start(project, "build", "--output-format", "json")
        live(build, chance)
        build.kill()
        run = build.wait()
        assert run.code == -9, f"it had ended: {run}"
        assert "Traceback" not in run.err
        count()
        check_invariants(project, None, outside=outside, runs=[run])
    project.edit("concurrency: 1", "concurrency: 8")
    last = zygote.run(project, "build", "--output-format", "json")
    failed = [e for e in last.events if e["event"] == "image" and e["status"] == "failed"]
    unknown = {f"picture {e['id'][1:]}" for e in failed if e["error"]["kind"] == "ambiguous"}
    assert last.code == (1 if unknown else 0), last
    assert len(failed) == len(unknown), failed
    if unknown:
        zygote.json(project, "build", "--retry-ambiguous")
    assert zygote.json(project, "build").counts() == {"unchanged": IMAGES}
    assert len(project.lock["images"]) == IMAGES
    charged = Counter(charge["prompt"] for charge in emulator.ledger()["charges"])
    assert set(charged) == {f"picture {n}" for n in range(IMAGES)}
    assert {prompt for prompt, n in charged.items() if n > 1} <= unknown
    check_invariants(project, emulator.ledger(), outside=outside, unknown=unknown)
    assert zygote.run(project, "jobs").out == ""
