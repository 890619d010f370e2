"""In which order images are paid for, how often services are asked, and how much is open at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from project_folder import STUDIO, ProjectFolder

IMAGES = """
images:
  scene:
    matrix: {{number: [{numbers}]}}
    prompt: "scene {{{{ number }}}}"
    size: 64x64
    output: "out/{{{{ number }}}}.jpg"
"""


def scenes(count: int) -> str:
    return IMAGES.format(numbers=", ".join(map(str, range(count))))


def test_the_image_for_which_the_longest_chain_waits_is_paid_for_first(
    project: ProjectFolder, start_emulator: Callable
) -> None:
    emulator = start_emulator(latency=0.4)
    studio = STUDIO.format(url=emulator.url).replace("poll_", "concurrency: 1\n    poll_")
    leaves = [f"leaf {number}" for number in range(14)]
    project.manifest(
        studio
        + "images:\n"
        + "".join(
            f"  {n.replace(' ', '_')}: {{prompt: {n}, size: 1024x1024, output: '{n}.jpg'}}\n" for n in leaves
        )
        + """
  last: {prompt: last, size: 1024x1024, output: last.jpg, references: ["@middle"]}
  middle: {prompt: middle, size: 1024x1024, output: middle.jpg, references: ["@first"]}
  first: {prompt: first, size: 1024x1024, output: first.jpg}
"""
    )
    project.json("build")
    prompts = [charge["prompt"] for charge in emulator.ledger()["charges"]]
    assert prompts[0] == "first"
    # While a link of the chain is being recorded, others go: but few, of so many that came before.
    assert prompts.index("middle") < 8
    assert [prompt for prompt in prompts if prompt.startswith("leaf")] == leaves


def test_what_tasks_have_taken_saves_asking_for_the_next_ones(
    project: ProjectFolder, start_emulator: Callable
) -> None:
    emulator = start_emulator(latency=1.0, jitter=0.05)
    studio = STUDIO.format(url=emulator.url).replace("poll_", "concurrency: 16\n    poll_")
    project.manifest(studio + scenes(64))
    assert project.json("build").counts() == {"generated": 64, "submitted": 64}
    requests = emulator.ledger()["requests"]
    polls = sum(count for route, count in requests.items() if route.startswith("GET /v1/images/tasks"))
    # One task of a second is asked for 20 times at 50 ms; those after the first 16 only about its end.
    assert polls < 64 * 12


def test_a_large_build_needs_few_open_files(project: ProjectFolder, emulator) -> None:
    project.manifest(STUDIO.format(url=emulator.url) + scenes(200))
    build = f"ulimit -n 150; exec '{sys.executable}' -m imgbuild build -q"
    done = subprocess.run(
        ["sh", "-c", build],
        cwd=project.root,
        env=project.environ,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert emulator.ledger()["total"]["charges"] == 200
