"""Refreshing: a wrong output is replaced, a right one stays, and what is left to chance is no difference."""

from __future__ import annotations

from pathlib import Path

import pytest
from doc_pages import Reader, alike, blocks, steps
from refresh import refreshed

PAGE = """\
<!-- in: examples/quickstart -->
```console
$ imgbuild check
{said}
$ imgbuild build -q
$ imgbuild buidl
error: unknown command "buidl"; did you mean "build"?
$ echo $?
2
```

The end.
"""


def test_only_what_is_wrong_is_rewritten(tmp_path: Path) -> None:
    right = PAGE.format(said="3 images, no errors")
    assert refreshed(PAGE.format(said="4 images, many errors"), tmp_path / "wrong") == right
    assert refreshed(right, tmp_path / "right") == right


def test_times_digests_and_the_order_of_images_make_no_difference() -> None:
    assert alike(
        "2 to generate\n  derived  a  x.png\ngenerated  b  y.png\n2 done in 0.3 s\n",
        "2 to generate\ngenerated  b  y.png\n  derived  a  x.png\n2 done in 12.5 s\n",
    )
    assert alike(f"key {'a' * 64}, at http://127.0.0.1:8188", f"key {'b' * 64}, at http://127.0.0.1:33401")
    assert not alike("generated  a  x.png\n", "   failed  a  x.png\n")
    assert not alike("about 0.04 USD\n", "about 0.05 USD\n")


@pytest.mark.parametrize("command", ["curl x", "imgbuild plan; ls", "cat $(ls)", "imgbuild plan | sort"])
def test_no_other_program_runs(command: str, tmp_path: Path) -> None:
    (block,) = blocks(f"<!-- in: examples/quickstart -->\n```console\n$ {command}\n```\n")
    assert steps(block)[0].command == command
    with Reader(tmp_path) as reader, pytest.raises(AssertionError, match="not allowed"):
        reader.follow(block)


def test_a_manifest_with_errors_is_no_example(tmp_path: Path) -> None:
    (block,) = blocks("```yaml\nimages: {hero: {prompt: x}}\n```\n")
    with Reader(tmp_path) as reader, pytest.raises(AssertionError, match="the image has no output"):
        reader.follow(block)
