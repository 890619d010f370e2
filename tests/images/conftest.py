"""Real pictures, made by libvips, in every format that is read."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest
from making import pattern


class MakePicture(Protocol):
    def __call__(
        self, name: str, width: int = 96, height: int = 64, *, alpha: bool = False, **saver: object
    ) -> Path: ...


@pytest.fixture
def make_picture(tmp_path: Path) -> MakePicture:
    def make(name: str, width: int = 96, height: int = 64, *, alpha: bool = False, **saver: object) -> Path:
        path = tmp_path / name
        image = pattern(width, height, alpha=alpha)
        extension = path.suffix[1:]
        save = {"jpg": "jpegsave", "avif": "heifsave"}.get(extension, f"{extension}save")
        if extension == "avif":
            saver = {"compression": "av1", "effort": 0, **saver}
        path.write_bytes(getattr(image, f"{save}_buffer")(**saver))
        return path

    return make
