"""Any program is a provider: what it reads, what its end means, what it may see, and when it is stopped."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_server import CANARY

from imgbuild.core.errors import FailureKind as K
from imgbuild.core.errors import ProviderFailure, StorageError, UsageError
from imgbuild.core.image import Size
from imgbuild.core.plan.capabilities import Capabilities, UnknownModel
from imgbuild.providers.base import (
    ConfigurableType,
    FileResult,
    Finished,
    ProgramType,
    ProviderSettings,
    ReferenceFile,
    Request,
)
from imgbuild.providers.command import (
    EXIT_KINDS,
    TYPE,
    CommandType,
    failure_of,
    last_line,
    request_of,
    words_of_command,
)
from imgbuild.providers.program import run_program

Settings = Callable[..., ProviderSettings]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Those of a provider without a key."""
    return lambda base_url, **changes: settings(base_url, **{"type": "command", "api_key": None, **changes})


WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def program(script: str, *arguments: str) -> CommandType:
    return TYPE.configured({"command": [sys.executable, "-c", script, *arguments]})


def run(kind: CommandType, settings: ProviderSettings, request: Request | None = None) -> list[Path]:
    async def scene() -> Finished:
        provider = kind.connect(settings)
        finished = await provider.submit(request or Request("a red fox"))
        await provider.aclose()
        assert isinstance(finished, Finished)
        return finished

    results = asyncio.run(scene()).results
    return [result.path for result in results if isinstance(result, FileResult)]


def failure(kind: CommandType, settings: ProviderSettings, request: Request | None = None) -> ProviderFailure:
    with pytest.raises(ProviderFailure) as caught:
        run(kind, settings, request)
    assert caught.value.message.startswith("studio: ")
    return caught.value


# How it is described


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("draw", ("draw",)),
        ("python draw.py --style 'flat vector'", ("python", "draw.py", "--style", "flat vector")),
        (["python", "draw.py", "a b", ""], ("python", "draw.py", "a b", "")),
        ("echo $HOME; rm -rf / | cat", ("echo", "$HOME;", "rm", "-rf", "/", "|", "cat")),
    ],
)
def test_a_command_is_split_into_words_and_no_shell_sees_it(command: Any, words: tuple[str, ...]) -> None:
    assert words_of_command(command) == words


