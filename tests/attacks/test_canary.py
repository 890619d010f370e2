"""The search for keys that ends every test: what it finds, and what it leaves alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from canary import CANARY, files_with_keys

KEY = CANARY + b"7f3a"
TESTS = Path(__file__).parents[1]

LEAKS = {
    "test_log.py": "def test_it(tmp_path):\n    (tmp_path / 'log').write_bytes({key})\n",
    "test_name.py": "def test_it(tmp_path):\n    (tmp_path / {key}.decode()).mkdir()\n",
    "test_module.py": "def test_it(tmp_path_factory):\n    (tmp_path_factory.mktemp('all') / 'x').write_bytes({key})\n",
    "test_bill.py": (
        "def test_it(emulator):\n"
        "    body = {{'model': 'gpt-image-2', 'size': '1024x768', 'prompt': {key}.decode()}}\n"
        "    headers = {{'Authorization': 'Bearer x'}}\n"
        "    emulator.http.post('/v1/images/tasks', json=body, headers=headers).raise_for_status()\n"
    ),
}
SAID = {
    "ERROR test_log.py::test_it",
    "ERROR test_name.py::test_it",
    "ERROR test_bill.py::test_it",
    "keys stand in ['all0/x']",
    "keys stand in ['log']",
}


def test_a_test_that_leaves_a_key_anywhere_fails_on_every_worker(tmp_path: Path) -> None:
    suite = tmp_path / "suite"
    suite.mkdir()
    shutil.copy(TESTS / "conftest.py", suite)
    for name, text in LEAKS.items():
        (suite / name).write_text(text.format(key=repr(KEY)))
    words = ["-m", "pytest", "-n", "2", "-p", "no:cacheprovider", "-rE", "--basetemp", str(suite / "base")]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=suite,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"},
        capture_output=True,
        text=True,
    )
    shutil.rmtree(suite)
    assert done.returncode == 1, done.stdout + done.stderr
    assert [words for words in SAID if words not in done.stdout] == [], done.stdout


@pytest.mark.parametrize("size", [0, 100, (1 << 20) - 5, 3 << 20])
def test_a_key_is_found_in_files_of_any_size(tmp_path: Path, size: int) -> None:
    path = tmp_path / "deep/blob"
    path.parent.mkdir()
    path.write_bytes(bytes(size))
    assert files_with_keys(tmp_path) == []
    path.write_bytes(bytes(size) + KEY)
    assert files_with_keys(tmp_path) == ["deep/blob"]
    assert files_with_keys(tmp_path, {str(path.parent)}) == []
    path.unlink()


def test_what_tests_write_by_hand_is_left_alone(tmp_path: Path) -> None:
    for name in (".env", "imgbuild.yaml"):
        (tmp_path / name).write_bytes(KEY)
    (tmp_path / "link").symlink_to(".env")
    assert files_with_keys(tmp_path) == []
