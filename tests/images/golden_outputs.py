"""What each operation makes in each format, pinned in golden_outputs.json.

`python tests/images/golden_outputs.py` writes the file anew. An upgrade must touch no file that was accepted: bytes
may change only with `encoder(format)`, that is with libvips or with OPTIONS_VERSION.
"""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path
from tempfile import TemporaryDirectory

from making import FORMATS, make, opened, raw, recipe, stored

from imgbuild.core.derivation import Recipe
from imgbuild.core.image import KERNELS, Size
from imgbuild.images.encode import encoder

FILE = Path(__file__).with_name("golden_outputs.json")
MACHINE = f"{platform.system()} {platform.machine()}"
_WIDTH, _HEIGHT = 96, 64


def _cases() -> dict[str, Recipe]:
    operations: dict[str, dict[str, object]] = {
        "as it is": {},
        "alpha": {"alpha": "#00ff00"},
        "grid": {"grid": 7},
        "trim": {"alpha": "#00ff00", "trim": True},
        "cover": {"size": Size(40, 40)},
        "contain": {"size": Size(60, 60), "fit": "contain"},
        "fill": {"size": Size(50, 70), "fit": "fill"},
        "attention": {"size": Size(40, 40), "focus": "attention"},
        "entropy": {"size": Size(40, 40), "focus": "entropy"},
        "a point": {"size": Size(40, 40), "focus": "0.2,0.9"},
        "width": {"width": 33},
        "scale": {"scale": 1.5},
        "palette": {"palette": 12},
        "colours": {"palette": ("#0f380f", "#306230", "#8bac0f", "#9bbc0f")},
        "pad": {"pad": 5},
        "pow2": {"pow2": True},
        "caption": {"caption": "hero"},
        **{kernel: {"width": 61, "kernel": kernel} for kernel in KERNELS},
    }
    return {
        f"{name} as {format}": recipe(format, **members)
        for name, members in operations.items()
        for format in FORMATS
    }


def _policies() -> dict[str, Recipe]:
    return {
        "quality as jpeg": recipe("jpeg", options={"quality": 50}),
        "baseline as jpeg": recipe("jpeg", options={"progressive": False}),
        "quality as webp": recipe("webp", options={"quality": 50, "effort": 6}),
        "lossless as webp": recipe("webp", options={"lossless": True}),
        "quality as avif": recipe("avif", options={"quality": 50, "effort": 2}),
        "lossless as avif": recipe("avif", options={"lossless": True}),
        **{
            f"{metadata} as {format}": recipe(format, metadata=metadata, embedded={"prompt": "a fox"})
            for metadata in ("provenance", "keep", "strip")
            for format in FORMATS
        },
    }


CASES = {**_cases(), **_policies()}


def master(folder: Path) -> Path:
    """A disc with a gradient on a green ground, by whole numbers only."""
    rows = bytearray()
    for y in range(_HEIGHT):
        for x in range(_WIDTH):
            inside = (x - 52) ** 2 + (y - 30) ** 2 < 24**2
            rows += bytes([x * 5 % 256, y * 3, (x * y) % 200]) if inside else bytes([6, 246, 10])
    return stored(raw(_WIDTH, _HEIGHT, bytes(rows)), folder / "master.png")


def describe(source: Path, case: Recipe, to: Path) -> dict[str, object]:
    """Everything about an output that is pinned: its maker, its bytes, and roughly how it looks."""
    made = make(source, to, case)
    return {
        "encoder": encoder(case.format),
        "digest": hashlib.sha256(to.read_bytes()).hexdigest(),
        "size": f"{made.width}x{made.height}",
        "look": look(to),
    }


def look(path: Path) -> str:
    """The means of sixteen parts of the picture, RGBA, in hexadecimal."""
    image = opened(path)
    image = image if image.hasalpha() else image.addalpha()
    seen = image.premultiply().resize(4 / image.width, vscale=4 / image.height, kernel="linear")
    return bytes(seen.rint().cast("uchar").write_to_memory()).hex()


def _refresh() -> None:
    with TemporaryDirectory() as folder:
        source = master(Path(folder))
        outputs = {name: describe(source, case, Path(folder, "out")) for name, case in CASES.items()}
    FILE.write_text(json.dumps({"machine": MACHINE, "outputs": outputs}, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    _refresh()