@pytest.mark.parametrize(
    "command", ["", "  ", "'unbalanced", [], [""], [1], ["draw", None], None, 5, {}, ["a", "\0"], "a \0"]
)
def test_what_is_no_command_is_an_error_that_says_so(command: Any) -> None:
    with pytest.raises(ValueError, match=r"^command: "):
        words_of_command(command)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs `command`"),
        ({"command": "draw", "submit": {}}, "no `submit`"),
        ({"command": "draw", "poll": {}}, "no `poll`"),
        ({"command": "draw", "options": {"shell": True}}, '"shell"'),
        ({"command": "draw", "options": {"env": "HOME"}}, "list of variables"),
        ({"command": "draw", "options": {"env": ["A=B"]}}, "list of variables"),
        ({"command": "draw", "options": {"env": ["A", 1]}}, "list of variables"),
    ],
)
def test_a_wrong_description_says_what_is_wrong(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        TYPE.configured(options)


def test_it_takes_everything_one_picture_at_a_time() -> None:
    found = TYPE.configured({"command": "draw"}).capabilities("any-model")
    assert isinstance(found, Capabilities)
    assert (found.model, found.any_size, found.max_n) == ("any-model", True, 1)
    assert found.qualities is found.backgrounds is found.formats is found.params is None
    assert found.seed
    assert found.negative_prompt
    assert found.mask
    assert found.references.max_count > 100


def test_its_limits_may_stand_in_the_manifest() -> None:
    described = {"sizes": ["512x512", "768x512"], "seed": False, "max_n": 4}
    found = TYPE.configured({"command": "draw", "capabilities": described}).capabilities("m")
    assert isinstance(found, Capabilities)
    assert [str(option.size) for option in found.sizes] == ["512x512", "768x512"]
    assert (found.any_size, found.seed, found.max_n, found.qualities) == (False, False, 1, None)
    named = TYPE.configured({"command": "draw", "capabilities": {"models": {"turbo": {}}}})
    assert named.known_models() == ("turbo",)
    assert isinstance(named.capabilities("turbo"), Capabilities)
    assert named.capabilities("slow") == UnknownModel("slow", ("turbo",))
    with pytest.raises(ValueError, match="capabilities"):
        TYPE.configured({"command": "draw", "capabilities": {"size": []}})


def test_it_is_a_local_program_that_stands_in_the_manifest() -> None:
    assert isinstance(TYPE, ConfigurableType)
    assert isinstance(TYPE.configured({"command": "draw"}), ProgramType)
    assert TYPE.local
    assert not TYPE.needs_key


# Its part of the key, and what the user's word is bound to


@given(st.lists(WORDS, min_size=1), st.lists(WORDS, min_size=1))
def test_engines_and_programs_are_equal_exactly_where_the_words_are(one: list[str], two: list[str]) -> None:
    first, second = (CommandType(tuple(words)) for words in (one, two))
    assert (first.engine == second.engine) == (first.program == second.program) == (one == two)


def test_writing_it_down_otherwise_keeps_the_key() -> None:
    text = TYPE.configured({"command": "python draw.py --style 'flat vector'", "options": {"env": ["A"]}})
    words = TYPE.configured({"command": ["python", "draw.py", "--style", "flat vector"]})
    assert text.engine == words.engine == "command/1 7e765ccb0eb683b7b0eb0d4cc9d0c777"


def test_a_variable_that_it_may_see_needs_the_users_word_anew() -> None:
    plain = TYPE.configured({"command": "draw"}).program
    assert TYPE.configured({"command": "draw", "options": {"env": ["KEY"]}}).program == "draw env:[KEY]"
    assert TYPE.configured({"command": ["draw", "env:[KEY]"]}).program == "draw 'env:[KEY]'"
    assert plain == "draw"


# What it reads


def reference(path: Path) -> ReferenceFile:
    return ReferenceFile(path, "0" * 64, "image/png", "https://example.com/x.png")


def test_the_request_has_every_member(tmp_path: Path) -> None:
    request = Request(
        "a red fox",
        model="m",
        negative_prompt="blur",
        size=Size(640, 480),
        ratio="4:3",
        resolution="1k",
        quality="high",
        background="transparent",
        format="png",
        seed=7,
        n=3,
        references=(reference(tmp_path / "a.png"), reference(tmp_path / "b.png")),
        mask=reference(tmp_path / "m.png"),
        params={"steps": 4},
    )
    assert request_of(request, 2) == {
        "version": 1,
        "prompt": "a red fox",
        "negative_prompt": "blur",
        "model": "m",
        "size": [640, 480],
        "ratio": "4:3",
        "resolution": "1k",
        "quality": "high",
        "background": "transparent",
        "format": "png",
        "seed": 7,
        "n": 1,
        "take": 2,
        "params": {"steps": 4},
        "references": [str(tmp_path / "a.png"), str(tmp_path / "b.png")],
        "mask": str(tmp_path / "m.png"),
    }


def test_what_is_not_set_is_left_out() -> None:
    assert request_of(Request("p"), 1) == {
        "version": 1, "prompt": "p", "n": 1, "take": 1, "params": {}, "references": []
    }  # fmt: skip


ECHO = "import shutil, sys; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)"


@given(st.text())
def test_any_prompt_arrives_as_one_line_of_ascii(prompt: str) -> None:
    text = json.dumps(request_of(Request(prompt), 1))
    assert text.isascii()
    assert "\n" not in text
    assert json.loads(text)["prompt"] == prompt


def test_takes_are_runs_of_their_own_with_their_numbers(settings: Settings) -> None:
    paths = run(program(ECHO), settings(None), Request("a \ud800 fox", first_take=3, n=2))
    assert [json.loads(path.read_bytes())["take"] for path in paths] == [3, 4]


def test_megabytes_pass_both_ways_while_nobody_waits_for_the_other(settings: Settings) -> None:
    noisy = "import sys; sys.stderr.write('x' * 300_000); " + ECHO
    prompt = "long " * 400_000
    [path] = run(program(noisy), settings(None), Request(prompt))
    assert json.loads(path.read_bytes())["prompt"] == prompt


def test_a_program_need_not_read_its_request(settings: Settings) -> None:
    script = "import os, sys; os.close(0); sys.stdout.buffer.write(b'picture')"
    [path] = run(program(script), settings(None), Request("x" * 1_000_000))
    assert path.read_bytes() == b"picture"


def test_it_runs_in_the_manifests_folder_by_a_path_from_there(settings: Settings, tmp_path: Path) -> None:
    tool = tmp_path / "bin" / "draw"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\npwd\necho "$1"\n')
    tool.chmod(0o755)
    kind = TYPE.configured({"command": ["./bin/draw", "$HOME *"]})
    [path] = run(kind, settings(None, root=tmp_path))
    assert path.read_text() == f"{tmp_path}\n$HOME *\n"


def test_it_sees_harmless_variables_and_those_that_the_manifest_lets_through(settings: Settings) -> None:
    script = "import json, os; print(json.dumps(dict(os.environ)))"
    variables = {
        "PATH": "/bin",
        "HOME": "/h",
        "LANG": "C",
        "OTHER_API_KEY": CANARY,
        "HF_HOME": "/m",
        "X": "1",
    }
    kind = TYPE.configured(
        {"command": [sys.executable, "-c", script], "options": {"env": ["HF_HOME", "UNSET"]}}
    )
    [path] = run(kind, settings(None, variables=variables))
    seen = json.loads(path.read_text())
    assert {name: seen.get(name) for name in (*variables, "UNSET")} == {
        "PATH": "/bin", "HOME": "/h", "LANG": "C", "OTHER_API_KEY": None, "HF_HOME": "/m", "X": None, "UNSET": None
    }  # fmt: skip


# What its end means


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1, K.FAILED),
        (2, K.INVALID),
        (3, K.REFUSED),
        (4, K.FAILED),
        (5, K.AUTH),
        (6, K.CREDIT),
        (7, K.RATE_LIMITED),
        (75, K.TRANSIENT),
        (99, K.FAILED),
    ],
)
def test_exit_codes(settings: Settings, code: int, kind: K) -> None:
    script = (
        f"import sys; print('picture'); sys.stderr.write('first\\nno more paint\\n\\n'); sys.exit({code})"
    )
    found = failure(program(script), settings(None))
    assert (found.kind, found.message) == (
        kind,
        f"studio: the program ended with exit code {code}: no more paint",
    )


