"""Killed at any rename, the cache and the lock are as before or as after, and the next run goes on."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from store_samples import sha

from imgbuild.store.cache import open_cache
from imgbuild.store.lockfile import read_text

STRACE = shutil.which("strace") or ""
WORK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from store_samples import keep_output, keep_result
from imgbuild.store.cache import open_cache
from imgbuild.store.lockfile import update
root = Path(sys.argv[1])
cache = open_cache(root / "cache")
first = keep_result(cache, b"first")
keep_output(cache, b"out", source=first.digest)
keep_result(cache, b"second", take=2)
update(root / "imgbuild.lock", lambda old: '{"done": true}')
cache.close()
"""


def run(root: Path, *prefix: str) -> int:
    command = [*prefix, sys.executable, "-c", WORK, str(root), str(Path(__file__).parent)]
    return subprocess.run(command, capture_output=True).returncode


@pytest.mark.parametrize("syscall", ["rename", "mkdir"])
def test_a_kill_at_any_step_is_survived(tmp_path: Path, syscall: str) -> None:
    if not STRACE or subprocess.run([STRACE, "-o", "/dev/null", "true"], capture_output=True).returncode:
        pytest.skip("needs strace, and to be allowed to trace")
    for step in range(1, 40):
        root = tmp_path / str(step)
        root.mkdir()
        inject = f"{syscall}:signal=KILL:when={step}"
        survived = run(root, STRACE, "-f", "-o", "/dev/null", "-e", f"inject={inject}") == 0

        cache = open_cache(root / "cache")
        assert cache.verify(repair=False).ok
        assert read_text(root / "imgbuild.lock") in (None, '{"done": true}')
        cache.close()

        assert run(root) == 0
        cache = open_cache(root / "cache")
        assert cache.records.takes(sha("key")) == (1, 2)
        assert cache.verify(repair=False).ok
        assert json.loads(read_text(root / "imgbuild.lock") or "") == {"done": True}
        cache.close()
        if survived:
            return
    pytest.fail("never survived")
