"""A05: outputs, inputs and links that lead where nothing of ours belongs, also while somebody moves the folders."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import pytest
from attack_cases import FULL, sample, tree
from hostile_service import HostileService
from project_folder import ProjectFolder

from imgbuild.core.errors import FailureKind, ProviderFailure
from imgbuild.core.retry import Phase
from imgbuild.providers.base import ProviderSettings, ReferenceFile
from imgbuild.providers.calls import Call, FilePart
from imgbuild.providers.inline import base64_of
from imgbuild.providers.transport import ApiClient, tls_context

HEAD = "version: 1\nimages:\n"
BAD_OUTPUTS = [
    "../x.png",
    "/tmp/x.png",
    "a/../../x.png",
    "C:/x.png",
    "C:x.png",
    "\\\\server\\share\\x.png",
    "a\\..\\x.png",
    ".git/hooks/x.png",
    ".GIT/x.png",
    ".g\u200cit/x.png",
    "git~1/x.png",
    ".imgbuild/x.png",
    ".env.png/../.env",
    "imgbuild.yaml",
    "IMGBUILD.YAML",
    "imgbuild.lock",
    "a\u0000b.png",
    "con.png",
    "a/NUL.png",
    "x.png.",
    "a/ x.png",
    "x\u202egnp.png/../../y.png",
    "a//../..//b.png",
    "x" * 300 + ".png",
    "~/x.png/../../../y.png",
    "file:///etc/x.png",
    "static/..",
    "",
]


def quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(c):08x}" if not c.isascii() or c in '\\"\0' else c for c in text) + '"'


@pytest.mark.parametrize("path", sample(BAD_OUTPUTS, 7))
def test_an_output_that_leads_out_is_an_error_at_its_place(project: ProjectFolder, path: str) -> None:
    project.manifest(f"{HEAD}  a:\n    prompt: p\n    size: 8x8\n    output: {quoted(path)}\n")
    before = tree(project.root.parent)
    run = project.run("build")
    assert run.code == 2, run.out + run.err
    assert "imgbuild.yaml:6:" in run.err
    assert tree(project.root.parent) == before


@pytest.mark.parametrize(
    ("one", "two"),
    sample(
        [
            ("a/x.png", "A/X.png"),
            ("caf\u00e9.png", "cafe\u0301.png"),
            ("stra\u00dfe.png", "STRASSE.png"),
            ("x.png", "./x.png"),
            ("a/x.png", "a/b/../x.png"),
            ("a.png", "a.png/b.png"),
        ],
        3,
    ),
)
def test_two_names_of_one_file_are_an_error_that_names_both(
    project: ProjectFolder, one: str, two: str
) -> None:
    project.manifest(
        f"{HEAD}  a: {{prompt: p, size: 8x8, output: {quoted(one)}}}\n"
        f"  b: {{prompt: q, size: 8x8, output: {quoted(two)}}}\n"
    )
    run = project.run("build")
    assert run.code == 2, run.out + run.err
    assert "imgbuild.yaml:3" in run.err
    assert "imgbuild.yaml:4" in run.err


SECRET = "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI-canary"


@pytest.fixture
def secrets(project: ProjectFolder) -> ProjectFolder:
    """A project with secrets in it, beside it and in the home folder."""
    project.write(".env", SECRET)
    project.write(".git/config", f"[http]\n\textraheader = {SECRET}\n")
    project.write(".npmrc", SECRET)
    (project.root.parent / "outside.txt").write_text(SECRET)
    return project


INPUTS = {
    "prompt": "    prompt_file: {}\n    size: 8x8\n    output: a.png\n",
    "foreach": "    foreach: {{yaml: '{}'}}\n    prompt: '{{{{ item }}}}'\n    size: 8x8\n    output: '{{{{ item.id }}}}.png'\n",
    "csv": "    foreach: {{csv: '{}'}}\n    prompt: '{{{{ item }}}}'\n    size: 8x8\n    output: '{{{{ item.id }}}}.png'\n",
    "reference": "    prompt: p\n    references: ['{}']\n    size: 8x8\n    output: a.png\n",
    "palette": "    prompt: p\n    size: 8x8\n    output: a.png\n    derive: [{{palette: '{}', output: b.png}}]\n",
    "include": "    prompt: \"{{% include '{}' %}}\"\n    size: 8x8\n    output: a.png\n",
}
NAMES = (
    ".env",
    ".git/config",
    ".npmrc",
    "../outside.txt",
    "link",
    "linked/config",
    "out-link",
    "deep/../link",
)


@pytest.mark.parametrize(("kind", "name"), sample(product(INPUTS, NAMES), 7))
def test_no_secret_is_read_by_its_name_or_through_a_link(
    secrets: ProjectFolder, kind: str, name: str
) -> None:
    (secrets.root / "link").symlink_to(".env")
    (secrets.root / "linked").symlink_to(".git")
    (secrets.root / "out-link").symlink_to("../outside.txt")
    secrets.manifest(HEAD + "  a:\n" + INPUTS[kind].format(name))
    for words in (["plan"], ["check", "--output-format", "json"]):
        run = secrets.run(*words)
        assert run.code == 2, run.out + run.err
        assert "canary" not in run.out + run.err


def test_a_manifest_that_is_a_link_to_a_secret_shows_nothing_of_it(secrets: ProjectFolder) -> None:
    (secrets.root / "imgbuild.yaml").symlink_to(".env")
    run = secrets.run("check")
    assert run.code == 2
    assert "canary" not in run.out + run.err


def test_patterns_do_not_tell_what_lies_outside(secrets: ProjectFolder) -> None:
    (secrets.root / "up").symlink_to("..")
    for pattern in ("up/*", "up/*.txt", "*/*.txt", "**/*.txt", "up/**/*"):
        secrets.manifest(f"version: 1\ninclude: ['{pattern}']\nimages: {{}}\n")
        assert "outside" not in (run := secrets.run("check")).out + run.err


def test_an_output_is_not_written_through_a_link_into_git(secrets: ProjectFolder) -> None:
    (secrets.root / "static").symlink_to(".git")
    secrets.manifest(f"{HEAD}  a: {{prompt: p, size: 8x8, output: static/hooks/a.png}}\n")
    before = tree(secrets.root / ".git")
    run = secrets.run("build")
    assert run.code == 2, run.out
    assert tree(secrets.root / ".git") == before


def test_links_that_stay_inside_are_followed(project: ProjectFolder) -> None:
    (project.root / "real").mkdir()
    (project.root / "static").symlink_to("real")
    project.manifest(f"{HEAD}  a: {{prompt_file: static/p.txt, size: 8x8, output: static/new/a.png}}\n")
    project.write("real/p.txt", "a lighthouse")
    assert project.run("build").code == 0
    assert (project.root / "real/new/a.png").is_file()


LOCKED = '{{"images": {{"a": {{"key": "{d}", "model": null, "outputs": {{"{path}": {{"bytes": 1, "digest": "{digest}", "height": 1, "width": 1}}}}, "provider": "placeholder", "source": {{"digest": "{d}", "format": "png", "height": 1, "width": 1}}, "take": 1}}}}, "version": 1}}'


@pytest.mark.parametrize(
    ("words", "path"),
    sample(
        product(
            ["clean", "clean --stale", "restore", "build", "build --locked"],
            ["../victim.png", "link/victim.png", "{root}/victim.png"],
        ),
        4,
    ),
)
def test_a_lock_from_a_stranger_deletes_and_writes_nothing_outside(
    project: ProjectFolder, words: str, path: str
) -> None:
    victim = project.root.parent / "victim.png"
    victim.write_bytes(b"mine")
    (project.root / "link").symlink_to("..")
    digest = hashlib.sha256(b"mine").hexdigest()
    path = path.format(root=project.root.parent)
    project.manifest(f"{HEAD}  b: {{prompt: p, size: 8x8, output: b.png}}\n")
    project.write("imgbuild.lock", LOCKED.format(d="0" * 64, digest=digest, path=path))
    project.write(
        ".imgbuild/dropped.json",
        f'{{"dropped": [{{"path": "{path}", "digest": "{digest}", "image_id": "a"}}]}}',
    )
    project.run(*words.split())
    assert victim.read_bytes() == b"mine"


SWAP = """
import os, sys, itertools
folder, outside, ready = sys.argv[1:]
open(ready, "w").close()
for turn in itertools.count():
    try:
        os.rename(folder, folder + ".kept")
        os.symlink(outside, folder)
        os.unlink(folder)
        os.rename(folder + ".kept", folder)
    except OSError:
        for restore in (lambda: os.unlink(folder), lambda: os.rename(folder + ".kept", folder)):
            try:
                restore()
            except OSError:
                pass
