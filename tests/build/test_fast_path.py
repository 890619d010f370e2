"""A build with nothing to do is answered by the index, which is never believed when it could be wrong."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pyvips
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from project_folder import ProjectFolder, Run

from imgbuild import __version__, fastpath
from imgbuild.cli import run as run_command

MANIFEST = """\
version: 1
images:
  hero: {prompt: "{% include 'prompts/style.j2' %} by night", size: 32x32, output: out/hero.png}
  icon: {prompt_file: prompts/icon.j2, size: 32x32, references: [refs/style.png, "@hero"], output: out/deep/icon.webp}
  card:
    prompt: "{{ post.title }} {{ post.slug }}"
    foreach: {markdown: "posts/**/*.md", as: post}
    size: 32x32
    output: "out/{{ post.slug }}.jpg"
include: ["more/*.yaml"]
"""
FILES = {
    "imgbuild.yaml": MANIFEST,
    "prompts/style.j2": "flat vector",
    "prompts/icon.j2": "an anchor",
    "refs/style.png": pyvips.Image.black(8, 8).pngsave_buffer(),
    "posts/one.md": "---\ntitle: One\n---\ntext\n",
    "posts/deep/two.md": "---\ntitle: Two\n---\ntext\n",
    "more/a.yaml": "images:\n  logo: {prompt: a rope, size: 32x32, output: logo.png}\n",
}
OUTPUTS = ("out/hero.png", "out/deep/icon.webp", "out/one.jpg", "out/two.jpg", "more/logo.png")
HEAVY = {"pydantic", "httpx", "jinja2", "diskcache", "rich", "asyncio", "yaml", "argparse", "json", "pathlib"}


@pytest.fixture
def built(project: ProjectFolder) -> ProjectFolder:
    for name, text in FILES.items():
        project.write(name, text)
    project.json("build")
    return project


def imported(project: ProjectFolder, *words: str) -> tuple[set[str], Run]:
    """The modules that a command imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "imgbuild", *words],
        cwd=project.root,
        env=project.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    found = re.findall(r"^import time:.*\|\s*(\S+)$", done.stderr, re.MULTILINE)
    said = re.sub(r"^import time:.*\n", "", done.stderr, flags=re.MULTILINE)
    return set(found), Run(done.returncode, done.stdout, said)


def is_answered(project: ProjectFolder, *words: str) -> bool:
    """Whether the index answers, asked in this process."""
    return fastpath.answer(["-C", str(project.root), *words], __version__, project.environ)


def is_answered_at_once(project: ProjectFolder, *words: str) -> bool:
    modules, run = imported(project, *words)
    assert run.code == 0, run.out + run.err
    return "imgbuild.cli" not in modules


@pytest.mark.parametrize("format", ["text", "json", "github"])
def test_a_build_with_nothing_to_do_imports_next_to_nothing(built: ProjectFolder, format: str) -> None:
    modules, run = imported(built, "build", "--output-format", format)

    assert {name for name in modules if name.startswith("imgbuild")} == {
        "imgbuild",
        "imgbuild.fastpath",
        "imgbuild.store",
        "imgbuild.store.index",
    }
    assert not HEAVY & {name.partition(".")[0] for name in modules}
    assert (run.code, run.err) == (0, "")
    assert "5 images, nothing to do" in run.out or format == "json"


@pytest.mark.parametrize("words", [["--version"], ["-V"]])
def test_the_version_imports_next_to_nothing(project: ProjectFolder, words: list[str]) -> None:
    modules, run = imported(project, *words)

    assert run.out == f"imgbuild {__version__}\n"
    assert {name for name in modules if name.startswith("imgbuild")} == {"imgbuild"}


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["-q"],
        ["--output-format", "json"],
        ["--output-format", "github"],
        ["--locked"],
        ["--frozen", "--no-color"],
        ["--overwrite", "--yes"],
        ["-C", "."],
    ],
)
def test_it_says_what_the_long_way_says(built: ProjectFolder, words: list[str]) -> None:
    modules, short = imported(built, "build", *words)
    for index in (built.root / ".imgbuild").glob("index-*"):
        index.unlink()
    long = built.run("build", *words)

    assert "imgbuild.cli" not in modules
    seconds = r'"seconds": [\d.]+'
    assert re.sub(seconds, "", short.out) == re.sub(seconds, "", long.out)
    assert (short.code, short.err) == (long.code, long.err)


