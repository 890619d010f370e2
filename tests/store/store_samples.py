"""Results, outputs and caches with something in them."""

import hashlib
from pathlib import Path

from imgbuild.core.results import StoredOutput, StoredResult
from imgbuild.store.cache import Cache


def sha(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def a_result(digest: str, *, key: str = "key", take: int = 1, size: int = 3, **fields) -> StoredResult:
    values = {
        "format": "png",
        "width": 4,
        "height": 2,
        "spec": {"prompt": "a cat", "params": {"steps": [1, 2.5, None, True]}},
        "provider": "placeholder",
        "image_id": "hero",
        "created": "2026-01-02T03:04:05Z",
    }
    return StoredResult(key=sha(key), take=take, digest=digest, bytes=size, **values | fields)


def an_output(digest: str, *, source: str, recipe: str = "recipe", size: int = 3, **fields) -> StoredOutput:
    values = {"encoder": "libvips 8.17 png", "format": "png", "width": 4, "height": 2}
    return StoredOutput(recipe_key=sha(recipe), source=source, digest=digest, bytes=size, **values | fields)


def write_scratch(cache: Cache, data: bytes) -> Path:
    path = cache.blobs.scratch()
    path.write_bytes(data)
    return path


def keep_result(cache: Cache, data: bytes, **fields) -> StoredResult:
    return cache.keep_result(
        write_scratch(cache, data), lambda blob: a_result(blob.digest, size=blob.bytes, **fields)
    )


def keep_output(cache: Cache, data: bytes, **fields) -> StoredOutput:
    return cache.keep_output(
        write_scratch(cache, data), lambda blob: an_output(blob.digest, size=blob.bytes, **fields)
    )


def damage(path: Path, data: bytes) -> None:
    """Change a read-only file in place."""
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(0o444)