@pytest.mark.parametrize("code", range(1, 256))
def test_only_a_crash_is_in_doubt_where_it_costs_something(settings: Settings, code: int) -> None:
    free, priced = (failure_of(code, "", settings(None, priced=priced), ()).kind for priced in (False, True))
    assert free == EXIT_KINDS.get(code, K.FAILED)
    assert priced == EXIT_KINDS.get(code, K.AMBIGUOUS)


def test_a_signal_is_named(settings: Settings) -> None:
    script = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    found = failure(program(script), settings(None))
    assert (found.kind, found.message) == (K.FAILED, "studio: the program was ended by SIGSEGV")
    assert "signal 99" in failure_of(-99, "", settings(None), ()).message


def test_words_are_escaped_cut_and_without_secrets(settings: Settings) -> None:
    script = (
        "import os, sys\n"
        "sys.stderr.write('\\x1b[2J' + os.environ['PAINT_TOKEN'] + ' is ' + '\\u202e' + 'x' * 9000)\n"
        "sys.exit(4)"
    )
    kind = TYPE.configured(
        {"command": [sys.executable, "-c", script], "options": {"env": ["PAINT_TOKEN", "LEVEL"]}}
    )
    variables = {"PAINT_TOKEN": CANARY, "LEVEL": "x", "PYTHONIOENCODING": "utf8", "LC_ALL": "C.UTF-8"}
    message = failure(kind, settings(None, variables=variables)).message
    assert CANARY not in message
    assert "\\x1b[2J[redacted] is \\u202exxx" in message
    assert len(message) < 600


@given(st.text())
def test_the_last_line_is_one_line(words: str) -> None:
    line = last_line(words)
    assert len(line.splitlines()) <= 1
    assert bool(line) == bool(words.split())


def test_a_progress_bar_leaves_its_last_state() -> None:
    assert last_line("10%\r50%\rout of memory\r\n  \n") == "out of memory"