"""


@contextmanager
def swapping(folder: Path, outside: Path) -> Iterator[None]:
    """Another program puts a link to `outside` in the folder's place and takes it away again, all the time."""
    ready = outside.parent / "ready"
    words = [sys.executable, "-S", "-c", SWAP, str(folder), str(outside), str(ready)]
    other = subprocess.Popen(words)
    try:
        while not ready.exists():
            assert other.poll() is None
        yield
    finally:
        other.kill()
        other.wait()


@pytest.mark.timeout(1800)
def test_a_folder_that_is_swapped_for_a_link_all_the_time_leads_no_output_out(project: ProjectFolder) -> None:
    """The writer itself in a loop, thousands of times, while the folder is a link half of the time."""
    from imgbuild.core.errors import StorageError
    from imgbuild.store.fsio import copy_atomic
    from imgbuild.store.inside import folder_of, remove_inside

    outside = project.root.parent / "outside"
    outside.mkdir()
    (outside / "victim.png").write_bytes(b"mine")
    folder = project.root / "static"
    folder.mkdir()
    blob = project.write("blob", b"picture")
    written = refused = 0
    with swapping(folder, outside):
        for _ in range(20_000 if FULL else 60):
            try:
                for name in ("static/a.png", "static/deep/b.png"):
                    with folder_of(project.root, name, create=True) as descriptor:
                        copy_atomic(blob, project.root / name, descriptor)
                remove_inside(project.root, "static/victim.png")
                written += 1
            except StorageError:
                refused += 1
    assert written + refused >= 60
    assert tree(outside) == {"victim.png": b"mine"}