@pytest.mark.parametrize(
    "words",
    [
        ["build", "hero"],
        ["build", "--placeholder"],
        ["build", "-v"],
        ["build", "--dry-run"],
        ["build", "--profile", "draft"],
        ["build", "--locked", "--generate"],
        ["build", "--no-such-option"],
        ["plan"],
        ["build", "--max-cost", "0"],
    ],
)
def test_other_command_lines_take_the_long_way(built: ProjectFolder, words: list[str]) -> None:
    assert not is_answered(built, *words)
    assert is_answered(built, "build")


def test_what_was_only_touched_is_looked_at_once(built: ProjectFolder) -> None:
    for name in (*FILES, *OUTPUTS):
        os.utime(built.root / name)

    assert is_answered_at_once(built, "build")
    before = (built.root / ".imgbuild" / "index-imgbuild.yaml-").read_bytes()
    while is_answered_at_once(built, "build"):
        # As soon as the last touch is older than a tick of the clock, nothing is looked at any more.
        after = (built.root / ".imgbuild" / "index-imgbuild.yaml-").read_bytes()
        if after == before:
            break
        before = after


def test_a_cache_that_was_cleared_is_another_one(built: ProjectFolder) -> None:
    shutil.rmtree(built.environ["IMGBUILD_CACHE_DIR"])

    assert not is_answered_at_once(built, "build")
    (built.root / "out/hero.png").unlink()
    assert built.json("build").counts() == {"restored": 1, "unchanged": 4}