def test_success_without_a_picture_is_unusable(settings: Settings) -> None:
    found = failure(program("import sys; sys.stderr.write('nothing to draw')"), settings(None))
    assert found.kind is K.UNUSABLE
    assert found.message == "studio: the program wrote no image to stdout: nothing to draw"


@pytest.mark.parametrize("command", ["no-such-program-anywhere", "./missing", ".", "/etc/hostname"])
def test_what_cannot_be_started_is_invalid(settings: Settings, tmp_path: Path, command: str) -> None:
    found = failure(TYPE.configured({"command": command}), settings(None, root=tmp_path))
    assert found.kind is K.INVALID
    assert found.message.startswith(f"studio: cannot start {command}: ")
    assert found.remedy


def test_a_failed_run_leaves_no_file(settings: Settings, tmp_path: Path) -> None:
    failure(program("import sys; print('half a picture'); sys.exit(4)"), settings(None))
    assert list(tmp_path.iterdir()) == []


# When it is stopped


def alive(pid: int) -> bool:
    """Whether a process still runs; one that is dead and not yet collected does not."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.01)


async def gone(pid: int) -> None:
    await until(lambda: not alive(pid))


FAMILY = """\
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open("pids.new", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename("pids.new", "pids")
"""
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")


@needs_proc
@pytest.mark.parametrize("leader", ["time.sleep(600)", "sys.exit(0)"])
def test_after_the_time_limit_the_whole_family_is_gone(
    settings: Settings, tmp_path: Path, leader: str
) -> None:
    found = failure(program(FAMILY + leader), settings(None, root=tmp_path, timeout=1.0))
    assert found.kind is K.FAILED
    assert found.message == "studio: the program was stopped after its time limit of 1 s"
    assert found.remedy == "raise the provider's timeout"
    for pid in map(int, (tmp_path / "pids").read_text().split()):
        asyncio.run(gone(pid))


def test_one_that_leaves_its_group_cannot_hold_us_up(settings: Settings, tmp_path: Path) -> None:
    stray = FAMILY.replace("])\n", "], start_new_session=True)\n")
    found = failure(program(stray + "sys.exit(0)"), settings(None, root=tmp_path, timeout=1.0))
    assert "time limit" in found.message
    os.kill(int((tmp_path / "pids").read_text().split()[1]), signal.SIGKILL)


@needs_proc
def test_a_build_that_is_interrupted_takes_the_family_along(settings: Settings, tmp_path: Path) -> None:
    async def scene() -> None:
        provider = program(FAMILY + "time.sleep(600)").connect(settings(None, root=tmp_path))
        task = asyncio.create_task(provider.submit(Request("p")))
        await until((tmp_path / "pids").exists)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for pid in map(int, (tmp_path / "pids").read_text().split()):
            await gone(pid)

    asyncio.run(scene())


def test_endless_output_is_cut_off(tmp_path: Path) -> None:
    script = "import sys\nwhile True: sys.stdout.buffer.write(b'x' * 65536)"
    to = tmp_path / "out"
    ended = asyncio.run(
        run_program(
            [sys.executable, "-c", script], b"", to, folder=tmp_path, environ={}, seconds=60, limit=1_000_000
        )
    )
    assert (ended.too_large, ended.code) == (True, None)
    assert to.stat().st_size <= 1_000_000


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="/dev/full"):
        asyncio.run(
            run_program(
                [sys.executable, "-c", "print('picture')"], b"", Path("/dev/full"),
                folder=tmp_path, environ={}, seconds=60,
            )
        )  # fmt: skip


def test_a_key_that_nobody_would_get_is_an_error(settings: Settings) -> None:
    with pytest.raises(UsageError, match="no api_key") as caught:
        TYPE.configured({"command": "draw"}).connect(settings(None, api_key=CANARY))
    assert "env: [NAME]" in (caught.value.remedy or "")


def test_it_has_no_tasks_and_no_links(settings: Settings, tmp_path: Path) -> None:
    provider = TYPE.configured({"command": "draw"}).connect(settings(None))
    with pytest.raises(ProviderFailure, match="no tasks"):
        asyncio.run(provider.poll("t"))
    with pytest.raises(ProviderFailure, match="no links"):
        asyncio.run(provider.download("https://example.com", tmp_path / "x"))