@pytest.mark.timeout(1800)
def test_a_file_that_is_swapped_for_a_link_all_the_time_is_never_read_from_outside(
    project: ProjectFolder,
) -> None:
    from imgbuild.core.manifest.project import FileProblem
    from imgbuild.run.files import DiskFiles

    outside = project.root.parent / "outside"
    outside.mkdir()
    (outside / "prompt.txt").write_bytes(b"secret")
    project.write("texts/prompt.txt", b"prompt")
    files = DiskFiles(project.root)
    read = refused = 0
    with swapping(project.root / "texts", outside):
        while read + refused < (20_000 if FULL else 200) or not (read and refused):
            try:
                assert files.read("texts/prompt.txt", 100) == b"prompt"
                read += 1
            except FileProblem:
                refused += 1


@pytest.mark.parametrize("turn", range(50 if FULL else 1))
def test_whole_builds_while_the_folder_is_swapped_write_nothing_outside(
    project: ProjectFolder, turn: int
) -> None:
    outside = project.root.parent / "outside"
    outside.mkdir()
    (project.root / "static").mkdir()
    images = "".join(
        f"  i{n}: {{prompt: p{turn}, size: 8x8, output: static/{'deep/' * (n % 3)}{n}.png}}\n"
        for n in range(30)
    )
    project.manifest(HEAD + images)
    with swapping(project.root / "static", outside):
        for _ in range(3):
            assert project.run("build").code in (0, 1, 2)
            assert project.run("clean").code in (0, 1, 2)
    assert tree(outside) == {}


def test_a_reference_that_is_exchanged_for_a_secret_before_it_is_sent_is_not_sent(
    tmp_path: Path, service: HostileService
) -> None:
    secret, picture = tmp_path / "secret", tmp_path / "picture.png"
    secret.write_bytes(SECRET.encode())
    picture.write_bytes(b"picture")
    digest = hashlib.sha256(b"picture").hexdigest()
    reference = ReferenceFile(picture, digest, "image/png")
    part = FilePart("image", picture, "reference-1.png", "image/png", digest)
    picture.unlink()
    picture.symlink_to(secret)
    with pytest.raises(ProviderFailure, match="changed while building"):
        base64_of(reference)

    async def upload() -> None:
        settings = ProviderSettings("studio", "uniall", scratch=lambda: tmp_path / "scratch")
        client = ApiClient(settings, service.url, {}, tls_context())
        try:
            await client.send(Call("POST", "/v1/images/tasks", {}, (part,)), Phase.SUBMIT)
        finally:
            await client.aclose()

    with pytest.raises(ProviderFailure, match="changed while building") as caught:
        asyncio.run(upload())
    assert caught.value.kind is FailureKind.INVALID
    assert service.got == []