def test_an_index_of_another_user_is_none(built: ProjectFolder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "another-home"
    shutil.copytree(built.environ["IMGBUILD_CACHE_DIR"], elsewhere)
    (elsewhere / "index.id").write_text("somebody else")
    built.environ["IMGBUILD_CACHE_DIR"] = str(elsewhere)

    assert not is_answered_at_once(built, "build")


def test_a_locked_build_proves_nothing_about_one_that_may_generate(project: ProjectFolder) -> None:
    project.manifest("version: 1\nimages:\n  hero: {prompt: a, size: 32x32, output: a.png}\n")
    project.json("build")
    project.edit("prompt: a,", "prompt: a, takes: 2,")
    assert project.json("build", "--locked").counts() == {"unchanged": 1}

    assert is_answered_at_once(project, "build", "--locked")
    assert project.json("build").counts() == {"generated": 1}
    assert is_answered_at_once(project, "build")
    assert is_answered_at_once(project, "build", "--locked")


def test_a_task_left_behind_is_fetched_though_every_image_is_up_to_date(
    project: ProjectFolder, emulator: object
) -> None:
    project.manifest("version: 1\nimages:\n  hero: {prompt: a, size: 32x32, output: a.png}\n")
    project.json("build")
    jobs = Path(project.environ["IMGBUILD_CACHE_DIR"], "jobs")
    jobs.mkdir(exist_ok=True)
    (jobs / f"{'a' * 64}.jsonl").write_text("")

    assert not is_answered_at_once(project, "build")


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: d[: len(d) // 2], lambda d: b"", lambda d: d[:60]]
)
def test_a_torn_index_is_none(built: ProjectFolder, damage: Callable[[bytes], bytes]) -> None:
    path = built.root / ".imgbuild" / "index-imgbuild.yaml-"
    path.write_bytes(damage(path.read_bytes()))

    assert not is_answered(built, "build")
    assert built.run("build").code == 0
    assert is_answered(built, "build")


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
@given(noise=st.binary(max_size=400), at=st.integers(0, 2000), flip=st.integers(0, 255))
def test_whatever_lies_in_its_place_nothing_breaks(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, flip: int
) -> None:
    from imgbuild.store.index import Index

    good = Index(["1", "", "/cache", "x"], "text", "{}", {"a": ((1, 2, 3, 4), bytes(32))}).pack()
    assert Index.unpack(good) is not None
    head = good[: good.index(b"\n") + 1]
    torn = bytearray(good)
    torn[at % len(good)] ^= flip
    folder = tmp_path_factory.mktemp("noise")
    (folder / ".imgbuild").mkdir()
    for data in (noise, head + noise, bytes(torn)):
        (folder / ".imgbuild" / "index-imgbuild.yaml-").write_bytes(data)
        assert not fastpath.answer(["build", "-C", str(folder)], "1", {})


# What may become of a file between two builds.
def _edit(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def _edit_and_date_back(path: Path) -> None:
    """The same size and the same times."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _replace_by_a_twin(path: Path) -> None:
    """Another file with the same bytes and times."""
    twin = path.with_name(f"{path.name}.twin")
    shutil.copy2(path, twin)
    twin.replace(path)


def _move_away(path: Path) -> None:
    path.rename(path.with_name(f"{path.name}.away"))


def _link(path: Path) -> None:
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    path.symlink_to(aside.name)


def _link_folder(path: Path) -> None:
    folder = path.parent
    if folder.name == "project" or folder.is_symlink():
        return
    aside = folder.with_name(f"{folder.name}-aside")
    folder.rename(aside)
    folder.symlink_to(aside.name)


def _copy_beside(path: Path) -> None:
    shutil.copy(path, path.with_name(f"another-{path.name}"))


def _swap(path: Path) -> None:
    other = next(p for p in sorted(path.parent.iterdir()) if p.is_file())
    data = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(data)


CHANGES: dict[str, Callable[[Path], None]] = {
    "touched": lambda path: os.utime(path),
    "dated back": lambda path: os.utime(path, (0, 0)),
    "written again": lambda path: path.write_bytes(path.read_bytes()) and None,
    "edited": _edit,
    "edited and dated back": _edit_and_date_back,
    "replaced by a twin": _replace_by_a_twin,
    "deleted": lambda path: path.unlink(),
    "moved away": _move_away,
    "a link": _link,
    "its folder a link": _link_folder,
    "swapped": _swap,
    "copied beside": _copy_beside,
    "unreadable to programs": lambda path: path.chmod(0o600),
}
NAMES = (*FILES, *OUTPUTS, "imgbuild.lock")


@pytest.fixture
def in_this_process(project: ProjectFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("CI", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "IMGBUILD_CACHE_DIR"):
        monkeypatch.setenv(name, project.environ[name])
    import signal

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("in_this_process")
def test_the_index_agrees_with_a_plan_from_nothing_whatever_happens_to_files(
    project: ProjectFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(project.root)

    def command(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run_command(["-C", folder, *words, "--output-format", "json"])
        return code, re.sub(r', "seconds": [\d.]+', "", capsys.readouterr().out)

    def from_nothing(*words: str) -> tuple[int, str]:
        index, aside = (project.root / ".imgbuild" / name for name in ("index-imgbuild.yaml-", "aside"))
        if index.exists():
            index.rename(aside)
        try:
            return command(*words)
        finally:
            if aside.exists():
                aside.replace(index)

    def answered() -> bool:
        return fastpath.answer(["-C", folder, "build", "-q"], __version__, os.environ)

    full = os.environ.get("IMGBUILD_TESTS_FULL")

    @settings(
        max_examples=400 if full else 15,
        derandomize=not full,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        steps=st.lists(
            st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(sorted(CHANGES))), max_size=2),
            min_size=1,
            max_size=5,
        )
    )
    def holds(steps: list[list[tuple[str, str]]]) -> None:
        shutil.rmtree(project.root)
        for name, text in FILES.items():
            project.write(name, text)
        assert command("build")[0] == 0
        assert answered()
        for changes in steps:
            for name, change in changes:
                path = project.root / name
                if path.is_file():
                    CHANGES[change](path)
            short = answered()
            plan = from_nothing("plan", "--exit-code")
            assert command("plan", "--exit-code") == plan
            if short:
                assert plan[0] == 0, f"{changes}: {plan[1]}"
                assert from_nothing("build")[0] == 0
            if not changes:
                assert short or plan[0] != 0
            if command("build")[0] == 0:
                assert answered()

    holds()
