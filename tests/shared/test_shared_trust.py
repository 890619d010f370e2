"""Whose records are believed: scopes of less trust, and signatures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from project_folder import ProjectFolder

IMAGES = """\
images:
  hero: {prompt: a lighthouse, size: 96x64, output: out/hero.png}
"""


def records(folder, kind: str) -> list[Path]:
    root = Path(folder.address.removeprefix("file://"))
    return sorted(root.glob(f"imgbuild-1/*/{kind}/**/*.json"))


def test_a_pull_request_reads_main_and_main_never_reads_it(folder, builder, emulator):
    scope = ", write_scope: '${SCOPE:-main}'"
    builder("trunk", folder, IMAGES, settings=scope).json("build")
    branch = builder("branch", folder, IMAGES, settings=scope)
    assert branch.json("build", SCOPE="pr-7").counts() == {"restored": 1}

    branch.edit("a lighthouse", "a windmill")
    assert branch.json("build", SCOPE="pr-7").counts()["generated"] == 1
    again = builder("again", folder, IMAGES.replace("a lighthouse", "a windmill"), settings=scope)
    assert again.json("build", SCOPE="pr-7").counts() == {"restored": 1}

    trunk = builder("trunk2", folder, IMAGES.replace("a lighthouse", "a windmill"), settings=scope)
    assert trunk.json("build").counts()["generated"] == 1
    assert len(emulator.ledger()["charges"]) == 3


def test_a_scope_that_would_be_a_path_is_exit_2(folder, builder):
    project = builder("first", folder, IMAGES, settings=", write_scope: '${SCOPE}'")
    run = project.run("build", SCOPE="../main")
    assert (run.code, "write_scope" in run.err) == (2, True)


def test_signed_records_are_believed_with_the_secret_only(folder, builder, emulator):
    sign = ", sign: '${CACHE_SECRET}'"
    builder("first", folder, IMAGES, settings=sign).json("build", CACHE_SECRET="sk-canary-one")
    second = builder("second", folder, IMAGES, settings=sign)
    assert second.json("build", CACHE_SECRET="sk-canary-one").counts() == {"restored": 1}
    third = builder("third", folder, IMAGES, settings=sign)
    run = third.json("build", CACHE_SECRET="sk-canary-another")
    assert run.counts()["generated"] == 1
    assert sum("not signed" in event.get("message", "") for event in run.events) == 1
    assert len(emulator.ledger()["charges"]) == 2


@pytest.mark.parametrize("how", ["unsigned", "moved", "edited"])
def test_a_planted_record_is_left_out(folder, builder, emulator, how: str):
    sign = ", sign: '${CACHE_SECRET}'"
    first: ProjectFolder = builder("first", folder, IMAGES, settings=sign)
    first.json("build", CACHE_SECRET="sk-canary-one")
    (record,) = records(folder, "result")
    document = json.loads(record.read_bytes())
    match how:
        case "unsigned":
            del document["hmac"]
        case "moved":
            first.edit("a lighthouse", "a windmill")
            first.json("build", CACHE_SECRET="sk-canary-one")
            (other,) = set(records(folder, "result")) - {record}
            document = json.loads(other.read_bytes())
        case "edited":
            document["value"]["digest"] = "ab" * 32
    record.write_text(json.dumps(document))
    emulator.reset()
    second = builder("second", folder, IMAGES, settings=sign)
    assert second.json("build", CACHE_SECRET="sk-canary-one").counts()["generated"] == 1
    assert len(emulator.ledger()["charges"]) == 1


def test_a_missing_secret_is_exit_2_and_names_the_variable(folder, builder):
    run = builder("first", folder, IMAGES, settings=", sign: '${CACHE_SECRET}'").run("build")
    assert (run.code, "CACHE_SECRET" in run.err) == (2, True)


def test_nothing_of_a_persons_machine_is_in_a_shared_cache(folder, builder):
    first: ProjectFolder = builder("first", folder, IMAGES)
    first.json("build")
    root = Path(folder.address.removeprefix("file://"))
    texts = [path.read_text() for path in root.rglob("*.json")]
    assert texts
    for text in texts:
        assert str(first.root) not in text
        assert "sk-canary" not in text


def test_without_a_remote_none_of_it_is_imported(project: ProjectFolder):
    project.manifest("version: 1\n" + IMAGES)
    project.write(
        "show.py",
        "import sys\nfrom imgbuild.__main__ import main\nmain()\nprint(*sys.modules, file=sys.stderr)\n",
    )
    done = subprocess.run(
        [sys.executable, "show.py", "build"],
        cwd=project.root,
        env=project.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = done.stderr.split()
    assert "imgbuild.run.build" in loaded
    assert not [
        name
        for name in loaded
        if name.startswith(("obstore", "imgbuild.store.remote", "imgbuild.run.shared"))
    ]
    assert "imgbuild.run.claims" not in loaded
