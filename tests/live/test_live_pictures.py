"""The pictures of the walk-through: there, small, and made again by its script."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from imgbuild.images.vips import pyvips

ROOT = Path(__file__).parents[2]
MOST = 100_000


def pictures() -> list[str]:
    return re.findall(r"\]\(images/(live-[\w-]+\.webp)\)", (ROOT / "docs/authoring.md").read_text())


def test_every_picture_of_the_walk_through_is_there_and_small():
    there = {file.name: file.stat().st_size for file in (ROOT / "docs/images").glob("live-*")}
    assert sorted(there) == sorted(pictures())
    assert [name for name, size in there.items() if size >= MOST] == []


@pytest.mark.skipif(not os.environ.get("IMGBUILD_TESTS_FULL"), reason="only with IMGBUILD_TESTS_FULL=1")
def test_the_walk_through_can_be_done_again(chromium, tmp_path):
    script = Path(__file__).with_name("record.py")
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, capture_output=True, timeout=110)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(pictures())
    widths = {name: pyvips.Image.new_from_file(str(tmp_path / name)).width for name in pictures()}
    assert set(widths.values()) == {1120, 390}
